"""Columns told from noise: each doubtful peak is judged at the place, and by the height, that look-alikes foretell."""

import cv2
import numpy as np
from scipy.spatial import cKDTree

from stemlib._peaks import draw
from stemlib.column_fitting import fit_columns
from stemlib.column_foretelling import foretell
from stemlib.column_heights import fit_heights
from stemlib.column_width import fit_width

_LIKELY = 0.5
_FEWEST = 19  # likely columns; with fewer, there is not enough to compare with
_PLAIN = 4.5  # standard errors: noise reaches this once in 10 000 columns' areas
_REACH = 1.5  # over the spacing: radius in which a height is measured
# What look-alikes must have at a site: a column in this share of them, of this probability.
_SHARE, _COMPANY = 0.25, 0.35
_ODDS = (3.0, 10.0)  # against a column, that its height has to outweigh: for likely peaks, and for others
_NEARLY_FULL, _OWN = 0.75, 3.5  # of the height foretold, and standard errors, off the site
_TAKEN_UP = 1.12  # noise over what is left of it beside fits, which take up some; measured on drawn crystals
_ONE = 0.35  # over the spacing: peaks that are closer stand for one column
FAINTEST = 0.25  # of the threshold: peaks that are overlooked columns, where look-alikes say so


def judge_columns(image, positions, likelihood, spacing, threshold):
    """Keep the peaks that are columns, drop noise, and add columns that the network nearly overlooked.

    A likely peak of 4.5 standard errors is a column: of areas as large as a column's, one in ten thousand holds a
    point where noise alone is that high. Any other peak is a question between two answers: a column where look-alikes
    have one (`stemlib.column_foretelling`), as high as theirs, or none. Where the height h at that very place, with
    the neighbours' peaks taken off, has the standard error s, and H is foretold, Gaussian noise makes a column
    likelier than none by a factor of exp((h - H / 2) H / s^2). The factor must be 3, as a vacancy that is filled in
    is worse than a column that is missed, and 10 where the network finds the peak unlikely. So with H = 5 s the
    height must be 0.54 H or 0.59 H, which noise reaches in 3 or 2 of 1000 vacancies, and brighter columns must come
    nearer to half. At the peak itself the test would favour columns, as the peak is where noise is highest. A column
    that is displaced is not at the foretold place: it must be 0.75 H and 3.5 s high where it is, which noise that may
    choose its place reaches in 2 of 1000 vacancies.

    What was dropped is asked about once more among the columns that are left, together with peaks too faint to count
    by themselves, so that a faint column beside strong ones is not overlooked. The test is the same for all.

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

    Examples
    --------
    >>> from stemlib.synthetic import crystal_image
    >>> from stemlib.column_network import standardised
    >>> scene = crystal_image("square", (80, 80), spacing=8, seed=0)
    >>> peaks = scene.columns[["y", "x"]].to_numpy()
    >>> between = peaks[20:21] + 4
    >>> places, _ = judge_columns(
    ...     standardised(scene.image),
    ...     np.vstack([peaks, between]),
    ...     np.append(np.ones(len(peaks)), 0.3),
    ...     8,
    ...     0.15,
    ... )
    >>> len(places) == len(peaks)
    True
    """
    seen = likelihood >= threshold
    fitted, _, _, sigma = fit_columns(image, positions[seen], spacing)
    chances = likelihood[seen]
    if (chances >= _LIKELY).sum() < _FEWEST:
        return fitted[chances >= _LIKELY], chances[chances >= _LIKELY]
    sigma = fit_width(image, fitted, sigma, spacing)
    heights, errors = _heights(image, fitted, sigma, spacing)
    kept = _credible(image, fitted, heights, errors, chances, spacing, sigma)
    fitted, heights, chances = fitted[kept], heights[kept], chances[kept]
    if (chances >= _LIKELY).sum() < _FEWEST:
        return fitted, chances
    rest = _nearest(fitted, positions) > _ONE * spacing
    places, found = _overlooked(
        image, fitted, heights, chances, positions[rest], likelihood[rest], spacing, sigma
    )
    return np.vstack([fitted, places]), np.append(chances, found)


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
    at_site[~spare], _ = fit_heights(image, at[~spare], sigma, spacing, reach=_REACH)
    least = _least(foretold.heights, errors[asked], likelihood[asked])
    own = heights[asked]
    displaced = (own >= _NEARLY_FULL * foretold.heights) & (own >= _OWN * errors[asked])
    kept[asked] = known & ((at_site[asked] >= least) | displaced)
    return kept


def _overlooked(image, positions, heights, likelihood, faint, chances, spacing, sigma):
    """Which of the faint peaks are columns: their foretold places and their probabilities."""
    if not len(faint):
        return faint, chances
    smooth = cv2.GaussianBlur(image, (0, 0), sigma)
    foretold = foretell(smooth, positions, heights, likelihood, spacing, faint)
    added = _known(foretold, chances) & (_nearest(positions, foretold.sites) > _ONE * spacing)
    added[added] = ~_spare(foretold.sites[added], chances[added], _ONE * spacing)
    sites = foretold.sites[added]
    found, errors = _heights(image, np.vstack([positions, sites]), sigma, spacing)
    found, errors = found[len(positions) :], errors[len(positions) :]
    high = found >= _least(foretold.heights[added], errors, chances[added])
    return sites[high], chances[added][high]


def _least(usual, errors, likelihood):
    """The height from which on a column is likelier than none, by as much as the odds against it ask for."""
    odds = np.where(likelihood >= _LIKELY, *_ODDS)
    return usual * (0.5 + np.log(odds) * (errors / usual) ** 2)


def _known(foretold, likelihood):
    """Where enough look-alikes have a column for it to be expected."""
    company = np.fmax(foretold.likelihood, likelihood)
    return (foretold.share >= _SHARE) & (company >= _COMPANY) & (foretold.heights > 0)


def _heights(image, positions, sigma, spacing):
    """Heights at fixed places, and their standard errors from what is left of the image around them."""
    heights, per_noise = fit_heights(image, positions, sigma, spacing, reach=_REACH)
    model = np.zeros(image.shape)
    draw(model, positions, np.nan_to_num(heights), sigma)
    rest = (image - model).astype(np.float32)
    rest -= cv2.GaussianBlur(rest, (0, 0), 2 * spacing)
    variance = cv2.GaussianBlur(rest * rest, (0, 0), 2 * spacing)
    row, column = np.clip(np.rint(positions).astype(int), 0, np.array(image.shape) - 1).T
    errors = _TAKEN_UP * per_noise * np.sqrt(variance[row, column] * _shared(rest))
    return np.nan_to_num(heights), np.where(np.isfinite(errors), errors, np.inf)


def _shared(noise):
    """Variance of a sum over noise that neighbours share, as after resampling, over that of independent noise."""
    total = float(np.mean(noise * noise))
    if total == 0:
        return 1.0
    down, along = np.mean(noise[1:] * noise[:-1]) / total, np.mean(noise[:, 1:] * noise[:, :-1]) / total
    return float(max(1 + 2 * down, 1) * max(1 + 2 * along, 1))


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
