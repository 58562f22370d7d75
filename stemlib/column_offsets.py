"""How unlikely it is that a normal column lies as far off its site."""

import numpy as np

from stemlib.majority import FEWEST_SCORES, clipped_scatter, log_chances

_FEWEST = 6  # columns of a sublattice from which on it can be judged
_LEAST_SCATTER = 0.01  # over the spacing: no fit is better than its model
_FAINTEST = 0.1  # of the usual height; below, a column's place is as uncertain as with this


def offset_chances(offsets, kind, relative, rim, spacing):
    """Logarithm of the chance that a normal column lies as far off its site.

    Columns are compared with those of their kind; the place of a faint one is less certain, as the error of a fit
    goes with noise over height. The outermost columns along an edge, which scan distortions such as flyback shift
    together and which have no neighbours beyond, are compared with each other. Where columns overlap, the errors of
    their places have longer tails than a Gaussian: the chance is not taken to be smaller than the tail of the majority
    foretells.

    Parameters
    ----------
    offsets : numpy.ndarray, shape (N, 2)
        (y, x), px; NaN where no column is, or none whose place can be judged.
    kind : numpy.ndarray of int, shape (N,)
        Which site of the cell each is on.
    relative : numpy.ndarray, shape (N,)
        Height of each column over what is usual for its kind.
    rim : numpy.ndarray of int, shape (N,)
        The edge of the image along which each is one of the outermost, from 1 on; 0 for all others.
    spacing : float
        Distance of neighbouring columns, px.

    Returns
    -------
    numpy.ndarray, shape (N,)
        0 where no column is, or none can be judged.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> offsets = rng.normal(0, 0.2, (400, 2))
    >>> offsets[7] = 1.0, 2.0
    >>> chances = offset_chances(offsets, np.zeros(400, int), np.ones(400), np.zeros(400, int), 10.0)
    >>> int(chances.argmin()), bool(chances[7] < np.log(1e-5))
    (7, True)
    """
    some = np.isfinite(offsets).all(axis=1)
    blur = 1 / np.clip(np.nan_to_num(relative, nan=1.0), _FAINTEST, 1.0)
    standard, freedom = np.zeros(offsets.shape), np.full(len(offsets), np.inf)
    for one in np.unique(kind):
        members, learnt = some & (kind == one), some & (kind == one) & (rim == 0)
        if learnt.sum() < _FEWEST:
            some &= ~members
            continue
        for axis in range(2):
            mean, sd, count = clipped_scatter(offsets[learnt, axis] / blur[learnt])
            error = np.hypot(sd * blur[members], _LEAST_SCATTER * spacing)
            standard[members, axis] = (offsets[members, axis] - mean) / error
            freedom[members] = np.minimum(freedom[members], count - 1)
    for one in np.unique(rim[rim > 0]):
        members = some & (rim == one)
        if members.sum() < _FEWEST:
            some &= ~members
            continue
        for axis in range(2):
            mean, sd, count = clipped_scatter(standard[members, axis])
            standard[members, axis] = (standard[members, axis] - mean) / max(sd, 1.0)
            freedom[members] = np.minimum(freedom[members], count - 1)
    squares = (standard[some] ** 2).sum(axis=1)
    # Hotelling's distribution for two components: exact for an estimated scatter.
    freedom = np.maximum(freedom[some] - 1, 1.0)
    chances = np.zeros(len(offsets))
    chances[some] = -freedom / 2 * np.log1p(squares / freedom)
    if some.sum() >= FEWEST_SCORES:
        chances[some] = np.maximum(chances[some], log_chances(squares))
    return chances
