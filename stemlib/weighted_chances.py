"""Weigh chances by what an image shows: where many columns are too dim, one more dim column is likelier real."""

import numpy as np

_TRIED = 0.01  # chance below which columns are counted
_SURE = 2.0  # standard deviations above what is expected, from which on there are too many
_PRIOR = 5.0  # columns of each direction that are taken to be unusual before any is counted
_LEAST = 0.1  # of its prior share is what each direction keeps


def weighted_chances(log_p, direction, tests, prior):
    """Divide chances by weights of the direction in which a place is unusual, with a weighted mean of 1.

    The weights go with how many more places are unusual in each direction than normal ones would be. In a perfect
    crystal each direction has its prior share of the false alarms. As the mean of all tests' weights is 1, as many
    normal places fall below a threshold as without them.

    Parameters
    ----------
    log_p : numpy.ndarray, shape (N,)
        Natural logarithm of the chance of each place.
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
    Weighted chances keep the rate of false alarms: C. Genovese, K. Roeder & L. Wasserman, Biometrika 93, 509 (2006),
    https://doi.org/10.1093/biomet/93.3.509. How the weights are learnt is ours.

    Examples
    --------
    >>> chances = np.log(np.linspace(1e-4, 1, 2000))
    >>> direction = np.arange(2000) % 2
    >>> bool(np.allclose(weighted_chances(chances, direction, [2000, 2000], [0.5, 0.5]), chances))
    True
    >>> chances[:200:2] = np.log(1e-3)
    >>> weighted = weighted_chances(chances, direction, [2000, 2000], [0.5, 0.5])
    >>> bool(weighted[0] < np.log(1e-3)), bool(weighted[1] > chances[1])
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
