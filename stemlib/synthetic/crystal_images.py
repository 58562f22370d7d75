"""Atomic-resolution images with known columns, vacancies and displacements."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stemlib.synthetic.crystals import lattice_points, named_crystal
from stemlib.synthetic.imaging import Imaging, record


@dataclass(frozen=True, eq=False)
class CrystalImage:
    """A drawn image and everything that was drawn.

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
    >>> scene = crystal_image("graphene", (64, 64), spacing=8, vacancies=0.1, seed=3)
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
    relative_sigma=0.22,
    snr=20.0,
    vacancies=0.0,
    displaced=0.0,
    displacement=0.3,
    mixed=0.0,
    shear=((0.0, 0.0), (0.0, 0.0)),
    drift=0.0,
    jitter=0.0,
    film=None,
    crystalline=None,
    seed,
):
    """Draw an image of a crystal with vacancies and displaced columns.

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
    relative_sigma : float
        Standard deviation of a column's peak over `spacing`.
    snr : float
        Signal-to-noise ratio with which a matched filter sees a lone column of intensity 1; counting noise.
    vacancies, displaced : float
        Shares of columns that are missing, and that are displaced.
    displacement : float
        By how much, over `spacing`, in random directions.
    mixed : float
        Random occupation: each column's intensity is lowered by up to this share.
    shear : array_like, shape (2, 2)
        The image shows position p of the crystal at p + shear @ p, (y, x), counted from the centre.
    drift : float
        Greatest deviation of the positions by a slow drift of the specimen, px.
    jitter : float
        Standard deviation of the shifts of scan lines, px.
    film : array_like, shape (H, W), optional
        Intensity of whatever else scatters.
    crystalline : array_like of bool, shape (H, W), optional
        Where the crystal is; elsewhere is vacuum. Everywhere by default.
    seed : int or numpy.random.Generator

    Returns
    -------
    CrystalImage

    Raises
    ------
    ValueError
        If the crystal's name is not known.

    Examples
    --------
    >>> scene = crystal_image("square", (64, 64), spacing=8, seed=0)
    >>> scene.image.shape, len(scene.columns), scene.translations.round(1).tolist()
    ((64, 64), 64, [[0.0, 8.0], [8.0, 0.0]])
    """
    rng = np.random.default_rng(seed)
    crystal = named_crystal(crystal) if isinstance(crystal, str) else crystal
    at, site, translations = place_columns(
        crystal,
        shape,
        rng,
        spacing=spacing,
        rotation_deg=rotation_deg,
        margin=4 * relative_sigma * spacing + 3 * jitter,
        shear=shear,
        drift=drift,
        crystalline=crystalline,
    )
    intensity = crystal.intensities[site] * (1 - mixed * rng.random(len(at)))
    return image_columns(
        at,
        site,
        intensity,
        shape,
        _imaging(relative_sigma * spacing, snr, jitter),
        rng,
        translations=translations,
        spacing=spacing,
        vacancies=vacancies,
        displaced=displaced,
        distance=displacement * spacing,
        film=film,
    )


def place_columns(
    crystal, shape, rng, *, spacing, rotation_deg, margin, shear, drift, crystalline=None, offset=None
):
    """Place the columns of a distorted crystal on an image; arguments as `crystal_image` takes them.

    Parameters
    ----------
    crystal : Crystal
    shape : tuple of int
    rng : numpy.random.Generator
    margin : float
        By how much a peak outside the image reaches into it, px.
    offset : (float, float), optional
        Where the origin of a cell lies before distortion, (y, x) px; by default near the centre.

    Returns
    -------
    positions : numpy.ndarray, shape (N, 2)
    sites : numpy.ndarray of int, shape (N,)
    translations : numpy.ndarray, shape (2, 2)
        Shear included.

    Examples
    --------
    >>> import numpy as np
    >>> at, site, translations = place_columns(
    ...     named_crystal("square"),
    ...     (20, 20),
    ...     np.random.default_rng(0),
    ...     spacing=10,
    ...     rotation_deg=0,
    ...     margin=0,
    ...     shear=np.zeros((2, 2)),
    ...     drift=0,
    ... )
    >>> translations.tolist()
    [[0.0, 10.0], [10.0, 0.0]]
    """
    offset = _offset(shape, rng) if offset is None else offset
    margin = margin + 0.05 * max(shape) + drift
    at, site, translations = lattice_points(
        crystal, shape, spacing=spacing, rotation_deg=rotation_deg, offset=offset, margin=margin
    )
    centre = (np.array(shape) - 1) / 2
    matrix = np.eye(2) + np.asarray(shear, float)
    at = (at - centre) @ matrix.T + centre
    at[:, 1] += drift * np.sin(math.pi * at[:, 0] / shape[0] + rng.uniform(0, 2 * math.pi))
    if crystalline is not None:
        row, column = np.clip(np.rint(at).astype(int), 0, np.array(shape) - 1).T
        kept = np.asarray(crystalline, bool)[row, column]
        at, site = at[kept], site[kept]
    return at, site, translations @ matrix.T


def image_columns(
    at,
    site,
    intensity,
    shape,
    imaging,
    rng,
    *,
    translations,
    spacing,
    vacancies=0.0,
    displaced=0.0,
    distance=0.0,
    whole=None,
    film=None,
    pixel_size_nm=None,
):
    """Take columns out, move some by a distance, and record the rest.

    Parameters
    ----------
    at : numpy.ndarray, shape (N, 2)
        Sites (y, x), px.
    site : numpy.ndarray of int, shape (N,)
    intensity : numpy.ndarray, shape (N,)
    shape : tuple of int
    imaging : Imaging
    rng : numpy.random.Generator
    translations, spacing, pixel_size_nm
        As `CrystalImage` holds them.
    vacancies, displaced : float
        Shares of columns that are missing, and that are displaced.
    distance : float
        By how much, px, in random directions.
    whole : numpy.ndarray of bool, shape (N,), optional
        Columns that are neither missing nor displaced.
    film : array_like, shape (H, W), optional

    Returns
    -------
    CrystalImage

    Examples
    --------
    >>> import numpy as np
    >>> scene = image_columns(
    ...     np.array([[8.0, 8.0]]),
    ...     np.array([0]),
    ...     np.array([1.0]),
    ...     (16, 16),
    ...     Imaging(sigma=2.0, dose=100),
    ...     np.random.default_rng(0),
    ...     translations=None,
    ...     spacing=np.inf,
    ... )
    >>> scene.columns["snr"].round().tolist()
    [40.0]
    """
    fate = rng.random(len(at))
    may = np.ones(len(at), bool) if whole is None else ~whole
    gone, moved = may & (fate < vacancies), may & (fate > 1 - displaced)
    moves = np.where(moved, distance, 0.0)
    direction = rng.uniform(0, 2 * math.pi, len(at))
    at = at + moves[:, None] * np.column_stack([np.sin(direction), np.cos(direction)])
    drawn = np.where(gone, 0.0, intensity)
    image, noise = record(at, drawn, shape, imaging, rng, film=film)
    table = pd.DataFrame(
        {
            "y": at[:, 0],
            "x": at[:, 1],
            "intensity": drawn,
            "site": site,
            "displaced": moves,
            "snr": imaging.seen * intensity / noise,
        }
    )
    inside = ((at >= -0.5) & (at < np.array(shape) - 0.5)).all(axis=1)
    return CrystalImage(
        image,
        table[inside & ~gone].reset_index(drop=True),
        table[inside & gone].reset_index(drop=True),
        translations,
        spacing,
        pixel_size_nm,
    )


def _offset(shape, rng):
    # Half a px off the grid at most, so that doctests and tests can count cells on it.
    return np.array(shape) // 2 + rng.uniform(-0.5, 0.5, 2)


def _imaging(sigma, snr, jitter):
    # A lone column of intensity 1 on the background b: variance per px is b + g^2-weighted mean of the peak g,
    # which is 2/3, over the dose; see stemlib.synthetic.imaging.record for the filter.
    background = 0.1
    dose = (background + 2 / 3) * (snr / sigma) ** 2 / math.pi
    return Imaging(sigma=sigma, jitter=jitter, background=background, dose=dose)
