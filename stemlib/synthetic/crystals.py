"""Projected crystals: cells with columns, well known ones and random ones, and the points of their lattices."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree


@dataclass(frozen=True, eq=False)
class Crystal:
    """A crystal in projection.

    Parameters
    ----------
    cell : numpy.ndarray, shape (2, 2)
        The two translations as rows, (y, x), in units of the crystal's median nearest-neighbour distance.
    sites : numpy.ndarray, shape (N, 2)
        Fractional coordinates of the columns in the cell, along the first and the second translation.
    intensities : numpy.ndarray, shape (N,)
        Peak intensity of a column on each site; the strongest is 1.

    Examples
    --------
    >>> crystal = named_crystal("honeycomb")
    >>> crystal.sites.shape, crystal.intensities.max()
    ((2, 2), np.float64(1.0))
    """

    cell: np.ndarray
    sites: np.ndarray
    intensities: np.ndarray


# Translations (length ratio b/a, angle in degrees), fractional sites, intensities. Proportions follow the crystal
# structures; intensities go roughly as Z ** 1.7 summed along a column, as in HAADF.
_NAMED = {
    "square": ((1.0, 90.0), [(0, 0)], [1.0]),
    "hexagonal": ((1.0, 120.0), [(0, 0)], [1.0]),
    "honeycomb": ((1.0, 120.0), [(1 / 3, 2 / 3), (2 / 3, 1 / 3)], [1.0, 0.45]),
    "graphene": ((1.0, 120.0), [(1 / 3, 2 / 3), (2 / 3, 1 / 3)], [1.0, 1.0]),
    "kagome": ((1.0, 120.0), [(0.5, 0), (0, 0.5), (0.5, 0.5)], [1.0, 1.0, 1.0]),
    "perovskite": ((1.0, 90.0), [(0, 0), (0.5, 0.5)], [1.0, 0.7]),
    "dumbbell": (
        (math.sqrt(2), 90.0),
        [(0, 0), (0, 0.25), (0.5, 0.5), (0.5, 0.75)],
        [1.0, 0.85, 1.0, 0.85],
    ),
    # Monolayer 1T'-WTe2, cell 3.5 x 6.28 angstrom: the W chains are dimerised, the Te puckered.
    "1T'": (
        (6.28 / 3.5, 90.0),
        [(0, 0.06), (0.5, 0.43), (0.5, 0.16), (0, 0.33), (0.5, 0.69), (0, 0.83)],
        [1.0, 1.0, 0.55, 0.55, 0.55, 0.55],
    ),
}
NAMES = tuple(_NAMED)


def named_crystal(name):
    """Return a well known crystal in projection.

    Parameters
    ----------
    name : str
        One of `NAMES`.

    Returns
    -------
    Crystal

    Raises
    ------
    ValueError
        If the name is not known.

    Examples
    --------
    >>> named_crystal("square").cell
    array([[0., 1.],
           [1., 0.]])
    """
    if name not in _NAMED:
        raise ValueError(f"name={name!r} is not a known crystal; one of {', '.join(NAMES)} would do")
    (ratio, angle), sites, intensities = _NAMED[name]
    return _normalised(_cell(ratio, angle), np.array(sites, float), np.array(intensities))


def random_crystal(rng, *, most_sites=8):
    """Return a random crystal: any Bravais lattice, one to several columns in the cell, weak beside strong.

    Parameters
    ----------
    rng : numpy.random.Generator
    most_sites : int
        The largest number of columns in a cell.

    Returns
    -------
    Crystal
        No two of its columns are closer than 0.6 times the median nearest-neighbour distance.

    Examples
    --------
    >>> import numpy as np
    >>> len(random_crystal(np.random.default_rng(1), most_sites=3).sites) <= 3
    True
    """
    while True:
        n_sites = int(rng.integers(1, most_sites + 1))
        ratio, angle = _random_shape(rng)
        cell = _cell(ratio, angle)
        cell *= math.sqrt(n_sites * rng.uniform(0.95, 1.6) / abs(np.linalg.det(cell)))
        sites = _spread_sites(cell, n_sites, rng)
        if len(sites) > 1 and _distances(cell, sites).min() < 0.6:
            continue
        kinds = np.exp(rng.uniform(math.log(0.1), 0, size=rng.integers(1, 4)))
        crystal = _normalised(cell, sites, rng.choice(kinds, len(sites)))
        nearest = _distances(crystal.cell, crystal.sites)
        if nearest.min() >= 0.6:
            return crystal


def lattice_points(crystal, shape, *, spacing, rotation_deg=0.0, offset=(0.0, 0.0), margin=0.0):
    """Place a crystal on an image.

    Parameters
    ----------
    crystal : Crystal
    shape : tuple of int
        Height and width of the image, px.
    spacing : float
        Median nearest-neighbour distance, px.
    rotation_deg : float
        By how much the crystal is turned, counter-clockwise as seen.
    offset : (float, float)
        Where the origin of a cell lies, (y, x), px.
    margin : float
        Width of the rim around the image that is filled as well, px.

    Returns
    -------
    positions : numpy.ndarray, shape (N, 2)
        (y, x), px.
    sites : numpy.ndarray of int, shape (N,)
        Which site of the cell each column is.
    translations : numpy.ndarray, shape (2, 2)
        The two translations as rows, (y, x), px.

    Examples
    --------
    >>> positions, sites, translations = lattice_points(named_crystal("square"), (20, 20), spacing=10)
    >>> positions.shape, translations.tolist()
    ((4, 2), [[0.0, 10.0], [10.0, 0.0]])
    """
    angle = math.radians(rotation_deg)
    # y runs down: a counter-clockwise turn as seen takes x to -y.
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    translations = spacing * crystal.cell @ turn
    low, high = -margin - 0.5, np.array(shape) - 0.5 + margin
    corners = np.array([[low, low], [low, high[1]], [high[0], low], high]) - offset
    steps = corners @ np.linalg.inv(translations)
    first, last = np.floor(steps.min(axis=0)).astype(int) - 1, np.ceil(steps.max(axis=0)).astype(int) + 1
    grid = np.mgrid[first[0] : last[0] + 1, first[1] : last[1] + 1].reshape(2, -1).T
    fractional = (grid[:, None] + crystal.sites).reshape(-1, 2)
    sites = np.tile(np.arange(len(crystal.sites)), len(grid))
    positions = fractional @ translations + offset
    inside = (positions >= low).all(axis=1) & (positions < high).all(axis=1)
    return positions[inside], sites[inside], translations


def _cell(ratio, angle_deg):
    angle = math.radians(angle_deg)
    # First translation along +x, the second counter-clockwise from it as seen would have y < 0; downwards here.
    cell = np.array([[0.0, 1.0], [ratio * math.sin(angle), ratio * math.cos(angle)]])
    return np.where(np.abs(cell) < 1e-12, 0.0, cell)


def _random_shape(rng):
    kind = rng.choice(["square", "hexagonal", "rectangular", "centred", "oblique"])
    ratio = rng.uniform(1.05, 2.4)
    if kind == "square":
        return 1.0, 90.0
    if kind == "hexagonal":
        return 1.0, 120.0
    if kind == "rectangular":
        return ratio, 90.0
    if kind == "centred":
        return 1.0, rng.uniform(65, 115)
    return ratio, rng.uniform(68, 112)


def _spread_sites(cell, n_sites, rng):
    """Sites far from each other: each is the best of a few random ones."""
    sites = rng.random((1, 2))
    while len(sites) < n_sites:
        tried = rng.random((24, 2))
        gaps = separations(cell, tried, sites).min(axis=(1, 2))
        sites = np.vstack([sites, tried[gaps.argmax()]])
    return sites


def separations(cell, first, second):
    """Distances of two sets of sites, (N, M, 25): from the first to the second and its images in nearby cells."""
    images = np.mgrid[-2:3, -2:3].reshape(2, -1).T
    return np.linalg.norm((first[:, None, None] - second[None, :, None] + images) @ cell, axis=-1)


def _distances(cell, sites):
    """Nearest-neighbour distance of each site."""
    images = np.mgrid[-2:3, -2:3].reshape(2, -1).T
    everywhere = ((sites[:, None] + images).reshape(-1, 2)) @ cell
    return cKDTree(everywhere).query(sites @ cell, k=2)[0][:, 1]


def _normalised(cell, sites, intensities):
    cell = cell / np.median(_distances(cell, sites))
    return Crystal(cell, sites, intensities / intensities.max())
