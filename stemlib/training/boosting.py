"""Gentle AdaBoost over look-up stumps: one stage of a cascade of local binary patterns."""

from __future__ import annotations

import numba
import numpy as np

from stemlib.loops.cascade import pattern


@numba.njit(cache=True, parallel=True)
def pattern_codes(integrals, offsets):
    """Return the (F, N) uint8 pattern of every feature in every sample's flattened integral image."""
    codes = np.empty((len(offsets), len(integrals)), np.uint8)
    for feature in numba.prange(len(offsets)):
        for sample in range(len(integrals)):
            codes[feature, sample] = pattern(integrals[sample], np.uint64(0), offsets[feature])
    return codes


def boost_stage(codes, targets, hit_rate, false_alarm_rate, max_stumps, features_per_round, rng):
    """Add stumps until few enough negatives reach the threshold that the wanted share of positives reaches.

    Parameters
    ----------
    codes : (F, N) uint8
        See `pattern_codes`.
    targets : (N,) float32
        1 for positives, -1 for negatives.
    hit_rate, false_alarm_rate : float
        Shares of positives and negatives that the stage is to pass.
    max_stumps : int
        The stage ends with so many stumps at the latest.
    features_per_round : int
        Size of the random choice of features among which each stump is sought.
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
    >>> stumps, threshold, kept = boost_stage(codes, targets, 1.0, 0.1, 5, 2, np.random.default_rng(0))
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
    while len(stumps) < max_stumps:
        choice = rng.permutation(len(codes))[:features_per_round]
        errors = _stump_errors(codes, choice, targets, weights)
        best = choice[np.argmin(errors)]
        subset, votes = _best_stump(codes[best], targets, weights)
        answers = votes[1 - subset[codes[best]].astype(int)]
        scores += answers
        weights = weights * np.exp(-targets * answers)
        weights /= weights.sum()
        packed = np.packbits(subset.reshape(8, 32), axis=1, bitorder="little").view("<i4").ravel()
        stumps.append((best, packed, votes))
        threshold = np.quantile(scores[positive], 1 - hit_rate, method="lower")
        kept = (scores[~positive] >= threshold).mean()
        if kept <= false_alarm_rate:
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
