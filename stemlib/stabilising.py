"""Heights on a scale on which noise is the same for faint and for strong columns."""

from dataclasses import dataclass

import numpy as np

_LEAST_EMPTY = 0.1  # of the scatter of columns: scatter of empty places that is believed


@dataclass(frozen=True)
class Stabiliser:
    """A scale of heights on which their noise has a standard deviation of 1.

    Counted electrons scatter more where there are more of them: variance is taken to grow in proportion to height.
    Twice the square root of the variance, over how fast it grows, is that scale; in proportion to height where the
    variance does not grow, and below nothing.

    Parameters
    ----------
    empty : float
        Variance of the height where no column is.
    growth : float
        By which variance grows for a height of 1.

    References
    ----------
    F. J. Anscombe, Biometrika 35, 246 (1948), https://doi.org/10.1093/biomet/35.3-4.246.

    Examples
    --------
    >>> scale = Stabiliser.between(0.1, 1.0, 0.2)
    >>> scale.sd(np.array([0.0, 1.0])).round(2).tolist(), float(scale.back(scale(0.7)).round(6))
    ([0.1, 0.2], 0.7)
    """

    empty: float
    growth: float

    @classmethod
    def between(cls, empty_sd, height, sd):
        """The scale on which heights around 0 scatter by `empty_sd` and those around `height` by `sd`."""
        empty = min(max(empty_sd, _LEAST_EMPTY * sd), sd) ** 2
        return cls(empty, (sd**2 - empty) / height if height > 0 else 0.0)

    def sd(self, heights):
        """Standard deviation of heights."""
        return np.sqrt(self.empty + self.growth * np.maximum(heights, 0))

    def __call__(self, heights):
        """Heights on this scale."""
        heights = np.asarray(heights, float)
        # 2 (sqrt(v + g h) - sqrt(v)) / g, written so that g may be 0.
        above = np.maximum(heights, 0)
        return 2 * above / (self.sd(above) + np.sqrt(self.empty)) + np.minimum(heights, 0) / np.sqrt(
            self.empty
        )

    def back(self, values):
        """Heights from values on this scale."""
        values, start = np.asarray(values, float), np.sqrt(self.empty)
        return values * start + self.growth * np.maximum(values, 0) ** 2 / 4
