"""Compare columns, and empty sites, with their own kind: intensity and position against those of their sublattice."""

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from stemlib.column_heights import fit_heights
from stemlib.majority import LEAST_SHARE, Levels, clipped_scatter, normal_levels
from stemlib.sites import surrounded

_NEIGHBOURS = 24  # columns of the same sublattice that tell how bright it is around one of them
_EMPTY = 0.4  # of the usual height: what stands lower, on a site where no column is found, is none
_NOTHING = 0.15  # and on a site where one is found
_FEWEST = 6  # columns of a sublattice from which on it can be judged
_PLACES_PER_SPACING = (
    2  # independent places per spacing, along each axis, at which an additional column may be
)
_MOST_BETWEEN = 5000
_LEAST_SCATTER = 0.02  # of the intensity, and over the spacing of the offset: no fit is better than its model
_LEAST_OFFSET = 0.01
_CUT = (0.6, 0.25)  # over the spacing: columns closer to the image's edge are cut off
_FAR = 0.45  # over the spacing: a place that is not closer to any site or column lies between them


def compare_columns(image, positions, sites, *, sigma, spacing, mask):
    """Compare every site of a crystal with the sites of its own kind.

    Intensities are heights of peaks fitted at fixed places, where a site is empty at the site itself, over the median
    of the nearest sites of the same kind: neither slow changes of thickness nor what the other sites hold matters.
    Where a kind of site holds a mixture, several levels are normal.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W), float32
        Bright columns.
    positions : numpy.ndarray, shape (C, 2)
        Columns, (y, x) px.
    sites : stemlib.sites.Sites
    sigma, spacing : float
        Standard deviation of the columns' peaks and distance of neighbours, px.
    mask : numpy.ndarray of bool, shape (H, W)

    Returns
    -------
    table : pandas.DataFrame
        One row per site that can be judged, and per column on no site: ``y, x`` px; ``column`` (index into
        `positions`, -1 on an empty site); ``site`` of the cell (-1: none); ``intensity``, in units of the image;
        ``intensity_ratio`` over what is usual for such a site there (NaN on no site); ``offset`` from the site, px;
        ``log_p`` of the less likely of intensity and position; ``kind``: "missing", "dim", "bright", "displaced" or
        "additional", which is what the row would be if it is a defect.
    n_tried : int
        Tests that were made.
    """
    at, column = sites.positions.copy(), sites.columns
    taken = column >= 0
    at[taken] = positions[column[taken]]
    shown = np.clip(np.rint(at).astype(int), 0, np.array(image.shape) - 1)
    usable = mask[shown[:, 0], shown[:, 1]] & _on_image(at, image.shape)
    extra = sites.additional[_on_image(positions[sites.additional], image.shape)]
    between = places_between(np.vstack([sites.positions, positions]), spacing, image.shape)
    everything = np.vstack([at, positions[extra], between])
    heights, errors = fit_heights(image, everything, sigma, spacing)
    n, m = len(at), len(extra)
    off = _offset_chances(sites.offsets, sites.kind, _rim(at, spacing, image.shape), _LEAST_OFFSET * spacing)
    rows = []
    for kind in range(len(sites.fractions)):
        member = np.flatnonzero((sites.kind == kind) & usable & np.isfinite(heights[:n]))
        if (taken[member]).sum() < _FEWEST:
            continue
        ratio, levels = _against_neighbours(at[member], heights[member], taken[member])
        relative = errors[member] / np.median(errors[member])
        log_p = levels.log_chance(ratio, relative)
        rows.append(
            pd.DataFrame(
                {
                    "y": at[member, 0],
                    "x": at[member, 1],
                    "column": column[member],
                    "site": kind,
                    "intensity": heights[member],
                    "intensity_ratio": ratio,
                    "offset": np.linalg.norm(sites.offsets[member], axis=1),
                    "log_p": np.minimum(log_p, off[member]),
                    "kind": _kinds(ratio, levels, taken[member], off[member] < log_p),
                }
            )
        )
    n_tried = 2 * sum(map(len, rows))
    additional, n_places = _additional(
        positions, extra, heights[n : n + m], heights[n + m :], sites, spacing, image.shape
    )
    table = pd.concat([*rows, additional], ignore_index=True) if rows else additional
    empty = (table["kind"] == "missing").to_numpy()
    hidden = np.zeros(len(table), bool)
    # The edge of a crystal is not a row of vacancies.
    suspects = np.flatnonzero(empty & (table["log_p"] < np.log(1e-2)))
    hidden[suspects] = ~surrounded(
        table.loc[suspects, ["y", "x"]].to_numpy(), at[taken], spacing, image.shape
    )
    return table[~hidden].reset_index(drop=True), n_tried + n_places


def _against_neighbours(at, heights, taken):
    """Heights over those usual around them, and their normal levels."""
    ratio = heights / np.median(heights[taken])
    # A site that is empty in a good share of the cells, as in one of two phases, is normal when it is empty.
    learnt = taken if (~taken).mean() < LEAST_SHARE else np.ones(len(taken), bool)
    levels = normal_levels(ratio[learnt])
    # Each column says how bright it is around it, by its own level.
    gain = ratio / levels.means[levels.nearest(ratio)]
    known = np.flatnonzero(taken)
    _, near = cKDTree(at[known]).query(at, k=np.arange(1, min(_NEIGHBOURS + 1, len(known)) + 1))
    around = np.sort(np.where(known[near] == np.arange(len(at))[:, None], np.inf, gain[known[near]]), axis=1)
    # The column itself, or on an empty site the farthest, is left out: the median of what comes before.
    around = around[:, : max(1, around.shape[1] - 1)]
    local = np.clip(np.median(around, axis=1), 0.2, 5.0)
    ratio = ratio / local
    return ratio, _widened(normal_levels(ratio[learnt]), _LEAST_SCATTER)


def _widened(levels, least):
    """Levels with no less scatter than this: a fit is never better than its model of a column."""
    return Levels(levels.means, np.hypot(levels.sds, least * np.abs(levels.means)), levels.counts)


def _offset_chances(offsets, kind, rim, least):
    """Logarithm of the chance that a normal column lies as far off its site; 0 where none is, or none can be judged.

    Columns are compared with those of their kind. Those in the image's rim, of which a part is cut off, are less
    certain, as all columns there show together.
    """
    some = np.isfinite(offsets).all(axis=1)
    standard, freedom = np.zeros(offsets.shape), np.full(len(offsets), np.inf)
    for one in np.unique(kind):
        members, learnt = some & (kind == one), some & (kind == one) & (rim == 0)
        if learnt.sum() < _FEWEST:
            some &= ~members
            continue
        for axis in range(2):
            mean, sd, count = clipped_scatter(offsets[learnt, axis])
            standard[members, axis] = (offsets[members, axis] - mean) / np.hypot(sd, least)
            freedom[members] = np.minimum(freedom[members], count - 1)
    for one in np.unique(rim[rim > 0]):
        members = some & (rim == one)
        if members.sum() < _FEWEST:
            some &= ~members
            continue
        for axis in range(2):
            _, sd, count = clipped_scatter(standard[members, axis])
            standard[members, axis] /= max(sd, 1.0)
            freedom[members] = np.minimum(freedom[members], count - 1)
    chances = np.zeros(len(offsets))
    # Hotelling's distribution for two components: exact for an estimated scatter.
    freedom = np.maximum(freedom[some] - 1, 1.0)
    chances[some] = -freedom / 2 * np.log1p((standard[some] ** 2).sum(axis=1) / freedom)
    return chances


def _on_image(at, shape):
    """Whether columns lie on the image: at its edge a fit may end up beyond it."""
    return ((at >= -0.5) & (at <= np.array(shape) - 0.5)).all(axis=1)


def _rim(at, spacing, shape):
    """0 for columns well inside the image, 1 and 2 for those of which a part or about half is cut off."""
    edge = np.minimum(at + 0.5, np.array(shape) - 0.5 - at).min(axis=1) / spacing
    return np.digitize(-edge, [-_CUT[0], -_CUT[1]], right=False)


def _kinds(ratio, levels: Levels, taken, displaced):
    dim = ratio < levels.means[levels.nearest(ratio)]
    missing = ratio < np.where(taken, _NOTHING, _EMPTY) * levels.means[0]
    kinds = np.where(dim, np.where(missing, "missing", "dim"), "bright")
    return np.where(displaced, "displaced", kinds).astype(object)


def _additional(positions, extra, heights, background, sites, spacing, shape):
    """Columns on no site, against what stands at places between columns by chance."""
    columns = ["y", "x", "column", "site", "intensity", "intensity_ratio", "offset", "log_p", "kind"]
    if len(background) < _FEWEST or not len(sites.positions):
        return pd.DataFrame(columns=columns).astype({"y": float, "x": float, "log_p": float}), 0
    levels = Levels(*(np.array([v]) for v in clipped_scatter(background)))
    log_p = np.where(heights > levels.means[0], levels.log_chance(heights), 0.0)
    distance, _ = cKDTree(sites.positions).query(positions[extra])
    rows = pd.DataFrame(
        {
            "y": positions[extra, 0],
            "x": positions[extra, 1],
            "column": extra,
            "site": -1,
            "intensity": heights,
            "intensity_ratio": np.nan,
            "offset": distance,
            "log_p": np.nan_to_num(log_p),
            "kind": "additional",
        }
    )
    area = len(sites.positions) * spacing**2
    return rows[columns], int(_PLACES_PER_SPACING**2 * min(area, shape[0] * shape[1]) / spacing**2)


def places_between(occupied, spacing, shape):
    """Places (N, 2) away from all sites and columns, where heights show what noise and tails of columns give."""
    step = 0.3 * spacing
    grid = np.stack(
        np.meshgrid(*(np.arange(spacing, size - spacing, step) for size in shape), indexing="ij"), -1
    )
    grid = grid.reshape(-1, 2)
    if not len(grid):
        return grid
    distance, _ = cKDTree(occupied).query(grid, distance_upper_bound=1.5 * spacing)
    places = grid[(distance > _FAR * spacing) & np.isfinite(distance)]
    # One in each square: far enough from each other to be fitted beside each other.
    places = places[np.random.default_rng(0).permutation(len(places))]
    _, first = np.unique(np.floor(places / (1.5 * spacing)), axis=0, return_index=True)
    return places[np.sort(first)[:_MOST_BETWEEN]]
