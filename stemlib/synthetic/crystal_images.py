"""Atomic-resolution images of crystals and materials with known columns, vacancies and displacements."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stemlib.synthetic.crystals import lattice_points, named_crystal
from stemlib.synthetic.imaging import record
from stemlib.synthetic.projection import VISIBLE, projected
from stemlib.synthetic.recording import DarkField, PointDefects, Recording, slow_drift


@dataclass(frozen=True, eq=False)
class CrystalImage:
    """A simulated image and everything that is in it.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W), float32
        A column of intensity 1 is a peak of height 1 over a background of about 0.1.
    columns : pandas.DataFrame
        One row per column whose centre lies on the image: ``y, x`` px, ``intensity``, ``site`` of the cell,
        ``displaced`` (distance from the site, px; 0 for nearly all), and ``snr``, the signal-to-noise ratio with
        which a matched filter sees it.
    missing : pandas.DataFrame
        The vacancies, in the same form; ``snr`` is that of the column that is not there.
    translations : numpy.ndarray, shape (2, 2)
        The two translations of the crystal's cell as rows (y, x), px, shear included.
    spacing : float
        Median nearest-neighbour distance before shear, px.
    pixel_size_nm : float or None
        None where the crystal has no scale.

    Examples
    --------
    >>> scene = crystal_image("graphene", (64, 64), spacing=8, defects=PointDefects(vacancies=0.1), seed=3)
    >>> len(scene.missing) > 0
    True
    """

    image: np.ndarray
    columns: pd.DataFrame
    missing: pd.DataFrame
    translations: np.ndarray
    spacing: float
    pixel_size_nm: float | None = None


def crystal_image(
    crystal,
    shape=(256, 256),
    *,
    spacing=10.0,
    rotation_deg=0.0,
    crystalline=None,
    defects=None,
    recording=None,
    seed,
):
    """Simulate an image of a crystal with vacancies and displaced columns.

    Parameters
    ----------
    crystal : Crystal or str
        A crystal, or the name of one (`stemlib.synthetic.crystals.NAMES`).
    shape : tuple of int
        Height and width, px.
    spacing : float
        Median nearest-neighbour distance, px.
    rotation_deg : float
        By how much the crystal is turned, counter-clockwise as seen.
    crystalline : array_like of bool, shape (H, W), optional
        Where the crystal is; elsewhere is vacuum. Everywhere by default.
    defects : PointDefects, optional
        None by default.
    recording : Recording, optional
        ``Recording()`` by default.
    seed : int or numpy.random.Generator

    Returns
    -------
    CrystalImage

    Raises
    ------
    ValueError
        If the crystal's name is not known, or the displacement of columns is given in nm.

    Examples
    --------
    >>> scene = crystal_image("square", (64, 64), spacing=8, seed=0)
    >>> scene.image.shape, len(scene.columns), scene.translations.round(1).tolist()
    ((64, 64), 64, [[0.0, 8.0], [8.0, 0.0]])
    """
    rng = np.random.default_rng(seed)
    crystal = named_crystal(crystal) if isinstance(crystal, str) else crystal
    defects, recording = defects or PointDefects(), recording or Recording()
    view = _View(shape, spacing, rotation_deg, crystalline, recording.shear, recording.drift)
    imaging = recording.imaging(spacing)
    sites, translations = _placed(crystal, view, imaging, rng)
    sites["intensity"] *= 1 - defects.mixed * rng.random(len(sites))
    return _recorded(sites, translations, view, defects, imaging, rng, recording.film)


def material_image(
    material="MoWTe2 bilayer",
    shape=(512, 512),
    *,
    pixel_size_nm=0.02,
    rotation_deg=0.0,
    crystalline=None,
    defects=None,
    recording=None,
    seed,
):
    """Simulate an annular dark-field image of a material with missing and misplaced columns.

    Every column is a peak as wide as probe, source and thermal motion together, its height the sum of Z ** 1.7
    over its atoms. Against a multislice calculation of bilayer MoWTe2, widths of peaks and ratios of columns agree to
    about a percent; there is no channelling, by which the real columns are 1.4 times as strong at the same dose
    (``benchmarks/image_model.json``).

    Parameters
    ----------
    material : str, ase.Atoms or Projection
        A name among `stemlib.synthetic.materials.MATERIALS`, of a usual thickness; atoms with the beam along the third
        cell vector, one repeat thick; or a projection of any thickness (`stemlib.synthetic.project`).
    shape : tuple of int
        Height and width, px.
    pixel_size_nm : float
    rotation_deg, crystalline
        As in `crystal_image`.
    defects : PointDefects, optional
        None by default.
    recording : DarkField, optional
        ``DarkField()`` by default.
    seed : int or numpy.random.Generator

    Returns
    -------
    CrystalImage

    Raises
    ------
    ValueError
        If the material's name is not known, the pixel size is not positive, or the defects are mixed.
    TypeError
        If the material is of another type.

    Examples
    --------
    >>> defects = PointDefects(vacancies=0.02, displaced=0.02, displacement_nm=0.1)
    >>> scene = material_image(shape=(128, 128), defects=defects, seed=1)
    >>> len(scene.missing) > 0, bool((scene.columns["displaced"] > 0).any()), scene.pixel_size_nm
    (True, True, 0.02)
    """
    rng = np.random.default_rng(seed)
    defects, recording = defects or PointDefects(), recording or DarkField()
    if defects.mixed:
        raise ValueError(
            f"mixed={defects.mixed!r} must be 0: of a material, atoms.info['mixed'] says what is mixed"
        )
    projection = projected(material)
    imaging = recording.imaging(projection, pixel_size_nm)
    spacing, drift = projection.spacing_nm / pixel_size_nm, recording.drift_nm / pixel_size_nm
    view = _View(shape, spacing, rotation_deg, crystalline, recording.shear, drift, pixel_size_nm)
    sites, translations = _placed(projection.crystal, view, imaging, rng)
    # The detector does not show the faintest, so that nobody could tell whether they are there.
    sites["whole"] = sites["intensity"] < VISIBLE
    sites["intensity"] = projection.intensities(sites["site"], rng)
    film = recording.film(shape, projection.strength, pixel_size_nm, rng)
    return _recorded(sites, translations, view, defects, imaging, rng, film)


@dataclass(frozen=True, eq=False)
class _View:
    """How a crystal lies in an image: what `crystal_image` and `Recording` say of it, in px."""

    shape: tuple
    spacing: float
    rotation_deg: float
    crystalline: np.ndarray | None
    shear: np.ndarray
    drift: float
    pixel_size_nm: float | None = None


def _placed(crystal, view, imaging, rng):
    """Return a table of the columns of a distorted crystal, and the translations of its cell, shear included."""
    # Half a px off the grid at most, so that doctests and tests can count cells on it.
    offset = np.array(view.shape) // 2 + rng.uniform(-0.5, 0.5, 2)
    reach = 4 * imaging.sigma + 3 * imaging.jitter
    at, site, translations = lattice_points(
        crystal,
        view.shape,
        spacing=view.spacing,
        rotation_deg=view.rotation_deg,
        offset=offset,
        margin=reach + 0.05 * max(view.shape) + view.drift,
    )
    centre = (np.array(view.shape) - 1) / 2
    matrix = np.eye(2) + np.asarray(view.shear, float)
    at = (at - centre) @ matrix.T + centre
    at[:, 1] += slow_drift(view.drift, view.shape[0], rng)(at[:, 0])
    if view.crystalline is not None:
        row, column = np.clip(np.rint(at).astype(int), 0, np.array(view.shape) - 1).T
        kept = np.asarray(view.crystalline, bool)[row, column]
        at, site = at[kept], site[kept]
    table = {
        "y": at[:, 0],
        "x": at[:, 1],
        "intensity": crystal.intensities[site],
        "site": site,
        "whole": False,
    }
    return pd.DataFrame(table), translations @ matrix.T


def _recorded(sites, translations, view, defects, imaging, rng, film):
    """Take columns out, displace others, and record the rest; those that are `whole` stay."""
    fate, may = rng.random(len(sites)), ~sites["whole"].to_numpy()
    gone, moved = may & (fate < defects.vacancies), may & (fate > 1 - defects.displaced)
    moves = np.where(moved, defects.displacement(view.spacing, view.pixel_size_nm), 0.0)
    direction = rng.uniform(0, 2 * math.pi, len(sites))
    at = sites[["y", "x"]].to_numpy() + moves[:, None] * np.column_stack(
        [np.sin(direction), np.cos(direction)]
    )
    intensity = sites["intensity"].to_numpy()
    left = np.where(gone, 0.0, intensity)
    image, noise = record(at, left, view.shape, imaging, rng, film=film)
    table = pd.DataFrame(
        {
            "y": at[:, 0],
            "x": at[:, 1],
            "intensity": left,
            "site": sites["site"],
            "displaced": moves,
            "snr": imaging.seen * intensity / noise,
        }
    )
    inside = ((at >= -0.5) & (at < np.array(view.shape) - 0.5)).all(axis=1)
    columns, missing = (table[inside & kind].reset_index(drop=True) for kind in (~gone, gone))
    return CrystalImage(image, columns, missing, translations, view.spacing, view.pixel_size_nm)
