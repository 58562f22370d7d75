"""Agreement of found columns of atoms with known ones: matching point by point, scores, position error."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.spatial import cKDTree
from skimage.measure import points_in_poly

from stemlib.agreement.matching import assign
from stemlib.agreement.scores import wilson_interval

REACH_IN_SPACINGS = 0.25


@dataclass(frozen=True)
class ColumnMatch:
    """Which columns found are which columns of the truth.

    Attributes
    ----------
    pairs : numpy.ndarray of int, shape (K, 2)
        Index into truth and index into found of every matched pair; no index occurs twice.
    offset : numpy.ndarray of float64, shape (K, 2)
        Found minus true position (y, x), px.
    is_found : numpy.ndarray of bool, shape (N,)
        For every column of the truth, whether it is in a pair.
    is_true : numpy.ndarray of bool, shape (M,)
        For every column found, whether it is in a pair.
    in_truth, in_found : numpy.ndarray of bool, shape (N,) and (M,)
        Which columns lie in the region that is scored.
    reach_px : float
        Largest distance of a pair, px.
    """

    pairs: np.ndarray
    offset: np.ndarray
    is_found: np.ndarray
    is_true: np.ndarray
    in_truth: np.ndarray
    in_found: np.ndarray
    reach_px: float


def match_columns(truth, found, *, reach_px=None, region=None):
    """Match the columns found one to one with those of the truth.

    Two columns may match if they are at most `reach_px` apart; among all assignments that leave no column
    matched twice, the one with the most pairs is taken, and among those the one with the smallest sum of
    distances. All columns are matched, and those in the `region` are scored: a pair across its edge is a pair.

    Parameters
    ----------
    truth, found : array_like, shape (N, 2) and (M, 2), or DataFrame
        Positions (y, x), px; a DataFrame needs columns of these names.
    reach_px : float, optional
        Largest distance of a pair, px; a quarter of `column_spacing` of the truth where it is not given.
    region : array_like, optional
        Where columns are scored: a polygon, shape (V, 2), of vertices (y, x) in px, or a mask of bool, shape
        (H, W), of the image. Everywhere where it is not given.

    Returns
    -------
    ColumnMatch

    Raises
    ------
    TypeError
        If `region` is neither a polygon of numbers nor a mask of bool.
    ValueError
        If positions have another shape or are not finite, the reach is not positive, the spacing of the truth
        is needed and it has fewer than two columns, or the polygon has fewer than three vertices.

    Examples
    --------
    >>> from stemlib.agreement import match_columns
    >>> match_columns([[10, 10], [10, 20]], [[10.5, 10], [11, 10], [14, 20]]).pairs
    array([[0, 0]])
    """
    truth, found = _positions(truth, "truth"), _positions(found, "found")
    if reach_px is None:
        reach_px = REACH_IN_SPACINGS * column_spacing(truth)
    if not 0 < reach_px < np.inf:
        raise ValueError(f"reach_px={reach_px!r} must be a positive number of px")
    pairs = _pairs(truth, found, float(reach_px))
    is_found, is_true = np.zeros(len(truth), bool), np.zeros(len(found), bool)
    is_found[pairs[:, 0]] = True
    is_true[pairs[:, 1]] = True
    inside = [_inside(region, positions) for positions in (truth, found)]
    offset = found[pairs[:, 1]] - truth[pairs[:, 0]]
    return ColumnMatch(pairs, offset, is_found, is_true, *inside, float(reach_px))


def score_columns(match, *, confidence=0.95):
    """Return recall, precision and position error of one match, or of several images pooled.

    Parameters
    ----------
    match : ColumnMatch or iterable of ColumnMatch
        Counts of several are added up; ratios are never averaged.
    confidence : float
        Of Wilson's intervals, between 0 and 1.

    Returns
    -------
    dict
        `n_truth`, `n_found`, `truth_found`, `found_true` (all in the region), `recall` and `precision` with
        `_low` and `_high`, `f1` (harmonic mean of the two), and over the pairs whose true column is in the
        region `error_rms_px` and `error_median_px` (distance) and `bias_y_px` and `bias_x_px` (mean of found
        minus true). A ratio or mean of nothing is NaN.

    Raises
    ------
    ValueError
        If there is no match, or the confidence makes no sense.

    Examples
    --------
    >>> from stemlib.agreement import match_columns, score_columns
    >>> truth = [[10, 10], [10, 20], [10, 30]]
    >>> result = score_columns(match_columns(truth, [[10, 11], [10, 21]]))
    >>> round(result["recall"], 3), result["precision"], result["error_rms_px"], result["bias_x_px"]
    (0.667, 1.0, 1.0, 1.0)
    """
    matches = [match] if isinstance(match, ColumnMatch) else list(match)
    if not matches:
        raise ValueError("match must hold at least one match")
    n_truth = sum(int(one.in_truth.sum()) for one in matches)
    n_found = sum(int(one.in_found.sum()) for one in matches)
    truth_found = sum(int((one.is_found & one.in_truth).sum()) for one in matches)
    found_true = sum(int((one.is_true & one.in_found).sum()) for one in matches)
    result = {
        "n_truth": n_truth,
        "n_found": n_found,
        "truth_found": truth_found,
        "found_true": found_true,
    }
    for name, part, whole in (("recall", truth_found, n_truth), ("precision", found_true, n_found)):
        result[name] = part / whole if whole else np.nan
        result[f"{name}_low"], result[f"{name}_high"] = wilson_interval(part, whole, confidence=confidence)
    both = result["recall"] + result["precision"]
    result["f1"] = 2 * result["recall"] * result["precision"] / both if both else 0.0
    offset = np.concatenate([one.offset[one.in_truth[one.pairs[:, 0]]] for one in matches])
    squared = (offset**2).sum(axis=1)
    some = len(offset) > 0
    result["error_rms_px"] = float(np.sqrt(squared.mean())) if some else np.nan
    result["error_median_px"] = float(np.sqrt(np.median(squared))) if some else np.nan
    bias = offset.mean(axis=0).tolist() if some else [np.nan, np.nan]
    result["bias_y_px"], result["bias_x_px"] = bias
    return result


def column_spacing(positions):
    """Return the median distance of columns to their nearest neighbour.

    Parameters
    ----------
    positions : array_like, shape (N, 2), or DataFrame
        Positions (y, x), px.

    Returns
    -------
    float
        The spacing, px.

    Raises
    ------
    ValueError
        If there are fewer than two columns, or most of them lie on another one.

    Examples
    --------
    >>> from stemlib.agreement import column_spacing
    >>> column_spacing([[0, 0], [0, 4], [0, 8], [0, 14]])
    4.0
    """
    positions = _positions(positions, "positions")
    if len(positions) < 2:
        raise ValueError(f"positions holds {len(positions)} column(s); a spacing needs two at least")
    spacing = float(np.median(cKDTree(positions).query(positions, k=2)[0][:, 1]))
    if spacing == 0:
        raise ValueError("positions: most columns lie on another one, at a distance of 0 px")
    return spacing


def _positions(positions, name):
    if isinstance(positions, pd.DataFrame):
        missing = [axis for axis in ("y", "x") if axis not in positions]
        if missing:
            raise ValueError(f"{name} lacks the column(s) {', '.join(missing)}")
        positions = positions[["y", "x"]]
    positions = np.asarray(positions, dtype=np.float64)
    if positions.size == 0:
        positions = positions.reshape(0, 2)
    if positions.ndim != 2 or positions.shape[1] != 2:
        raise ValueError(f"{name} has shape {positions.shape}; positions need (N, 2): y, x")
    bad = np.flatnonzero(~np.isfinite(positions).all(axis=1))
    if bad.size:
        raise ValueError(f"{name}, row {bad[0]}: {positions[bad[0]].tolist()} is not finite")
    return positions


def _pairs(truth, found, reach_px):
    """Return the pairs of the best assignment, group by group of columns that are in reach of each other."""
    if not (len(truth) and len(found)):
        return np.empty((0, 2), int)
    near = cKDTree(truth).sparse_distance_matrix(cKDTree(found), reach_px, output_type="coo_matrix")
    n_all = len(truth) + len(found)
    edges = (np.ones(len(near.row), bool), (near.row, near.col + len(truth)))
    _, group = sparse.csgraph.connected_components(sparse.coo_array(edges, shape=(n_all, n_all)))
    pairs = []
    order = np.argsort(group[near.row], kind="stable")
    starts = np.flatnonzero(np.diff(group[near.row][order], prepend=-1))
    for rows_of_group in np.split(order, starts[1:]):
        rows, at_row = np.unique(near.row[rows_of_group], return_inverse=True)
        columns, at_column = np.unique(near.col[rows_of_group], return_inverse=True)
        distance = np.full((len(rows), len(columns)), np.inf)
        distance[at_row, at_column] = near.data[rows_of_group]
        first, second = assign(np.isfinite(distance), np.nan_to_num(distance, posinf=0.0))
        pairs.append(np.column_stack([rows[first], columns[second]]))
    pairs = np.concatenate(pairs) if pairs else np.empty((0, 2), int)
    return pairs[np.argsort(pairs[:, 0])].astype(int)


def _inside(region, positions):
    if region is None:
        return np.ones(len(positions), bool)
    region = np.asarray(region)
    if region.dtype == bool and region.ndim == 2:
        height, width = region.shape
        y, x = np.rint(positions).astype(int).T
        on_image = (y >= 0) & (x >= 0) & (y < height) & (x < width)
        inside = np.zeros(len(positions), bool)
        inside[on_image] = region[y[on_image], x[on_image]]
        return inside
    if region.dtype.kind not in "uif" or region.ndim != 2 or region.shape[1] != 2:
        raise TypeError(
            f"region is {region.dtype} {region.shape}; give vertices (V, 2) of a polygon, or a mask of bool (H, W)"
        )
    if len(region) < 3 or not np.isfinite(region).all():
        raise ValueError("region: a polygon needs three finite vertices (y, x) at least")
    return points_in_poly(positions, region) if len(positions) else np.zeros(0, bool)
