"""Train Module I: boosted stages of local-binary-pattern stumps, with negatives mined afresh for every stage."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import cv2
import numba
import numpy as np
from tqdm.auto import tqdm

from stemlib.boxes import overlap
from stemlib.cascade import Cascade, grid_offsets, pattern, raw_windows
from stemlib.detecting import detection_squares
from stemlib.training.boosting import boost_stage, pattern_codes

logger = logging.getLogger(__name__)

POOL = 8  # negatives are mined for several stages at once, this many times as many as one stage takes
_BATCH = 8  # images mined before the count is looked at
_STEP = 2  # px; negatives are mined on a finer grid than the detector's


def train_cascade(
    images: list[np.ndarray],
    loops: list[np.ndarray],
    *,
    disputed: list[np.ndarray] | None = None,
    window: int = 24,
    n_stages: int = 10,
    hit_rate: float = 0.997,
    false_alarm_rate: float = 0.4,
    max_stumps: int = 100,
    n_positives: int = 5000,
    n_negatives: int = 8000,
    features_per_round: int = 1500,
    scale_factor: float = 1.2,
    n_threads: int = 2,
    seed: int = 0,
    progress: bool = False,
) -> Cascade:
    """Train a cascade of boosted multi-block local binary patterns on labelled micrographs.

    Parameters
    ----------
    images : list of (H, W) uint8
        Micrographs as `stemlib.detecting.working_image` gives them.
    loops : list of (N, 4) float
        The boxes ``top, left, bottom, right`` of every loop in each image, px.
    disputed : list of (N, 4) float, optional
        Boxes that may or may not hold a loop, likewise: negatives keep away from them as from loops.
    window : int
        Side of the detection window, px.
    n_stages : int
        Number of stages; fewer if no image gives a false detection any more.
    hit_rate, false_alarm_rate : float
        What each stage must keep of the loops, and may keep of the negatives that reach it.
    max_stumps : int
        Largest number of stumps in one stage.
    n_positives, n_negatives : int
        Samples per stage.
    features_per_round : int
        Size of the random choice of features among which each stump is sought.
    scale_factor : float
        Ratio of consecutive scales at which negatives are mined.
    n_threads : int
        Threads for mining and boosting.
    seed : int
        Seed of every random choice.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    Cascade

    Raises
    ------
    ValueError
        If there is no image, no loop, or not one array of loops, and of disputed boxes, per image.

    Examples
    --------
    >>> from stemlib.synthetic import loop_micrograph
    >>> scene = loop_micrograph((256, 256), n_loops=6, seed=1)
    >>> boxes = scene.loops[["top", "left", "bottom", "right"]].to_numpy()
    >>> train_cascade([scene.image], [boxes], n_stages=1, n_positives=50, n_negatives=50).n_stages
    1

    References
    ----------
    Friedman, Hastie & Tibshirani, Ann. Statist. 28, 337 (2000), doi:10.1214/aos/1016218223 (gentle AdaBoost);
    Liao et al., ICB 2007, doi:10.1007/978-3-540-74549-5_87; Li, Field & Morgan, npj Comput. Mater. 4, 36 (2018),
    doi:10.1038/s41524-018-0093-8.
    """
    if len(images) != len(loops):
        raise ValueError(
            f"loops must hold one array of boxes per image, got {len(loops)} for {len(images)} images"
        )
    disputed = [np.empty((0, 4))] * len(images) if disputed is None else disputed
    if len(disputed) != len(images):
        raise ValueError(
            f"disputed must hold one array of boxes per image, got {len(disputed)} for {len(images)} images"
        )
    if not images or not sum(map(len, loops)):
        raise ValueError("images and loops must hold at least one image and one loop to train on")
    rng = np.random.default_rng(seed)
    numba.set_num_threads(min(n_threads, numba.config.NUMBA_NUM_THREADS))
    features = all_features(window)
    offsets = grid_offsets(features, window + 1)
    squares = [detection_squares(boxes, window) for boxes in loops]
    avoided = [
        np.concatenate([kept, detection_squares(boxes, window)])
        for kept, boxes in zip(squares, disputed, strict=True)
    ]
    cascade = _empty_cascade(window, features)
    pool, surviving = np.empty((0, window, window), np.uint8), 1.0
    stages = tqdm(range(n_stages), desc="cascade stages", disable=not progress)
    for stage in stages:
        positives = _positive_patches(images, squares, cascade, n_positives, rng)
        pool = pool[_passes(cascade, pool)]
        if len(pool) < n_negatives:
            pool = _negative_patches(
                images, avoided, cascade, POOL * n_negatives, scale_factor, surviving, n_threads, rng
            )
        negatives = pool[rng.permutation(len(pool))[:n_negatives]]
        if len(negatives) < n_negatives // 20:
            logger.info("stage %d: only %d false windows are left, training ends here", stage, len(negatives))
            break
        patches = np.concatenate([positives, negatives])
        targets = np.concatenate([np.ones(len(positives), np.float32), -np.ones(len(negatives), np.float32)])
        codes = pattern_codes(_integrals(patches), offsets)
        stumps, threshold, kept = boost_stage(
            codes, targets, hit_rate, false_alarm_rate, max_stumps, features_per_round, rng
        )
        cascade = _with_stage(cascade, stumps, threshold)
        surviving *= kept
        stages.set_postfix(stumps=len(stumps), false_alarms=f"{kept:.2f}", negatives=len(negatives))
    return cascade


def all_features(window: int) -> np.ndarray:
    """Return ``x, y, width, height`` of the first block of every 3 x 3 grid of blocks that fits the window."""
    sizes = range(1, window // 3 + 1)
    return np.array(
        [
            (x, y, w, h)
            for h in sizes
            for w in sizes
            for y in range(window - 3 * h + 1)
            for x in range(window - 3 * w + 1)
        ],
        np.int32,
    )


def _empty_cascade(window: int, features: np.ndarray) -> Cascade:
    return Cascade(
        window=window,
        stage_thresholds=np.empty(0, np.float32),
        stage_ends=np.empty(0, np.int32),
        features=features,
        stump_features=np.empty(0, np.int32),
        subsets=np.empty((0, 8), np.int32),
        votes=np.empty((0, 2), np.float32),
    )


def _with_stage(cascade: Cascade, stumps: list, threshold: float) -> Cascade:
    chosen, subsets, votes = (np.array(column) for column in zip(*stumps, strict=True))
    end = len(cascade.stump_features) + len(stumps)
    return Cascade(
        window=cascade.window,
        stage_thresholds=np.append(cascade.stage_thresholds, np.float32(threshold)),
        stage_ends=np.append(cascade.stage_ends, np.int32(end)),
        features=cascade.features,
        stump_features=np.concatenate([cascade.stump_features, chosen.astype(np.int32)]),
        subsets=np.concatenate([cascade.subsets, subsets.astype(np.int32)]),
        votes=np.concatenate([cascade.votes, votes.astype(np.float32)]),
    )


def _positive_patches(images, squares, cascade, wanted, rng):
    """Loops, each time turned, mirrored, shifted and scaled a little differently, that pass all stages so far."""
    owners = np.repeat(np.arange(len(images)), [len(s) for s in squares])
    everything = np.concatenate([s for s in squares if len(s)])
    kept, tried = [], 0
    while sum(map(len, kept)) < wanted and tried < 20 * wanted:
        picks = rng.permutation(len(everything))[: wanted - sum(map(len, kept))]
        patches = np.stack(
            [_augmented_patch(images[owners[i]], everything[i], cascade.window, rng) for i in picks]
        )
        tried += len(patches)
        kept.append(patches[_passes(cascade, patches)])
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


def _negative_patches(images, avoided, cascade, wanted, scale_factor, surviving, n_threads, rng):
    """Windows away from every avoided square that pass all stages so far, from mirrored and turned images."""
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
    turned_avoided = _turned_boxes(avoided, image.shape, turns, mirror)
    if len(turned_avoided) and len(boxes):
        windows = windows[overlap(boxes, turned_avoided).max(axis=1) < 0.3]
    windows = windows[:wanted]
    patches = [
        cv2.resize(turned[y : y + h, x : x + w], (cascade.window,) * 2, interpolation=cv2.INTER_LINEAR_EXACT)
        for y, x, h, w in windows
    ]
    patches = np.stack(patches) if patches else np.empty((0, cascade.window, cascade.window), np.uint8)
    # Cutting first and reducing then differs a little from the detector's order, so ask the cascade again.
    return patches[_passes(cascade, patches)]


def _random_windows(shape, window, scale_factor, number, rng):
    n_scales = int(np.log(min(shape) / window) / np.log(scale_factor)) + 1
    areas = scale_factor ** (-2.0 * np.arange(n_scales))
    sides = np.rint(window * scale_factor ** rng.choice(n_scales, number, p=areas / areas.sum())).astype(int)
    sides = np.minimum(sides, min(shape))
    corners = [(rng.integers(shape[0] - s + 1), rng.integers(shape[1] - s + 1)) for s in sides]
    return np.column_stack([corners, sides, sides])


def _turned_boxes(boxes, shape, turns, mirror):
    top, left, bottom, right = np.asarray(boxes, float).reshape(-1, 4).T
    height, width = shape
    if mirror:
        left, right = width - 1 - right, width - 1 - left
    for _ in range(turns):
        top, left, bottom, right = width - 1 - right, top, width - 1 - left, bottom
        height, width = width, height
    return np.column_stack([top, left, bottom, right])


def _integrals(patches):
    n, side = patches.shape[0], patches.shape[1]
    integrals = np.zeros((n, side + 1, side + 1), np.int32)
    integrals[:, 1:, 1:] = patches.astype(np.int32).cumsum(1).cumsum(2)
    return integrals.reshape(n, -1)


def _passes(cascade, patches):
    if cascade.n_stages == 0 or not len(patches):
        return np.ones(len(patches), bool)
    offsets = grid_offsets(cascade.features[cascade.stump_features], cascade.window + 1)
    return _pass_all(
        _integrals(patches),
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
