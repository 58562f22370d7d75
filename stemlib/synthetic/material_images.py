"""Images of crystal structures at stated conditions of the microscope, with known defects."""

import math

import numpy as np
from scipy import constants

from stemlib.synthetic.crystal_images import image_columns, place_columns
from stemlib.synthetic.imaging import Imaging, speckle
from stemlib.synthetic.projection import VISIBLE, projected

# Share of a beam of one nm^-2 that an atom sends to a detector from 86 to 200 mrad, over Z ** 1.7, at 100 kV: within a
# tenth of multislice images of single atoms from S to W, a seventh to a fifth above those of O and C
# (benchmarks/image_model.json).
SCATTERED_NM2 = 1.45e-7
_CONTAMINATION_NM = 1.5  # size of patches of contamination, standard deviation


def material_image(
    material="MoWTe2 bilayer",
    shape=(512, 512),
    *,
    pixel_size_nm=0.02,
    thickness_nm=None,
    rotation_deg=0.0,
    vacancies=0.0,
    displaced=0.0,
    displacement_nm=0.1,
    dose_per_nm2=1e7,
    voltage_kv=100.0,
    convergence_mrad=31.0,
    source_fwhm_nm=0.07,
    thermal_nm=0.0075,
    tail=0.2,
    jitter_nm=0.003,
    drift_nm=0.0,
    shear=((0.0, 0.0), (0.0, 0.0)),
    background=0.05,
    contamination=0.0,
    crystalline=None,
    seed,
):
    """Draw an annular dark-field image of a material with missing and misplaced columns.

    Every column is a peak as wide as probe, source and thermal motion together, its height the sum of Z ** 1.7
    over its atoms. The defaults are those of an aberration-corrected microscope at 100 kV, a detector from 86 to
    200 mrad, and an exposure of usual length. Against a multislice calculation of bilayer MoWTe2, widths of peaks and
    ratios of columns agree to about a percent; there is no channelling, by which the real columns are 1.4 times as
    strong at the same dose (``benchmarks/image_model.json``).

    Parameters
    ----------
    material : str, ase.Atoms or Projection
        A name among `stemlib.synthetic.materials.MATERIALS`, or atoms with the beam along the third cell vector.
    shape : tuple of int
        Height and width, px.
    pixel_size_nm : float
    thickness_nm : float, optional
        By default one repeat of atoms, and a usual thickness of a named material.
    rotation_deg : float
        By how much the crystal is turned, counter-clockwise as seen.
    vacancies, displaced : float
        Shares of columns that are missing, and that are misplaced, among those that the detector shows: columns
        of less than a fifth of the strongest one's intensity, such as O beside Zr, stay whole.
    displacement_nm : float
        By how much, in random directions.
    dose_per_nm2 : float
        Incident electrons.
    voltage_kv, convergence_mrad : float
        They set the width of the diffraction-limited probe.
    source_fwhm_nm, thermal_nm : float
        Full width at half maximum of the source's image, and root mean square thermal motion along one axis.
    tail : float
        Share of the intensity in the probe's side lobes, spread over 2.5 times the peak's width.
    jitter_nm, drift_nm : float
        Standard deviation of the shifts of scan lines, and greatest deviation by slow drift.
    shear : array_like, shape (2, 2)
        As in `crystal_image`.
    background : float
        Constant, over the height of the strongest kind of column.
    contamination : float
        Standard deviation of the intensity of patches a few nm large, in the same unit.
    crystalline : array_like of bool, shape (H, W), optional
        Where the material is; elsewhere is vacuum. Everywhere by default.
    seed : int or numpy.random.Generator

    Returns
    -------
    CrystalImage

    Raises
    ------
    ValueError
        If the material's name is not known, or a pixel size, dose, voltage or convergence angle is not positive.
    TypeError
        If the material is of another type.

    Examples
    --------
    >>> scene = material_image(shape=(128, 128), vacancies=0.02, displaced=0.02, seed=1)
    >>> len(scene.missing) > 0, bool((scene.columns["displaced"] > 0).any()), scene.pixel_size_nm
    (True, True, 0.02)
    """
    if not pixel_size_nm > 0:
        raise ValueError(f"pixel_size_nm={pixel_size_nm!r} must be positive")
    rng = np.random.default_rng(seed)
    projection = projected(material, thickness_nm)
    imaging = dark_field(
        projection,
        pixel_size_nm,
        dose_per_nm2=dose_per_nm2,
        sigma_nm=peak_sigma_nm(voltage_kv, convergence_mrad, source_fwhm_nm, thermal_nm),
        jitter_nm=jitter_nm,
        background=background,
        tail=tail,
    )
    spacing = projection.spacing_nm / pixel_size_nm
    at, site, translations = place_columns(
        projection.crystal,
        shape,
        rng,
        spacing=spacing,
        rotation_deg=rotation_deg,
        margin=4 * imaging.sigma + 3 * imaging.jitter,
        shear=shear,
        drift=drift_nm / pixel_size_nm,
        crystalline=crystalline,
    )
    return image_columns(
        at,
        site,
        projection.intensities(site, rng),
        shape,
        imaging,
        rng,
        translations=translations,
        spacing=spacing,
        vacancies=vacancies,
        displaced=displaced,
        distance=displacement_nm / pixel_size_nm,
        whole=projection.crystal.intensities[site] < VISIBLE,
        film=contaminated(shape, contamination, pixel_size_nm, rng),
        pixel_size_nm=pixel_size_nm,
    )


def peak_sigma_nm(voltage_kv=100.0, convergence_mrad=31.0, source_fwhm_nm=0.07, thermal_nm=0.0075):
    """Standard deviation of a column's peak: diffraction-limited probe, source and thermal motion together.

    Parameters
    ----------
    voltage_kv, convergence_mrad, source_fwhm_nm, thermal_nm : float
        As in `material_image`.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If voltage or angle is not positive.

    Examples
    --------
    >>> round(peak_sigma_nm(), 3)
    0.04
    """
    for name, value in (("voltage_kv", voltage_kv), ("convergence_mrad", convergence_mrad)):
        if not value > 0:
            raise ValueError(f"{name}={value!r} must be positive")
    energy = voltage_kv * 1e3 * constants.e
    rest = constants.m_e * constants.c**2
    wavelength = constants.h * constants.c / math.sqrt(energy * (energy + 2 * rest)) * 1e9
    # Full width at half maximum of an Airy disc, then of a Gaussian.
    airy = 0.515 * wavelength / (convergence_mrad * 1e-3)
    return math.sqrt((airy**2 + source_fwhm_nm**2) / (8 * math.log(2)) + thermal_nm**2)


def dark_field(projection, pixel_size_nm, *, dose_per_nm2, sigma_nm, jitter_nm, background, tail):
    """Imaging conditions in px and counts, from those of the microscope; arguments as in `material_image`.

    Parameters
    ----------
    projection : Projection
    pixel_size_nm, dose_per_nm2, sigma_nm, jitter_nm, background, tail : float

    Returns
    -------
    Imaging

    Raises
    ------
    ValueError
        If the dose is not positive.

    Examples
    --------
    >>> from stemlib.synthetic.projection import VISIBLE, projected
    >>> imaging = dark_field(
    ...     projected("graphene"), 0.02, dose_per_nm2=1e7, sigma_nm=0.04, jitter_nm=0, background=0, tail=0
    ... )
    >>> imaging.sigma, round(imaging.dose, 2)
    (2.0, 1.21)
    """
    if not dose_per_nm2 > 0:
        raise ValueError(f"dose_per_nm2={dose_per_nm2!r} must be positive")
    peak = SCATTERED_NM2 * projection.strength / (2 * math.pi * sigma_nm**2)
    return Imaging(
        sigma=sigma_nm / pixel_size_nm,
        tail=tail,
        jitter=jitter_nm / pixel_size_nm,
        background=background,
        dose=dose_per_nm2 * pixel_size_nm**2 * peak,
    )


def contaminated(shape, amount, pixel_size_nm, rng):
    """Patches of contamination, never negative; None where there is none."""
    if not amount:
        return None
    field = amount * speckle(shape, _CONTAMINATION_NM / pixel_size_nm, rng)
    return field - field.min()
