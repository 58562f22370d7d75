"""The cell of an image, with errors, and where the crystal is and how it is distorted: `Lattice`."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from stemlib.fourier.geometric_phase import PhaseField
from stemlib.fourier.unit_cell import cells_between, reduce_cell
from stemlib.io.result import Result, View
from stemlib.io.tables import with_nanometres

_ROUNDS = 3


@dataclass(frozen=True, eq=False)
class Distortion:
    """Where the crystal of an image departs from its mean lattice: drift, scan distortion, strain.

    Parameters
    ----------
    field : stemlib.fourier.geometric_phase.PhaseField
        Displacements (y, x) px on a coarse grid, smoothed over about a cell, and where the crystal is.
    """

    field: PhaseField

    @property
    def displacement_rms(self):
        """Root mean square of the displacements' lengths within the crystal, px."""
        squared = (self.field.displacements**2).sum(axis=0)
        return float(np.sqrt(np.average(squared, weights=self.field.weights)))

    @property
    def displacement_max(self):
        """Length of the largest displacement within the crystal, px."""
        lengths = np.linalg.norm(self.field.displacements, axis=0)
        return float(lengths[self.field.weights > 0].max())

    @property
    def strain_rms(self):
        """Root mean square over the crystal of the strain tensor's components: local change of lengths."""
        return self.field.strain_rms()

    @property
    def rotation_rms_deg(self):
        """Root mean square over the crystal of its local rotation against the mean, degrees."""
        gradient = self.field.gradients()
        rotation = (gradient[1, 0] - gradient[0, 1]) / 2
        return math.degrees(np.sqrt(np.average(rotation**2, weights=self.field.weights)))


@dataclass(frozen=True, eq=False, repr=False)
class Lattice(Result):
    """The smallest cell that reproduces an image, as recorded.

    Parameters
    ----------
    cell : numpy.ndarray, shape (2, 2)
        Translations a, b as rows, (y, x), px: the reduced cell, |a| <= |b|, at 90 to 120 degrees; a points to the
        right (straight up where it has no x). b may lie counter-clockwise or clockwise of a as seen: see `handedness`.
    gradient_variance : numpy.ndarray, shape (2, 2, 2)
        Covariance of the rows of the mean displacement gradient, from which the errors follow.
    origin : numpy.ndarray, shape (2,)
        (y, x), px, of the strongest column of the average cell, in the cell nearest to the middle of the crystal.
    distortion : Distortion
        How the crystal departs from the mean lattice, place by place.
    coverage : float
        Share of the image (of the mask) in which the crystal has this lattice.
    superstructure : numpy.ndarray of int, shape (2, 2), or None
        Translations, in numbers of a and b as rows, after which the crystal repeats where neighbouring cells differ
        weakly but more than chance allows: see `with_superstructure`.
    shape : tuple of int
        Height and width of the image, px.
    pixel_size_nm : float or None
    ignored : numpy.ndarray of bool, shape (H, W), or None
        What was left out though no mask says so: empty rims, annotation, dead lines, pixels without a number.
    slips : tuple of int
        First rows after the scan slipped: from there on, the whole crystal is displaced.
    view : stemlib.io.result.View or None
        The image and where it was looked at.
    """

    cell: np.ndarray
    gradient_variance: np.ndarray
    origin: np.ndarray
    distortion: Distortion
    coverage: float
    superstructure: np.ndarray | None
    shape: tuple[int, int]
    pixel_size_nm: float | None
    ignored: np.ndarray | None = None
    slips: tuple[int, ...] = ()
    view: View | None = None

    @property
    def a(self):
        """The shorter translation (y, x), px."""
        return self.cell[0]

    @property
    def b(self):
        """The longer translation (y, x), px."""
        return self.cell[1]

    @property
    def a_error(self):
        """Standard errors of the components of a, px."""
        return self._errors()[0]

    @property
    def b_error(self):
        """Standard errors of the components of b, px."""
        return self._errors()[1]

    def _errors(self):
        return np.sqrt(np.einsum("kj,ijl,kl->ki", self.cell, self.gradient_variance, self.cell))

    @property
    def table(self):
        """The cell as a table of one row, a pandas.DataFrame.

        Lengths ``a, b`` px, ``angle_deg`` and their standard errors, in nm as well where the pixel size is known, and
        ``coverage``.
        """
        values = {"a": self.lengths[0], "a_error": self.length_errors[0]}
        values |= {"b": self.lengths[1], "b_error": self.length_errors[1]}
        values |= {"angle_deg": self.angle_deg, "angle_error_deg": self.angle_error_deg}
        return with_nanometres(pd.DataFrame([values | {"coverage": self.coverage}]), self.pixel_size_nm)

    def _marks(self):
        corners = ((0, 0), (1, 0), (1, 1), (0, 1))
        return "Polygons", [[self.origin + np.array(corners) @ self.cell]]

    def with_superstructure(self):
        """The lattice of the superstructure; the lattice itself where there is none."""
        if self.superstructure is None:
            return self
        return replace(self, cell=reduce_cell(self.superstructure @ self.cell), superstructure=None)

    def rescaled(self, factor, shape):
        """The lattice of the image enlarged by a factor, or reduced, to a shape (H, W)."""
        return replace(
            self,
            cell=self.cell * factor,
            origin=(self.origin + 0.5) * factor - 0.5,
            distortion=Distortion(self.distortion.field.enlarged(factor)),
            shape=shape,
            pixel_size_nm=None if self.pixel_size_nm is None else self.pixel_size_nm / factor,
            ignored=None,
            view=None,
            slips=tuple(round(row * factor) for row in self.slips),
        )

    @property
    def lengths(self):
        """Lengths of a and b, px."""
        return np.linalg.norm(self.cell, axis=1)

    @property
    def length_errors(self):
        """Standard errors of the lengths, px."""
        along = self.cell / self.lengths[:, None]
        return np.sqrt(((along * np.array([self.a_error, self.b_error])) ** 2).sum(axis=1))

    @property
    def lengths_nm(self):
        """Lengths of a and b, nm; None without a pixel size."""
        return None if self.pixel_size_nm is None else self.lengths * self.pixel_size_nm

    @property
    def length_errors_nm(self):
        """Standard errors of the lengths, nm; None without a pixel size."""
        return None if self.pixel_size_nm is None else self.length_errors * self.pixel_size_nm

    @property
    def angle_deg(self):
        """Angle between a and b, 90 to 120 degrees."""
        return math.degrees(math.acos(self.a @ self.b / self.lengths.prod()))

    @property
    def angle_error_deg(self):
        """Standard error of the angle, degrees."""
        squares = 0.0
        for vector, error in ((self.a, self.a_error), (self.b, self.b_error)):
            across = np.array([-vector[1], vector[0]]) / (vector @ vector)
            squares += ((across * error) ** 2).sum()
        return math.degrees(math.sqrt(squares))

    @property
    def handedness(self):
        """1 where b lies counter-clockwise of a as a person sees the image, -1 where clockwise."""
        return 1 if self.a[0] * self.b[1] - self.a[1] * self.b[0] > 0 else -1

    @property
    def area(self):
        """Area of the cell, px^2."""
        return float(abs(np.linalg.det(self.cell)))

    def points(self, *, distorted=True):
        """Where the lattice's points lie in the image.

        Parameters
        ----------
        distorted : bool
            Follow the measured displacements; otherwise the mean lattice, continued over the whole image.

        Returns
        -------
        indices : numpy.ndarray of int, shape (N, 2)
            How many a and b from `origin`.
        positions : numpy.ndarray, shape (N, 2)
            (y, x), px. Distorted ones only where the crystal is.
        """
        indices = self.cells(margin=1)
        mean = self.origin + indices @ self.cell
        positions = self.places(indices) if distorted else mean
        keep = ((positions >= -0.5) & (positions < np.array(self.shape) - 0.5)).all(axis=1)
        if distorted:
            keep &= self.distortion.field.covers(mean)
        return indices[keep], positions[keep]

    def cells(self, *, margin=0):
        """How many a and b from `origin` the cells lie that may touch the image, and a margin: (N, 2), row by row."""
        rim = 2.0 + np.abs(self.distortion.field.displacements).max()
        high = np.array(self.shape) - 1 + rim
        return cells_between(self.cell, self.origin, (-rim, -rim), high, margin=margin)

    def fractions(self, positions):
        """How many a and b from `origin`, not whole, positions in the distorted image are: of the same shape."""
        field = self.distortion.field
        start = field.at(self.origin)
        mean = np.asarray(positions, float)
        # The field is known at places of the mean lattice.
        for _ in range(_ROUNDS):
            mean = positions - field.at(mean) + start
        return (mean - self.origin) @ np.linalg.inv(self.cell)

    def places(self, steps):
        """Where numbers of a and b from `origin`, whole or not, lie in the distorted image: of the same shape, px."""
        points = self.origin + steps @ self.cell
        field = self.distortion.field
        return points + field.at(points) - field.at(self.origin)
