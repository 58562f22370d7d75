"""The common width of an image's columns."""

import cv2
import numpy as np

from stemlib.columns.gaussians import LIMITS, draw
from stemlib.columns.heights import measure_heights
from stemlib.columns.self_similarity import foretell, usual_heights

_TRIED = 15  # widths between them, before a parabola through the best three
_ROUNDS = 2
_ENOUGH = 1500  # columns
_SHARE = 0.25  # of the votes of look-alikes that must agree on a column
_RIM = 1.0  # over the spacing: at the image's edge, where columns beyond it reach in
_SMOOTH = 1.0  # over the spacing: standard deviation over which the background is smoothed
_MEDIAN = 1.386  # of chi-squared with two degrees of freedom
# Standard error of a fitted place along each axis, times its signal-to-noise ratio, over the width.
_UNCERTAIN = 1.7


def fit_width(image, positions, sigma, spacing, *, likelihood=None):
    """Find the width of peaks with which an image looks most like its columns.

    Peaks fitted one by one follow the noise, as each is put where noise and column together are highest: at a
    signal-to-noise ratio of 7 they come out narrower by a seventh to a fifth. So peaks are drawn twice, where they were
    fitted, and where the columns' look-alikes elsewhere in the image foretell them, whose noise is another; as high as
    is usual among look-alikes. The width is taken for which the product of image and foretold drawing is largest over
    the root of that of the two drawings: errors of places that the two do not share then add up to nothing, and what
    is left is that the width s comes out as the root of s^2 - e^2 with places fitted to e along each axis.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W), float32
        Bright columns.
    positions : numpy.ndarray, shape (N, 2)
        (y, x), px. Some may have no column; of very many, those around the middle one are used.
    sigma : float
        Standard deviation to start from, px.
    spacing : float
        Distance of neighbouring columns, px.
    likelihood : numpy.ndarray, shape (N,), optional
        Probability that a column is there, 1 by default. At least 19 must be likely.

    Returns
    -------
    float
        Standard deviation, px, 0.12 to 0.38 spacings.

    Examples
    --------
    >>> from stemlib.synthetic import render_columns
    >>> places = np.mgrid[8:90:8, 8:90:8].reshape(2, -1).T.astype(float)
    >>> image = render_columns(places, np.ones(len(places)), (96, 96), 1.8).astype("float32")
    >>> round(fit_width(image, places, 2.3, 8.0), 2)
    1.8
    """
    likelihood = np.ones(len(positions)) if likelihood is None else likelihood
    image, positions, likelihood = _window(image, positions, likelihood, spacing)
    for _ in range(_ROUNDS):
        places, heights, uncertain = _expected(image, positions, likelihood, sigma, spacing)
        sigma = float(np.hypot(_best_width(image, places, positions, heights, spacing), uncertain))
    return float(np.clip(sigma, LIMITS[0] * spacing, LIMITS[1] * spacing))


def _window(image, positions, likelihood, spacing):
    """A square of the image around the middle column with no more columns than are needed."""
    if len(positions) <= _ENOUGH:
        return image, positions, likelihood
    half = int(0.5 * np.sqrt(_ENOUGH) * spacing)
    middle = positions[np.argmin(np.linalg.norm(positions - np.median(positions, axis=0), axis=1))]
    first = np.clip(np.rint(middle).astype(int) - half, 0, None)
    last = np.minimum(first + 2 * half, image.shape)
    # Of peaks beyond the window only tails are there, and heights could not be told; they stay in the rim.
    inside = ((positions >= first) & (positions <= last - 1)).all(axis=1)
    return image[first[0] : last[0], first[1] : last[1]], positions[inside] - first, likelihood[inside]


def _expected(image, positions, likelihood, sigma, spacing):
    """Places and heights of the columns as look-alikes tell them, and the error of the fitted places."""
    heights, errors = measure_heights(image, positions, sigma, spacing)
    smooth = cv2.GaussianBlur(image, (0, 0), sigma)
    usual = usual_heights(smooth, positions, heights, likelihood, spacing)
    own = np.arange(len(positions))
    foretold = foretell(smooth, positions, heights, likelihood, spacing, positions, own)
    known = (foretold.share >= _SHARE) & (usual > 0)
    if not known.any():
        return positions, usual, 0.0
    places = np.where(known[:, None], foretold.sites, positions)
    # Where columns are displaced in truth, noise makes less of their distance from what is foretold.
    apart = np.median(((positions - places)[known] ** 2).sum(axis=1)) / _MEDIAN
    noise = np.median(_UNCERTAIN * sigma * errors[known] / usual[known])
    return places, usual, min(float(np.sqrt(apart)), float(noise))


def _best_width(image, places, positions, heights, spacing):
    """The width with which peaks at `places`, judged beside those at `positions`, look most like the image."""
    rim = int(_RIM * spacing)
    inner = (slice(rim, -rim),) * 2 if min(image.shape) > 6 * rim > 0 else (slice(None),) * 2
    flat = _without_background(image.astype(np.float64), spacing)[inner]
    tried = np.geomspace(*(limit * spacing for limit in LIMITS), _TRIED)
    likeness = np.empty(_TRIED)
    for number, sigma in enumerate(tried):
        drawings = []
        for at in (places, positions):
            model = np.zeros(image.shape)
            draw(model, at, heights, sigma)
            drawings.append(_without_background(model, spacing)[inner])
        product = max(np.sum(drawings[0] * drawings[1]), 1e-12)
        likeness[number] = np.sum(flat * drawings[0]) / np.sqrt(product)
    best = int(np.argmax(likeness))
    if best in (0, _TRIED - 1):
        return float(tried[best])
    below, here, above = likeness[best - 1 : best + 2]
    curvature = below + above - 2 * here
    move = (below - above) / (2 * curvature) if curvature < 0 else 0.0
    return float(tried[best] * (tried[1] / tried[0]) ** move)


def _without_background(image, spacing):
    return image - cv2.GaussianBlur(image, (0, 0), _SMOOTH * spacing, borderType=cv2.BORDER_REFLECT)
