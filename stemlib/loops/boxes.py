"""Small arithmetic on boxes: ``top, left, bottom, right`` edges in pixel-centre coordinates."""

from __future__ import annotations

import numpy as np

COLUMNS = ["top", "left", "bottom", "right"]


def areas(boxes: np.ndarray) -> np.ndarray:
    """Return the (N,) areas of (N, 4) boxes, px²."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def overlap(boxes: np.ndarray, others: np.ndarray, *, of: str = "union") -> np.ndarray:
    """Return the shared area of every pair of boxes over the area of their union, or of the smaller of the two.

    Parameters
    ----------
    boxes, others : (N, 4), (M, 4) float
    of : {"union", "smaller"}
        What the shared area is divided by.

    Returns
    -------
    (N, M) float

    Examples
    --------
    >>> import numpy as np
    >>> overlap(np.array([[0.0, 0, 2, 2]]), np.array([[0.0, 1, 2, 3]]))
    array([[0.33333333]])
    """
    top_left = np.maximum(boxes[:, None, :2], others[None, :, :2])
    bottom_right = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.clip(bottom_right - top_left, 0, None).prod(axis=2)
    if of == "smaller":
        whole = np.minimum(areas(boxes)[:, None], areas(others)[None])
    else:
        whole = areas(boxes)[:, None] + areas(others)[None] - shared
    return np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)


def suppress(
    boxes: np.ndarray, scores: np.ndarray, eligible: np.ndarray, *, most_overlap: float = 0.4
) -> np.ndarray:
    """Return the positions of the boxes that stay when of boxes that say the same only the best is kept.

    Parameters
    ----------
    boxes : (N, 4) float
    scores : (N,) float
    eligible : (N,) bool
        Boxes that take part at all.
    most_overlap : float
        Of two boxes with a larger intersection over union, the one with the lower score goes.

    Returns
    -------
    (M,) int
        Best first.

    Examples
    --------
    >>> import numpy as np
    >>> suppress(np.array([[0.0, 0, 9, 9], [0, 1, 9, 10]]), np.array([0.5, 0.9]), np.ones(2, bool))
    array([1])
    """
    order = np.flatnonzero(eligible)
    order = order[np.argsort(-scores[order], kind="stable")]
    kept = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(best)
        order = rest[overlap(boxes[best : best + 1], boxes[rest])[0] <= most_overlap]
    return np.array(kept, dtype=int)
