"""Columns on no site of the crystal: what stands there, against what stands between columns elsewhere."""

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from stemlib.defects.segments import values_at
from stemlib.defects.significance import Levels

_INDEPENDENT = 2.0  # standard deviations of a peak between places at which noise is another
_MOST_BETWEEN = 5000
_FAR = 0.45  # over the spacing: a place that is not closer to any site or column lies between them
_FEWEST = 6
_ALIKE = 60  # places of the same kind that tell what is usual at one


def places_between(occupied, spacing, shape, seed):
    """Places (N, 2) away from all sites and columns, where heights show what noise and tails of columns give.

    Of many places, `seed` chooses.
    """
    along = (np.arange(spacing, size - spacing, 0.3 * spacing) for size in shape)
    grid = np.stack(np.meshgrid(*along, indexing="ij"), -1).reshape(-1, 2)
    if not len(grid):
        return grid
    distance, _ = cKDTree(occupied).query(grid, distance_upper_bound=1.5 * spacing)
    places = grid[(distance > _FAR * spacing) & np.isfinite(distance)]
    # One in each square: far enough from each other to be fitted beside each other.
    places = places[np.random.default_rng(seed).permutation(len(places))]
    _, first = np.unique(np.floor(places / (1.5 * spacing)), axis=0, return_index=True)
    return places[np.sort(first)[:_MOST_BETWEEN]]


def judge_interstitials(seen, positions, heights, background, sites, *, sigma, spacing):
    """Judge columns that are on no site by their height.

    It must be unlikely twice: among places between columns anywhere, and among the same places of other cells, where
    a faint column that is no site, or tails of others, may stand each time.

    Parameters
    ----------
    seen : numpy.ndarray, shape (H, W)
        What a matched filter of a column's peak sees where all sites are emptied, as a height.
    positions : numpy.ndarray, shape (M, 2)
        Of the columns on no site, (y, x) px.
    heights : numpy.ndarray, shape (M,)
        Of these.
    background : numpy.ndarray, shape (B,)
        Heights at places between columns.
    sites : stemlib.defects.sites.Sites
    sigma, spacing : float
        Standard deviation of the columns' peaks and distance of neighbours, px.

    Returns
    -------
    table : pandas.DataFrame
        As `stemlib.defects.column_statistics.compare_sites` returns, but for ``column``.
    n_tried : int
        Independent places at which an interstitial column may be.
    """
    table = pd.DataFrame(positions, columns=["y", "x"]).assign(
        site=-1, intensity=heights, intensity_ratio=np.nan, content=np.nan, kind="interstitial"
    )
    background = background[np.isfinite(background)]
    if len(background) < _FEWEST or not len(sites.positions):
        return table[:0].assign(offset=0.0, log_p=0.0), 0
    distance, nearest = cKDTree(sites.positions).query(positions)
    anywhere = Levels.single(background)
    log_p = np.where(heights > anywhere.means[0], anywhere.log_p(heights), 0.0)
    log_p = np.maximum(log_p, _against_other_cells(seen, positions, sites, nearest, spacing))
    area = min(len(sites.positions) * spacing**2, seen.size)
    return table.assign(offset=distance, log_p=np.nan_to_num(log_p)), int(area / (_INDEPENDENT * sigma) ** 2)


def _against_other_cells(seen, places, sites, nearest, spacing):
    """Log p-value of what is seen at each place, by what is seen beside other sites of its kind."""
    result = np.zeros(len(places))
    for kind in np.unique(sites.kind[nearest]):
        alike = sites.positions[sites.kind == kind]
        tree = cKDTree(alike)
        for k in np.flatnonzero(sites.kind[nearest] == kind):
            own, place = sites.positions[nearest[k]], places[k]
            near = tree.query(own, k=np.arange(2, min(_ALIKE, len(alike)) + 1))[1]
            same = alike[near] + (place - own)
            edge = np.minimum(same, np.array(seen.shape) - 1 - same).min(axis=1)
            same = same[edge > 0.5 * spacing]
            if len(same) < _FEWEST:
                continue
            usual = Levels.single(values_at(seen, same))
            value = values_at(seen, place[None])
            result[k] = usual.log_p(value)[0] if value[0] > usual.means[0] else 0.0
    return result
