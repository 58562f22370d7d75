"""Recall, precision and F1 with intervals, and two systems compared loop by loop."""

import numpy as np
import pandas as pd
from scipy import sparse, stats

from stemlib.agreement.matching import Match, pool

_COUNTS = ("n_truth", "n_found", "truth_found", "found_true")
_RATIOS = ("recall", "precision", "f1")


def wilson_interval(successes, total, *, confidence=0.95):
    """Return Wilson's score interval of a proportion.

    Parameters
    ----------
    successes, total : int
        Counts, ``0 <= successes <= total``.
    confidence : float
        Between 0 and 1.

    Returns
    -------
    low, high : float
        NaN where `total` is 0.

    Raises
    ------
    ValueError
        If the counts or the confidence make no sense.

    References
    ----------
    Wilson, J. Am. Stat. Assoc. 22, 209 (1927), https://doi.org/10.1080/01621459.1927.10502953

    Examples
    --------
    >>> from stemlib.agreement import wilson_interval
    >>> low, high = wilson_interval(206, 242)
    >>> round(low, 3), round(high, 3)
    (0.801, 0.891)
    """
    if not 0 <= successes <= total:
        raise ValueError(f"successes={successes!r} must lie between 0 and total={total!r}")
    _check_confidence(confidence)
    if total == 0:
        return np.nan, np.nan
    interval = stats.binomtest(int(successes), int(total)).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def score(match, *, confidence=0.95, n_resamples=2000, seed=0):
    """Return recall, precision and F1 of one match, with intervals over loops.

    Parameters
    ----------
    match : Match
        Of one image, or of several by `pool`.
    confidence : float
        Of the intervals, between 0 and 1.
    n_resamples : int
        Bootstrap resamples for F1.
    seed : int or numpy.random.Generator
        For them.

    Returns
    -------
    dict
        `n_truth`, `n_found`, `truth_found` (objects of the truth that were found), `found_true` (objects
        found that are true), `recall`, `precision`, `f1`, each of these three with `_low` and `_high`, and
        `false_on_class` (dict from class to the number of false ones on it). Recall and precision carry
        Wilson's interval; F1 a percentile bootstrap over loops, where those that share a match are drawn
        together. A ratio of nothing is NaN.

    Raises
    ------
    ValueError
        If the confidence or the number of resamples makes no sense.

    Examples
    --------
    >>> from stemlib.agreement import match, score
    >>> truth = [[0, 0, 30, 30], [100, 100, 140, 140]]
    >>> result = score(match(truth, [[2, 2, 32, 32], [200, 200, 230, 230], [101, 101, 139, 139]]))
    >>> result["recall"], round(result["precision"], 3), result["f1"]
    (1.0, 0.667, 0.8)
    """
    result = _rates(_kinds(match).sum(axis=0), confidence)
    *_, (result["f1_low"], result["f1_high"]) = _bootstrap(_units(match), confidence, n_resamples, seed)
    classes, numbers = np.unique(match.on_class[match.on_class >= 0], return_counts=True)
    result["false_on_class"] = dict(zip(classes.tolist(), numbers.tolist(), strict=True))
    return result


def score_images(matches, *, confidence=0.95, n_resamples=2000, seed=0):
    """Return the scores image by image and pooled.

    Parameters
    ----------
    matches : mapping from str to Match
        One match per image, by one rule.
    confidence, n_resamples, seed
        As in `score`.

    Returns
    -------
    pandas.DataFrame
        One row per image and the last row "pooled" (sums of counts, not means of ratios), with the columns of
        `score`, `false_on_class` spread into `false_on_class_1` and so on. The pooled row also has
        `recall_images_low`, ...: a percentile bootstrap that draws whole images. That interval holds for
        other images of the kind, the other one (`recall_low`, ...) for other loops in the same images; with
        six images the former is rough.

    Raises
    ------
    ValueError
        If `matches` is empty, or its rules differ.

    Examples
    --------
    >>> from stemlib.agreement import match, score_images
    >>> box = [[0, 0, 30, 30]]
    >>> table = score_images({"one": match(box, box), "two": match(box, [])})
    >>> table["recall"].tolist()
    [1.0, 0.0, 0.5]
    """
    keywords = {"confidence": confidence, "n_resamples": n_resamples, "seed": seed}
    rows = {name: score(one, **keywords) for name, one in matches.items()}
    rows["pooled"] = score(pool(matches.values()), **keywords)
    units = np.array([_kinds(one).sum(axis=0) for one in matches.values()])
    for name, ends in zip(_RATIOS, _bootstrap(units, confidence, n_resamples, seed), strict=True):
        rows["pooled"][f"{name}_images_low"], rows["pooled"][f"{name}_images_high"] = ends
    classes = sorted({one for row in rows.values() for one in row["false_on_class"]})
    for row in rows.values():
        on_class = row.pop("false_on_class")
        row.update({f"false_on_class_{one}": on_class.get(one, 0) for one in classes})
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("image")


def score_columns(match, *, confidence=0.95):
    """Return recall, precision and position error of one match, or of several images pooled.

    Parameters
    ----------
    match : Match or iterable of Match
        Counts of several are added up; ratios are never averaged.
    confidence : float
        Of Wilson's intervals, between 0 and 1.

    Returns
    -------
    dict
        `n_truth`, `n_found`, `truth_found`, `found_true` (all in the region), `recall` and `precision` with
        `_low` and `_high`, `f1` (harmonic mean of the two), and over the pairs whose true column is in the
        region `error_rms_px` and `error_median_px` (distance) and `bias_y_px` and `bias_x_px` (mean of found
        minus true). A ratio or mean of nothing is NaN.

    Raises
    ------
    ValueError
        If there is no match, or the confidence makes no sense.

    Examples
    --------
    >>> from stemlib.agreement import match_columns, score_columns
    >>> truth = [[10, 10], [10, 20], [10, 30]]
    >>> result = score_columns(match_columns(truth, [[10, 11], [10, 21]]))
    >>> round(result["recall"], 3), result["precision"], result["error_rms_px"], result["bias_x_px"]
    (0.667, 1.0, 1.0, 1.0)
    """
    matched = pool([match] if isinstance(match, Match) else match)
    rates = _rates(_kinds(matched).sum(axis=0), confidence)
    names = [f"{ratio}{end}" for ratio in ("recall", "precision") for end in ("", "_low", "_high")]
    result = {name: rates[name] for name in (*_COUNTS, *names, "f1")}
    offset = matched.offset[matched.in_truth[matched.pairs[:, 0]]]
    squared = (offset**2).sum(axis=1)
    some = len(offset) > 0
    result["error_rms_px"] = float(np.sqrt(squared.mean())) if some else np.nan
    result["error_median_px"] = float(np.sqrt(np.median(squared))) if some else np.nan
    result["bias_y_px"], result["bias_x_px"] = offset.mean(axis=0).tolist() if some else [np.nan, np.nan]
    return result


def compare_systems(one, other, *, confidence=0.95):
    """Compare the recall of two systems, or two annotators, on the same truth loop by loop.

    Parameters
    ----------
    one, other : Match
        Matches with the same truth, in the same order.
    confidence : float
        Of the interval, between 0 and 1.

    Returns
    -------
    dict
        `both`, `only_one`, `only_other` and `neither` (numbers of loops found by them), `p_value` (exact
        McNemar test, two-sided), `difference` (recall of one less that of other) and its `difference_low`,
        `difference_high` (Wald's paired interval after adding half a loop to each cell).

    Raises
    ------
    ValueError
        If the truths differ in number, or the confidence makes no sense.

    References
    ----------
    McNemar, Psychometrika 12, 153 (1947), https://doi.org/10.1007/BF02295996; Agresti & Min, Stat. Med. 24,
    729 (2005), https://doi.org/10.1002/sim.1781

    Examples
    --------
    >>> from stemlib.agreement import compare_systems, match
    >>> truth = [[0, 0, 30, 30], [100, 100, 140, 140]]
    >>> result = compare_systems(match(truth, truth), match(truth, truth[:1]))
    >>> result["both"], result["only_one"], result["difference"], result["p_value"]
    (1, 1, 0.5, 1.0)
    """
    _check_confidence(confidence)
    if len(one.is_found) != len(other.is_found):
        sizes = f"{len(one.is_found)} and {len(other.is_found)}"
        raise ValueError(f"one and other have {sizes} loops of truth; match both with the same truth")
    both = int((one.is_found & other.is_found).sum())
    only_one = int((one.is_found & ~other.is_found).sum())
    only_other = int((~one.is_found & other.is_found).sum())
    total = len(one.is_found)
    discordant = only_one + only_other
    p_value = stats.binomtest(only_one, discordant).pvalue if discordant else 1.0
    n, b, c = total + 2, only_one + 0.5, only_other + 0.5
    half = stats.norm.ppf((1 + confidence) / 2) * np.sqrt(b + c - (b - c) ** 2 / n) / n
    return {
        "both": both,
        "only_one": only_one,
        "only_other": only_other,
        "neither": total - both - discordant,
        "p_value": float(p_value),
        "difference": (only_one - only_other) / total if total else np.nan,
        "difference_low": float(max((b - c) / n - half, -1.0)),
        "difference_high": float(min((b - c) / n + half, 1.0)),
    }


def _kinds(match):
    """Return which of the four counts each object adds to, those of the truth first, shape (N + M, 4)."""
    n_truth = len(match.in_truth)
    kinds = np.zeros((n_truth + len(match.in_found), 4), int)
    kinds[:n_truth, [0, 2]] = np.column_stack([match.in_truth, match.in_truth & match.is_found])
    kinds[n_truth:, [1, 3]] = np.column_stack([match.in_found, match.in_found & match.is_true])
    return kinds


def _rates(counts, confidence):
    """Return counts, ratios and Wilson's intervals by name."""
    result = dict(zip((*_COUNTS, *_RATIOS), [*counts.tolist(), *_ratios(counts).tolist()], strict=True))
    for name, part, whole in (("recall", counts[2], counts[0]), ("precision", counts[3], counts[1])):
        result[f"{name}_low"], result[f"{name}_high"] = wilson_interval(part, whole, confidence=confidence)
    return result


def _ratios(counts):
    """Return recall, precision and F1 of counts (..., 4); NaN where nothing was there."""
    n_truth, n_found, truth_found, found_true = np.moveaxis(np.asarray(counts, dtype=float), -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall, precision = truth_found / n_truth, found_true / n_found
        # With nothing found, recall is 0 and so is F1, though precision is not defined.
        f1 = np.where(
            (truth_found + found_true) > 0,
            2 * recall * precision / (recall + precision),
            np.where(n_truth + n_found > 0, 0.0, np.nan),
        )
    return np.stack([recall, precision, f1], axis=-1)


def _units(match):
    """Return counts (U, 4) of the groups of objects joined by matches, which a bootstrap draws together."""
    kinds, pairs = _kinds(match), match.pairs + [0, len(match.in_truth)]
    total = len(kinds)
    graph = sparse.coo_array((np.ones(len(pairs)), tuple(pairs.T)), shape=(total, total))
    _, unit = sparse.csgraph.connected_components(graph, directed=False) if total else (0, np.empty(0, int))
    size = unit.max(initial=-1) + 1
    return np.stack([np.bincount(unit, weights=w, minlength=size) for w in kinds.T], axis=1)


def _bootstrap(units, confidence, n_resamples, seed):
    """Return the percentile intervals of recall, precision and F1 over units (U, 4) drawn with replacement."""
    if not n_resamples >= 1:
        raise ValueError(f"n_resamples={n_resamples!r} must be at least 1")
    if not len(units):
        return [(np.nan, np.nan)] * 3
    n = len(units)
    times = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), n_resamples)
    return [percentile_interval(ratios, confidence) for ratios in _ratios(times @ units).T]


def percentile_interval(draws, confidence):
    """Return the ends of the middle share `confidence` of what a bootstrap gave.

    A resample without any object has no value; where all are so, there is no interval, and both ends are NaN.
    """
    _check_confidence(confidence)
    draws = draws[np.isfinite(draws)]
    if not draws.size:
        return np.nan, np.nan
    low, high = np.percentile(draws, [100 * (1 - confidence) / 2, 100 * (1 + confidence) / 2])
    return float(low), float(high)


def _check_confidence(confidence):
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence!r} must lie between 0 and 1")
