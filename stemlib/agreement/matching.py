"""Which boxes of one set match which of another, by the published rule or one to one."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

_EDGES = ["top", "left", "bottom", "right"]
RULES = ("published", "one-to-one")


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
    distance : numpy.ndarray of float64, shape (K,)
        Distance of the two centres, px.
    is_found : numpy.ndarray of bool, shape (N,)
        For every object of the truth, whether it is in a pair.
    is_true : numpy.ndarray of bool, shape (M,)
        For every object found, whether it is in a pair.
    on_class : numpy.ndarray of int, shape (M,)
        For every object found that is in no pair, the class of the other object it lies on; -1 elsewhere.
    """

    rule: str
    pairs: np.ndarray
    distance: np.ndarray
    is_found: np.ndarray
    is_true: np.ndarray
    on_class: np.ndarray


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
    for name, reach in (("reach_px", reach_px), ("reach_relative", reach_relative)):
        if not 0 < reach < np.inf:
            raise ValueError(f"{name}={reach!r} must be a positive number")
    truth, found = as_boxes(truth, "truth"), as_boxes(found, "found")
    other = as_boxes(np.empty((0, 4)) if other is None else other, "other")
    other_class = np.ones(len(other), int) if other_class is None else np.asarray(other_class, dtype=int)
    if other_class.shape != (len(other),):
        raise ValueError(f"other_class has shape {other_class.shape}; other has {len(other)} boxes")

    near, distance = _near(truth, found, rule, reach_px, reach_relative)
    if rule == "one-to-one":
        rows, columns = assign(near, distance)
    else:
        rows, columns = np.nonzero(near)
    is_found, is_true = np.zeros(len(truth), bool), np.zeros(len(found), bool)
    is_found[rows] = True
    is_true[columns] = True

    on_class = np.full(len(found), -1)
    if len(other):
        near_other, distance_other = _near(other, found, rule, reach_px, reach_relative)
        nearest = np.where(near_other, distance_other, np.inf).argmin(axis=0)
        on_other = near_other.any(axis=0) & ~is_true
        on_class[on_other] = other_class[nearest[on_other]]
    return Match(rule, np.column_stack([rows, columns]), distance[rows, columns], is_found, is_true, on_class)


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
    truths = np.cumsum([0, *(len(one.is_found) for one in matches)])
    founds = np.cumsum([0, *(len(one.is_true) for one in matches)])
    shifted = [one.pairs + [truths[i], founds[i]] for i, one in enumerate(matches)]
    return Match(
        rules.pop(),
        np.concatenate(shifted),
        np.concatenate([one.distance for one in matches]),
        np.concatenate([one.is_found for one in matches]),
        np.concatenate([one.is_true for one in matches]),
        np.concatenate([one.on_class for one in matches]),
    )


def longer_side(boxes):
    """Return the longer side of each box, the size to use where no axes were drawn.

    Parameters
    ----------
    boxes : array_like, shape (N, 4), or DataFrame
        As `truth` of `match`.

    Returns
    -------
    numpy.ndarray of float64, shape (N,)
        Longer sides, px.

    Raises
    ------
    ValueError
        As `match`.

    Examples
    --------
    >>> from stemlib.agreement import longer_side
    >>> longer_side([[0, 0, 30, 20], [5, 5, 10, 45]])
    array([30., 40.])
    """
    boxes = as_boxes(boxes, "boxes")
    return np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])


def touches_edge(boxes, shape, *, margin_px=1.0):
    """Return which boxes reach the edge of the image, where an object is cut off and its size not known.

    Parameters
    ----------
    boxes : array_like, shape (N, 4), or DataFrame
        As `truth` of `match`.
    shape : tuple of int
        Height and width of the image, px.
    margin_px : float
        How far from the edge still counts as touching, px.

    Returns
    -------
    numpy.ndarray of bool, shape (N,)

    Raises
    ------
    ValueError
        As `match`.

    Examples
    --------
    >>> from stemlib.agreement import touches_edge
    >>> touches_edge([[-0.5, 10, 20, 30], [10, 10, 20, 20]], (64, 64))
    array([ True, False])
    """
    boxes = as_boxes(boxes, "boxes")
    low = boxes[:, :2].min(axis=1, initial=np.inf) <= margin_px - 0.5
    return low | (boxes[:, 2:] >= np.subtract(shape, margin_px + 0.5)).any(axis=1)


def as_boxes(boxes, name):
    """Return boxes as a checked (N, 4) float array of top, left, bottom, right."""
    if isinstance(boxes, pd.DataFrame):
        missing = [edge for edge in _EDGES if edge not in boxes]
        if missing:
            raise ValueError(f"{name} lacks the column(s) {', '.join(missing)}")
        boxes = boxes[_EDGES]
    boxes = np.asarray(boxes, dtype=np.float64)
    if boxes.size == 0:
        boxes = boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"{name} has shape {boxes.shape}; boxes need (N, 4): top, left, bottom, right")
    bad = np.flatnonzero(~np.isfinite(boxes).all(axis=1) | (boxes[:, 2:] < boxes[:, :2]).any(axis=1))
    if bad.size:
        raise ValueError(
            f"{name}, row {bad[0]}: {boxes[bad[0]].tolist()} is not finite top, left, bottom, right"
        )
    return boxes


def _near(truth, found, rule, reach_px, reach_relative):
    """Return who is in reach of whom, and the distances of the centres, both (N, M)."""
    centres = [(boxes[:, :2] + boxes[:, 2:]) / 2 for boxes in (truth, found)]
    off = centres[0][:, None] - centres[1][None]
    distance = np.hypot(off[..., 0], off[..., 1])
    if rule == "published":
        return (np.abs(off) <= reach_px).all(axis=2), distance
    side = np.sqrt((truth[:, 2] - truth[:, 0]) * (truth[:, 3] - truth[:, 1]))
    return distance <= reach_relative * side[:, None], distance


def assign(near, distance):
    """Return the pairs of the assignment with the most pairs, then the smallest sum of distances."""
    if not near.any():
        return np.empty(0, int), np.empty(0, int)
    # One pair more must outweigh every distance together, hence the scale.
    scale = 1 + min(near.shape) * distance[near].max()
    cost = np.where(near, distance / scale - 1, 0.0)
    rows, columns = linear_sum_assignment(cost)
    kept = near[rows, columns]
    return rows[kept], columns[kept]
