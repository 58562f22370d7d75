"""Sizes: their mean and spread, and how far two sets of sizes, or two labels of one loop, are apart."""

import numpy as np
from scipy import stats

from stemlib.agreement.scores import percentile_interval


def size_statistics(sizes, *, confidence=0.95, n_resamples=2000, seed=0):
    """Return count, mean and standard deviation of diameters.

    Objects that touch the image edge are cut off: they are counted, and left out of mean and standard
    deviation. That favours small ones, because a large object meets the edge more often.

    Parameters
    ----------
    sizes : DataFrame
        Columns `diameter` (any one unit; NaN where it was not measured) and, where known, `touches_edge`
        (bool).
    confidence, n_resamples, seed
        Of the percentile bootstrap over objects.

    Returns
    -------
    dict
        `count` (all objects), `n_measured`, `n_at_edge`, `mean`, `std` (with ``ddof=1``), `median`, and
        `_low` and `_high` of mean and standard deviation; NaN where there are too few.

    Raises
    ------
    ValueError
        If the column `diameter` is missing or holds a value that is not positive.

    Examples
    --------
    >>> import pandas as pd
    >>> from stemlib.agreement import size_statistics
    >>> sizes = pd.DataFrame(
    ...     {"diameter": [20.0, 30.0, 40.0, 9.0], "touches_edge": [False, False, False, True]}
    ... )
    >>> result = size_statistics(sizes)
    >>> result["count"], result["n_measured"], result["mean"], result["std"]
    (4, 3, 30.0, 10.0)
    """
    measured, at_edge = _measured(sizes, "sizes")
    mean, std = _mean_std(measured)
    result = {
        "count": len(sizes),
        "n_measured": len(measured),
        "n_at_edge": at_edge,
        "mean": mean,
        "std": std,
        "median": float(np.median(measured)) if len(measured) else np.nan,
    }
    draws = np.full((n_resamples, 2), np.nan)
    if len(measured):
        rng = np.random.default_rng(seed)
        draws = np.array([_mean_std(rng.choice(measured, len(measured))) for _ in range(n_resamples)])
    for i, name in enumerate(("mean", "std")):
        result[f"{name}_low"], result[f"{name}_high"] = percentile_interval(draws[:, i], confidence)
    return result


def compare_sizes(one, other, *, confidence=0.95, n_resamples=2000, seed=0):
    """Return how far the sizes of one set are from those of another, pooled over images.

    Parameters
    ----------
    one, other : DataFrame
        As `sizes` of `size_statistics`, in one unit; with a column `image` the bootstrap draws whole images,
        the same for both, otherwise objects.
    confidence, n_resamples, seed
        Of the percentile bootstrap.

    Returns
    -------
    dict
        `count_difference`, `mean_difference` and `std_difference` (one less other, as a fraction of other),
        each with `_low` and `_high`; `wasserstein` (the distance of the two distributions, in the unit of
        the sizes), `ks` (their greatest distance as cumulative fractions) and `ks_p_value`; NaN where there
        are too few.

    Raises
    ------
    ValueError
        If a column is missing, only one of the two has `image`, or a size is not positive.

    Examples
    --------
    >>> import pandas as pd
    >>> from stemlib.agreement import compare_sizes
    >>> one, other = pd.DataFrame({"diameter": [22.0, 33.0]}), pd.DataFrame({"diameter": [20.0, 30.0]})
    >>> result = compare_sizes(one, other)
    >>> round(result["mean_difference"], 3), result["count_difference"], result["wasserstein"]
    (0.1, 0.0, 2.5)
    """
    if ("image" in one) != ("image" in other):
        raise ValueError("one and other must both have the column image, or neither")
    tables = (one, other)
    measured = [_measured(table, name)[0] for table, name in zip(tables, ("one", "other"), strict=True)]
    differences = _differences(
        *((len(table), *_mean_std(m)) for table, m in zip(tables, measured, strict=True))
    )
    names = ("count_difference", "mean_difference", "std_difference")
    result = dict(zip(names, differences, strict=True))
    draws = list(_resampled_differences(tables, n_resamples, np.random.default_rng(seed)))
    draws = np.reshape(draws, (-1, len(names)))
    for i, name in enumerate(names):
        result[f"{name}_low"], result[f"{name}_high"] = percentile_interval(draws[:, i], confidence)
    if min(map(len, measured)):
        ks = stats.ks_2samp(*measured)
        distances = (stats.wasserstein_distance(*measured), ks.statistic, ks.pvalue)
    else:
        distances = (np.nan, np.nan, np.nan)
    return result | dict(zip(("wasserstein", "ks", "ks_p_value"), map(float, distances), strict=True))


def axis_errors(match, truth, found, *, confidence=0.95, n_resamples=2000, seed=0):
    """Return how well the axes of matched objects agree.

    Parameters
    ----------
    match : Match
        By the one-to-one rule.
    truth, found : array_like, shape (N,) and (M,)
        A length of every object, such as its full major axis, in one unit. Pairs with a NaN are left out: set
        objects at the image edge to NaN.
    confidence, n_resamples, seed
        Of the percentile bootstrap over pairs.

    Returns
    -------
    dict
        `n_pairs`, `median_absolute_error` and `median_error` as fractions of the truth's length, each with
        `_low` and `_high`; NaN without pairs.

    Raises
    ------
    ValueError
        If the match is not one-to-one, a length is missing or not positive.

    Examples
    --------
    >>> from stemlib.agreement import axis_errors, match
    >>> boxes = [[0, 0, 30, 30], [100, 100, 140, 140]]
    >>> result = axis_errors(match(boxes, boxes), [30.0, 40.0], [33.0, 36.0])
    >>> round(result["median_absolute_error"], 3), round(result["median_error"], 3)
    (0.1, 0.0)
    """
    if match.rule != "one-to-one":
        raise ValueError(f"match was made by the rule {match.rule!r}; axes need 'one-to-one'")
    truth, found = np.asarray(truth, dtype=float), np.asarray(found, dtype=float)
    for name, values, flags in (("truth", truth, match.is_found), ("found", found, match.is_true)):
        if values.shape != flags.shape or (values <= 0).any():
            raise ValueError(
                f"{name} needs {len(flags)} positive lengths, one per object; shape {values.shape}"
            )
    before, after = truth[match.pairs[:, 0]], found[match.pairs[:, 1]]
    errors = (after / before - 1)[np.isfinite(before) & np.isfinite(after)]
    result = {"n_pairs": len(errors)}
    rng = np.random.default_rng(seed)
    drawn = errors[rng.integers(0, max(len(errors), 1), (n_resamples, len(errors)))]
    for name, view in (("median_absolute_error", np.abs), ("median_error", np.asarray)):
        if len(errors):
            medians = np.median(view(drawn), axis=1)
            result[name] = float(np.median(view(errors)))
        else:
            medians, result[name] = np.array([np.nan]), np.nan
        result[f"{name}_low"], result[f"{name}_high"] = percentile_interval(medians, confidence)
    return result


def _measured(sizes, name):
    """Return the sizes of the whole objects, and the number of those at the edge."""
    if "diameter" not in sizes:
        raise ValueError(f"{name} lacks the column diameter; it has {', '.join(map(str, sizes))}")
    diameter = sizes["diameter"].to_numpy(dtype=float)
    if (diameter <= 0).any():
        raise ValueError(f"{name}: diameter={diameter[diameter <= 0][0]} must be positive")
    at_edge = np.zeros(len(sizes), bool)
    if "touches_edge" in sizes:
        at_edge = sizes["touches_edge"].to_numpy(dtype=bool)
    return diameter[~at_edge & np.isfinite(diameter)], int(at_edge.sum())


def _mean_std(values):
    mean = float(np.mean(values)) if len(values) else np.nan
    return mean, float(np.std(values, ddof=1)) if len(values) > 1 else np.nan


def _differences(one, other):
    """Return (count, mean, standard deviation) of one less those of other, as fractions of other's."""
    return [a / b - 1 if b > 0 else np.nan for a, b in zip(one, other, strict=True)]


def _resampled_differences(tables, n_resamples, rng):
    if "image" not in tables[0]:
        groups = [[_measured(table, "sizes")[0] for table in tables]]
    else:
        names = sorted(set(tables[0]["image"]) | set(tables[1]["image"]))
        groups = [[table[table["image"] == name] for table in tables] for name in names]
        counts = np.array([[len(part) for part in group] for group in groups])
        groups = [[_measured(part, "sizes")[0] for part in group] for group in groups]
    # Where there is no image, there is none to draw.
    for _ in range(n_resamples if groups else 0):
        if "image" in tables[0]:
            drawn = rng.integers(0, len(groups), len(groups))
            values = [np.concatenate([groups[i][side] for i in drawn]) for side in (0, 1)]
            totals = counts[drawn].sum(axis=0)
        else:
            values = [rng.choice(part, len(part)) if len(part) else part for part in groups[0]]
            # How many objects there are is not known better from drawing as many again.
            totals = [len(table) for table in tables]
        yield _differences(*((n, *_mean_std(v)) for n, v in zip(totals, values, strict=True)))
