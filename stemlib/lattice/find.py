"""The unit cell of an atomic-resolution image: `find_lattice`."""

import math
from dataclasses import dataclass

import numpy as np

from stemlib.fourier.geometric_phase import PhaseField
from stemlib.io.micrograph import masked_micrograph
from stemlib.lattice.refinement import FEWEST_FITTED, NoLatticeError, largest_grain, settle_cell
from stemlib.lattice.unit_cell import cells_between, reduce_cell

SMALLEST_SIDE = 32  # px
_LEAST_SIGNIFICANCE = 10.0  # variance of the average cell over that of its standard error


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


@dataclass(frozen=True, eq=False)
class Lattice:
    """The smallest cell that reproduces an image, as recorded.

    Parameters
    ----------
    a, b : numpy.ndarray, shape (2,)
        Translations (y, x), px: the reduced cell, |a| <= |b|, at 90 to 120 degrees; a points to the right (straight
        up where it has no x). b may lie counter-clockwise or clockwise of a as seen: see `handedness`.
    a_error, b_error : numpy.ndarray, shape (2,)
        Standard errors of their components, px.
    origin : numpy.ndarray, shape (2,)
        (y, x), px, of the strongest column of the average cell, in the cell nearest to the middle of the crystal.
    distortion : Distortion
        How the crystal departs from the mean lattice, place by place.
    coverage : float
        Share of the image (of the mask) in which the crystal has this lattice.
    shape : tuple of int
        Height and width of the image, px.
    pixel_size_nm : float or None
    """

    a: np.ndarray
    b: np.ndarray
    a_error: np.ndarray
    b_error: np.ndarray
    origin: np.ndarray
    distortion: Distortion
    coverage: float
    shape: tuple[int, int]
    pixel_size_nm: float | None

    @property
    def cell(self):
        """Translations a, b as rows of an array (2, 2), px."""
        return np.array([self.a, self.b])

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

    def places(self, steps):
        """Where numbers of a and b from `origin`, whole or not, lie in the distorted image: of the same shape, px."""
        points = self.origin + steps @ self.cell
        field = self.distortion.field
        return points + field.at(points) - field.at(self.origin)


def find_lattice(image, *, pixel_size_nm=None, mask=None, dark_columns=False, seed=0):
    """Find the two translations of the smallest cell that reproduces an atomic-resolution image.

    The reflections that stand out of the power spectrum give the lattice; geometric phases
    (Hÿtch, Snoeck and Kilaas, https://doi.org/10.1016/S0304-3991(98)00035-7) refine it and show how it is distorted;
    then all cells are compared with each other: differences between places that look alike are kept as a
    superstructure of two to six cells only where they exceed what the scatter between cells explains. Of several
    grains, the largest one's lattice is found.

    Parameters
    ----------
    image : path, (H, W) array of any real dtype, Micrograph or HyperSpy Signal2D
        At least 32 px on a side, and about four cells.
    pixel_size_nm : float, optional
        Wins over the image's own.
    mask : (H, W) bool, optional
        True where to look.
    dark_columns : bool
        Whether columns are darker than what is between them. Only matters for `Lattice.origin`.
    seed : int or numpy.random.Generator
        Chooses the cells that are compared where there are very many.

    Returns
    -------
    Lattice

    Raises
    ------
    FileNotFoundError, TypeError
        As `stemlib.io.micrograph.as_micrograph`.
    ValueError
        If the image is too small, not finite or not two-dimensional, or nothing in it is periodic in two directions.

    Examples
    --------
    >>> from stemlib.synthetic import crystal_image
    >>> lattice = find_lattice(crystal_image("square", (128, 128), spacing=9.5, seed=0).image)
    >>> lattice.lengths.round(1).tolist(), round(lattice.angle_deg)
    ([9.5, 9.5], 90)
    """
    micrograph, mask = masked_micrograph(image, mask, pixel_size_nm=pixel_size_nm)
    image = micrograph.image
    if min(image.shape) < SMALLEST_SIDE:
        raise ValueError(
            f"image is {image.shape[0]} x {image.shape[1]} px; a lattice needs {SMALLEST_SIDE} px on a side at least"
        )
    if np.ptp(image[mask]) == 0:
        raise ValueError("image is constant where mask is True, so nothing in it is periodic")
    try:
        grain, samples, variance = _measured(image, mask, seed)
    except NoLatticeError:
        raise ValueError(
            "image shows nothing that is periodic in two directions; a lattice needs about four cells across, "
            "columns at least 4 px apart, and a signal above the noise"
        ) from None
    factor = grain.factor
    origin = (_origin(samples, grain.field, dark_columns) + 0.5) * factor - 0.5
    # Signs as in a reduced cell, and a no longer than b, which the last fit may have turned about.
    cell = reduce_cell(grain.cell)
    errors = np.sqrt(np.einsum("kj,ijl,kl->ki", cell, variance, cell))
    return Lattice(
        *(cell * factor),
        *(errors * factor),
        origin,
        Distortion(grain.field.enlarged(factor)),
        grain.coverage(),
        image.shape,
        micrograph.pixel_size_nm,
    )


def _measured(image, mask, seed):
    grain = largest_grain(image, mask)
    samples, variance = settle_cell(grain, seed)
    if len(samples.cells) >= FEWEST_FITTED:
        samples, variance = grain.fit(samples, seed)
    if samples.significance < _LEAST_SIGNIFICANCE:
        raise NoLatticeError
    return grain, samples, variance


def _origin(samples, field, dark_columns):
    """The strongest column of the average cell, in the middle of the crystal."""
    mean = -samples.mean if dark_columns else samples.mean
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
