"""Samples of every cell of a crystal, at the same places of each."""

import numpy as np
from scipy import ndimage

from stemlib.fourier.unit_cell import cells_between

_FEWEST_WHOLE = 30  # cells within the crystal; with fewer, those at its edge take part
_MOST_SAMPLES = 250_000


def period(wave):
    """After how many cells a wave repeats."""
    return int(np.lcm(wave[0].denominator, wave[1].denominator))


class CellSamples:
    """What every cell of a crystal looks like: values at the same places of each.

    Parameters
    ----------
    smooth : numpy.ndarray, shape (H, W), float32
        The image, smoothed to the width of a column and prefiltered for cubic splines.
    usable : numpy.ndarray of bool, shape (H, W)
    cell : numpy.ndarray, shape (2, 2)
        Translations as rows.
    field : stemlib.fourier.geometric_phase.PhaseField
    step : float
        Distance between samples, px.
    seed : int or numpy.random.Generator
        Chooses among very many cells.
    """

    def __init__(self, smooth, usable, cell, field, step, seed):
        self.cell = cell
        self.scan = cell.T / np.array(smooth.shape)[:, None]
        self.grid = tuple(int(np.clip(np.ceil(np.linalg.norm(v) / step), 6, 48)) for v in cell)
        self.centre = (np.array(smooth.shape) - 1) / 2
        cells = self._chosen(self._inside(smooth.shape, field), seed)
        places = np.stack(
            np.meshgrid(*(np.arange(n) / n for n in self.grid), indexing="ij"), axis=-1
        ).reshape(-1, 2)
        points = (cells[:, None] + places) @ cell + self.centre
        points = points + field.at(points)
        nearest = np.clip(np.rint(points).astype(int), 0, np.array(smooth.shape) - 1)
        # Cells that the mask cuts are left out.
        whole = usable[nearest[..., 0], nearest[..., 1]].mean(axis=1) > 0.99
        self.cells, points = cells[whole], points[whole]
        self.values = ndimage.map_coordinates(
            smooth, points.reshape(-1, 2).T, order=3, prefilter=False, mode="nearest", output=np.float32
        ).reshape(len(self.cells), len(places))

    @property
    def mean(self):
        """The average cell, on its grid."""
        return self.values.mean(axis=0).reshape(self.grid)

    def _inside(self, shape, field):
        """Cells that lie on the image and in the crystal; those at its edge only where there are few."""
        size = np.array(shape)
        cells = cells_between(self.cell, self.centre, (0, 0), size)
        middle = (cells + 0.5) @ self.cell + self.centre
        reach = np.abs(self.cell).sum(axis=0) / 2
        inside = ((middle >= reach) & (middle <= size - 1 - reach)).all(axis=1) & field.covers(middle)
        cells = cells[inside]
        corners = cells[:, None] + np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
        whole = field.covers(corners @ self.cell + self.centre).all(axis=1)
        return cells[whole] if whole.sum() >= _FEWEST_WHOLE else cells

    def _chosen(self, cells, seed):
        """Of very many cells a random part, as all of the image tells more than one part of it."""
        most = max(64, _MOST_SAMPLES // (self.grid[0] * self.grid[1]))
        if len(cells) <= most:
            return cells
        return cells[np.sort(np.random.default_rng(seed).choice(len(cells), most, replace=False))]


_OUTLYING = 5.0  # standard deviations from which on a cell's displacement does not count (Tukey's biweight)
_LARGEST_GAIN = 0.5  # by which a cell may be stronger or weaker than the average one
_LARGEST_MISFIT = 3.0  # of the median sum of squares
_BLOCKS = 5  # per side, of cells that may be displaced together: drift, or lines of the scan


def cell_displacements(samples):
    """Fit the average cell to every cell, with an offset and a gain of its own.

    Parameters
    ----------
    samples : stemlib.lattice.cell_samples.CellSamples

    Returns
    -------
    positions : numpy.ndarray, shape (N, 2)
        Middles of the cells that look like the average one, in the mean lattice, (y, x), px.
    displacements : numpy.ndarray, shape (N, 2)
        From where they were sampled, px.
    """
    mean = samples.values.mean(axis=0).reshape(samples.grid)
    spectrum = np.fft.fft2(mean)
    along = [
        np.fft.ifft2(2j * np.pi * k * spectrum).real
        for k in np.meshgrid(*(np.fft.fftfreq(n, 1 / n) for n in samples.grid), indexing="ij")
    ]
    slopes = np.linalg.inv(samples.cell) @ np.array([s.ravel() for s in along])
    basis = np.column_stack([np.ones(mean.size), mean.ravel(), -slopes[0], -slopes[1]])
    rest = samples.values - mean.ravel()
    fit = rest @ np.linalg.pinv(basis).T
    misfit = ((rest - fit @ basis.T) ** 2).sum(axis=1)
    # Cells cut by the edge of the crystal, or under contamination, would be displaced to where the rest is.
    whole = (np.abs(fit[:, 1]) < _LARGEST_GAIN) & (misfit < _LARGEST_MISFIT * np.median(misfit))
    return ((samples.cells + 0.5) @ samples.cell + samples.centre)[whole], fit[whole, 2:]


def fit_gradient(positions, displacements):
    """Fit a mean displacement gradient to displacements of cells, outlying ones counting less.

    Parameters
    ----------
    positions, displacements : numpy.ndarray, shape (N, 2)

    Returns
    -------
    shift : numpy.ndarray, shape (2,)
        Displacement at the mean position.
    gradient : numpy.ndarray, shape (2, 2)
        ``gradient[i, j]``: change of displacement i per px along j.
    variance : numpy.ndarray, shape (2, 2, 2)
        Covariance of each row of `gradient`. Neighbouring cells and cells on the same scan lines may be displaced
        together: the variance is that between blocks or between strips of cells, whichever is larger (Liang and
        Zeger, https://doi.org/10.1093/biomet/73.1.13).
    centre : numpy.ndarray, shape (2,)
        The mean position.
    """
    weights = np.ones(len(positions))
    for _ in range(5):
        centre = np.average(positions, axis=0, weights=weights)
        design = np.column_stack([np.ones(len(positions)), positions - centre])
        normal = np.linalg.inv((design * weights[:, None]).T @ design)
        fit = normal @ (design * weights[:, None]).T @ displacements
        rest = displacements - design @ fit
        distance = np.linalg.norm(rest, axis=1)
        # 1.18: from the median of a Rayleigh distribution to its standard deviation per component.
        usual = np.median(distance) / 1.18 + 1e-12
        weights = np.maximum(1 - (distance / (_OUTLYING * usual)) ** 2, 0) ** 2
    influence = (design * weights[:, None])[:, :, None] * rest[:, None, :]
    variance = np.array([_largest_variance(positions, influence[..., i], normal) for i in range(2)])
    return fit[0], fit[1:].T, variance, centre


def _largest_variance(positions, influence, normal):
    """Covariance of the gradient, from sums of influence over single cells, blocks, and strips along x."""
    low, span = positions.min(axis=0), np.ptp(positions, axis=0) + 1e-9
    blocks = np.minimum((positions - low) / span * _BLOCKS, _BLOCKS - 1).astype(int)
    strips = np.minimum((positions[:, 0] - low[0]) / span[0] * _BLOCKS**2, _BLOCKS**2 - 1).astype(int)
    largest = None
    for groups in (np.arange(len(positions)), blocks[:, 0] * _BLOCKS + blocks[:, 1], strips):
        _, groups = np.unique(groups, return_inverse=True)
        count = groups.max() + 1
        if count < 4:
            continue
        sums = np.stack([np.bincount(groups, weights=column) for column in influence.T], axis=1)
        found = (normal @ (sums.T @ sums) @ normal * count / (count - 3))[1:, 1:]
        if largest is None or np.trace(found) > np.trace(largest):
            largest = found
    return largest
