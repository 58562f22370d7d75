"""Crops to train the fully convolutional loop detector on: cut, turned, scaled, and what it should answer."""

import cv2
import numpy as np

from stemlib.loops.boxes import overlap
from stemlib.loops.fcn import CELL, SIZE_UNIT
from stemlib.training.artefacts import draw_artefact
from stemlib.training.fcn_examples import NO, UNSURE, YES

CROP = 512  # frame px
# A loop cut by the crop's edge is a loop if this share of its box is left; else nothing is asked there.
_KEEP = 0.4
_LEAST_SIZE = 6  # frame px; of what is smaller nothing is asked
_WITH_ARTEFACTS = 0.25  # share of the crops
_ARTEFACT_SIZES = (8, 120)  # frame px, even in the logarithm
_SCALES = (0.6, 1.6)  # between which the crops are scaled at random, even in the logarithm


def draw_targets(boxes, kinds, asked, side, *, sure_size=True):
    """What the network should answer for the boxes of one crop.

    Parameters
    ----------
    boxes : numpy.ndarray, (N, 4), float
        Top, left, bottom, right in frame px, counted from the upper left edge of the crop; may reach over it.
    kinds : numpy.ndarray, (N, K), int
        What each box says of each kind, see `stemlib.training.fcn_examples.Example`.
    asked : numpy.ndarray, (K,), bool
        Kinds that were looked for; of the others only what is marked is known.
    side : int
        Side of the crop, frame px.
    sure_size : bool
        Whether the boxes' sizes are to be learned.

    Returns
    -------
    numpy.ndarray, (2 K + 5, side / 4, side / 4), float32
        K centre maps; log height, log width, offset y, offset x; weight of these four; where each of the K centre
        maps counts.

    Examples
    --------
    >>> box, kinds = np.array([[20.0, 20.0, 40.0, 56.0]]), np.array([[1]])
    >>> targets = draw_targets(box, kinds, np.array([True]), 64)
    >>> targets.shape, float(targets[0, 7, 9])
    ((7, 16, 16), 1.0)
    """
    cells, n_kinds = side // CELL, len(asked)
    targets = np.zeros((2 * n_kinds + 5, cells, cells), np.float32)
    centres, sizes, counts = targets[:n_kinds], targets[n_kinds : n_kinds + 5], targets[n_kinds + 5 :]
    counts[asked] = 1
    owner = np.zeros((cells, cells), np.float32)
    unsure = []
    for box, said in zip(np.asarray(boxes, dtype=np.float32), kinds, strict=True):
        inside = np.clip(box, 0, side)
        size = inside[2:] - inside[:2]
        share = np.prod(size) / np.prod(np.maximum(box[2:] - box[:2], 1))
        if min(size) <= 0:
            continue
        if share < _KEEP or max(size) < _LEAST_SIZE:
            unsure.append((np.ones(n_kinds, bool), inside))
            continue
        unsure.append((said == UNSURE, inside))
        if not (said == YES).any():
            continue
        size = np.maximum(size, 2)
        centre = (inside[:2] + inside[2:]) / 2 / CELL - 0.5
        bump = _bump(centre, size, cells)
        centres[said == YES] = np.maximum(centres[said == YES], bump)
        # One object is one kind: what is known of it is known of the kinds that nobody looked for.
        counts[(said == NO) & ~asked] += bump > 0.5
        mine = (bump > 0.5) & (bump > owner)
        owner[mine] = bump[mine]
        y, x = np.nonzero(mine)
        sizes[:2, y, x] = np.log(size / SIZE_UNIT)[:, None]
        sizes[2:4, y, x] = centre[0] - y, centre[1] - x
        sizes[4, y, x] = bump[mine] if sure_size else 0
    for which, box in unsure:
        top, left, bottom, right = (box / CELL).astype(int)
        counts[which, top : bottom + 1, left : right + 1] = 0
    np.clip(counts, centres == 1, 1, out=counts)
    return targets


def _bump(centre, size, cells):
    """A peak of 1 on the cell nearest to a centre, so that one cell counts as the positive, falling off around it."""
    y, x = np.arange(cells, dtype=np.float32)[:, None], np.arange(cells, dtype=np.float32)
    spread = np.maximum(0.09 * size / CELL, 0.7)
    at = np.clip(np.round(centre), 0, cells - 1)
    return np.exp(-(((y - at[0]) / spread[0]) ** 2 + ((x - at[1]) / spread[1]) ** 2) / 2)


def _random_map(rng, shape, boxes, crop):
    """Matrix (2, 3) of a random crop: place, turn, mirroring, scale; and whether box sizes stay exact."""
    scale = np.exp(rng.uniform(*np.log(_SCALES)))
    tilted = rng.random() < 0.25
    angle = rng.uniform(0, 2 * np.pi) if tilted else rng.integers(4) * np.pi / 2
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if rng.random() < 0.5:
        turn = turn @ np.array([[-1.0, 0], [0, 1.0]])
    reach = crop / 2 / scale
    room = [(min(reach, side / 2), max(side - reach, side / 2)) for side in shape]
    centre = np.array([rng.uniform(*room[0]), rng.uniform(*room[1])])
    if len(boxes) and rng.random() < 0.5:
        box = boxes[rng.integers(len(boxes))]
        wanted = (box[:2] + box[2:]) / 2 + rng.uniform(-0.8, 0.8, 2) * reach
        centre = np.array([np.clip(want, *limits) for want, limits in zip(wanted, room, strict=True)])
    matrix = scale * turn
    return np.column_stack([matrix, crop / 2 - matrix @ centre]), not tilted


def _map_boxes(boxes, matrix):
    """Boxes of the mapped ellipses, taking their axes as parallel to the image's."""
    if not len(boxes):
        return boxes
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 @ matrix[:, :2].T + matrix[:, 2]
    half = np.sqrt(((boxes[:, 2:] - boxes[:, :2]) / 2) ** 2 @ (matrix[:, :2] ** 2).T)
    return np.concatenate([centre - half, centre + half], axis=1)


def draw_crop(example, rng, side=None):
    """One augmented crop and its targets.

    Parameters
    ----------
    example : stemlib.training.fcn_examples.Example
        As `stemlib.training.fcn.standardised_example` gives it.
    rng : numpy.random.Generator
        Source of randomness.
    side : int, optional
        Side of the crop, frame px; 512 by default.

    Returns
    -------
    crop : numpy.ndarray, (side, side), float32
    targets : numpy.ndarray, (2 K + 5, side / 4, side / 4), float32
        See `draw_targets`.

    Examples
    --------
    >>> from stemlib.training.fcn_examples import plain_example
    >>> example = plain_example(np.zeros((300, 300), np.float32), [])
    >>> crop, targets = draw_crop(example, np.random.default_rng(1))
    >>> crop.shape, targets.shape
    ((512, 512), (7, 128, 128))
    """
    frame = example.image.astype(np.float32)
    side = side or CROP
    matrix, sure_size = _random_map(rng, frame.shape, example.boxes, side)
    # OpenCV wants (x, y) and pixel centres at whole numbers.
    swapped = matrix[::-1, [1, 0, 2]].copy()
    swapped[:, 2] += 0.5 * swapped[:, :2].sum(axis=1) - 0.5
    crop = cv2.warpAffine(frame, swapped, (side, side), flags=cv2.INTER_LINEAR)
    boxes = _map_boxes(example.boxes, matrix)
    targets = draw_targets(boxes, example.kinds, example.asked, side, sure_size=sure_size)
    counts = targets[len(example.asked) + 5 :]
    if example.looked is not None:
        looked = cv2.warpAffine(example.looked.view(np.uint8), swapped, (side, side), flags=cv2.INTER_NEAREST)
        counts *= looked[CELL // 2 :: CELL, CELL // 2 :: CELL]
    if rng.random() < _WITH_ARTEFACTS:
        _add_artefacts(crop, boxes, counts, rng)
    crop = crop * np.exp(rng.normal(0, 0.2)) + rng.normal(0, 0.25)
    crop += rng.uniform(-0.1, 0.1) * (np.clip(crop, -4, 4) ** 2 - 1)
    if rng.random() < 0.5:
        slow = rng.normal(0, 0.4, (3, 3)).astype(np.float32)
        crop += cv2.resize(slow, (side, side), interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.3:
        crop = cv2.GaussianBlur(crop.astype(np.float32), (0, 0), rng.uniform(0.5, 2.0))
    if rng.random() < 0.5:
        crop = crop + rng.uniform(0, 0.5) * rng.standard_normal(crop.shape, dtype=np.float32)
    return crop.astype(np.float32), targets


def _add_artefacts(crop, boxes, counts, rng):
    """Draw what is no loop between the objects; whoever looked there, no kind of them is there."""
    whole = len(crop)
    taken = np.clip(np.asarray(boxes, np.float32).reshape(-1, 4), 0, whole)
    for _ in range(rng.integers(1, 8)):
        field = draw_artefact(rng, np.exp(rng.uniform(*np.log(_ARTEFACT_SIZES))))
        side = min(len(field), whole)
        top, left = rng.integers(0, whole - side + 1, 2)
        box = np.array([[top, left, top + side, left + side]], np.float32)
        if (overlap(box, taken) > 0).any():
            continue
        taken = np.vstack([taken, box])
        crop[top : top + side, left : left + side] += field[:side, :side]
        counts[:, -(-top // CELL) : (top + side) // CELL, -(-left // CELL) : (left + side) // CELL] = 1
