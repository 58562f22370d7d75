"""What each stage of a cascade is trained on: altered loops, and false windows mined away from every loop."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numba
import numpy as np

from stemlib.loops.boxes import overlap
from stemlib.loops.cascade import grid_offsets, pattern, raw_windows

_BATCH = 8  # images mined before the count is looked at
_STEP = 2  # px; negatives are mined on a finer grid than the detector's


def positive_patches(images, squares, cascade, wanted, rng):
    """Return loops, each turned, mirrored, shifted and scaled a little differently, that pass all stages so far."""
    owners = np.repeat(np.arange(len(images)), [len(s) for s in squares])
    everything = np.concatenate([s for s in squares if len(s)])
    kept, tried = [], 0
    while sum(map(len, kept)) < wanted and tried < 20 * wanted:
        picks = rng.permutation(len(everything))[: wanted - sum(map(len, kept))]
        patches = np.stack(
            [_augmented_patch(images[owners[i]], everything[i], cascade.window, rng) for i in picks]
        )
        tried += len(patches)
        kept.append(patches[passes(cascade, patches)])
    return np.concatenate(kept)


def _augmented_patch(image, square, window, rng):
    top, left, bottom, right = square
    side = (bottom - top) * np.exp(rng.uniform(-0.1, 0.1))
    centre = np.array([left + right, top + bottom]) / 2 + rng.uniform(-0.05, 0.05, 2) * side
    angle, scale = rng.uniform(0, 2 * np.pi), side / window
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn[:, 0] *= rng.choice([-1, 1])
    shift = centre - turn @ np.full(2, (window - 1) / 2)
    return cv2.warpAffine(
        image,
        np.column_stack([turn, shift]),
        (window, window),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT_101,
    )


def negative_patches(images, avoided, cascade, wanted, scale_factor, surviving, n_threads, rng):
    """Return windows away from every avoided square that pass all stages so far, from mirrored and turned images."""
    order = rng.permutation(len(images))
    per_image = max(40, 2 * wanted // len(images))
    seeds = rng.integers(2**63, size=len(images))

    def mine(i):
        # While nearly all windows pass, a wider stride finds enough of them.
        expected = surviving * images[i].size / (_STEP**2 * (1 - scale_factor**-2))
        step = _STEP * max(1, int(np.sqrt(expected / (2 * per_image))))
        return _false_windows(images[i], avoided[i], cascade, per_image, scale_factor, step, seeds[i])

    kept, count = [], 0
    with ThreadPoolExecutor(n_threads) as pool:
        # In batches, so that mining stops soon after there are enough: of one size, whatever the number of threads.
        for start in range(0, len(order), _BATCH):
            for patches in pool.map(mine, order[start : start + _BATCH]):
                kept.append(patches)
                count += len(patches)
            if count >= wanted:
                break
    found = np.concatenate(kept)
    return found[rng.permutation(len(found))[:wanted]]


def _false_windows(image, avoided, cascade, wanted, scale_factor, step, seed):
    rng = np.random.default_rng(seed)
    turns, mirror = rng.integers(4), rng.random() < 0.5
    turned = np.ascontiguousarray(np.rot90(image[:, ::-1] if mirror else image, turns))
    if cascade.n_stages == 0:
        windows = _random_windows(turned.shape, cascade.window, scale_factor, 4 * wanted, rng)
    else:
        windows, _ = raw_windows(cascade, turned, scale_factor=scale_factor, step=step)
    windows = windows[rng.permutation(len(windows))[: 3 * wanted]]
    boxes = np.column_stack([windows[:, :2], windows[:, :2] + windows[:, 2:]]).astype(float) - 0.5
    turned_avoided = turned_boxes(avoided, image.shape, turns, mirror)
    if len(turned_avoided) and len(boxes):
        windows = windows[overlap(boxes, turned_avoided).max(axis=1) < 0.3]
    windows = windows[:wanted]
    patches = [
        cv2.resize(turned[y : y + h, x : x + w], (cascade.window,) * 2, interpolation=cv2.INTER_LINEAR_EXACT)
        for y, x, h, w in windows
    ]
    patches = np.stack(patches) if patches else np.empty((0, cascade.window, cascade.window), np.uint8)
    # Cutting first and reducing then differs a little from the detector's order, so ask the cascade again.
    return patches[passes(cascade, patches)]


def _random_windows(shape, window, scale_factor, number, rng):
    n_scales = int(np.log(min(shape) / window) / np.log(scale_factor)) + 1
    areas = scale_factor ** (-2.0 * np.arange(n_scales))
    sides = np.rint(window * scale_factor ** rng.choice(n_scales, number, p=areas / areas.sum())).astype(int)
    sides = np.minimum(sides, min(shape))
    corners = [(rng.integers(shape[0] - s + 1), rng.integers(shape[1] - s + 1)) for s in sides]
    return np.column_stack([corners, sides, sides])


def turned_boxes(boxes, shape, turns, mirror):
    """Return where boxes lie once their image is mirrored, or not, and turned by quarters."""
    top, left, bottom, right = np.asarray(boxes, float).reshape(-1, 4).T
    height, width = shape
    if mirror:
        left, right = width - 1 - right, width - 1 - left
    for _ in range(turns):
        top, left, bottom, right = width - 1 - right, top, width - 1 - left, bottom
        height, width = width, height
    return np.column_stack([top, left, bottom, right])


def integrals(patches):
    """Return the flattened integral image of every (N, S, S) uint8 patch, int32."""
    n, side = patches.shape[0], patches.shape[1]
    sums = np.zeros((n, side + 1, side + 1), np.int32)
    sums[:, 1:, 1:] = patches.astype(np.int32).cumsum(1).cumsum(2)
    return sums.reshape(n, -1)


def passes(cascade, patches):
    """Return which patches, each of the window's size, pass all stages of a cascade."""
    if cascade.n_stages == 0 or not len(patches):
        return np.ones(len(patches), bool)
    offsets = grid_offsets(cascade.features[cascade.stump_features], cascade.window + 1)
    return _pass_all(
        integrals(patches),
        offsets,
        cascade.subsets,
        cascade.votes,
        cascade.stage_ends,
        cascade.stage_thresholds,
    )


@numba.njit(cache=True, nogil=True)
def _pass_all(integrals, offsets, subsets, votes, stage_ends, thresholds):
    passed = np.ones(len(integrals), np.bool_)
    for i in range(len(integrals)):
        stump = 0
        for stage in range(len(stage_ends)):
            total = 0.0
            while stump < stage_ends[stage]:
                code = pattern(integrals[i], np.uint64(0), offsets[stump])
                total += votes[stump, 1 - ((subsets[stump, code >> 5] >> (code & 31)) & 1)]
                stump += 1
            if total < thresholds[stage]:
                passed[i] = False
                break
    return passed
