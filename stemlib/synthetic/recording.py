"""What is wrong with a crystal, and how its image is recorded."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import constants

from stemlib.synthetic.imaging import Imaging, speckle

# Share of a beam of one nm^-2 that an atom sends to a detector from 86 to 200 mrad, over Z ** 1.7, at 100 kV: within a
# tenth of multislice images of single atoms from S to W, a seventh to a fifth above those of O and C
# (benchmarks/image_model.json).
SCATTERED_NM2 = 1.45e-7
_CONTAMINATION_NM = 1.5  # size of patches of contamination, standard deviation
# Amorphous carbon of the support film: atoms per nm^3 (2 g/cm^3).
_CARBON_PER_NM3 = 100.0
_NO_SHEAR = ((0.0, 0.0), (0.0, 0.0))


@dataclass(frozen=True)
class PointDefects:
    """What is wrong with a crystal.

    Parameters
    ----------
    vacancies, displaced : float
        Shares of columns that are missing, and that are displaced. Of a material only those that the detector shows:
        columns of less than a fifth of the strongest one's intensity, such as O beside Zr, stay whole.
    relative_displacement : float
        By how much, over the spacing, in random directions.
    displacement_nm : float, optional
        The same in nm, of a material; it wins.
    mixed : float
        Random occupation: each column's intensity is lowered by up to this share. Not of materials, whose atoms say
        what sits in mixed places.

    Examples
    --------
    >>> PointDefects(displaced=0.01, displacement_nm=0.1).displacement(spacing=10.0, pixel_size_nm=0.02)
    5.0
    """

    vacancies: float = 0.0
    displaced: float = 0.0
    relative_displacement: float = 0.3
    displacement_nm: float | None = None
    mixed: float = 0.0

    def displacement(self, spacing, pixel_size_nm):
        """By how much columns are displaced, px.

        Raises
        ------
        ValueError
            If it is given in nm and the image has no scale.
        """
        if self.displacement_nm is None:
            return self.relative_displacement * spacing
        if pixel_size_nm is None:
            raise ValueError(
                f"displacement_nm={self.displacement_nm!r} needs an image with a scale; give relative_displacement"
            )
        return self.displacement_nm / pixel_size_nm


@dataclass(frozen=True, eq=False)
class Recording:
    """How the image of a crystal without a scale is recorded; lengths in px.

    Parameters
    ----------
    relative_sigma : float
        Standard deviation of a column's peak over the spacing.
    snr : float
        Signal-to-noise ratio with which a matched filter sees a lone column of intensity 1; counting noise.
    shear : array_like, shape (2, 2)
        The image shows position p of the crystal at p + shear @ p, (y, x), counted from the centre.
    drift : float
        Greatest deviation of the positions by a slow drift of the specimen.
    jitter : float
        Standard deviation of the shifts of scan lines.
    film : array_like, shape (H, W), optional
        Intensity of whatever else scatters.
    """

    relative_sigma: float = 0.22
    snr: float = 20.0
    shear: tuple = _NO_SHEAR
    drift: float = 0.0
    jitter: float = 0.0
    film: np.ndarray | None = None

    def imaging(self, spacing):
        """Return the imaging conditions in px and counts.

        Parameters
        ----------
        spacing : float
            Median nearest-neighbour distance, px.

        Returns
        -------
        Imaging

        Examples
        --------
        >>> Recording().imaging(10.0).sigma
        2.2
        """
        # A lone column of intensity 1 on the background b: variance per px is b + g^2-weighted mean of the peak g,
        # which is 2/3, over the dose; see stemlib.synthetic.imaging.record for the filter.
        background = 0.1
        sigma = self.relative_sigma * spacing
        dose = (background + 2 / 3) * (self.snr / sigma) ** 2 / math.pi
        return Imaging(sigma=sigma, jitter=self.jitter, background=background, dose=dose)


@dataclass(frozen=True, eq=False)
class DarkField:
    """How an annular dark-field image of a material is recorded, in units of the microscope.

    The defaults are those of an aberration-corrected microscope at 100 kV, a detector from 86 to 200 mrad, and an
    exposure of usual length.

    Parameters
    ----------
    dose_per_nm2 : float
        Incident electrons.
    voltage_kv, convergence_mrad : float
        They set the width of the diffraction-limited probe.
    source_fwhm_nm, thermal_nm : float
        Full width at half maximum of the source's image, and root mean square thermal motion along one axis.
    tail : float
        Share of the intensity in the probe's side lobes, spread over 2.5 times the peak's width.
    shear : array_like, shape (2, 2)
        As in `Recording`.
    drift_nm, jitter_nm : float
        Greatest deviation by slow drift, and standard deviation of the shifts of scan lines.
    background : float, optional
        Constant, over the height of the strongest kind of column: 0.05 by default, and 0.03 under several crystals.
    contamination : float
        Standard deviation of the intensity of patches a few nm large, in the same unit.
    support_nm : float
        Thickness of a film of amorphous carbon under everything.

    Raises
    ------
    ValueError
        If dose, voltage or convergence angle is not positive.

    Examples
    --------
    >>> round(DarkField().sigma_nm, 3), round(DarkField(source_fwhm_nm=0.12).sigma_nm, 3)
    (0.04, 0.058)
    """

    dose_per_nm2: float = 1e7
    voltage_kv: float = 100.0
    convergence_mrad: float = 31.0
    source_fwhm_nm: float = 0.07
    thermal_nm: float = 0.0075
    tail: float = 0.2
    shear: tuple = _NO_SHEAR
    drift_nm: float = 0.0
    jitter_nm: float = 0.003
    background: float | None = None
    contamination: float = 0.0
    support_nm: float = 0.0

    def __post_init__(self):
        check_positive(
            dose_per_nm2=self.dose_per_nm2,
            voltage_kv=self.voltage_kv,
            convergence_mrad=self.convergence_mrad,
        )

    @property
    def sigma_nm(self):
        """Standard deviation of a column's peak: diffraction-limited probe, source and thermal motion together."""
        energy = self.voltage_kv * 1e3 * constants.e
        rest = constants.m_e * constants.c**2
        wavelength = constants.h * constants.c / math.sqrt(energy * (energy + 2 * rest)) * 1e9
        # Full width at half maximum of an Airy disc, then of a Gaussian.
        airy = 0.515 * wavelength / (self.convergence_mrad * 1e-3)
        return math.sqrt((airy**2 + self.source_fwhm_nm**2) / (8 * math.log(2)) + self.thermal_nm**2)

    def imaging(self, projection, pixel_size_nm, *, background=0.05):
        """Return the imaging conditions in px and counts.

        Parameters
        ----------
        projection : Projection
            Of the strongest columns.
        pixel_size_nm : float
        background : float
            Where the recording leaves it open.

        Returns
        -------
        Imaging

        Raises
        ------
        ValueError
            If the pixel size is not positive.

        Examples
        --------
        >>> from stemlib.synthetic.projection import projected
        >>> imaging = DarkField(source_fwhm_nm=0.07).imaging(projected("graphene"), 0.02)
        >>> round(imaging.sigma, 1), round(imaging.dose, 1)
        (2.0, 1.2)
        """
        check_positive(pixel_size_nm=pixel_size_nm)
        peak = SCATTERED_NM2 * projection.strength / (2 * math.pi * self.sigma_nm**2)
        return Imaging(
            sigma=self.sigma_nm / pixel_size_nm,
            tail=self.tail,
            jitter=self.jitter_nm / pixel_size_nm,
            background=background if self.background is None else self.background,
            dose=self.dose_per_nm2 * pixel_size_nm**2 * peak,
        )

    def film(self, shape, strength, pixel_size_nm, rng):
        """Return the intensity of contamination and support, over that of the strongest columns; None without any.

        Parameters
        ----------
        shape : tuple of int
        strength : float
            As `Projection` has it.
        pixel_size_nm : float
        rng : numpy.random.Generator

        Returns
        -------
        numpy.ndarray, shape (H, W), or None
        """
        film = None
        if self.contamination:
            patches = self.contamination * speckle(shape, _CONTAMINATION_NM / pixel_size_nm, rng)
            film = patches - patches.min()
        if not self.support_nm:
            return film
        # Atoms at random, each a peak like a column's: their number in a peak's area fluctuates like a count.
        per_nm2 = _CARBON_PER_NM3 * self.support_nm
        area = 2 * np.pi * self.sigma_nm**2
        mean = per_nm2 * area * 6**1.7 / strength
        spread = mean / np.sqrt(2 * area * per_nm2)
        carbon = mean + spread * speckle(shape, self.sigma_nm / pixel_size_nm, rng)
        return carbon if film is None else film + carbon


def check_positive(**values):
    """Raise a ValueError that names the first value that is not positive."""
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name}={value!r} must be positive")


def slow_drift(greatest, height, rng):
    """Return the function of y by which a slow drift, px at most, shifts an image of some height to the right."""
    phase = rng.uniform(0, 2 * math.pi)
    return lambda y: greatest * np.sin(math.pi * y / height + phase)
