"""What Module I does with a cascade: the windows over scales, and their grouping to candidates."""

import cv2
import numpy as np

from stemlib.loops.boxes import overlap
from stemlib.loops.cascade import Cascade, raw_windows

CONTEXT = 1.4
# Chosen on a series left out of training (200kV): a finer search found 1 % more loops in more than twice the time.
STEP = 3
SCALE_FACTOR = 1.25
_PADDING = 16
_LEAST_OVERLAP = 0.5  # intersection over union of windows that agree


def detection_squares(boxes: np.ndarray, window: int) -> np.ndarray:
    """Return the (N, 4) squares that the detector is to answer for loops with these boxes: with some surroundings."""
    boxes = np.asarray(boxes, float).reshape(-1, 4)
    side = np.maximum(CONTEXT * (boxes[:, 2:] - boxes[:, :2]).max(axis=1), window)[:, None]
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.hstack([centre - side / 2, centre + side / 2])


def find_candidates(cascade: Cascade, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Module I's candidates: windows that pass the cascade, grouped where they agree.

    Parameters
    ----------
    cascade : Cascade
    image : (H, W) uint8
        At a scale at which loops are some 32 px across, see `stemlib.loops.scale`, and 12 at least.

    Returns
    -------
    boxes : (N, 4) float
        ``top, left, bottom, right``, px, of the square windows' means; the loop fills about 1 / 1.4 of the side.
    strength : (N,) int
        Number of windows in the group.

    Examples
    --------
    >>> import numpy as np, stemlib.loops.cascade_xml
    >>> boxes, strength = find_candidates(
    ...     stemlib.loops.cascade_xml.load_cascade(), np.full((64, 64), 128, np.uint8)
    ... )
    >>> boxes.shape
    (0, 4)

    References
    ----------
    Li, Field & Morgan, npj Comput. Mater. 4, 36 (2018), doi:10.1038/s41524-018-0093-8.
    """
    # Loops at the edge fill a window only if the image goes on beyond it.
    padded = cv2.copyMakeBorder(image, *[_PADDING] * 4, cv2.BORDER_REFLECT_101)
    boxes, strength = group(raw_windows(cascade, padded, scale_factor=SCALE_FACTOR, step=STEP))
    return boxes - _PADDING, strength


def group(windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Group overlapping square windows greedily, the most supported first.

    OpenCV's ``groupRectangles`` chains windows that are alike and drops groups within larger ones, which are loops of
    their own here: of the 31 groups of two windows or more in an image of the public set it would leave 22.

    Parameters
    ----------
    windows : (N, 4) int
        ``top, left, height, width`` as `stemlib.loops.cascade.raw_windows` gives them.

    Returns
    -------
    boxes : (M, 4) float
        Mean ``top, left, bottom, right`` of each group.
    strength : (M,) int
        Number of windows in each group.

    Examples
    --------
    >>> import numpy as np
    >>> group(np.array([[0, 0, 24, 24], [2, 0, 24, 24], [60, 60, 24, 24]]))
    (array([[ 0.5, -0.5, 24.5, 23.5], [59.5, 59.5, 83.5, 83.5]]), array([2, 1]))
    """
    corners = np.asarray(windows, float).reshape(-1, 4)
    boxes = np.column_stack([corners[:, :2], corners[:, :2] + corners[:, 2:]])
    boxes = boxes[np.argsort(boxes[:, 0], kind="stable")]
    top, bottom = boxes[:, 0], boxes[:, 2]
    # Sorted by their upper edges, only a range of windows can overlap a window.
    first = np.searchsorted(top, top - (bottom - top).max(initial=0))
    last = np.searchsorted(top, bottom)
    agreeing = [
        i + np.flatnonzero(overlap(boxes[n : n + 1], boxes[i:j])[0] >= _LEAST_OVERLAP)
        for n, (i, j) in enumerate(zip(first, last, strict=True))
    ]
    free = np.ones(len(boxes), bool)
    means, strength = [], []
    for n in np.argsort([-len(others) for others in agreeing], kind="stable"):
        if free[n]:
            members = agreeing[n][free[agreeing[n]]]
            free[members] = False
            means.append(boxes[members].mean(axis=0))
            strength.append(len(members))
    return np.reshape(means, (-1, 4)) - 0.5, np.array(strength, int)
