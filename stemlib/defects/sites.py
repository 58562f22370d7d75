"""Sites of the unit cell: where a crystal's columns should be, and which column is on which site."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from stemlib.defects.average_cell import AverageCell
from stemlib.defects.segments import values_at
from stemlib.fourier.patterson import bandpassed

_LEAST_ORDERED = 0.5  # of the usual height, at the sites around on average, within the crystal
_NEIGHBOURS = 10  # whose median offset says where a site is locally
_ROUNDS = 3
_BESIDE = 2.0  # over the spacing: a column on no site that is not farther from any site is beside the crystal
_SECTORS, _EMPTY_RUN = 12, 5  # sectors around a point; so many empty ones in a row are an edge


@dataclass(frozen=True, eq=False)
class Sites:
    """All sites of a crystal within an image.

    Parameters
    ----------
    fractions : numpy.ndarray, shape (S, 2)
        The sites of the cell, in units of a and b from the lattice's origin.
    kind : numpy.ndarray of int, shape (N,)
        For every site in the image, which of the cell it is.
    positions : numpy.ndarray, shape (N, 2)
        Where its column should be, (y, x) px: the lattice, its measured distortion, and the median offset of the
        nearest columns.
    columns : numpy.ndarray of int, shape (N,)
        The column that is on it, -1 where none is.
    offsets : numpy.ndarray, shape (N, 2)
        Of that column from the site, px; NaN where none is.
    interstitials : numpy.ndarray of int, shape (M,)
        Columns within the crystal that are on no site.
    beside : numpy.ndarray of int, shape (L,)
        Columns on no site beside the crystal, at its edge or in a gap of it.
    beyond : numpy.ndarray, shape (K, 2)
        Sites within a spacing beyond the image's edge, where the crystal goes on: (y, x) px.
    beyond_kind : numpy.ndarray of int, shape (K,)
    """

    fractions: np.ndarray
    kind: np.ndarray
    positions: np.ndarray
    columns: np.ndarray
    offsets: np.ndarray
    interstitials: np.ndarray
    beside: np.ndarray
    beyond: np.ndarray
    beyond_kind: np.ndarray


def assign_sites(image, positions, lattice, spacing):
    """Find the sites of a crystal's cell, and which column is on which site.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W), float32
        Bright columns.
    positions : numpy.ndarray, shape (C, 2)
        Of the columns, (y, x) px.
    lattice : stemlib.lattice.Lattice
    spacing : float
        Distance of neighbouring columns, px.

    Returns
    -------
    Sites
        Without sites where columns do not repeat with the lattice.

    Examples
    --------
    >>> from stemlib.lattice.find import find_lattice
    >>> from stemlib.synthetic import crystal_image
    >>> from stemlib.synthetic import PointDefects
    >>> scene = crystal_image(
    ...     "honeycomb", (160, 160), spacing=10, defects=PointDefects(vacancies=0.05), seed=3
    ... )
    >>> sites = assign_sites(
    ...     scene.image, scene.columns[["y", "x"]].to_numpy(), find_lattice(scene.image), 10.0
    ... )
    >>> len(sites.fractions), int((sites.columns < 0).sum()) == len(scene.missing)
    (2, True)
    """
    positions = np.asarray(positions, float).reshape(-1, 2)
    found = AverageCell.of(image, np.ones(image.shape, bool), lattice, spacing).sites()
    kind, expected = _expected(found, lattice)
    # Columns at the image's edge may be seen inside while their site lies beyond it.
    away = np.maximum(-0.5 - expected, expected - np.array(lattice.shape) + 0.5).max(axis=1)
    kind, expected, away = (values[away < spacing] for values in (kind, expected, away))
    half = 0.5 * _nearest_site(found, lattice, spacing)
    local, column = expected, np.full(len(expected), -1)
    for _ in range(_ROUNDS):
        column = _one_to_one(local, positions, half[kind])
        taken = np.flatnonzero(column >= 0)
        if len(taken) <= _NEIGHBOURS:
            break
        # Where columns overlap, the cell's maxima are drawn towards each other: peaks fitted side by side are not.
        off = positions[column[taken]] - local[taken]
        for one in np.unique(kind[taken]):
            expected[kind == one] += np.median(off[kind[taken] == one], axis=0)
        local = expected + _local_offset(expected, taken, positions[column[taken]] - expected[taken])
    offsets = np.full(local.shape, np.nan)
    taken = column >= 0
    offsets[taken] = positions[column[taken]] - local[taken]
    member = np.zeros(len(expected), bool)
    shown = away < 0
    heights = _relative_heights(image, local[shown], kind[shown], taken[shown], spacing)
    member[shown] = _in_crystal(expected[shown], expected[shown], kind[shown], heights)
    goes_on = np.flatnonzero(~shown)
    goes_on = goes_on[_in_crystal(expected[goes_on], expected[shown], kind[shown], heights)]
    others, beside = np.setdiff1d(np.arange(len(positions)), column[member & taken]), np.zeros(0, int)
    if len(others) and member.any():
        distance, nearest = cKDTree(expected).query(positions[others])
        within = member[nearest] & (distance < spacing) & (column[nearest] != others)
        within &= surrounded(positions[others], expected[member & taken], spacing, lattice.shape)
        near = cKDTree(expected[member]).query(positions[others])[0] < _BESIDE * spacing
        others, beside = others[within], others[near & ~within]
    return Sites(
        found,
        kind[member],
        local[member],
        column[member],
        offsets[member],
        others,
        beside,
        local[goes_on],
        kind[goes_on],
    )


def surrounded(points, occupied, spacing, shape):
    """Which points have columns on all sides, so that an empty site there is a vacancy and not the crystal's edge.

    Parameters
    ----------
    points : numpy.ndarray, shape (N, 2)
        (y, x), px.
    occupied : numpy.ndarray, shape (M, 2)
        Where columns are.
    spacing : float
        Distance of neighbouring columns, px. Columns within three and a half of it count.
    shape : tuple of int
        Height and width of the image, px; beyond it, the crystal is taken to go on.

    Returns
    -------
    numpy.ndarray of bool, shape (N,)
        False where a sector of 150 degrees or more holds no column.

    Examples
    --------
    >>> row = np.column_stack([np.full(9, 50.0), 10.0 * np.arange(9)])
    >>> block = np.concatenate([row + [dy, 0] for dy in (-20, -10, 10, 20)])
    >>> surrounded(np.array([[50.0, 40.0], [85.0, 40.0]]), block, 10.0, (200, 200)).tolist()
    [True, False]
    """
    if not len(points) or not len(occupied):
        return np.zeros(len(points), bool)
    result = np.zeros(len(points), bool)
    middles = (np.arange(_SECTORS) + 0.5) / _SECTORS * 2 * np.pi
    directions = spacing * np.column_stack([np.sin(middles), np.cos(middles)])
    for k, near in enumerate(cKDTree(occupied).query_ball_point(points, 3.5 * spacing)):
        away = occupied[near] - points[k]
        away = away[np.abs(away).max(axis=1) > 0.3 * spacing]
        filled = ((points[k] + directions < 0) | (points[k] + directions > np.array(shape) - 1)).any(axis=1)
        turn = np.arctan2(away[:, 0], away[:, 1]) / (2 * np.pi) % 1
        filled[(turn * _SECTORS).astype(int) % _SECTORS] = True
        runs = np.lib.stride_tricks.sliding_window_view(np.concatenate([filled, filled]), _EMPTY_RUN)
        result[k] = runs.any(axis=1).all()
    return result


def _wrapped(differences, cell):
    """Distance to the nearest image of a place in the cell, px."""
    images = np.mgrid[-1:2, -1:2].reshape(2, -1).T
    differences = (differences + 0.5) % 1 - 0.5
    return np.linalg.norm((differences[..., None, :] + images) @ cell, axis=-1).min(axis=-1)


def _nearest_site(fractions, lattice, spacing):
    """Distance of each site to the nearest one, its own repetitions included, px."""
    images = np.mgrid[-2:3, -2:3].reshape(2, -1).T
    own = np.linalg.norm(images[np.abs(images).sum(axis=1) > 0] @ lattice.cell, axis=1).min()
    apart = _wrapped(fractions[:, None] - fractions, lattice.cell)
    np.fill_diagonal(apart, own)
    return np.minimum(apart.min(axis=1, initial=own), 1.5 * spacing)


def _expected(fractions, lattice):
    """All sites in and around the image: which of the cell, and where by lattice and measured distortion."""
    cells = lattice.cells(margin=1)
    kind = np.tile(np.arange(len(fractions)), len(cells))
    return kind, lattice.places((cells[:, None] + fractions).reshape(-1, 2))


def _one_to_one(sites, columns, reach):
    """The column on each site: of all pairs within reach, the closest first."""
    result = np.full(len(sites), -1)
    if not len(sites) or not len(columns):
        return result
    count = min(3, len(columns))
    distance, nearest = cKDTree(columns).query(sites, k=np.arange(1, count + 1))
    pairs = np.argsort(distance, axis=None, kind="stable")
    used = np.zeros(len(columns), bool)
    for site, rank in zip(*np.unravel_index(pairs, distance.shape), strict=True):
        if distance[site, rank] > reach[site]:
            continue
        column = nearest[site, rank]
        if result[site] < 0 and not used[column]:
            result[site], used[column] = column, True
    return result


def _relative_heights(image, at, kind, taken, spacing):
    """How high the image stands at sites over what is usual where a column is found on that kind of site."""
    heights = values_at(bandpassed(image, np.ones(image.shape), spacing), at)
    relative = np.zeros(len(at))
    for one in np.unique(kind[taken]):
        usual = np.median(heights[taken & (kind == one)])
        relative[kind == one] = heights[kind == one] / max(usual, 1e-30)
    # A very bright column says no more than any other, nor does one beside bright ones that is missing.
    return np.clip(relative, 0, 1)


def _in_crystal(points, expected, kind, heights):
    """Which points lie in the crystal: around them, sites of a kind are on average half as high as usual at least.

    One kind will do: a phase that leaves the other sites empty has the same lattice.
    """
    result = np.zeros(len(points), bool)
    for one in np.unique(kind):
        members = np.flatnonzero(kind == one)
        if len(members) > _NEIGHBOURS:
            _, near = cKDTree(expected[members]).query(points, k=_NEIGHBOURS)
            result |= heights[members[near]].mean(axis=1) >= _LEAST_ORDERED
    return result


def _local_offset(sites, taken, offsets):
    """Median offset of the nearest columns, but not of the one on the site itself."""
    _, near = cKDTree(sites[taken]).query(sites, k=_NEIGHBOURS + 1)
    values = offsets[near]
    own = taken[near] == np.arange(len(sites))[:, None]
    # Where the site is empty there is no own column: the farthest is left out.
    own[~own.any(axis=1), -1] = True
    values[own] = np.nan
    return np.nanmedian(values, axis=1)
