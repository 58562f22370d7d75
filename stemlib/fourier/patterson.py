"""The Patterson function of an image, and the lattice that it shows."""

import itertools
from dataclasses import dataclass, replace

import cv2
import numpy as np
from scipy import fft, special, stats
from scipy.spatial import cKDTree

from stemlib.fourier.filters import summits, threads_for
from stemlib.fourier.unit_cell import cells_between, reduce_cell

# In spacings of columns, which are the natural unit of all below.
_REACH = 12.0  # how far out the lattice's points are looked at
_BAND = (0.12, 1.5)  # standard deviations of the two Gaussians: noise, and slow background
_LONGEST = 6.5  # of the pairs of translations that are tried
_SHORTEST = 0.5
_OUTLYING = 4.0  # standard deviations from which on a pixel counts no more
_CUTS = 3  # of outliers, each with a background that the one before has left less of
_MOST_PEAKS = 60  # whose pairs are tried
_ALIKE = 0.95  # share of the best lattice's Patterson function that a finer one must keep
_SURE = 0.99865  # three standard errors, were there many points
_DIRECTIONS = 72  # in which places beside the lattice's points are looked at, half a spacing off
_BY_CHANCE = 1e-4  # probability that noise is taken for a lattice, for each part of an image
_LEAST_DROP = 0.1  # of the Patterson function towards there: stripes keep nearly all of it along themselves


@dataclass(frozen=True)
class Cell:
    """A lattice, and what the Patterson function says of it.

    Parameters
    ----------
    vectors : numpy.ndarray, shape (2, 2)
        Reduced translations as rows, (y, x), px.
    explained : float
        Mean of the Patterson function at its points but the origin: the share of the image's variance that its other
        cells explain of each cell.
    least : float
        What it is at least, by Student's t over the points: few of them may agree by accident.
    evidence : float
        The mean times the square root of what it is a mean over: how surely it is not zero.
    tried : int
        How many lattices it was chosen among.
    """

    vectors: np.ndarray
    explained: float
    least: float
    evidence: float
    tried: int = 1


class Patterson:
    """Autocorrelation of an image at the natural scale of its columns, with the lattice points that it may have.

    Parameters
    ----------
    values : numpy.ndarray, shape (2 R + 1, 2 R + 1)
        Over displacements up to R px along y and x; 1 at the middle.
    overlap : numpy.ndarray, of the same shape
        Share of the image that each value is a mean over.
    spacing : float
        Distance of neighbouring columns, px.
    """

    def __init__(self, values, overlap, spacing):
        self.values, self.overlap = values.astype(np.float32), overlap.astype(np.float32)
        self.reach, self.spacing = len(values) // 2, spacing
        self.peaks = self._peaks()
        self._tree = cKDTree(np.vstack([self.peaks, -self.peaks])) if len(self.peaks) else None

    @classmethod
    def of(cls, image, weights, spacing):
        """Patterson function of an image (H, W), of float32, where its weights (H, W) are not 0.

        Examples
        --------
        >>> from stemlib.synthetic import crystal_image
        >>> image = crystal_image("square", (128, 128), spacing=8, seed=0).image
        >>> found = Patterson.of(image, np.ones_like(image), 8.0)
        >>> np.linalg.norm(found.find_cell().vectors, axis=1).round(1).tolist()
        [8.0, 8.0]
        """
        flat = bandpassed(image, weights, spacing)
        reach = int(min(_REACH * spacing, 0.6 * max(flat.shape)))
        shape = [fft.next_fast_len(max(side, reach + 1) + reach, real=True) for side in flat.shape]
        workers = threads_for(shape)
        power, overlap = (
            fft.irfft2(np.abs(fft.rfft2(values, shape, workers=workers)) ** 2, shape, workers=workers)
            for values in (flat, weights)
        )
        # Where hardly anything overlaps, the mean is over hardly anything.
        overlap = np.maximum(overlap, 0.05 * overlap[0, 0])
        middle = (slice(0, 2 * reach + 1),) * 2
        values, overlap = (np.roll(v, (reach, reach), (0, 1))[middle] for v in (power / overlap, overlap))
        scale = max(float(values[reach, reach]), 1e-30)
        return cls(values / scale, overlap / overlap[reach, reach], spacing)

    @classmethod
    def of_waves(cls, vectors, powers):
        """Patterson function of waves (N, 2), cycles per px, of such powers (N,), the strongest first.

        Examples
        --------
        >>> found = Patterson.of_waves(np.array([[0, 0.1], [0.1, 0], [0.1, 0.1]]), np.ones(3))
        >>> np.linalg.norm(found.find_cell().vectors, axis=1).round(1).tolist()
        [10.0, 10.0]
        """
        spacing = 1 / np.median(np.linalg.norm(vectors[:3], axis=1))
        reach = int(_REACH * spacing)
        down, across = (np.exp(2j * np.pi * np.outer(np.arange(-reach, reach + 1), q)) for q in vectors.T)
        values = ((down * powers) @ across.T).real / powers.sum()
        return cls(values, np.ones_like(values), spacing)

    def find_cell(self):
        """Find the lattice whose points stand out most surely, of those that explain as much as any.

        Returns
        -------
        Cell or None
            None where no two peaks make one.
        """
        tried = [self.judged(cell) for cell in self._pairs()]
        tried = [cell for cell in tried if cell is not None]
        if not tried:
            return None
        # A finer lattice has more points that all stand out, a coarser one fewer: of those that explain as much as
        # the best does at least, the finest is the surest.
        bound = _ALIKE * max(cell.least for cell in tried)
        alike = [cell for cell in tried if cell.explained >= bound]
        return replace(max(alike, key=lambda cell: cell.evidence), tried=len(tried)) if alike else None

    def judged(self, cell):
        """Refine a cell (2, 2) on the peaks near its points, and measure what it explains; None with too few points."""
        for far in (3, 6, _REACH):
            cell = self._refined(cell, max(far * self.spacing, 1.2 * np.linalg.norm(cell, axis=1).max()))
        _, points = self._points(cell, _REACH * self.spacing)
        if len(points) < 3:
            return None
        values, overlap = self.at(points), self.overlap_at(points)
        total = float(overlap.sum())
        mean = float(values @ overlap) / total
        error = float(np.sqrt(overlap**2 @ (values - mean) ** 2)) / total
        least = mean - special.stdtrit(len(points) - 1, _SURE) * error
        return Cell(reduce_cell(cell), mean, least, mean * total**0.5)

    def p_value(self, cell):
        """Probability that the points of a lattice stand out by chance from the places half a spacing beside them.

        The least favourable direction counts, by Student's t over the points: blurred noise, and what repeats in one
        direction alone, has no more at them than in some direction beside. Of many lattices that were tried, one may
        do so sooner (Bonferroni).

        Parameters
        ----------
        cell : Cell

        Returns
        -------
        float
        """
        _, points = self._points(cell.vectors, _REACH * self.spacing)
        values, overlap = self.at(points), self.overlap_at(points)
        largest = 0.0
        for angle in 2 * np.pi * np.arange(_DIRECTIONS) / _DIRECTIONS:
            beside = points + 0.5 * self.spacing * np.array([np.sin(angle), np.cos(angle)])
            inside = np.abs(beside).max(axis=1) < self.reach - 1
            if inside.sum() < 2:
                return 1.0
            drop, weight = (values - self.at(beside))[inside], overlap[inside] / overlap[inside].sum()
            mean = float(drop @ weight)
            if mean < _LEAST_DROP * cell.explained:
                return 1.0
            error = float(np.sqrt(weight**2 @ (drop - mean) ** 2)) + 1e-12
            largest = max(largest, float(stats.t.sf(mean / error, inside.sum() - 1)))
        return min(1.0, largest * cell.tried)

    def at(self, points):
        """The function at displacements (N, 2), px."""
        return self._sampled(self.values, points)

    def overlap_at(self, points):
        """The overlap at displacements (N, 2), px."""
        return self._sampled(self.overlap, points)

    def _sampled(self, values, points):
        at = (np.asarray(points) + self.reach).astype(np.float32)
        return cv2.remap(values, at[:, 1:], at[:, :1], cv2.INTER_CUBIC)[:, 0].astype(float)

    def _points(self, cell, far):
        """Lattice points of one half plane up to a distance: (h, k) and displacements, px."""
        indices = cells_between(cell, (0, 0), (0, -far), (far, far))
        points = indices @ cell
        half = (points[:, 0] > 1e-6) | ((np.abs(points[:, 0]) <= 1e-6) & (points[:, 1] > 1e-6))
        near = (np.hypot(*points.T) <= far) & (np.abs(points).max(axis=1) < self.reach - 1)
        return indices[half & near], points[half & near]

    def _refined(self, cell, far):
        indices, points = self._points(cell, far)
        if len(points) < 2:
            return cell
        distance, nearest = self._tree.query(points, distance_upper_bound=0.3 * self.spacing)
        found = np.isfinite(distance)
        indices = indices[found]
        if len(indices) < 2 or np.linalg.matrix_rank(indices) < 2:
            return cell
        places = self._tree.data[nearest[found]]
        root = np.sqrt(np.maximum(self.at(places), 0) * self.overlap_at(places))[:, None] + 1e-6
        fitted = np.linalg.lstsq(root * indices, root * places, rcond=None)[0]
        # What changes the area by more has jumped to other peaks.
        return fitted if abs(np.linalg.det(fitted) / np.linalg.det(cell) - 1) < 0.15 else cell

    def _peaks(self):
        """Positive maxima of one half plane, the nearest first: displacements (N, 2), px."""
        values, reach = self.values, self.reach
        at = np.argwhere((values >= cv2.dilate(values, np.ones((3, 3), np.uint8))) & (values > 0)) - reach
        away = np.hypot(*at.T)
        at = at[(away > _SHORTEST * self.spacing) & (np.abs(at).max(axis=1) < reach)]
        at = at[(at[:, 0] > 0) | ((at[:, 0] == 0) & (at[:, 1] > 0))]
        peaks = summits(values, at + reach) - reach
        return peaks[np.argsort(np.hypot(*peaks.T))]

    def _pairs(self):
        """Cells (N, 2, 2) of all pairs of the nearest peaks, each lattice about once."""
        peaks = self.peaks[:_MOST_PEAKS]
        peaks = peaks[np.hypot(*peaks.T) < _LONGEST * self.spacing]
        if len(peaks) < 2:
            return []
        first, second = (peaks[i] for i in np.triu_indices(len(peaks), 1))
        area = np.abs(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0])
        wide = area > 0.25 * np.hypot(*first.T) * np.hypot(*second.T)
        wide &= area > 0.3 * self.spacing**2
        cells = [reduce_cell(pair) for pair in np.stack([first, second], axis=1)[wide]]
        cells = np.array([c for c in cells if np.hypot(*c[0]) > _SHORTEST * self.spacing]).reshape(-1, 2, 2)
        coarse = np.rint(cells / (0.12 * self.spacing)).reshape(-1, 4)
        _, kept = np.unique(coarse, axis=0, return_index=True)
        return cells[np.sort(kept)]


def significant_cells(image, weights, spacing):
    """Cells that are no chance: of the whole image, then of its quarters and its middle, where grains may be alone.

    Parameters
    ----------
    image, weights : numpy.ndarray, shape (H, W), float32
    spacing : float
        Distance of neighbouring columns, px; about 8 is best.

    Yields
    ------
    Cell
        None come where nothing repeats in two directions.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=(128, 128)).astype(np.float32)
    >>> list(significant_cells(noise, np.ones_like(noise), 8.0))
    []
    """
    starts = [(0, side // 2) for side in image.shape]
    quarters = [*itertools.product(*starts), tuple(side // 4 for side in image.shape)]
    halves = [tuple(slice(at, at + n // 2) for at, n in zip(q, image.shape, strict=True)) for q in quarters]
    for part in [(slice(None), slice(None)), *halves]:
        patterson = Patterson.of(image[part], weights[part], spacing)
        cell = patterson.find_cell()
        if cell is not None and patterson.p_value(cell) < _BY_CHANCE:
            yield cell


def bandpassed(image, weights, spacing):
    """Take noise, slow background and outliers off an image at the scale of its columns.

    Parameters
    ----------
    image, weights : numpy.ndarray, shape (H, W), float32
    spacing : float
        Distance of neighbouring columns, px.

    Returns
    -------
    numpy.ndarray, shape (H, W), float32
        0 where it has no weight.

    Examples
    --------
    >>> ramp = np.fromfunction(lambda y, x: x, (256, 256), dtype=np.float32)
    >>> bool(np.abs(bandpassed(ramp, np.ones_like(ramp), 8.0)[96:-96, 96:-96]).max() < 0.01)
    True
    """
    weights = weights.astype(np.float32)

    def mean(values, sigma):
        blurred, share = (
            cv2.GaussianBlur(one, (0, 0), sigma * spacing, borderType=cv2.BORDER_REFLECT)
            for one in (values * weights, weights)
        )
        return blurred / np.maximum(share, np.float32(1e-3))

    smooth = cut = mean(image, _BAND[0])
    # Around a very bright atom the background would be too high by its halo: it is cut before that is taken.
    for _ in range(_CUTS):
        background = mean(cut, _BAND[1])
        flat = (smooth - background) * weights
        inside = flat[weights > 0]
        if not inside.size:
            return flat
        most = np.float32(_OUTLYING * 1.4826 * np.median(np.abs(inside - np.median(inside))))
        flat = np.clip(flat, -most, most)
        cut = background + flat
    return flat
