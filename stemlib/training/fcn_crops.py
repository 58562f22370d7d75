"""Crops to train the fully convolutional loop detector on: cut, turned, scaled, and what it should answer."""

import cv2
import numpy as np

from stemlib.loops.fcn import CELL, SIZE_UNIT, reduction

CROP = 512  # frame px
# A loop cut by the crop's edge is a loop if this share of its box is left; else nothing is asked there.
_KEEP = 0.4


def frame_boxes(boxes, shape):
    """Boxes in px of an image of this shape, as boxes in px of its frame, counted from its upper left edge.

    Parameters
    ----------
    boxes : numpy.ndarray, (N, 4)
        Top, left, bottom, right, px.
    shape : tuple of int
        Height and width of the image, px.

    Returns
    -------
    numpy.ndarray, (N, 4), float32

    Examples
    --------
    >>> frame_boxes(np.array([[9.5, 19.5, 29.5, 39.5]]), (2048, 2048))
    array([[ 5., 10., 15., 20.]], dtype=float32)
    """
    return ((np.asarray(boxes, dtype=np.float32).reshape(-1, 4) + 0.5) / reduction(shape)).astype(np.float32)


def draw_targets(boxes, sure_size, side, disputed=()):
    """What the network should answer for the boxes of one crop.

    Parameters
    ----------
    boxes : numpy.ndarray, (N, 4), float
        Top, left, bottom, right in frame px, counted from the upper left edge of the crop; may reach over it.
    sure_size : bool
        Whether the boxes' sizes are to be learned.
    side : int
        Side of the crop, frame px.
    disputed : array_like, (M, 4), float
        Boxes in which nothing is asked but where a loop has its centre, likewise.

    Returns
    -------
    numpy.ndarray, (7, side / 4, side / 4), float32
        Centre map; log height, log width, offset y, offset x; weight of these four; where the centre map
        counts.

    Examples
    --------
    >>> targets = draw_targets(np.array([[20.0, 20.0, 40.0, 56.0]]), True, 64)
    >>> targets.shape, float(targets[0, 7, 9])
    ((7, 16, 16), 1.0)
    """
    cells = side // CELL
    targets = np.zeros((7, cells, cells), np.float32)
    targets[6] = 1
    owner = np.zeros((cells, cells), np.float32)
    y, x = np.mgrid[:cells, :cells].astype(np.float32)
    for box in np.asarray(boxes, dtype=np.float32):
        inside = np.clip(box, 0, side)
        size = inside[2:] - inside[:2]
        share = np.prod(size) / np.prod(np.maximum(box[2:] - box[:2], 1))
        if min(size) <= 0:
            continue
        if share < _KEEP:
            _ask_nothing(targets, inside)
            continue
        size = np.maximum(size, 2)
        centre = (inside[:2] + inside[2:]) / 2 / CELL - 0.5
        spread = np.maximum(0.09 * size / CELL, 0.7)
        at = np.clip(np.round(centre), 0, cells - 1)
        # The peak lies on a cell, so that one cell is exactly 1 and counts as the positive.
        bump = np.exp(-(((y - at[0]) / spread[0]) ** 2 + ((x - at[1]) / spread[1]) ** 2) / 2)
        mine = (bump > 0.5) & (bump > owner)
        owner[mine] = bump[mine]
        targets[0] = np.maximum(targets[0], bump)
        targets[1][mine], targets[2][mine] = np.log(size / SIZE_UNIT)
        targets[3][mine] = centre[0] - y[mine]
        targets[4][mine] = centre[1] - x[mine]
        targets[5][mine] = bump[mine] if sure_size else 0
    for box in np.clip(np.asarray(disputed, dtype=np.float32).reshape(-1, 4), 0, side):
        if (box[2:] > box[:2]).all():
            _ask_nothing(targets, box)
    targets[6] = np.maximum(targets[6], targets[0] == 1)
    return targets


def _ask_nothing(targets, box):
    top, left, bottom, right = (box / CELL).astype(int)
    targets[6, top : bottom + 1, left : right + 1] = 0


def _random_map(rng, shape, boxes, scales):
    """Matrix (2, 3) of a random crop: place, turn, mirroring, scale; and whether box sizes stay exact."""
    scale = np.exp(rng.uniform(*np.log(scales)))
    tilted = rng.random() < 0.25
    angle = rng.uniform(0, 2 * np.pi) if tilted else rng.integers(4) * np.pi / 2
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if rng.random() < 0.5:
        turn = turn @ np.array([[-1.0, 0], [0, 1.0]])
    reach = CROP / 2 / scale
    room = [(min(reach, side / 2), max(side - reach, side / 2)) for side in shape]
    centre = np.array([rng.uniform(*room[0]), rng.uniform(*room[1])])
    if len(boxes) and rng.random() < 0.5:
        box = boxes[rng.integers(len(boxes))]
        wanted = (box[:2] + box[2:]) / 2 + rng.uniform(-0.8, 0.8, 2) * reach
        centre = np.array([np.clip(want, *limits) for want, limits in zip(wanted, room, strict=True)])
    matrix = scale * turn
    return np.column_stack([matrix, CROP / 2 - matrix @ centre]), not tilted


def _map_boxes(boxes, matrix):
    """Boxes of the mapped ellipses, taking their axes as parallel to the image's."""
    if not len(boxes):
        return boxes
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 @ matrix[:, :2].T + matrix[:, 2]
    half = np.sqrt(((boxes[:, 2:] - boxes[:, :2]) / 2) ** 2 @ (matrix[:, :2] ** 2).T)
    return np.concatenate([centre - half, centre + half], axis=1)


def draw_crop(frame, boxes, rng, scales=(0.7, 1.4), disputed=()):
    """One augmented crop and its targets.

    Parameters
    ----------
    frame : numpy.ndarray, (H, W), float32
        As `stemlib.loops.fcn.to_frame` gives it.
    boxes : numpy.ndarray, (N, 4), float32
        As `frame_boxes` gives them.
    rng : numpy.random.Generator
        Source of randomness.
    scales : tuple of float
        Smallest and largest factor to scale by.
    disputed : numpy.ndarray, (M, 4), float32
        Boxes that may or may not hold a loop, as `frame_boxes` gives them.

    Returns
    -------
    crop : numpy.ndarray, (512, 512), float32
    targets : numpy.ndarray, (7, 128, 128), float32
        See `draw_targets`.

    Examples
    --------
    >>> crop, targets = draw_crop(
    ...     np.zeros((300, 300), np.float32), np.zeros((0, 4)), np.random.default_rng(1)
    ... )
    >>> crop.shape, targets.shape
    ((512, 512), (7, 128, 128))
    """
    matrix, sure_size = _random_map(rng, frame.shape, boxes, scales)
    # OpenCV wants (x, y) and pixel centres at whole numbers.
    swapped = matrix[::-1, [1, 0, 2]].copy()
    swapped[:, 2] += 0.5 * swapped[:, :2].sum(axis=1) - 0.5
    crop = cv2.warpAffine(frame, swapped, (CROP, CROP), flags=cv2.INTER_LINEAR)
    crop = crop * np.exp(rng.normal(0, 0.2)) + rng.normal(0, 0.25)
    crop += rng.uniform(-0.1, 0.1) * (np.clip(crop, -4, 4) ** 2 - 1)
    if rng.random() < 0.5:
        slow = rng.normal(0, 0.4, (3, 3)).astype(np.float32)
        crop += cv2.resize(slow, (CROP, CROP), interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.3:
        crop = cv2.GaussianBlur(crop.astype(np.float32), (0, 0), rng.uniform(0.5, 2.0))
    if rng.random() < 0.5:
        crop = crop + rng.uniform(0, 0.5) * rng.standard_normal(crop.shape, dtype=np.float32)
    mapped = (_map_boxes(some, matrix) for some in (boxes, disputed))
    return crop.astype(np.float32), draw_targets(next(mapped), sure_size, CROP, next(mapped))
