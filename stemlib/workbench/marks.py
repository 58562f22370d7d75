"""The state of a correction by hand: marks, what a person said of them, a threshold, and the area looked at.

A state is never changed: each step makes a new one that shares all else with the last, so that undoing is going back.
"""

import math
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

_SHIFT = 8  # bits after the point


@dataclass(frozen=True, slots=True)
class Mark:
    """One object: a point, or with axes a rotated ellipse.

    Parameters
    ----------
    y, x : float
        Centre, px.
    kind : str
    axes : tuple of float, optional
        Full major and minor axis, px, and the angle of the major one, degrees, counter-clockwise from +x as seen.
    score : float
        The finder's; NaN where there is none, as where a person drew it.
    row : int, optional
        Of what the finder proposed; None where a person drew it.
    verdict : bool, optional
        What a person said: it is one, or none; None leaves it to the threshold.
    changed : bool
        Whether a person has moved it, so that the finder's measurement no longer holds.
    bar : float
        The threshold of its kind, over that of the state.
    """

    y: float
    x: float
    kind: str
    axes: tuple[float, float, float] | None = None
    score: float = math.nan
    row: int | None = None
    verdict: bool | None = None
    changed: bool = False
    bar: float = 1.0

    @property
    def by_hand(self):
        """Whether its place is a person's."""
        return self.row is None or self.changed

    def distance(self, y, x):
        """From its centre to a place, px."""
        return math.hypot(self.y - y, self.x - x)

    def holds(self, y, x, tolerance):
        """Whether a place lies on it, or no farther from it than a tolerance, px."""
        if self.axes is None:
            return self.distance(y, x) <= tolerance
        major, minor, angle = self.axes
        cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        right, up = x - self.x, self.y - y
        along, across = right * cos + up * sin, up * cos - right * sin
        return math.hypot(along / (major / 2 + tolerance), across / (minor / 2 + tolerance)) <= 1


@dataclass(frozen=True, slots=True)
class Outline:
    """A line around a part of the image, which is looked at from now on, or no more.

    Parameters
    ----------
    vertices : tuple of (float, float)
        y, x px.
    adds : bool
    """

    vertices: tuple[tuple[float, float], ...]
    adds: bool = True


@dataclass(frozen=True)
class State:
    """Everything that a person can change, at one moment.

    Parameters
    ----------
    marks : dict of int to Mark
        By number; what is there is never changed in place.
    threshold : float
        Score from which on a mark counts that nobody has judged.
    region : tuple of Outline
        One after the other; without any, all is looked at that the finder looked at.
    """

    marks: dict[int, Mark]
    threshold: float
    region: tuple[Outline, ...] = field(default=())

    def counts(self, mark):
        """Whether a mark counts as an object: as a person said, else by its score; without one, it does."""
        return not mark.score < self.threshold * mark.bar if mark.verdict is None else mark.verdict

    def with_mark(self, number, mark):
        """The state with another mark of this number; None takes it away."""
        marks = dict(self.marks)
        if mark is None:
            del marks[number]
        else:
            marks[number] = mark
        return replace(self, marks=marks)

    def free_number(self):
        """A number that no mark has."""
        return max(self.marks, default=-1) + 1


def region_mask(region, looked_at):
    """Return where was looked, of where the finder looked.

    Parameters
    ----------
    region : tuple of Outline
        If the first adds, only what it and its followers add is looked at.
    looked_at : numpy.ndarray of bool, shape (H, W)

    Returns
    -------
    numpy.ndarray of bool, shape (H, W)

    Examples
    --------
    >>> square = Outline(((0, 0), (0, 3), (3, 3), (3, 0)), adds=False)
    >>> int(region_mask((square,), np.ones((8, 8), bool)).sum())
    48
    """
    if not region:
        return looked_at
    mask = np.full(looked_at.shape, not region[0].adds, np.uint8)
    for outline in region:
        # OpenCV wants x first, in whole numbers of a fraction of a pixel.
        vertices = np.rint(np.array(outline.vertices)[:, ::-1] * 2**_SHIFT).astype(np.int32)
        cv2.fillPoly(mask, [vertices], int(outline.adds), shift=_SHIFT)
    return looked_at & mask.astype(bool)


def centred_inside(y, x, mask):
    """Whether positions, px, lie where a mask (H, W) is True: of bool."""
    row, column = (
        np.clip(np.rint(np.asarray(v, float)).astype(int), 0, n - 1)
        for v, n in zip((y, x), mask.shape, strict=True)
    )
    return mask[row, column]
