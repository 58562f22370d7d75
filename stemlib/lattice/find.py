"""The unit cell of an atomic-resolution image: `find_lattice`."""

import math
import warnings
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from stemlib.columns.network import ColumnNetwork
from stemlib.columns.spacing import find_spacing
from stemlib.fourier.geometric_phase import NoLatticeError, PhaseField
from stemlib.fourier.unit_cell import cells_between, reduce_cell
from stemlib.io.masking import masked_micrograph
from stemlib.io.micrograph import as_micrograph, check_positive
from stemlib.io.result import Result, View
from stemlib.io.tables import with_nanometres
from stemlib.lattice.refinement import NaturalImage, largest_grain
from stemlib.lattice.slips import find_slips
from stemlib.lattice.superstructure import larger_cell

SMALLEST_SIDE = 32  # px
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


def find_lattice(
    image,
    *,
    pixel_size_nm=None,
    mask=None,
    dark_columns=False,
    spacing=None,
    weights=None,
    seed=0,
    device="auto",
):
    """Find the two translations of the smallest cell that reproduces an atomic-resolution image.

    The image is brought to the natural scale of its columns. Every pair of peaks of its Patterson function is a
    lattice to try; of those that explain as much of the image as any, the one whose points stand out most surely is
    taken (`stemlib.fourier.patterson`). Geometric phases (Hÿtch, Snoeck and Kilaas,
    https://doi.org/10.1016/S0304-3991(98)00035-7) refine it and show how it is distorted; then all cells are compared
    with each other: differences between neighbouring cells that exceed what the scatter between cells explains are
    reported as a superstructure. Of several grains, the largest one's lattice is found.

    Parameters
    ----------
    image : path, (H, W) array of any real dtype, Micrograph or HyperSpy Signal2D
        At least 32 px on a side, and about three cells.
    pixel_size_nm : float, optional
        Wins over the image's own.
    mask : (H, W) bool, optional
        True where to look.
    dark_columns : bool
        Whether columns are darker than what is between them.
    spacing : float, optional
        Distance of neighbouring columns, px. Found from the image by default.
    weights : str or pathlib.Path, optional
        Other weights of the network that finds the columns' distance, as `stemlib.find_columns` takes them.
    seed : int or numpy.random.Generator
        Chooses the cells that are compared where there are very many.
    device : str
        For that network: "auto" (a GPU where there is one), "cpu", "cuda", ...

    Returns
    -------
    Lattice

    Raises
    ------
    FileNotFoundError, TypeError
        As `stemlib.io.micrograph.as_micrograph`.
    ValueError
        If the image is too small, not finite or not two-dimensional, shows no columns, or nothing in it is periodic
        in two directions.

    Warns
    -----
    UserWarning
        If the scan slipped, or a part of the image is left out.

    Examples
    --------
    >>> from stemlib.synthetic import crystal_image
    >>> lattice = find_lattice(crystal_image("square", (128, 128), spacing=9.5, seed=0).image)
    >>> lattice.lengths.round(1).tolist(), round(lattice.angle_deg)
    ([9.5, 9.5], 90)
    """
    seen = as_micrograph(image, pixel_size_nm=pixel_size_nm)
    micrograph, mask, ignored = masked_micrograph(seen, mask)
    bright = -micrograph.image if dark_columns else micrograph.image
    if min(bright.shape) < SMALLEST_SIDE:
        raise ValueError(
            f"image is {bright.shape[0]} x {bright.shape[1]} px; a lattice needs {SMALLEST_SIDE} px on a side at least"
        )
    if np.ptp(bright[mask]) == 0:
        raise ValueError("image is constant where mask is True, so nothing in it is periodic")
    if spacing is not None:
        spacing = check_positive(spacing, "spacing")
    else:
        spacing = find_spacing(bright, ColumnNetwork.load(weights, device))
    if spacing is None:
        raise ValueError("image shows no columns at any scale, so nothing that is periodic in two directions")
    natural = NaturalImage(bright, mask, spacing)
    try:
        grain, samples = largest_grain(natural, seed)
    except NoLatticeError as error:
        raise ValueError(f"image shows nothing that is periodic in two directions: {error}") from None
    # Signs as in a reduced cell, and a no longer than b, which the last fit may have turned about.
    cell = reduce_cell(grain.cell)
    larger = larger_cell(samples)
    if larger is not None:
        larger = np.rint(larger @ np.linalg.inv(cell)).astype(int)
    slips = tuple(row * natural.factor for row in find_slips(grain.flat, cell, natural.spacing))
    if slips:
        warnings.warn(
            f"the scan slipped at row {', '.join(map(str, slips))}: a mask of one side gives its cell undisturbed",
            stacklevel=2,
        )
    return Lattice(
        cell * natural.factor,
        grain.variance,
        natural.enlarged(_origin(samples, grain.field)),
        Distortion(grain.field.enlarged(natural.factor)),
        grain.coverage,
        larger,
        bright.shape,
        micrograph.pixel_size_nm,
        ignored,
        slips,
        View(seen, mask),
    )


def _origin(samples, field):
    """The strongest column of the average cell, in the middle of the crystal."""
    mean = samples.mean
    top = np.array(np.unravel_index(mean.argmax(), mean.shape))
    offset = []
    for axis in (0, 1):
        before, at, after = (
            np.take(np.roll(mean, -s, axis), top[axis], axis)[top[1 - axis]] for s in (-1, 0, 1)
        )
        bend = 2 * at - before - after
        offset.append(0.5 * (after - before) / bend if bend > 0 else 0.0)
    place = ((top + offset) / mean.shape) @ samples.cell + samples.centre
    y, x = np.meshgrid(field.rows, field.columns, indexing="ij")
    middle = np.array([np.average(y, weights=field.weights), np.average(x, weights=field.weights)])
    place = place + np.rint((middle - place) @ np.linalg.inv(samples.cell)) @ samples.cell
    return place + field.at(place)
