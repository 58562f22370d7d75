"""From unusual places to defects: what several tests and segments show of one defect is joined; lines are chains."""

import numpy as np
import pandas as pd
from scipy import ndimage, sparse
from scipy.spatial import cKDTree

COLUMNS = ["y", "x", "kind", "score", "p_value", "flagged_by", "intensity_ratio", "offset"]
_MOVED = 0.9  # over the spacing: an interstitial column so close to an empty site has moved off it
_SHARED = 1.25  # columns' worth of intensity: a peak with more, beside an empty site, hides the site's column
_BESIDE = 1.2  # over the spacing: so close to a defect, its neighbours are changed by it
_WEAKER = 0.25  # of the logarithm of a p-value: so much weaker is what a defect does to its neighbours
_LINKED = 1.6  # over the spacing, between links of a chain
_FEWEST_LINKS = 4
_ELONGATED = 2.5  # ratio of a chain's standard deviations along and across
_SMALLEST_LOG = -1e4 * np.log(10)


def join_parts(places, segments, flagged_segments, spacing):
    """Join what column statistics and Patterson functions flagged.

    A column beside an empty site has moved off it; so has one that stands so close to a neighbour of that site that
    both show as one peak. Weak changes beside a strong defect are part of it. Segments that
    show a defect of the columns are explained by it; of the others, the fewest points that explain them all are
    defects of structure.

    Parameters
    ----------
    places : pandas.DataFrame or None
        As `stemlib.defects.column_statistics.compare_sites` returns them, only those that are flagged.
    segments : stemlib.defects.one_class.SegmentScores or None
    flagged_segments : numpy.ndarray of bool, shape (N,)
    spacing : float
        Distance of neighbouring columns, px.

    Returns
    -------
    pandas.DataFrame
        ``y, x, kind, score, p_value, flagged_by, intensity_ratio, offset``, the least likely first.
    """
    rows = _joined(places, spacing) if places is not None else _no_rows()
    rows["flagged_by"] = "contrast"
    if segments is not None and flagged_segments.any():
        shown = segments.showing(rows[["y", "x"]].to_numpy())
        rows["flagged_by"] = ["both" if flagged_segments[s].any() else "contrast" for s in shown]
        known = places[["y", "x"]].to_numpy() if places is not None else []
        found = _structure(segments, flagged_segments & ~segments.showing_any(known))
        rows = pd.concat([rows, found], ignore_index=True) if len(rows) else found
    rows["score"] = score_of(rows["log_p"])
    rows["p_value"] = np.exp(rows["log_p"].to_numpy(float))
    return rows.sort_values("score", ascending=False, ignore_index=True, kind="stable")[COLUMNS]


def score_of(log_p):
    """Minus the decimal logarithm of a p-value from its natural one; finite."""
    return -np.maximum(np.asarray(log_p, float), _SMALLEST_LOG) / np.log(10) + 0.0


def number_chains(table, spacing):
    """Add a column ``chain``: the number of the line of defects that each belongs to, -1 for none.

    Defects closer than 1.6 spacings are linked; four or more that lie along a line are a chain.

    Examples
    --------
    >>> table = pd.DataFrame({"y": [50.0] * 5 + [10.0], "x": [10.0, 20, 30, 40, 50, 90]})
    >>> number_chains(table, 10.0).chain.tolist()
    [0, 0, 0, 0, 0, -1]
    """
    chain = np.full(len(table), -1)
    if len(table) >= _FEWEST_LINKS:
        at = table[["y", "x"]].to_numpy(float)
        first, second = cKDTree(at).query_pairs(_LINKED * spacing, output_type="ndarray").T
        links = sparse.coo_array((np.ones(len(first)), (first, second)), shape=(len(at), len(at)))
        _, group = sparse.csgraph.connected_components(links, directed=False)
        number = 0
        for one in np.flatnonzero(np.bincount(group) >= _FEWEST_LINKS):
            members = group == one
            spread = np.linalg.svd(at[members] - at[members].mean(axis=0), compute_uv=False)
            if spread[0] >= _ELONGATED * spread[1]:
                chain[members] = number
                number += 1
    return table.assign(chain=chain)


def nearest_values(tables, shape, reach):
    """Map (H, W) float32 of the scores of tables' nearest rows, the largest of all; NaN farther than `reach` px."""
    result = np.full(shape, np.nan, np.float32)
    for table in tables:
        if not len(table):
            continue
        at = table[["y", "x"]].to_numpy(float)
        seeds = np.zeros(shape, np.int32)
        row, column = np.clip(np.rint(at).astype(int), 0, np.array(shape) - 1).T
        order = table["score"].to_numpy().argsort(kind="stable")
        seeds[row[order], column[order]] = order + 1
        distance, nearest = ndimage.distance_transform_edt(seeds == 0, return_indices=True)
        values = table["score"].to_numpy(np.float32)[seeds[tuple(nearest)] - 1]
        result = np.fmax(result, np.where(distance <= reach, values, np.float32(np.nan)))
    return result


def _no_rows():
    texts = {"kind": object, "flagged_by": object}
    return pd.DataFrame({name: np.zeros(0, texts.get(name, float)) for name in [*COLUMNS, "log_p"]})


def _joined(places, spacing):
    """One row per defect."""
    rows = places.sort_values("log_p", ignore_index=True, kind="stable")
    if len(rows) < 2:
        return rows
    at, dropped, has_moved = rows[["y", "x"]].to_numpy(float), *np.zeros((2, len(rows)), bool)
    kind, log_p, offset = (rows[name].to_numpy().copy() for name in ("kind", "log_p", "offset"))
    pairs = cKDTree(at).query_pairs(_BESIDE * spacing, output_type="ndarray")
    distance = np.linalg.norm(at[pairs[:, 0]] - at[pairs[:, 1]], axis=1)
    for (first, second), apart in sorted(zip(pairs.tolist(), distance, strict=True), key=lambda p: p[1]):
        if dropped[first] or dropped[second]:
            continue
        for left, moved in ((first, second), (second, first)):
            free = kind[left] == "missing" and not has_moved[moved]
            if free and _holds_column(rows.iloc[moved], apart, spacing):
                kind[moved], offset[moved] = "displaced", apart
                dropped[left] = has_moved[moved] = True
                # One defect, as unlikely as the less likely of its signs.
                log_p[moved] = min(log_p[moved], log_p[left])
                break
    for first, second in (sorted(pair, key=lambda row: log_p[row]) for pair in pairs.tolist()):
        beside = kind[second] in ("displaced", "dim", "bright")
        if beside and not dropped[first] and log_p[second] > _WEAKER * log_p[first]:
            dropped[second] = True
    return rows.assign(kind=kind, offset=offset, log_p=log_p)[~dropped].reset_index(drop=True)


def _holds_column(row, apart, spacing):
    """Whether the column of an empty site so far away is this one, or hides in its peak."""
    if row["kind"] == "interstitial":
        return apart <= _MOVED * spacing
    return row["kind"] in ("bright", "displaced") and row["content"] >= _SHARED


def _structure(segments, unexplained):
    """The points that explain unusual segments, one after the other: where all segments that show it are unusual."""
    inverse = np.linalg.inv(segments.axes)
    places = segments.positions @ inverse
    tree = cKDTree(places)
    rest = unexplained.copy()
    rows = []
    for top in np.argsort(segments.log_p, kind="stable"):
        if not rest[top]:
            continue
        near = np.array(tree.query_ball_point(places[top], 0.5, p=np.inf))
        evidence = np.array(
            [-segments.log_p[i].mean() for i in tree.query_ball_point(places[near], 0.5, p=np.inf)]
        )
        best = near[evidence.argmax()]
        # Segments start at steps: the middle of those that are about as good.
        around = (np.abs(places[near] - places[best]).max(axis=1) <= 0.4) & (evidence >= 0.9 * evidence.max())
        point = segments.positions[near[around]].mean(axis=0)
        showing = np.asarray(segments.showing(point[None])[0], int)
        rest[showing], rest[top] = False, False
        rows.append((*point, segments.log_p[top]))
    y, x, log_p = np.array(rows).reshape(-1, 3).T
    return pd.DataFrame(
        {"y": y, "x": x, "kind": "structure", "flagged_by": "patterson", "intensity_ratio": np.nan}
        | {"offset": np.nan, "log_p": log_p}
    )
