"""How far a crystal lies off its mean lattice, place by place: geometric phase of its reflections.

Each reflection's local amplitude and phase show where the crystal is and how far it is displaced there (Hÿtch,
Snoeck and Kilaas, https://doi.org/10.1016/S0304-3991(98)00035-7).
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.restoration import unwrap_phase

_MOST_NODES = 48  # per side
_AGREEING = 0.8  # of 1, where all reflections are displaced alike
_CRYSTALLINE = 0.4  # of the amplitude that is usual in the crystal


class NoLatticeError(ValueError):
    """Nothing is periodic in two directions."""


@dataclass(frozen=True, eq=False)
class PhaseField:
    """Displacements from a lattice on a coarse grid of nodes.

    Parameters
    ----------
    rows, columns : numpy.ndarray, shape (M,) and (N,)
        Where the nodes lie, px.
    displacements : numpy.ndarray, shape (2, M, N)
        (y, x), px; continued smoothly beyond the crystal.
    weights : numpy.ndarray, shape (M, N)
        0 outside the crystal, up to 1 inside.
    """

    rows: np.ndarray
    columns: np.ndarray
    displacements: np.ndarray
    weights: np.ndarray

    def at(self, points):
        """Displacements at points (y, x): an array of their shape."""
        return np.stack([self._interpolated(u, points) for u in self.displacements], axis=-1)

    def covers(self, points):
        """Whether points (y, x) lie in the crystal, or in a gap of it not wider than two nodes: at a defect."""
        inside = np.pad(self.weights > 0, 2, mode="edge")
        inside = ndimage.binary_closing(inside, np.ones((3, 3), bool))[2:-2, 2:-2]
        return self._interpolated(inside.astype(float), points) > 0.5

    def gradients(self):
        """Displacement gradients, shape (2, 2, M, N): of displacement i along j."""
        return np.array([np.gradient(u, self.rows, self.columns) for u in self.displacements])

    def strain_rms(self):
        """Root mean square over the crystal of the strain tensor's components."""
        gradient = self.gradients()
        strain = (gradient + gradient.swapaxes(0, 1)) / 2
        return float(np.sqrt(np.average((strain**2).mean(axis=(0, 1)), weights=self.weights)))

    def without(self, shift, gradient, centre):
        """The field less a linear one, given by its value and gradient at a point."""
        y, x = np.meshgrid(self.rows - centre[0], self.columns - centre[1], indexing="ij")
        linear = gradient @ np.array([y.ravel(), x.ravel()]) + shift[:, None]
        rest = self.displacements - linear.reshape(self.displacements.shape)
        return PhaseField(self.rows, self.columns, rest, self.weights)

    def enlarged(self, factor):
        """The same field of an image that was reduced by a whole number, in px of the image before that."""
        return PhaseField(
            (self.rows + 0.5) * factor - 0.5,
            (self.columns + 0.5) * factor - 0.5,
            self.displacements * factor,
            self.weights,
        )

    def _interpolated(self, values, points):
        points = np.asarray(points)
        nodes = [
            np.interp(points[..., i].ravel(), axis, np.arange(len(axis)))
            for i, axis in enumerate((self.rows, self.columns))
        ]
        found = ndimage.map_coordinates(values, nodes, order=1, mode="nearest")
        return found.reshape(points.shape[:-1])


class NodeWaves:
    """Local amplitudes of waves in an image, under a Gaussian around each of a few nodes, by sums.

    `stemlib.fourier.local_amplitudes.LocalWaves` has those around many nodes, by a Fourier transform.

    Parameters
    ----------
    flat : numpy.ndarray, shape (H, W), float32
    weights : numpy.ndarray, shape (H, W), float32
    width : float
        Standard deviation of the Gaussian, px, which is the distance between nodes, too.
    """

    def __init__(self, flat, weights, width):
        self.flat = flat
        self.nodes, self.kernels = [], []
        for size in flat.shape:
            count = int(np.clip(round(size / width), 2, _MOST_NODES))
            self.nodes.append((np.arange(count) + 0.5) * size / count - 0.5)
            off = np.arange(size) - self.nodes[-1][:, None]
            self.kernels.append(np.exp(-0.5 * (off / width) ** 2))
        down, across = (k.astype(np.float32) for k in self.kernels)
        self.coverage = down @ weights @ across.T
        self.full = np.outer(*(k.sum(axis=1).max() for k in self.kernels)).item()

    def amplitudes(self, vectors):
        """Complex amplitudes (K, M, N) of waves exp(2 pi i q . p), q (y, x) in vectors (K, 2), around each node."""
        return np.stack([self._sums(q) for q in vectors]) / np.maximum(self.coverage, 0.05 * self.full)

    def _sums(self, vector):
        down, across = (
            kernel * np.exp(-2j * np.pi * q * np.arange(size))
            for kernel, q, size in zip(self.kernels, vector, self.flat.shape, strict=True)
        )
        m, n = len(down), len(across)
        partial = np.vstack([down.real, down.imag]).astype(np.float32) @ self.flat
        both = partial @ np.hstack([across.real.T, across.imag.T]).astype(np.float32)
        return both[:m, :n] - both[m:, n:] + 1j * (both[:m, n:] + both[m:, :n])


def measure_phases(waves, cell, indices):
    """Measure where the crystal is and its displacements from a lattice.

    Parameters
    ----------
    waves : NodeWaves
    cell : numpy.ndarray, shape (2, 2)
        The lattice's translations as rows.
    indices : numpy.ndarray of int, shape (N, 2)
        Reflections to use, the strongest first; at least two that are not collinear.

    Returns
    -------
    PhaseField

    Raises
    ------
    NoLatticeError
        If these reflections are nowhere strong together.
    """
    reciprocal = np.linalg.inv(cell).T
    vectors = indices @ reciprocal
    amplitudes = waves.amplitudes(vectors)
    strength = np.abs(amplitudes)
    weights = _crystalline(strength, waves)
    inside = weights > 0
    second = next(i for i in range(1, len(indices)) if np.linalg.det(indices[[0, i]]) != 0)
    base = [0, second]
    phases = [unwrap_phase(np.ma.array(np.angle(amplitudes[i]), mask=~inside)).filled(0.0) for i in base]
    field = -np.einsum("ij,jmn->imn", np.linalg.inv(vectors[base]), np.array(phases)) / (2 * np.pi)
    # The other reflections' phases then hardly wrap: all together by least squares, strong ones count more.
    expected = np.exp(-2j * np.pi * np.einsum("ki,imn->kmn", vectors, field))
    off = amplitudes * np.conj(expected)
    off *= np.exp(-1j * np.angle((off * inside).sum(axis=(1, 2))))[:, None, None]
    share = np.median(strength[:, inside], axis=1) ** 2
    pull = np.linalg.solve((vectors * share[:, None]).T @ vectors, (vectors * share[:, None]).T)
    step = -np.einsum("ik,kmn->imn", pull, np.angle(off)) / (2 * np.pi)
    field = field + step
    # Where the phases contradict each other it is another crystal, or none.
    left = np.angle(off) + 2 * np.pi * np.einsum("ki,imn->kmn", vectors, step)
    agreement = np.abs(np.tensordot(share / share.sum(), np.exp(1j * left), axes=1))
    if (agreement[inside] > _AGREEING).any():
        weights = weights * (agreement > _AGREEING)
    if not weights.any():
        raise NoLatticeError
    field -= np.average(field, axis=(1, 2), weights=weights)[:, None, None]
    return PhaseField(*waves.nodes, _continued(field, weights), weights)


def affine_part(field):
    """Mean displacement gradient of a field and the variance of its estimate.

    Parameters
    ----------
    field : PhaseField

    Returns
    -------
    gradient : numpy.ndarray, shape (2, 2)
        ``gradient[i, j]``: change of displacement i per px along j, (y, x).
    variance : numpy.ndarray, shape (2, 2, 2)
        Covariance of each row of `gradient`.
    rest : PhaseField
        What remains without it.
    """
    y, x = np.meshgrid(field.rows, field.columns, indexing="ij")
    weights = field.weights
    centre = [np.average(v, weights=weights) for v in (y, x)]
    design = np.stack([np.ones_like(y), y - centre[0], x - centre[1]], axis=-1).reshape(-1, 3)
    w = weights.ravel()[:, None]
    normal = np.linalg.inv((design * w).T @ design + 1e-9 * np.eye(3))
    values = field.displacements.reshape(2, -1).T
    fit = normal @ (design * w).T @ values
    rest = (values - design @ fit).T.reshape(field.displacements.shape)
    spread = normal @ (design * w**2).T @ design @ normal
    freedom = max(1.0, weights.sum() ** 2 / (weights**2).sum() - 3)
    variance = np.empty((2, 2, 2))
    for i in range(2):
        scatter = (weights * rest[i] ** 2).sum() / weights.sum() * (freedom + 3) / freedom
        variance[i] = spread[1:, 1:] * scatter * _correlation(rest[i], weights)
    return fit[1:].T, variance, PhaseField(field.rows, field.columns, rest, weights)


def _crystalline(strength, waves):
    """Weights of nodes: how much of the usual amplitude of the reflections is there."""
    covered = waves.coverage > 0.3 * waves.full
    if not covered.any():
        covered = waves.coverage > 0.5 * waves.coverage.max()
    usual = np.quantile(strength[:, covered], 0.85, axis=1)[:, None, None]
    present = np.sort(np.minimum(strength / np.maximum(usual, 1e-30), 1), axis=0)
    # Another grain may share some of the reflections, hence the weaker half.
    present = present[: (len(present) + 1) // 2].mean(axis=0) * covered
    inside = present > _CRYSTALLINE
    # One piece only: phases cannot be followed across gaps.
    labels, count = ndimage.label(inside, np.ones((3, 3)))
    if count > 1:
        inside = labels == 1 + np.argmax(ndimage.sum_labels(present, labels, np.arange(1, count + 1)))
    return np.where(inside, np.minimum(present, waves.coverage / waves.full), 0.0)


def _continued(field, weights):
    """The field inside the crystal, and outside a smooth continuation of it."""
    inside = weights > 0
    if inside.all():
        return field
    nearest = ndimage.distance_transform_edt(~inside, return_distances=False, return_indices=True)
    return field[(slice(None), *nearest)]


def _correlation(values, weights):
    """By how much neighbouring values' likeness raises the variance of sums over them."""
    total = (weights * values**2).sum() / weights.sum() + 1e-30
    factor = 1.0
    for axis in (0, 1):
        moved = np.moveaxis(values, axis, 0)
        w = np.moveaxis(weights, axis, 0)
        along = 1.0
        for lag in range(1, len(moved) // 2 + 1):
            pair = w[lag:] * w[:-lag]
            if pair.sum() <= 0:
                break
            likeness = (pair * moved[lag:] * moved[:-lag]).sum() / pair.sum() / total
            if likeness <= 0.05:
                break
            along += 2 * min(likeness, 1.0)
        factor *= along
    return factor
