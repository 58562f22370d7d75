"""The average cell of a crystal: where its columns stand, however faint, and what it would show where it is hidden."""

from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage
from skimage.morphology import h_maxima

from stemlib.fourier.filters import summits
from stemlib.lattice.result import Lattice

_NODES = 12  # per spacing
_MOST_PIXELS = 400_000  # that it is averaged over
_BRIGHTEST = 3.0  # standard deviations of the image nearby: what stands out more counts as much
_SPREAD = 0.08  # over the spacing: standard deviation over which it is smoothed to see its columns
# By so much of its range, and by so many standard errors, a column stands out of it.
_LEAST, _SURE = 0.05, 4.0
_BEYOND = 3.0  # spacings into what is hidden: farther off, nothing that is seen is touched


@dataclass(frozen=True, eq=False)
class AverageCell:
    """The average of all cells of a crystal, in standard deviations of the image nearby.

    Parameters
    ----------
    halves : numpy.ndarray, shape (2, M, N)
        Averages of every other cell, on nodes along a and b.
    lattice : stemlib.lattice.Lattice
    spacing : float
        Distance of neighbouring columns, px.

    Examples
    --------
    >>> from stemlib.lattice.find import find_lattice
    >>> from stemlib.synthetic import crystal_image
    >>> image = crystal_image("honeycomb", (128, 128), spacing=10, seed=0).image
    >>> mask = np.ones(image.shape, bool)
    >>> mask[50:70, 40:90] = False
    >>> cell = AverageCell.of(image, mask, find_lattice(image), 10.0)
    >>> len(cell.sites())
    2
    >>> bool(np.corrcoef(cell.continued(image, mask)[~mask], image[~mask])[0, 1] > 0.8)
    True
    """

    halves: np.ndarray
    lattice: Lattice
    spacing: float

    @classmethod
    def of(cls, image, mask, lattice, spacing):
        """Average the crystal of an image (H, W) of bright columns where it is seen, `mask` being True."""
        seen = np.argwhere(mask)
        seen = seen[:: max(1, len(seen) // _MOST_PIXELS)]
        seen = seen[lattice.distortion.field.covers(seen)]
        mean, spread = _brightness(image, mask, lattice, spacing)
        at = tuple(seen.T)
        values = np.clip((image[at] - mean[at]) / spread[at], -_BRIGHTEST, _BRIGHTEST)
        size = np.maximum(4, np.ceil(lattice.lengths / spacing * _NODES)).astype(int)
        fractions = lattice.fractions(seen)
        half = np.floor(fractions).astype(int).sum(axis=1) % 2
        nodes = (half, *(np.rint(fractions * size).astype(int) % size).T)
        total, number = np.zeros((2, 2, *size))
        np.add.at(total, nodes, values)
        np.add.at(number, nodes, 1.0)
        # Nodes that few pixels hit share those of their neighbours.
        total, number = (ndimage.gaussian_filter(v, (0, 0.7, 0.7), mode="wrap") for v in (total, number))
        return cls(total / np.maximum(number, 1e-9), lattice, spacing)

    def sites(self):
        """Where columns stand in it, in units of a and b: (S, 2)."""
        size = np.array(self.halves.shape[1:])
        spread = _SPREAD * self.spacing * size / self.lattice.lengths
        cell, error = (
            ndimage.gaussian_filter(values, spread, mode="wrap")
            for values in (self.halves.mean(axis=0), (self.halves[0] - self.halves[1]) / 2)
        )
        least = max(_LEAST * np.ptp(cell), _SURE * float(error.std()))
        # Repeated, so that no maximum is cut at the edges of the cell.
        cell = np.tile(cell, (3, 3))
        at = summits(cell, np.argwhere(h_maxima(cell, least))) - size
        return at[((at >= 0) & (at < size)).all(axis=1)] / size

    def continued(self, image, mask):
        """Fill an image (H, W) near what is seen of it, as bright and as strong as it is nearby."""
        away, nearest = ndimage.distance_transform_edt(~mask, return_indices=True)
        hidden = np.argwhere(~mask & (away < _BEYOND * self.spacing))
        hidden = hidden[self.lattice.distortion.field.covers(nearest[:, hidden[:, 0], hidden[:, 1]].T)]
        if not len(hidden):
            return image
        cell = self.halves.mean(axis=0)
        nodes = (self.lattice.fractions(hidden) * cell.shape).T
        mean, spread = _brightness(image, mask, self.lattice, self.spacing)
        filled, at = image.copy(), tuple(hidden.T)
        filled[at] = mean[at] + spread[at] * ndimage.map_coordinates(cell, nodes, order=1, mode="grid-wrap")
        return filled


def _brightness(image, mask, lattice, spacing):
    """Mean and standard deviation of what is seen within about a cell of each pixel."""
    width = max(spacing, lattice.lengths.max())
    share, shown = mask.astype(np.float32), np.where(mask, image, np.float32(0))
    near = np.maximum(cv2.GaussianBlur(share, (0, 0), width), np.float32(1e-6))
    mean = cv2.GaussianBlur(shown, (0, 0), width) / near
    squares = cv2.GaussianBlur(share * (shown - mean) ** 2, (0, 0), width) / near
    return mean, np.sqrt(np.maximum(squares, np.float32(1e-12)))
