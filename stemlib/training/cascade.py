"""Train Module I: boosted stages of local-binary-pattern stumps, with negatives mined afresh for every stage."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numba
import numpy as np
from tqdm.auto import tqdm

from stemlib.loops.candidates import detection_squares
from stemlib.loops.cascade import Cascade, grid_offsets, pattern
from stemlib.training.mining import integrals, negative_patches, passes, positive_patches
from stemlib.training.optimisation import Run

logger = logging.getLogger(__name__)

POOL = 8  # negatives are mined for several stages at once, this many times as many as one stage takes
MAX_STUMPS = 100  # in one stage


@dataclass(frozen=True)
class CascadeSettings:
    """What can be set of the training of Module I.

    Parameters
    ----------
    window : int
        Side of the detection window, px.
    n_stages : int
        Number of stages; fewer if no image gives a false detection any more.
    hit_rate, false_alarm_rate : float
        What each stage must keep of the loops, and may keep of the negatives that reach it.
    n_positives, n_negatives : int
        Samples per stage.
    features_per_round : int
        Size of the random choice of features among which each stump is sought.
    """

    window: int = 24
    n_stages: int = 10
    hit_rate: float = 0.998
    false_alarm_rate: float = 0.5
    n_positives: int = 8000
    n_negatives: int = 14000
    features_per_round: int = 1500


def train_cascade(
    images: Sequence[np.ndarray],
    loops: Sequence[np.ndarray],
    *,
    disputed: Sequence[np.ndarray] | None = None,
    settings: CascadeSettings = CascadeSettings(),
    run: Run = Run(),
) -> Cascade:
    """Train a cascade of boosted multi-block local binary patterns on labelled micrographs.

    Parameters
    ----------
    images : sequence of (H, W) uint8
        Micrographs as `stemlib.loops.candidates.working_image` gives them.
    loops : sequence of (N, 4) float
        The boxes ``top, left, bottom, right`` of every loop in each image, px.
    disputed : sequence of (N, 4) float, optional
        Boxes that may or may not hold a loop, likewise: negatives keep away from them as from loops.
    settings : CascadeSettings
    run : stemlib.training.optimisation.Run
        Seed, number of threads, and whether to show progress.

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
    >>> small = CascadeSettings(n_stages=1, n_positives=50, n_negatives=50)
    >>> train_cascade([scene.image], [boxes], settings=small).n_stages
    1

    References
    ----------
    Friedman, Hastie & Tibshirani, Ann. Statist. 28, 337 (2000), doi:10.1214/aos/1016218223 (gentle AdaBoost);
    Liao et al., ICB 2007, doi:10.1007/978-3-540-74549-5_87; Li, Field & Morgan, npj Comput. Mater. 4, 36 (2018),
    doi:10.1038/s41524-018-0093-8.
    """
    disputed = [np.empty((0, 4))] * len(images) if disputed is None else disputed
    for name, boxes in (("loops", loops), ("disputed", disputed)):
        if len(boxes) != len(images):
            raise ValueError(
                f"{name} must hold one array of boxes per image, got {len(boxes)} for {len(images)} images"
            )
    if not images or not sum(map(len, loops)):
        raise ValueError("images and loops must hold at least one image and one loop to train on")
    rng = np.random.default_rng(run.seed)
    numba.set_num_threads(min(run.n_threads, numba.config.NUMBA_NUM_THREADS))
    window, wanted = settings.window, settings.n_negatives
    squares = [detection_squares(boxes, window) for boxes in loops]
    avoided = [
        np.concatenate([kept, detection_squares(boxes, window)])
        for kept, boxes in zip(squares, disputed, strict=True)
    ]
    cascade = _empty_cascade(window)
    offsets = grid_offsets(cascade.features, window + 1)
    pool, surviving = np.empty((0, window, window), np.uint8), 1.0
    stages = tqdm(range(settings.n_stages), desc="cascade stages", disable=not run.progress)
    for stage in stages:
        positives = positive_patches(images, squares, cascade, settings.n_positives, rng)
        pool = pool[passes(cascade, pool)]
        if len(pool) < wanted:
            pool = negative_patches(images, avoided, cascade, POOL * wanted, surviving, run.n_threads, rng)
        negatives = pool[rng.permutation(len(pool))[:wanted]]
        if len(negatives) < wanted // 20:
            logger.info("stage %d: only %d false windows are left, training ends here", stage, len(negatives))
            break
        codes = pattern_codes(integrals(np.concatenate([positives, negatives])), offsets)
        targets = np.repeat(np.array([1, -1], np.float32), [len(positives), len(negatives)])
        stumps, threshold, kept = boost_stage(codes, targets, settings, rng)
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


def _empty_cascade(window: int) -> Cascade:
    return Cascade(
        window=window,
        stage_thresholds=np.empty(0, np.float32),
        stage_ends=np.empty(0, np.int32),
        features=all_features(window),
        stump_features=np.empty(0, np.int32),
        subsets=np.empty((0, 8), np.int32),
        votes=np.empty((0, 2), np.float32),
    )


def _with_stage(cascade: Cascade, stumps: list, threshold: float) -> Cascade:
    chosen, subsets, votes = (np.array(column) for column in zip(*stumps, strict=True))
    end = len(cascade.stump_features) + len(stumps)
    return replace(
        cascade,
        stage_thresholds=np.append(cascade.stage_thresholds, np.float32(threshold)),
        stage_ends=np.append(cascade.stage_ends, np.int32(end)),
        stump_features=np.concatenate([cascade.stump_features, chosen.astype(np.int32)]),
        subsets=np.concatenate([cascade.subsets, subsets.astype(np.int32)]),
        votes=np.concatenate([cascade.votes, votes.astype(np.float32)]),
    )


@numba.njit(cache=True, parallel=True)
def pattern_codes(integrals, offsets):
    """Return the (F, N) uint8 pattern of every feature in every sample's flattened integral image."""
    codes = np.empty((len(offsets), len(integrals)), np.uint8)
    for feature in numba.prange(len(offsets)):
        for sample in range(len(integrals)):
            codes[feature, sample] = pattern(integrals[sample], np.uint64(0), offsets[feature])
    return codes


def boost_stage(codes, targets, settings, rng):
    """Add stumps until few enough negatives reach the threshold that the wanted share of positives reaches.

    Parameters
    ----------
    codes : (F, N) uint8
        See `pattern_codes`.
    targets : (N,) float32
        1 for positives, -1 for negatives.
    settings : CascadeSettings
        Its rates are the shares of positives and negatives that the stage is to pass; the stage ends with `MAX_STUMPS`
        stumps at the latest.
    rng : numpy.random.Generator

    Returns
    -------
    stumps : list of (int, (8,) int32, (2,) float32)
        Feature, subset of the 256 patterns as bits, votes.
    threshold : float
        What the sum of votes must reach.
    kept : float
        Share of the negatives that reach it.

    Examples
    --------
    >>> codes = np.array([[3, 3, 7, 7], [1, 2, 1, 2]], np.uint8)
    >>> targets = np.array([1, 1, -1, -1], np.float32)
    >>> settings = CascadeSettings(hit_rate=1.0, false_alarm_rate=0.1, features_per_round=2)
    >>> stumps, threshold, kept = boost_stage(codes, targets, settings, np.random.default_rng(0))
    >>> [int(feature) for feature, _, _ in stumps], float(kept)
    ([0], 0.0)

    References
    ----------
    Friedman, Hastie & Tibshirani, Ann. Statist. 28, 337 (2000), doi:10.1214/aos/1016218223.
    """
    positive = targets > 0
    weights = np.where(positive, 0.5 / positive.sum(), 0.5 / (~positive).sum()).astype(np.float32)
    scores = np.zeros(len(targets))
    stumps = []
    while len(stumps) < MAX_STUMPS:
        choice = rng.permutation(len(codes))[: settings.features_per_round]
        errors = _stump_errors(codes, choice, targets, weights)
        best = choice[np.argmin(errors)]
        subset, votes = _best_stump(codes[best], targets, weights)
        answers = votes[1 - subset[codes[best]].astype(int)]
        scores += answers
        weights = weights * np.exp(-targets * answers)
        weights /= weights.sum()
        packed = np.packbits(subset.reshape(8, 32), axis=1, bitorder="little").view("<i4").ravel()
        stumps.append((best, packed, votes))
        threshold = np.quantile(scores[positive], 1 - settings.hit_rate, method="lower")
        kept = (scores[~positive] >= threshold).mean()
        if kept <= settings.false_alarm_rate:
            break
    return stumps, threshold, kept


@numba.njit(cache=True)
def _split(codes, targets, weights):
    """Order the patterns by mean target; return the order, the best cut, its votes and its squared error."""
    mass, moment = np.zeros(256), np.zeros(256)
    for i in range(len(codes)):
        mass[codes[i]] += weights[i]
        moment[codes[i]] += weights[i] * targets[i]
    order = np.argsort(moment / (mass + 1e-12))
    total_mass, total_moment = mass.sum(), moment.sum()
    best_error, best_cut = np.inf, 0
    best_low, best_high = 0.0, 0.0
    low_mass, low_moment = 0.0, 0.0
    for cut in range(255):
        low_mass += mass[order[cut]]
        low_moment += moment[order[cut]]
        high_mass, high_moment = total_mass - low_mass, total_moment - low_moment
        if low_mass < 1e-9 or high_mass < 1e-9:
            continue
        error = total_mass - low_moment**2 / low_mass - high_moment**2 / high_mass
        if error < best_error:
            best_error, best_cut = error, cut
            best_low, best_high = low_moment / low_mass, high_moment / high_mass
    return order, best_cut, best_low, best_high, best_error


@numba.njit(cache=True, parallel=True)
def _stump_errors(codes, choice, targets, weights):
    errors = np.empty(len(choice))
    for i in numba.prange(len(choice)):
        errors[i] = _split(codes[choice[i]], targets, weights)[4]
    return errors


def _best_stump(codes, targets, weights):
    order, cut, low, high, _ = _split(codes, targets, weights)
    subset = np.zeros(256, bool)
    subset[order[: cut + 1]] = True
    return subset, np.array([low, high], np.float32)
