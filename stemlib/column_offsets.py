"""How unlikely it is that a normal column lies as far off its site."""

import numpy as np

from stemlib.majority import FEWEST_SCORES, clipped_scatter, log_chances

_FEWEST = 6  # columns of a sublattice from which on it can be judged
_LEAST_SCATTER = 0.01  # over the spacing: no fit is better than its model
_CUT = (0.6, 0.25)  # over the spacing: columns closer to the image's edge are cut off
_FAINTEST = 0.1  # of the usual height; below, a column's place is as uncertain as with this


def offset_chances(offsets, kind, relative, positions, spacing, shape):
    """Logarithm of the chance that a normal column lies as far off its site.

    Columns are compared with those of their kind; the place of a faint one is less certain, as the error of a fit
    goes with noise over height. Those in the image's rim, of which a part is cut off, are less certain too, as all
    columns there show together. Where columns overlap, the errors of their places have longer tails than a Gaussian:
    the chance is not taken to be smaller than the tail of the majority foretells.

    Parameters
    ----------
    offsets : numpy.ndarray, shape (N, 2)
        (y, x), px; NaN where no column is.
    kind : numpy.ndarray of int, shape (N,)
        Which site of the cell each is on.
    relative : numpy.ndarray, shape (N,)
        Height of each column over what is usual for its kind.
    positions : numpy.ndarray, shape (N, 2)
        (y, x), px.
    spacing : float
        Distance of neighbouring columns, px.
    shape : tuple of int
        Height and width of the image, px.

    Returns
    -------
    numpy.ndarray, shape (N,)
        0 where no column is, or none can be judged.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> at, offsets = rng.uniform(20, 180, (400, 2)), rng.normal(0, 0.2, (400, 2))
    >>> offsets[7] = 1.0, 2.0
    >>> chances = offset_chances(offsets, np.zeros(400, int), np.ones(400), at, 10.0, (200, 200))
    >>> int(chances.argmin()), bool(chances[7] < np.log(1e-5))
    (7, True)
    """
    rim = _rim(positions, spacing, shape)
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
            _, sd, count = clipped_scatter(standard[members, axis])
            standard[members, axis] /= max(sd, 1.0)
            freedom[members] = np.minimum(freedom[members], count - 1)
    squares = (standard[some] ** 2).sum(axis=1)
    # Hotelling's distribution for two components: exact for an estimated scatter.
    freedom = np.maximum(freedom[some] - 1, 1.0)
    chances = np.zeros(len(offsets))
    chances[some] = -freedom / 2 * np.log1p(squares / freedom)
    if some.sum() >= FEWEST_SCORES:
        chances[some] = np.maximum(chances[some], log_chances(squares))
    return chances


def _rim(at, spacing, shape):
    """0 for columns well inside the image, 1 and 2 for those of which a part or about half is cut off."""
    edge = np.minimum(at + 0.5, np.array(shape) - 0.5 - at).min(axis=1) / spacing
    return np.digitize(-edge, [-_CUT[0], -_CUT[1]], right=False)
