"""What is normal, learnt from most values: levels, their scatter, the null distribution, and p-values of the rest."""

from dataclasses import dataclass

import numpy as np
from scipy import special, stats

_CLIP = 2.5  # standard deviations beyond which values do not count for the scatter
# Standard deviation of a Gaussian cut at _CLIP, over that of the whole.
_CUT_SD = float(np.sqrt(1 - 2 * _CLIP * stats.norm.pdf(_CLIP) / (2 * stats.norm.cdf(_CLIP) - 1)))
_MOST_LEVELS = 3
_LEAST_SHARE = 0.15  # of the values at a level, for it to be normal
_LEAST_APART = 2.5  # standard deviations between two levels
_MARGIN = 10.0  # by which Schwarz's criterion must be better for several levels than for one
_ROUNDS = 40
FEWEST_SCORES = 30  # from which a tail can be learnt
_SET_ASIDE = 1e-3  # p-value of a score that the null distribution is not learnt from
_HEAVY = 0.2  # shape of the generalised Pareto distribution of the tail; 0 would be exponential
_TAIL = (0.85, 0.98)  # quantiles between which scores tell how their tail falls off


@dataclass(frozen=True, eq=False)
class Levels:
    """One or several normal levels of a quantity.

    Parameters
    ----------
    means, sds : numpy.ndarray, shape (K,)
        In ascending order of the means.
    counts : numpy.ndarray, shape (K,)
        How many values each is learnt from.
    """

    means: np.ndarray
    sds: np.ndarray
    counts: np.ndarray

    @classmethod
    def single(cls, values):
        """The one level of values most of which are normal."""
        return cls(*(np.array([value]) for value in clipped_scatter(values)))

    def nearest(self, values):
        """Which level each value belongs to: the one it is fewest standard deviations from."""
        return (np.abs(np.asarray(values)[:, None] - self.means) / self.sds).argmin(axis=1)

    def log_p(self, values, errors=1.0):
        """Natural logarithm of the p-value: that a normal value is as far off any level.

        Parameters
        ----------
        values : array_like, shape (N,)
        errors : float or array_like, shape (N,)
            By how much each value is less certain than is usual.

        Returns
        -------
        numpy.ndarray, shape (N,)
            0 for values within the levels.
        """
        values, errors = np.broadcast_arrays(np.asarray(values, float), np.maximum(errors, 1.0))
        level = self.nearest(values)
        distance = np.abs(values - self.means[level]) / (self.sds[level] * errors)
        # Beyond the outermost levels a value may be off on either side, between two levels off either: twice the tail.
        return np.minimum(student_log_tail(distance, self.counts[level] - 1) + np.log(2), 0.0)


def normal_levels(values):
    """Learn the normal levels of a quantity from values most of which are normal.

    Parameters
    ----------
    values : array_like, shape (N,)
        NaN are left out.

    Returns
    -------
    Levels
        One level, or up to three where the values fall into groups of which each has a good share.

    Raises
    ------
    ValueError
        If fewer than three values are finite.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> values = np.concatenate([rng.normal(1, 0.05, 600), rng.normal(1.6, 0.05, 400), [0.2, 0.1]])
    >>> levels = normal_levels(values)
    >>> levels.means.round(1).tolist(), levels.sds.round(2).tolist()
    ([1.0, 1.6], [0.05, 0.05])
    """
    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    if len(values) < 3:
        raise ValueError(f"values holds {len(values)} finite number(s); what is normal shows from three on")
    best, lowest = None, _criterion(values, 1)[0] - _MARGIN
    for count in range(2, 1 + min(_MOST_LEVELS, len(values) // 40)):
        criterion, levels = _criterion(values, count)
        if levels is not None and criterion < lowest:
            best, lowest = levels, criterion
    return Levels.single(values) if best is None else best


def clipped_scatter(values):
    """Mean and standard deviation of the Gaussian that most values follow, and how many do.

    Examples
    --------
    >>> values = np.concatenate([np.random.default_rng(0).normal(5, 2, 1000), [100] * 40])
    >>> mean, sd, _ = clipped_scatter(values)
    >>> round(mean), round(sd)
    (5, 2)
    """
    values = np.asarray(values, float)
    mean = float(np.median(values))
    least = 1e-9 * max(1.0, float(np.abs(values).max()))
    sd = max(1.4826 * float(np.median(np.abs(values - mean))), least)
    kept = np.ones(len(values), bool)
    for _ in range(_ROUNDS):
        before, kept = kept, np.abs(values - mean) <= _CLIP * sd
        if kept.sum() < 3 or (kept == before).all():
            break
        mean = float(values[kept].mean())
        sd = max(float(values[kept].std(ddof=1)) / _CUT_SD, least)
    return mean, sd, int(kept.sum())


def student_log_tail(distance, freedom):
    """Log p-value of so many estimated standard deviations, on one side: of Student's t, however far out.

    Examples
    --------
    >>> student_log_tail(np.array([0.0, 3.0]), 1e9).round(3).tolist()
    [-0.693, -6.608]
    """
    distance, freedom = np.broadcast_arrays(np.asarray(distance, float), np.maximum(freedom, 1.0))
    exact = stats.t.sf(distance, freedom)
    with np.errstate(divide="ignore"):
        # Where the tail underflows, the leading term of its expansion: I_x(a, 1/2) / 2 with small x.
        x = freedom / (freedom + distance**2)
        far = freedom / 2 * np.log(x) - np.log(freedom) - special.betaln(freedom / 2, 0.5)
        return np.where(exact > 1e-290, np.log(exact), far)


def log_p_values(scores, doubtful=None):
    """Log p-values of scores, by a null distribution that is learnt from most of them.

    Normal scores follow a shifted gamma distribution well, as sums of squares do; it is matched at quantiles, what is
    too unlikely is set aside, and it is matched again until that no longer changes. Beyond the bulk the tail
    is taken to fall off as slowly as the scores just before it do, and a little more slowly the farther out.

    Parameters
    ----------
    scores : array_like, shape (N,)
        Larger is less normal.
    doubtful : array_like of bool, shape (N,), optional
        Scores that nothing is learnt from.

    Returns
    -------
    numpy.ndarray, shape (N,)
        All 0 with fewer than 30 scores to learn from.

    Examples
    --------
    >>> scores = np.random.default_rng(0).chisquare(5, 2000)
    >>> float(np.exp(log_p_values(np.append(scores, 20.0))[-1])) < 0.01
    True
    """
    scores = np.asarray(scores, float)
    start = np.ones(len(scores), bool) if doubtful is None else ~np.asarray(doubtful, bool)
    if start.sum() < FEWEST_SCORES or np.ptp(scores[start]) == 0:
        return np.zeros(len(scores))
    kept = start
    for _ in range(_ROUNDS):
        shape, low, scale = _matched_gamma(scores[kept])
        log_p = stats.gamma.logsf((scores - low) / scale, shape)
        before, kept = kept, start & (log_p > np.log(_SET_ASIDE))
        if (kept == before).all() or kept.sum() < FEWEST_SCORES:
            break
    log_p = np.where(np.isfinite(log_p), log_p, -shape - (scores - low) / scale)
    kept = kept if kept.sum() >= FEWEST_SCORES else start
    first, last = np.quantile(scores[kept], _TAIL)
    excess = scores[kept & (scores > first)] - first
    # Maximum likelihood of an exponential tail, scores beyond `last` counted as at least that large.
    decay = np.minimum(excess, last - first).sum() / max((excess <= last - first).sum(), 1)
    slow = np.log1p(-_TAIL[0]) - np.log1p(_HEAVY * np.maximum(scores - first, 0) / max(decay, 1e-12)) / _HEAVY
    return np.minimum(np.where(scores > first, np.maximum(log_p, slow), log_p), 0.0)


def _matched_gamma(scores):
    """Shape, least value and scale of the gamma distribution with the quantiles of these scores."""
    levels = np.linspace(0.05, 0.65, 7)
    wanted = np.quantile(scores, levels)
    best = None
    for shape in np.geomspace(0.6, 60, 60):
        units = stats.gamma.ppf(levels, shape)
        scale, low = np.polyfit(units, wanted, 1)
        misfit = ((low + scale * units - wanted) ** 2).sum()
        if scale > 0 and (best is None or misfit < best[0]):
            best = misfit, shape, low, scale
    return best[1:] if best else (1.0, float(scores.min()), max(float(np.ptp(scores)), 1e-12))


def _criterion(values, count):
    """Schwarz's criterion of so many levels of one scatter beside a uniform share of outliers, and the levels.

    The levels are None where one of them has too few values or is too close to the next.
    """
    core = values[(values >= np.quantile(values, 0.02)) & (values <= np.quantile(values, 0.98))]
    parts = (np.arange(count) + 0.5) / count
    # Levels of equal shares, and levels however uneven: each start misses what the other finds.
    starts = [np.quantile(core, parts), core.min() + parts * np.ptp(core)][: 1 if count == 1 else 2]
    found = [_converged(values, core, means) for means in starts]
    valid = [one for one in found if one[1] is not None]
    return min(valid or found, key=lambda one: one[0])


def _converged(values, core, means):
    """Criterion and levels from one start, by expectation and maximisation."""
    count = len(means)
    sd = max(float(core.std()) / count, 1e-9 * max(1.0, float(np.abs(values).max())))
    shares, uniform = np.full(count, 0.95 / count), 0.05
    width = max(float(np.ptp(values)), 1e-9)
    least = 1e-3 * sd
    for _ in range(_ROUNDS):
        density = shares / (sd * np.sqrt(2 * np.pi)) * np.exp(-0.5 * ((values[:, None] - means) / sd) ** 2)
        total = density.sum(axis=1) + uniform / width
        weights = density / total[:, None]
        sums = weights.sum(axis=0) + 1e-9
        means = (weights * values[:, None]).sum(axis=0) / sums
        sd = max(float(np.sqrt((weights * (values[:, None] - means) ** 2).sum() / sums.sum())), least)
        shares, uniform = sums / len(values), max(0.01, 1 - sums.sum() / len(values))
    criterion = -2 * np.log(total).sum() + 2 * count * np.log(len(values))
    order = means.argsort()
    means, shares = means[order], shares[order]
    if shares.min() < _LEAST_SHARE or np.diff(means).min(initial=np.inf) / sd < _LEAST_APART:
        return criterion, None
    return criterion, Levels(means, np.full(count, sd), np.maximum(shares * len(values), 3))


_TRIED = 0.01  # p-value below which columns are counted
_SURE = 2.0  # standard deviations above what is expected, from which on there are too many
_PRIOR = 5.0  # columns of each direction that are taken to be unusual before any is counted
_LEAST = 0.1  # of its prior share is what each direction keeps


def weighted_p_values(log_p, direction, tests, prior):
    """Divide p-values by weights of the direction in which a place is unusual, with a weighted mean of 1.

    The weights go with how many more places are unusual in each direction than normal ones would be. In a perfect
    crystal each direction has its prior share of the false alarms. As the mean of all tests' weights is 1, as many
    normal places fall below a threshold as without them.

    Parameters
    ----------
    log_p : numpy.ndarray, shape (N,)
        Natural logarithm of the p-value of each place.
    direction : numpy.ndarray of int, shape (N,)
        In which direction it is unusual: dim, bright, displaced, ...
    tests : array_like, shape (D,)
        How many tests were made in each direction; of `log_p`, the smallest of several tests of a place will do.
    prior : array_like, shape (D,)
        Share of the false alarms that each direction has in a perfect crystal; they add up to 1.

    Returns
    -------
    numpy.ndarray, shape (N,)

    References
    ----------
    Weighted p-values keep the rate of false alarms: C. Genovese, K. Roeder & L. Wasserman, Biometrika 93, 509 (2006),
    https://doi.org/10.1093/biomet/93.3.509. How the weights are learnt is ours.

    Examples
    --------
    >>> log_p = np.log(np.linspace(1e-4, 1, 2000))
    >>> direction = np.arange(2000) % 2
    >>> bool(np.allclose(weighted_p_values(log_p, direction, [2000, 2000], [0.5, 0.5]), log_p))
    True
    >>> log_p[:200:2] = np.log(1e-3)
    >>> weighted = weighted_p_values(log_p, direction, [2000, 2000], [0.5, 0.5])
    >>> bool(weighted[0] < np.log(1e-3)), bool(weighted[1] > log_p[1])
    (True, True)
    """
    tests, prior = np.asarray(tests, float), np.asarray(prior, float)
    expected = tests * _TRIED
    counted = np.bincount(direction[log_p <= np.log(_TRIED)], minlength=len(tests))
    excess = np.maximum(counted - expected - _SURE * np.sqrt(expected), 0)
    shares = _PRIOR * len(tests) * prior + excess
    shares = np.maximum(shares / shares.sum(), _LEAST * prior)
    weights = shares / shares.sum() * tests.sum() / np.maximum(tests, 1)
    return np.minimum(log_p - np.log(weights[direction]), 0.0)


_LEAST_EMPTY = 0.1  # of the scatter of columns: scatter of empty places that is believed


@dataclass(frozen=True)
class VarianceStabilisation:
    """A scale of heights on which their noise has a standard deviation of 1.

    Counted electrons scatter more where there are more of them: variance is taken to grow in proportion to height.
    Twice the square root of the variance, over how fast it grows, is that scale; in proportion to height where the
    variance does not grow, and below nothing.

    Parameters
    ----------
    empty : float
        Variance of the height where no column is.
    growth : float
        By which variance grows for a height of 1.

    References
    ----------
    F. J. Anscombe, Biometrika 35, 246 (1948), https://doi.org/10.1093/biomet/35.3-4.246.

    Examples
    --------
    >>> scale = VarianceStabilisation.between(0.1, 1.0, 0.2)
    >>> scale.sd(np.array([0.0, 1.0])).round(2).tolist(), float(scale.back(scale(0.7)).round(6))
    ([0.1, 0.2], 0.7)
    """

    empty: float
    growth: float

    @classmethod
    def between(cls, empty_sd, height, sd):
        """The scale on which heights around 0 scatter by `empty_sd` and those around `height` by `sd`."""
        empty = min(max(empty_sd, _LEAST_EMPTY * sd), sd) ** 2
        return cls(empty, (sd**2 - empty) / height if height > 0 else 0.0)

    def sd(self, heights):
        """Standard deviation of heights."""
        return np.sqrt(self.empty + self.growth * np.maximum(heights, 0))

    def __call__(self, heights):
        """Heights on this scale."""
        heights = np.asarray(heights, float)
        # 2 (sqrt(v + g h) - sqrt(v)) / g, written so that g may be 0.
        above, start = np.maximum(heights, 0), np.sqrt(self.empty)
        return 2 * above / (self.sd(above) + start) + np.minimum(heights, 0) / start

    def back(self, values):
        """Heights from values on this scale."""
        values, start = np.asarray(values, float), np.sqrt(self.empty)
        return values * start + self.growth * np.maximum(values, 0) ** 2 / 4
