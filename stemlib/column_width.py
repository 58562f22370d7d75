"""The common width of an image's columns."""

import cv2
import numpy as np

from stemlib._peaks import draw
from stemlib.column_heights import fit_heights

LIMITS = (0.12, 0.38)  # over the spacing: the narrowest and the widest peak that is believed
_STEPS = (0.2, 0.1, 0.05)  # by which the width is tried smaller and larger
_ENOUGH = 1500  # columns
_REACH = 1.5  # over the spacing: of the disc in which a height is fitted


def fit_width(image, positions, sigma, spacing):
    """Find the width of peaks with which all columns together explain an image best.

    For every width that is tried, the heights of all columns are fitted beside each other anew, at the same places.
    Column by column, with the others as they are, noise that each fit takes up favours wide peaks: by a third at a
    signal-to-noise ratio of 5, and then vacancies seem to hold a quarter of a column.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W)
        Bright columns.
    positions : numpy.ndarray, shape (N, 2)
        (y, x), px. Some may have no column; of very many, those around the middle one are used.
    sigma : float
        Standard deviation to start from, px.
    spacing : float
        Distance of neighbouring columns, px.

    Returns
    -------
    float
        Standard deviation, px, 0.12 to 0.38 spacings.

    Examples
    --------
    >>> from stemlib.synthetic import render_columns
    >>> places = np.mgrid[8:90:8, 8:90:8].reshape(2, -1).T.astype(float)
    >>> round(fit_width(render_columns(places, np.ones(len(places)), (96, 96), 1.8), places, 2.3, 8.0), 2)
    1.8
    """
    image, positions = _window(image, positions, spacing)
    low, high = LIMITS[0] * spacing, LIMITS[1] * spacing
    for step in _STEPS:
        below, here, above = (
            _misfit(image, positions, sigma * factor, spacing) for factor in (1 - step, 1.0, 1 + step)
        )
        # Where the parabola through the three is lowest, at most one step away.
        curvature = below + above - 2 * here
        move = np.clip((below - above) / (2 * curvature), -1, 1) if curvature > 0 else np.sign(below - above)
        sigma = float(np.clip(sigma * (1 + step * move), low, high))
    return sigma


def _window(image, positions, spacing):
    """A square of the image around the middle column with no more columns than are needed."""
    if len(positions) <= _ENOUGH:
        return image, positions
    half = int(0.5 * np.sqrt(_ENOUGH) * spacing)
    middle = positions[np.argmin(np.linalg.norm(positions - np.median(positions, axis=0), axis=1))]
    first = np.clip(np.rint(middle).astype(int) - half, 0, None)
    last = np.minimum(first + 2 * half, image.shape)
    inside = ((positions >= first - spacing) & (positions < last + spacing)).all(axis=1)
    return image[first[0] : last[0], first[1] : last[1]], positions[inside] - first


def _misfit(image, positions, sigma, spacing):
    """Sum of squares that peaks of one width leave over, but for slow changes of the background."""
    heights, _ = fit_heights(image, positions, sigma, spacing, reach=_REACH)
    model = np.zeros(image.shape)
    draw(model, positions, np.nan_to_num(heights), sigma)
    rest = image - model
    rest -= cv2.GaussianBlur(rest, (0, 0), 2 * spacing)
    return float(np.sum(rest * rest))
