"""What Module I does with a cascade: the working image, the windows over scales, and their grouping to candidates."""

from __future__ import annotations

import cv2
import numba
import numpy as np

from stemlib.loops.cascade import Cascade, raw_windows

CONTEXT = 1.4
# Chosen on a series left out of training (200kV): a finer search found 1 % more loops in more than twice the time.
STEP = 3
SCALE_FACTOR = 1.25
_PADDING = 16


def default_min_diameter(shape: tuple[int, int]) -> float:
    """Return the diameter of the smallest loop sought by default, px: 1/85 of the longer side, at least 12."""
    return max(12.0, max(shape) / 85)


def working_image(image: np.ndarray, min_diameter: float) -> tuple[np.ndarray, int]:
    """Reduce an image by a whole factor so that the smallest loop sought is not finer sampled than need be.

    Parameters
    ----------
    image : (H, W) uint8
    min_diameter : float
        Diameter of the smallest loop sought, px of `image`.

    Returns
    -------
    reduced : (H // factor, W // factor) uint8
    factor : int

    Raises
    ------
    ValueError
        If the smallest loop sought is so large that nothing would be left of the image.

    Examples
    --------
    >>> import numpy as np
    >>> working_image(np.zeros((100, 100), np.uint8), 24)[1]
    2
    """
    if not min_diameter // 12 <= min(image.shape):
        height, width = image.shape
        raise ValueError(
            f"min_diameter={min_diameter} px is too large for an image of {height} x {width} px; at most its "
            "shorter side would do"
        )
    factor = max(1, int(min_diameter // 12))
    if factor == 1:
        return image, 1
    height, width = (side // factor for side in image.shape)
    whole = image[: height * factor, : width * factor]
    return cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), factor


def detection_squares(boxes: np.ndarray, window: int) -> np.ndarray:
    """Return the (N, 4) squares that the detector is to answer for loops with these boxes: with some surroundings."""
    boxes = np.asarray(boxes, float).reshape(-1, 4)
    side = np.maximum(CONTEXT * (boxes[:, 2:] - boxes[:, :2]).max(axis=1), window)[:, None]
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.hstack([centre - side / 2, centre + side / 2])


def find_candidates(
    cascade: Cascade, image: np.ndarray, *, min_neighbours: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Return Module I's candidates: windows that pass the cascade, grouped where they agree.

    Parameters
    ----------
    cascade : Cascade
    image : (H, W) uint8
        See `working_image`.
    min_neighbours : int
        A group of fewer windows than this is dropped.

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
    Li, Field & Morgan, npj Comput. Mater. 4, 36 (2018), doi:10.1038/s41524-018-0093-8; grouping as OpenCV's
    ``groupRectangles``.
    """
    # Loops at the edge fill a window only if the image goes on beyond it.
    padded = cv2.copyMakeBorder(image, *[_PADDING] * 4, cv2.BORDER_REFLECT_101)
    windows, _ = raw_windows(cascade, padded, scale_factor=SCALE_FACTOR, step=STEP)
    return group(windows, min_neighbours=min_neighbours, shift=-_PADDING)


def group(windows: np.ndarray, *, min_neighbours: int = 2, shift: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Group overlapping square windows greedily, the most supported first.

    Parameters
    ----------
    windows : (N, 4) int
        ``top, left, height, width`` as `stemlib.loops.cascade.raw_windows` gives them.
    min_neighbours : int
        A group of fewer windows than this is dropped.
    shift : int
        Added to all positions.

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
    (array([[ 0.5, -0.5, 24.5, 23.5]]), array([2]))
    """
    corners = np.asarray(windows, float).reshape(-1, 4)
    boxes = np.column_stack([corners[:, :2], corners[:, :2] + corners[:, 2:]])
    boxes = np.ascontiguousarray(boxes[np.argsort(boxes[:, 0], kind="stable")])
    means, strength = _group(boxes, 0.5)
    kept = strength >= min_neighbours
    return means[kept] + (shift - 0.5), strength[kept]


@numba.njit(cache=True)
def _overlap(a, b):
    height = min(a[2], b[2]) - max(a[0], b[0])
    width = min(a[3], b[3]) - max(a[1], b[1])
    if height <= 0 or width <= 0:
        return 0.0
    shared = height * width
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


@numba.njit(cache=True)
def _group(boxes, least_overlap):
    n = len(boxes)
    support = np.ones(n, np.int64)
    for i in range(n):
        for j in range(i + 1, n):
            if boxes[j, 0] >= boxes[i, 2]:
                break
            if _overlap(boxes[i], boxes[j]) >= least_overlap:
                support[i] += 1
                support[j] += 1
    tallest = 0.0
    for i in range(n):
        tallest = max(tallest, boxes[i, 2] - boxes[i, 0])
    free = np.ones(n, np.bool_)
    means, strength = np.empty((n, 4)), np.empty(n, np.int64)
    groups = 0
    for i in np.argsort(-support, kind="mergesort"):
        if not free[i]:
            continue
        total, members = np.zeros(4), 0
        first = np.searchsorted(boxes[:, 0], boxes[i, 0] - tallest)
        for j in range(first, n):
            if boxes[j, 0] >= boxes[i, 2]:
                break
            if free[j] and _overlap(boxes[i], boxes[j]) >= least_overlap:
                free[j] = False
                total += boxes[j]
                members += 1
        means[groups] = total / members
        strength[groups] = members
        groups += 1
    return means[:groups], strength[:groups]
