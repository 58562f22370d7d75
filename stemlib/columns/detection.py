"""Columns told from noise: each doubtful peak is judged at the place, and by the height, that look-alikes foretell."""

import cv2
import numpy as np
from scipy.spatial import cKDTree

from stemlib.columns.gaussians import fit_columns
from stemlib.columns.heights import REACH, fit_heights, leftover, measure_heights
from stemlib.columns.self_similarity import foretell
from stemlib.columns.width import fit_width

_WIDE = 0.28  # over the spacing: width of peaks to start with
_LIKELY = 0.5
_FEWEST = 19  # likely columns; with fewer, there is not enough to compare with
_PLAIN = 4.5  # standard errors: noise reaches this once in 10 000 columns' areas
# What look-alikes must have at a site: a column in this share of them, of this probability.
_SHARE, _COMPANY = 0.25, 0.35
_ODDS = (3.0, 10.0)  # against a column, that its height has to outweigh: for likely peaks, and for others
_PARTLY = (0.25, 3.5)  # of the height foretold, and standard errors: a column that is partly occupied
_STANDS_OUT = 4.0  # over the scatter of what is left over: a peak to be asked about
_MEDIAN_DEVIATION = 0.6745  # of a Gaussian, over its standard deviation
_NEARLY_FULL, _OWN = 0.75, 3.5  # of the height foretold, and standard errors, off the site
_ONE = 0.35  # over the spacing: peaks that are closer stand for one column
FAINTEST = 0.25  # of the threshold: peaks that are overlooked columns, where look-alikes say so


def judge_columns(image, positions, likelihood, spacing, threshold):
    """Keep the peaks that are columns, drop noise, and add columns that the network nearly overlooked.

    A likely peak of 4.5 standard errors is a column: of areas as large as a column's, one in ten thousand holds a
    point where noise alone is that high. Any other peak is a question between two answers: a column where look-alikes
    have one (`stemlib.columns.self_similarity`), as high as theirs, or none. Where the height h at that very place,
    with the neighbours' peaks taken off, has the standard error s, and H is foretold, Gaussian noise makes a column
    likelier than none by a factor of exp((h - H / 2) H / s^2). The factor must be 3, as a vacancy that is filled in
    is worse than a column that is missed, and 10 where the network finds the peak unlikely. So with H = 5 s the
    height must be 0.54 H or 0.59 H, which noise reaches in 3 or 2 of 1000 vacancies, and brighter columns must come
    nearer to half. At the peak itself the test would favour columns, as the peak is where noise is highest. A column
    that is displaced is not at the foretold place: it must be 0.75 H and 3.5 s high where it is, which noise that may
    choose its place reaches in 2 of 1000 vacancies.

    What was dropped is asked about once more among the columns that are left, together with peaks too faint to count
    by themselves and with whatever stands out of what the columns leave over, so that a faint column beside strong ones
    is not overlooked. The test is the same for all. A column that is only partly occupied is one where it is a quarter
    of H and 5 s high.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W), float32
        Standardised.
    positions : numpy.ndarray, shape (N, 2)
        Peaks of the network's answer, (y, x), px.
    likelihood : numpy.ndarray, shape (N,)
        The network's probability.
    spacing : float
        Distance of neighbouring columns, px.
    threshold : float
        Probability of a column. Peaks between a quarter of it and itself are columns only where they are foretold.

    Returns
    -------
    positions : numpy.ndarray, shape (M, 2)
        (y, x), px, by a fit, and of added ones as foretold.
    likelihood : numpy.ndarray, shape (M,)
    sigma : float or None
        Standard deviation of the columns' peaks, px; None with too few columns to tell.

    Examples
    --------
    >>> from stemlib.synthetic import crystal_image
    >>> from stemlib.columns.network import standardised
    >>> scene = crystal_image("square", (80, 80), spacing=8, seed=0)
    >>> peaks = scene.columns[["y", "x"]].to_numpy()
    >>> between = peaks[20:21] + 4
    >>> places, _, sigma = judge_columns(
    ...     standardised(scene.image),
    ...     np.vstack([peaks, between]),
    ...     np.append(np.ones(len(peaks)), 0.3),
    ...     8,
    ...     0.15,
    ... )
    >>> len(places) == len(peaks), round(sigma, 1)
    (True, 1.7)
    """
    seen = likelihood >= threshold
    # Rather too wide than too narrow: then the places follow less of the noise.
    sigma = _WIDE * spacing
    fitted, *_ = fit_columns(image, positions[seen], spacing, sigma=sigma)
    chances = likelihood[seen]
    if (chances >= _LIKELY).sum() < _FEWEST:
        return fitted[chances >= _LIKELY], chances[chances >= _LIKELY], None
    sigma = fit_width(image, fitted, sigma, spacing, likelihood=chances)
    fitted, *_ = fit_columns(image, positions[seen], spacing, sigma=sigma)
    heights, errors = measure_heights(image, fitted, sigma, spacing)
    kept = _credible(image, fitted, heights, errors, chances, spacing, sigma)
    fitted, heights, chances = fitted[kept], heights[kept], chances[kept]
    if (chances >= _LIKELY).sum() < _FEWEST:
        return fitted, chances, sigma
    unseen = _left_over(image, fitted, heights, sigma, spacing)
    positions = np.vstack([positions, unseen])
    likelihood = np.append(likelihood, np.full(len(unseen), FAINTEST * threshold))
    rest = _nearest(fitted, positions) > _ONE * spacing
    places, found = _overlooked(
        image, fitted, heights, chances, positions[rest], likelihood[rest], spacing, sigma
    )
    return np.vstack([fitted, places]), np.append(chances, found), sigma


def _credible(image, positions, heights, errors, likelihood, spacing, sigma):
    """True for peaks that are columns."""
    kept = (heights >= _PLAIN * errors) & (likelihood >= _LIKELY)
    asked = np.flatnonzero(~kept)
    if not len(asked):
        return kept
    smooth = cv2.GaussianBlur(image, (0, 0), sigma)
    foretold = foretell(smooth, positions, heights, likelihood, spacing, positions[asked], asked)
    known = _known(foretold, likelihood[asked])
    at = positions.copy()
    at[asked[known]] = foretold.sites[known]
    spare = _spare(at, np.where(kept, 2.0, likelihood), _ONE * spacing)
    at_site = np.full(len(at), np.nan)
    at_site[~spare], _ = fit_heights(image, at[~spare], sigma, spacing, reach=REACH)
    least = _least(foretold.heights, errors[asked], likelihood[asked])
    own = heights[asked]
    displaced = (own >= _NEARLY_FULL * foretold.heights) & (own >= _OWN * errors[asked])
    kept[asked] = known & ((at_site[asked] >= least) | displaced)
    return kept


def _left_over(image, positions, heights, sigma, spacing):
    """Where a matched filter sees a peak beside the columns: (N, 2)."""
    rest = leftover(image, positions, heights, sigma, spacing).astype(np.float32)
    filtered = cv2.GaussianBlur(rest, (0, 0), sigma)
    scatter = np.median(np.abs(filtered)) / _MEDIAN_DEVIATION
    window = np.ones((2 * int(_ONE * spacing) + 1,) * 2, np.uint8)
    peaks = (filtered == cv2.dilate(filtered, window)) & (filtered > _STANDS_OUT * scatter)
    return np.argwhere(peaks).astype(float)


def _overlooked(image, positions, heights, likelihood, faint, chances, spacing, sigma):
    """Which of the faint peaks are columns: their foretold places and their probabilities."""
    if not len(faint):
        return faint, chances
    smooth = cv2.GaussianBlur(image, (0, 0), sigma)
    foretold = foretell(smooth, positions, heights, likelihood, spacing, faint)
    added = _known(foretold, chances) & (_nearest(positions, foretold.sites) > _ONE * spacing)
    # Of a column beyond the edge, too little shows to tell where it is.
    added &= ((foretold.sites >= -0.5) & (foretold.sites < np.array(image.shape) - 0.5)).all(axis=1)
    added[added] = ~_spare(foretold.sites[added], chances[added], _ONE * spacing)
    sites = foretold.sites[added]
    found, errors = measure_heights(image, np.vstack([positions, sites]), sigma, spacing)
    found, errors = found[len(positions) :], errors[len(positions) :]
    high = found >= _least(foretold.heights[added], errors, chances[added])
    return sites[high], chances[added][high]


def _least(usual, errors, likelihood):
    """The height from which on a column is likelier than none, by as much as the odds against it ask for.

    Or, where that is less, the height from which on there is something, if dimmer than its like.
    """
    odds = np.where(likelihood >= _LIKELY, *_ODDS)
    whole = usual * (0.5 + np.log(odds) * (errors / usual) ** 2)
    return np.minimum(whole, np.maximum(_PARTLY[0] * usual, _PARTLY[1] * errors))


def _known(foretold, likelihood):
    """Where enough look-alikes have a column for it to be expected."""
    company = np.fmax(foretold.likelihood, likelihood)
    return (foretold.share >= _SHARE) & (company >= _COMPANY) & (foretold.heights > 0)


def _spare(positions, likelihood, reach):
    """True for those within reach of a likelier one."""
    spare = np.zeros(len(positions), bool)
    if len(positions) > 1:
        for one, other in cKDTree(positions).query_pairs(reach):
            spare[one if likelihood[one] < likelihood[other] else other] = True
    return spare


def _nearest(positions, points):
    """Distance from each point to the nearest position."""
    return cKDTree(positions).query(points)[0] if len(positions) else np.full(len(points), np.inf)
