"""Samples of every cell of a crystal, at the same places of each."""

import numpy as np
from scipy import ndimage

_FEWEST_WHOLE = 30  # cells within the crystal; with fewer, those at its edge take part
_MOST_SAMPLES = 250_000
_DIVISOR = 6  # the sampling of a cell can be halved and cut in three


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
    field : stemlib.geometric_phase.PhaseField
    step : float
        Distance between samples, px.
    """

    def __init__(self, smooth, usable, cell, field, step):
        self.cell = cell
        self.scan = cell.T / np.array(smooth.shape)[:, None]
        self.grid = tuple(
            _DIVISOR * int(np.clip(np.ceil(np.linalg.norm(v) / (_DIVISOR * step)), 1, 8)) for v in cell
        )
        self.centre = (np.array(smooth.shape) - 1) / 2
        cells = self._chosen(self._inside(smooth.shape, field))
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

    @property
    def significance(self):
        """Variance of the average cell over that of its standard error: about 1 where there is no such cell."""
        if len(self.values) < 2:
            return 0.0
        scatter = self.values.var(axis=0, ddof=1).mean() / len(self.values)
        return float(self.values.mean(axis=0).var() / max(float(scatter), 1e-30))

    def folded(self, translation):
        """The same samples as of smaller cells, were this fraction of the cell a translation as well.

        Parameters
        ----------
        translation : (Fraction, Fraction)

        Returns
        -------
        cells : numpy.ndarray, shape (N, 2)
            Places of the smaller cells, in units of this cell.
        values : numpy.ndarray, shape (N, M)
        """
        order = period(translation)
        steps = [int(f * n) for f, n in zip(translation, self.grid, strict=True)]
        values = self.values.reshape(-1, *self.grid)
        axis = 0 if steps[0] else 1
        part = [slice(None)] * 3
        part[axis + 1] = slice(self.grid[axis] // order)
        folded = [
            np.roll(values, [-m * s for s in steps], axis=(1, 2))[tuple(part)].reshape(len(values), -1)
            for m in range(order)
        ]
        cells = [self.cells + m * np.array([float(f) for f in translation]) for m in range(order)]
        return np.concatenate(cells), np.concatenate(folded)

    def _inside(self, shape, field):
        """Cells that lie on the image and in the crystal; those at its edge only where there are few."""
        size = np.array(shape)
        corners = np.array([[0, 0], [0, size[1]], [size[0], 0], size]) - self.centre
        steps = corners @ np.linalg.inv(self.cell)
        first, last = np.floor(steps.min(axis=0)).astype(int), np.ceil(steps.max(axis=0)).astype(int)
        cells = np.mgrid[first[0] : last[0] + 1, first[1] : last[1] + 1].reshape(2, -1).T
        middle = (cells + 0.5) @ self.cell + self.centre
        reach = np.abs(self.cell).sum(axis=0) / 2
        inside = ((middle >= reach) & (middle <= size - 1 - reach)).all(axis=1) & field.covers(middle)
        cells = cells[inside]
        corners = cells[:, None] + np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
        whole = field.covers(corners @ self.cell + self.centre).all(axis=1)
        return cells[whole] if whole.sum() >= _FEWEST_WHOLE else cells

    def _chosen(self, cells):
        """Of very many cells a random part, as all of the image tells more than one part of it."""
        most = max(64, _MOST_SAMPLES // (self.grid[0] * self.grid[1]))
        if len(cells) <= most:
            return cells
        return cells[np.sort(np.random.default_rng(0).choice(len(cells), most, replace=False))]
