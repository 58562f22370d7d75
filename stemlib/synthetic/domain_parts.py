"""What simulated images of several crystals are made of: crystals, the lines between them, and who has which place."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from stemlib.synthetic.crystals import Crystal
from stemlib.synthetic.projection import Projection


@dataclass(frozen=True, eq=False)
class Part:
    """One crystal: its projection, how far it is turned, and where the origin of a cell lies, (y, x) px.

    `mirrored` turns it over in a line along its first translation through the origin.
    """

    projection: Projection
    rotation_deg: float
    origin: np.ndarray
    mirrored: bool = False

    @property
    def crystal(self):
        """The cell as it lies in the image."""
        crystal = self.projection.crystal
        if not self.mirrored:
            return crystal
        return Crystal(crystal.cell * [-1, 1], crystal.sites, crystal.intensities)


@dataclass(frozen=True, eq=False)
class Curve:
    """A straight or wavy line: where it passes, its direction, and how far it swings.

    Attributes
    ----------
    point : numpy.ndarray, shape (2,)
        (y, x) px.
    direction_deg : float
        Counter-clockwise from +x as seen.
    swing, wavelength : float
        Px; no swing is a straight line.
    """

    point: np.ndarray
    direction_deg: float
    swing: float = 0.0
    wavelength: float = 1.0

    @property
    def axes(self):
        """Unit vectors (y, x) along the line and normal to it."""
        angle = np.radians(self.direction_deg)
        along = np.array([-np.sin(angle), np.cos(angle)])
        return along, np.array([along[1], -along[0]])

    def distance(self, y, x):
        """How far positions are beyond the line, px; negative on its other side."""
        along, normal = self.axes
        dy, dx = y - self.point[0], x - self.point[1]
        s = dy * along[0] + dx * along[1]
        across = dy * normal[0] + dx * normal[1]
        return across - self.swing * np.sin(2 * np.pi * s / self.wavelength)

    def line(self, reach, *, start=None):
        """Its vertices (y, x), two px apart, as far as `reach` on both sides or from `start` on."""
        along, normal = self.axes
        s = np.arange(-reach if start is None else start, reach, 2.0)[:, None]
        return self.point + s * along + self.swing * np.sin(2 * np.pi * s / self.wavelength) * normal


@dataclass(frozen=True, eq=False)
class Layout:
    """Several crystals and where each lies.

    Attributes
    ----------
    parts : list of Part
    labels_at : callable
        (y, x) px -> number of the part, -1 where there is none.
    curves : list of numpy.ndarray, shape (N, 2)
        The boundaries, also beyond the crystals.
    between : Curve or None
        Of two parts that may lie over each other: part 1 is beyond it.
    thickness_nm : float
    profile : callable or None
        (y, x) px -> thickness over `thickness_nm`, of a particle.
    faults : list of numpy.ndarray, shape (N, 2)
        Middles of faults inside a domain, also beyond the crystals.
    shares_at : callable or None
        Part and positions (N, 2) -> share of the thickness that it has there, where parts are not domains or lie over
        each other.
    """

    parts: list[Part]
    labels_at: Callable
    curves: list[np.ndarray] = field(default_factory=list)
    between: Curve | None = None
    thickness_nm: float = 0.0
    profile: Callable | None = None
    faults: list[np.ndarray] = field(default_factory=list)
    shares_at: Callable | None = None

    @property
    def cell_edge(self):
        """Longest edge of all cells, nm."""
        return max(
            float(np.linalg.norm(part.crystal.cell, axis=1).max() * part.projection.spacing_nm)
            for part in self.parts
        )

    def lines(self, shape, curves):
        """The parts of boundaries or faults that lie inside the image and the crystals."""
        inside = []
        for curve in curves:
            y, x = curve.T
            kept = (y >= 0) & (x >= 0) & (y <= shape[0] - 1) & (x <= shape[1] - 1)
            kept &= self.labels_at(y, x) >= 0
            if kept.any():
                inside.append(curve[kept])
        return inside

    def shares(self, k, at, overlap):
        """How much of the thickness belongs to part k at positions, 0 to 1."""
        if self.shares_at is not None:
            return self.shares_at(k, at)
        if self.between is None or not overlap:
            return (self.labels_at(at[:, 0], at[:, 1]) == k).astype(float)
        beyond = np.clip(self.between.distance(*at.T) / abs(overlap) + 0.5, 0, 1)
        inside = self.labels_at(at[:, 0], at[:, 1]) >= 0
        return np.where(inside, beyond if k == 1 else 1 - beyond, 0.0)

    def thickness_at(self, at):
        """Thickness over the full one at positions."""
        return 1.0 if self.profile is None else self.profile(at[:, 0], at[:, 1])


def middle(shape):
    """The middle (y, x) of an image, px."""
    return (np.array(shape, float) - 1) / 2
