"""Train Module I: boosted stages of local-binary-pattern stumps, with negatives mined afresh for every stage."""

from __future__ import annotations

import logging

import numba
import numpy as np
from tqdm.auto import tqdm

from stemlib.loops.candidates import detection_squares
from stemlib.loops.cascade import Cascade, grid_offsets
from stemlib.training.boosting import boost_stage, pattern_codes
from stemlib.training.mining import integrals, negative_patches, passes, positive_patches

logger = logging.getLogger(__name__)

POOL = 8  # negatives are mined for several stages at once, this many times as many as one stage takes


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
        Micrographs as `stemlib.loops.candidates.working_image` gives them.
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
        positives = positive_patches(images, squares, cascade, n_positives, rng)
        pool = pool[passes(cascade, pool)]
        if len(pool) < n_negatives:
            pool = negative_patches(
                images, avoided, cascade, POOL * n_negatives, scale_factor, surviving, n_threads, rng
            )
        negatives = pool[rng.permutation(len(pool))[:n_negatives]]
        if len(negatives) < n_negatives // 20:
            logger.info("stage %d: only %d false windows are left, training ends here", stage, len(negatives))
            break
        patches = np.concatenate([positives, negatives])
        targets = np.concatenate([np.ones(len(positives), np.float32), -np.ones(len(negatives), np.float32)])
        codes = pattern_codes(integrals(patches), offsets)
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
