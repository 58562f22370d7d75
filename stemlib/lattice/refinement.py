"""One crystal grain of an image: where it is, and its lattice to the last digit."""

import cv2
import numpy as np
from scipy import ndimage

from stemlib.fourier.filters import even_contrast, flatten
from stemlib.fourier.geometric_phase import Nodes, affine_part, measure_phases
from stemlib.fourier.reflections import find_reflections
from stemlib.lattice.cells import CellSamples, cell_displacements, fit_gradient
from stemlib.lattice.superstructure import larger_cell, smaller_cell
from stemlib.lattice.unit_cell import find_cell

_FINEST = 0.22  # cycles per px that the finest reflection may have after reduction of the image
_LARGEST_CELL = 0.3  # of the field, its longer translation
_MOST_PHASES = 8  # reflections whose phases are measured
_ALONE = 0.7  # share of the image from which on no second grain is looked for
_CHANCE_REFLECTIONS = 2  # so few reflections may be accidents
_STRONG = 60.0  # power over noise from which on a reflection shows where it comes from
_DIFFUSE = 0.05  # of the strongest reflection's power; what is weaker may belong to a streak
_APART = 0.6  # overlap of the local amplitudes of reflections of different grains
_LARGEST_FIT = 0.02  # mean displacement gradient by which a refined cell may still be off
FEWEST_FITTED = 12  # cells
_LEAST_EXPLAINED = 0.15  # of all reflections, by the logarithms of their powers
_LARGEST_STRAIN = 0.03  # root mean square, over a crystal
_LARGEST_GRADIENT = 0.25


class NoLatticeError(ValueError):
    """Nothing is periodic in two directions."""


class Grain:
    """A grain on a working image, which is the image reduced by a whole number where its columns are large.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W), float32
    mask : numpy.ndarray of bool, shape (H, W)
    cell : numpy.ndarray, shape (2, 2)
        Translations as rows, px of the image.
    reflections : stemlib.fourier.reflections.Reflections
        Those that the cell explains.
    """

    def __init__(self, image, mask, cell, reflections):
        lengths = np.linalg.norm(reflections.vectors, axis=1)
        self.factor = max(1, int(_FINEST / lengths.max()))
        self.vectors = reflections.vectors * self.factor
        self.cell = cell / self.factor
        self.scale = 1 / np.median(np.linalg.norm(self.vectors[:4], axis=1))
        self.weights = reduced(mask.astype(np.float32), self.factor)
        work = reduced(image * mask if self.factor > 1 else image, self.factor)
        if self.factor > 1:
            work = np.where(self.weights > 0, work / np.maximum(self.weights, 1e-6), 0)
        self.weights = (self.weights > 0.5).astype(np.float32)
        longest = np.linalg.norm(self.cell, axis=1).max()
        self.flat = even_contrast(flatten(work, self.weights, 1.5 * longest), longest)
        self.field = None

    def refine(self):
        """Fit the cell to the phases of its strongest reflections, all over the grain; return its variance.

        Returns
        -------
        numpy.ndarray, shape (2, 2, 2)
            Covariance of the rows of the mean displacement gradient.
        """
        width = max(0.8 * np.linalg.norm(self.cell, axis=1).max(), max(self.flat.shape) / 48)
        nodes = Nodes(self.flat, self.weights, width)
        for _ in range(4):
            indices = self._strongest()
            field = measure_phases(nodes, self.cell, indices)
            gradient, variance, self.field = affine_part(field)
            if np.abs(gradient).max() > _LARGEST_GRADIENT:
                raise NoLatticeError
            self.cell = self.cell + self.cell @ gradient.T
            if np.abs(gradient).max() < 1e-5:
                break
        return variance

    def fit(self, samples):
        """Fit the cell to all that its cells show, and return the variance of the mean displacement gradient.

        Parameters
        ----------
        samples : stemlib.lattice.cells.CellSamples
            As `samples` returns them.

        Raises
        ------
        NoLatticeError
            If fewer than a dozen cells look alike.
        """
        for _ in range(2):
            positions, displacements = cell_displacements(samples)
            if len(positions) < FEWEST_FITTED:
                raise NoLatticeError
            total = displacements + self.field.at(positions)
            shift, gradient, variance, centre = fit_gradient(positions, total)
            if np.abs(gradient).max() > _LARGEST_FIT:
                break
            self.cell = self.cell + self.cell @ gradient.T
            self.field = self.field.without(shift, gradient, centre)
            samples = self.samples()
        return samples, variance

    def coverage(self):
        """Share of the image in which the grain is."""
        return float((self.field.weights > 0).mean())

    def samples(self):
        """The grain's cells, sampled."""
        sigma = 0.16 * self.scale
        smooth = cv2.GaussianBlur(self.flat, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
        smooth = ndimage.spline_filter(smooth, order=3, output=np.float32)
        return CellSamples(smooth, self.weights > 0, self.cell, self.field, 1.25 * sigma)

    def unexplained(self, cell):
        """How many of the grain's reflections another cell does not explain."""
        phases = self.vectors @ cell.T
        return int((np.abs(phases - np.round(phases)) > 0.2).any(axis=1).sum())

    def outside(self, shape):
        """Weights (H, W) of the image that are 1 where the grain is not."""
        inside = ndimage.binary_dilation(self.field.weights > 0).astype(np.float32)
        return 1 - cv2.resize(inside, shape[::-1], interpolation=cv2.INTER_LINEAR)

    def _strongest(self):
        """Indices of the strongest reflections, the first two not collinear."""
        indices = np.rint(self.vectors @ self.cell.T).astype(int)
        kept = []
        for index in indices:
            if index.any() and not any((index == k).all() or (index == -k).all() for k in kept):
                kept.append(index)
        first = kept[0]
        others = sorted(kept[1:], key=lambda k: np.linalg.det([first, k]) == 0)
        if not others or np.linalg.det([first, others[0]]) == 0:
            raise NoLatticeError
        return np.array([first, *others][:_MOST_PHASES])


def largest_grain(image, mask):
    """Find the grain that covers most of the image.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W), float32
    mask : numpy.ndarray of bool, shape (H, W)

    Returns
    -------
    Grain
        Refined.

    Raises
    ------
    NoLatticeError
        If nothing is periodic in two directions.
    """
    flat = flatten(image, mask.astype(np.float32), min(image.shape) / 8)
    reflections = find_reflections(flat)
    best = None
    for part in _parts(flat, mask, reflections):
        found = reflections if part is None else find_reflections(flat * part)
        grain = _grain_of(image, mask, found)
        if grain is not None and (best is None or grain.coverage() > best.coverage()):
            best = grain
    if best is None:
        best = _grain_of(image, mask, _sharp(reflections))
    if best is None:
        raise NoLatticeError
    if best.coverage() < _ALONE:
        other = _grain_of(image, mask, find_reflections(flat * best.outside(flat.shape)))
        if other is not None and other.coverage() > best.coverage():
            best = other
    return best


def settle_cell(grain):
    """Take the smallest cell that no significant difference between places contradicts.

    Parameters
    ----------
    grain : Grain
        Its cell is replaced, and refined anew.

    Raises
    ------
    NoLatticeError
        If the image shows fewer than two whole cells, so that there is nothing to compare.
    """
    tried = []
    variance = grain.refine()
    for _ in range(6):
        samples = grain.samples()
        if len(samples.cells) < 2:
            raise NoLatticeError
        cell = larger_cell(samples)
        if cell is not None and np.linalg.norm(cell[1]) > _LARGEST_CELL * max(grain.flat.shape):
            cell = None
        if cell is None:
            cell = smaller_cell(samples)
            if cell is not None and grain.unexplained(cell) > _CHANCE_REFLECTIONS:
                cell = None
        if cell is None or any(abs(abs(np.linalg.det(cell)) - area) < 0.2 * area for area in tried):
            break
        tried.append(abs(np.linalg.det(grain.cell)))
        grain.cell = cell
        variance = grain.refine()
    return samples, variance


def reduced(image, factor):
    """Mean over blocks of ``factor x factor`` px; an incomplete rim is left out."""
    if factor == 1:
        return image
    height, width = (n // factor for n in image.shape)
    return cv2.resize(
        np.ascontiguousarray(image[: height * factor, : width * factor]),
        (width, height),
        interpolation=cv2.INTER_AREA,
    )


def _grain_of(image, mask, reflections):
    """The grain that shows most of these reflections, or None."""
    if len(reflections.vectors) < 2:
        return None
    scale = 1 / np.median(np.linalg.norm(reflections.vectors[:3], axis=1))
    cell, explained = find_cell(reflections, min(_LARGEST_CELL / reflections.resolution, 16 * scale))
    if cell is None:
        return None
    gains = np.log(reflections.ratios)
    if gains[explained].sum() < _LEAST_EXPLAINED * gains.sum():
        return None
    grain = Grain(image, mask, cell, reflections.only(explained))
    try:
        grain.refine()
    except NoLatticeError:
        return None
    # Noise in a narrow band of frequencies has reflections of a kind, but follows no lattice for long.
    return grain if grain.field.strain_rms() < _LARGEST_STRAIN else None


def _sharp(reflections):
    """Those that are no maxima of a streak, into which a line of displaced columns scatters: no lattice has them."""
    strongest = max(_STRONG, reflections.ratios.max(initial=0.0))
    return reflections.only(reflections.ratios > _DIFFUSE * strongest)


def _parts(flat, mask, reflections):
    """Weights (H, W) of two parts of the image with reflections of their own, or None for all of it.

    In a grain its reflections are present and those of its neighbours are not: their local amplitudes hardly overlap.
    """
    strong = reflections.vectors[reflections.ratios > _STRONG][:24]
    if len(strong) < 3:
        return [None]
    width = max(min(flat.shape) / 16, 1.5 / np.median(np.linalg.norm(strong, axis=1)))
    nodes = Nodes(flat, mask.astype(np.float32), width)
    covered = nodes.coverage > 0.4 * nodes.coverage.max()
    maps = np.array([np.abs(nodes.amplitudes(v)) for v in strong])
    inside = maps[:, covered]
    inside = inside / inside.mean(axis=1, keepdims=True)
    # 1 where two reflections have nothing to do with each other, 0 where one ends where the other begins.
    overlap = inside @ inside.T / inside.shape[1]
    i, j = np.unravel_index(overlap.argmin(), overlap.shape)
    if overlap[i, j] > _APART:
        return [None]
    # All that go with one of the two tell where the border is.
    sides = [
        inside[(overlap[k] > overlap[other]) & (overlap[other] < 1)].mean(axis=0)
        for k, other in ((i, j), (j, i))
    ]
    first = np.zeros(covered.shape, np.float32)
    first[covered] = sides[0] > sides[1]
    first = cv2.resize(first, flat.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return [first, 1 - first]
