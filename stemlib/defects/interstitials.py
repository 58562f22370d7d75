"""Columns on no site of the crystal: what stands there, against what stands between columns elsewhere."""

import cv2
import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from stemlib.columns.heights import leftover
from stemlib.defects.significance import Levels, clipped_scatter

_INDEPENDENT = 2.0  # standard deviations of a peak between places at which noise is another
_MOST_BETWEEN = 5000
_FAR = 0.45  # over the spacing: a place that is not closer to any site or column lies between them
_FEWEST = 6
_ALIKE = 60  # places of the same kind that tell what is usual at one


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


def judge_additional(image, positions, extra, heights, background, sites, peaks, *, sigma, spacing):
    """Judge columns that are on no site by their height.

    It must be unlikely twice: among places between columns anywhere, and among the same places of other cells, where
    a faint column that is no site, or tails of others, may stand each time.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W)
        Bright columns.
    positions : numpy.ndarray, shape (C, 2)
        Columns, (y, x) px.
    extra : numpy.ndarray of int, shape (M,)
        Those on no site.
    heights : numpy.ndarray, shape (M,)
        Of these.
    background : numpy.ndarray, shape (B,)
        Heights at places between columns.
    sites : stemlib.defects.sublattices.Sites
    peaks : (numpy.ndarray, numpy.ndarray)
        Positions (N, 2) and heights (N,) of what stands on the sites.
    sigma, spacing : float
        Standard deviation of the columns' peaks and distance of neighbours, px.

    Returns
    -------
    table : pandas.DataFrame
        As `stemlib.defects.column_statistics.compare_columns` returns.
    n_tried : int
        Independent places at which an additional column may be.
    """
    names = ["y", "x", "column", "site", "intensity", "intensity_ratio", "content", "offset", "log_p", "kind"]
    background = background[np.isfinite(background)]
    if len(background) < _FEWEST or not len(sites.positions):
        return pd.DataFrame(columns=names).astype({"y": float, "x": float, "log_p": float}), 0
    distance, nearest = cKDTree(sites.positions).query(positions[extra])
    anywhere = Levels(*(np.array([v]) for v in clipped_scatter(background)))
    log_p = np.where(heights > anywhere.means[0], anywhere.log_chance(heights), 0.0)
    if len(extra):
        seen = _filtered(image, *peaks, sigma, spacing)
        log_p = np.maximum(log_p, _against_other_cells(seen, positions[extra], sites, nearest, spacing))
    rows = pd.DataFrame(
        {
            "y": positions[extra, 0],
            "x": positions[extra, 1],
            "column": extra,
            "site": -1,
            "intensity": heights,
            "intensity_ratio": np.nan,
            "content": np.nan,
            "offset": distance,
            "log_p": np.nan_to_num(log_p),
            "kind": "additional",
        }
    )
    area = min(len(sites.positions) * spacing**2, image.shape[0] * image.shape[1])
    return rows[names], int(area / (_INDEPENDENT * sigma) ** 2)


def _filtered(image, positions, heights, sigma, spacing):
    """What a matched filter of a column's peak sees at every pixel where sites are emptied: a height."""
    known = np.isfinite(heights)
    rest = leftover(image, positions[known], heights[known], sigma, spacing).astype(np.float32)
    return 2 * cv2.GaussianBlur(rest, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)


def _against_other_cells(seen, places, sites, nearest, spacing):
    """Logarithm of the chance of as much as is seen at each place, by what is seen beside other sites of its kind."""
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
            usual = Levels(*(np.array([v]) for v in clipped_scatter(_looked_up(seen, same))))
            value = _looked_up(seen, place[None])
            result[k] = usual.log_chance(value)[0] if value[0] > usual.means[0] else 0.0
    return result


def _looked_up(image, points):
    y, x = points.T.astype(np.float32)
    return cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)[:, 0]
