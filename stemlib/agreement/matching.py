"""Which objects of one set match which of another: boxes by the published rule or one to one, columns one to one."""

from dataclasses import dataclass, fields

import numpy as np
from scipy import sparse
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

from stemlib.agreement.objects import as_boxes, as_positions, column_spacing, inside

RULES = ("published", "one-to-one")
REACH_IN_SPACINGS = 0.25


@dataclass(frozen=True)
class Match:
    """What was matched in one image, or in several images pooled.

    Attributes
    ----------
    rule : {"published", "one-to-one"}
        The rule that made it.
    pairs : numpy.ndarray of int, shape (K, 2)
        Index into truth and index into found of every matched pair. By the published rule a row of either
        side may occur in several pairs.
    offset : numpy.ndarray of float64, shape (K, 2)
        Found minus true position, of boxes their centre's, (y, x) px.
    is_found : numpy.ndarray of bool, shape (N,)
        For every object of the truth, whether it is in a pair.
    is_true : numpy.ndarray of bool, shape (M,)
        For every object found, whether it is in a pair.
    in_truth, in_found : numpy.ndarray of bool, shape (N,) and (M,)
        Which objects lie in the region that is scored.
    on_class : numpy.ndarray of int, shape (M,)
        For every object found that is in no pair, the class of the other object it lies on; -1 elsewhere.
    """

    rule: str
    pairs: np.ndarray
    offset: np.ndarray
    is_found: np.ndarray
    is_true: np.ndarray
    in_truth: np.ndarray
    in_found: np.ndarray
    on_class: np.ndarray

    @property
    def distance(self):
        """Distance of each pair, px, shape (K,)."""
        return np.hypot(*self.offset.T)


def match(
    truth,
    found,
    *,
    rule="one-to-one",
    reach_px=20.0,
    reach_relative=0.5,
    other=None,
    other_class=None,
):
    """Match the boxes found with the boxes of the truth.

    Rule "published": two objects match if their box centres differ by at most `reach_px` in y and in x. It
    is not one-to-one: several boxes found may match one object of the truth, and all of them count as true.

    Rule "one-to-one": two objects may match if the distance of their box centres is at most `reach_relative`
    times the geometric mean side of the truth's box; among all assignments that leave nobody matched twice,
    the one with the most pairs is taken, and among those the one with the smallest sum of distances. The
    reach scales with the object, so that it means the same at any magnification. At its default of 0.5 the
    centre found lies well inside the object, and two equal squares that far apart along an axis overlap by a
    third of their union.

    Parameters
    ----------
    truth, found : array_like, shape (N, 4) and (M, 4), or DataFrame
        Top, left, bottom and right edges, px; a DataFrame needs columns of these names.
    rule : {"one-to-one", "published"}
        See above.
    reach_px : float
        Reach of the published rule, px.
    reach_relative : float
        Reach of the one-to-one rule, as a fraction of the truth's geometric mean side.
    other : array_like, shape (P, 4), or DataFrame, optional
        Boxes of labelled objects that are not the truth, such as loops of another class. What is found on
        them stays false, and is told apart: see `Match.on_class`.
    other_class : array_like of int, shape (P,), optional
        Their classes; all 1 where it is not given.

    Returns
    -------
    Match

    Raises
    ------
    ValueError
        If the rule is unknown, a box array has another shape, holds values that are not finite or edges out
        of order, a reach is not positive, or `other_class` has another length than `other`.

    References
    ----------
    Published rule: Li, Field & Morgan, npj Comput. Mater. 4, 36 (2018),
    https://doi.org/10.1038/s41524-018-0093-8

    Examples
    --------
    Two boxes on one loop are both true by the published rule; one-to-one, one of them is false.

    >>> from stemlib.agreement import match
    >>> truth = [[100, 100, 140, 140]]
    >>> found = [[102, 101, 142, 141], [95, 95, 135, 135]]
    >>> match(truth, found, rule="published").is_true
    array([ True,  True])
    >>> match(truth, found, rule="one-to-one").is_true
    array([ True, False])
    """
    if rule not in RULES:
        raise ValueError(f"rule={rule!r} must be one of {', '.join(map(repr, RULES))}")
    _check_reach(reach_px=reach_px, reach_relative=reach_relative)
    truth, found = as_boxes(truth, "truth"), as_boxes(found, "found")
    other = as_boxes(np.empty((0, 4)) if other is None else other, "other")
    other_class = np.ones(len(other), int) if other_class is None else np.asarray(other_class, dtype=int)
    if other_class.shape != (len(other),):
        raise ValueError(f"other_class has shape {other_class.shape}; other has {len(other)} boxes")

    near, distance = _near(truth, found, rule, reach_px, reach_relative)
    pairs = np.column_stack(_assigned(near, distance) if rule == "one-to-one" else np.nonzero(near))
    on_class = np.full(len(found), -1)
    if len(other):
        near_other, distance_other = _near(other, found, rule, reach_px, reach_relative)
        nearest = np.where(near_other, distance_other, np.inf).argmin(axis=0)
        on_other = near_other.any(axis=0)
        on_class[on_other] = other_class[nearest[on_other]]
    return _match(rule, pairs, _centres(truth), _centres(found), None, on_class)


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
    Match

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
    truth, found = as_positions(truth, "truth"), as_positions(found, "found")
    if reach_px is None:
        reach_px = REACH_IN_SPACINGS * column_spacing(truth)
    _check_reach(reach_px=reach_px)
    pairs = _column_pairs(truth, found, float(reach_px))
    return _match("one-to-one", pairs, truth, found, region, np.full(len(found), -1))


def pool(matches):
    """Join the matches of several images into one, so that counts are pooled and not ratios averaged.

    Parameters
    ----------
    matches : iterable of Match
        Matches made with one rule.

    Returns
    -------
    Match
        Indices count on through the images in order.

    Raises
    ------
    ValueError
        If there is none, or the rules differ.

    Examples
    --------
    >>> from stemlib.agreement import match, pool
    >>> box = [[0, 0, 30, 30]]
    >>> both = pool([match(box, box), match(box, [])])
    >>> both.is_found
    array([ True, False])
    """
    matches = list(matches)
    rules = {one.rule for one in matches}
    if len(rules) != 1:
        raise ValueError(f"matches must hold at least one match, all by one rule; it holds {sorted(rules)}")
    sizes = [(len(one.is_found), len(one.is_true)) for one in matches]
    before = np.cumsum([(0, 0), *sizes[:-1]], axis=0)
    joined = {
        field.name: np.concatenate([getattr(one, field.name) for one in matches])
        for field in fields(Match)
        if field.name not in ("rule", "pairs")
    }
    pairs = np.concatenate([one.pairs + start for one, start in zip(matches, before, strict=True)])
    return Match(rule=rules.pop(), pairs=pairs, **joined)


def _check_reach(**reaches):
    for name, reach in reaches.items():
        if not 0 < reach < np.inf:
            raise ValueError(f"{name}={reach!r} must be a positive number")


def _match(rule, pairs, truth, found, region, on_class):
    """Return the match that pairs make of positions (N, 2) and (M, 2); what is in a pair lies on no other class."""
    is_found, is_true = np.zeros(len(truth), bool), np.zeros(len(found), bool)
    is_found[pairs[:, 0]] = True
    is_true[pairs[:, 1]] = True
    offset = found[pairs[:, 1]] - truth[pairs[:, 0]]
    scored = (inside(region, positions) for positions in (truth, found))
    return Match(rule, pairs, offset, is_found, is_true, *scored, np.where(is_true, -1, on_class))


def _centres(boxes):
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def _near(truth, found, rule, reach_px, reach_relative):
    """Return who is in reach of whom, and the distances of the centres, both (N, M)."""
    off = _centres(truth)[:, None] - _centres(found)[None]
    distance = np.hypot(off[..., 0], off[..., 1])
    if rule == "published":
        return (np.abs(off) <= reach_px).all(axis=2), distance
    side = np.sqrt((truth[:, 2] - truth[:, 0]) * (truth[:, 3] - truth[:, 1]))
    return distance <= reach_relative * side[:, None], distance


def _assigned(near, distance):
    """Return the pairs of the assignment with the most pairs, then the smallest sum of distances."""
    if not near.any():
        return np.empty(0, int), np.empty(0, int)
    # One pair more must outweigh every distance together, hence the scale.
    scale = 1 + min(near.shape) * distance[near].max()
    cost = np.where(near, distance / scale - 1, 0.0)
    rows, columns = linear_sum_assignment(cost)
    kept = near[rows, columns]
    return rows[kept], columns[kept]


def _column_pairs(truth, found, reach_px):
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
        first, second = _assigned(np.isfinite(distance), np.nan_to_num(distance, posinf=0.0))
        pairs.append(np.column_stack([rows[first], columns[second]]))
    pairs = np.concatenate(pairs) if pairs else np.empty((0, 2), int)
    return pairs[np.argsort(pairs[:, 0])].astype(int)
