"""How high the image stands at given places: peaks of known width and position, each beside its neighbours."""

import math

import cv2
import numba
import numpy as np

from stemlib.columns.gaussians import add, draw, profile, span

_SWEEPS = 4
_RADIUS = 0.9  # over the spacing: of the disc in which a peak is first fitted, with its neighbours taken off
_ROUNDS = 2  # of fits on the common background
_SMOOTH = 1.0  # over the spacing: standard deviation over which that is smoothed
_FIT_REACH = 2.5  # standard deviations of a peak in which it is fitted there
REACH = 1.5  # over the spacing: of the disc in which a height is measured that has to be told from noise
_TAKEN_UP = 1.12  # noise over what is left of it beside fits, which take up some; measured on drawn crystals


def fit_heights(image, positions, sigma, spacing, *, reach=_RADIUS):
    """Fit heights of Gaussian peaks at fixed positions, each beside its neighbours.

    Heights are first fitted on a background of its own around each peak, then all together on what is left over,
    smoothed: a background that many pixels tell adds less noise where peaks overlap. As nothing but heights and
    background is fitted, the height where no column is has no bias towards noise that happens to look like one.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W), float32
        Bright columns.
    positions : array_like, shape (N, 2)
        (y, x), px.
    sigma : float
        Standard deviation of the peaks, px.
    spacing : float
        Distance of neighbouring columns, px.
    reach : float
        Over the spacing: radius of the disc in which a peak is first fitted.

    Returns
    -------
    heights : numpy.ndarray, shape (N,)
        In units of the image; negative where the image is darker than around. NaN with too few pixels.
    errors : numpy.ndarray, shape (N,)
        Their standard errors for noise of standard deviation 1 in each pixel. Larger at the image's edge.

    Examples
    --------
    >>> from stemlib.synthetic import render_columns
    >>> image = 5 + render_columns([(9.3, 8.0), (9.3, 16.0)], [2.0, 1.0], (20, 32), 1.8)
    >>> heights, errors = fit_heights(image, [(9.3, 8), (9.3, 16), (9.3, 24)], 1.8, 8.0)
    >>> heights.round(2).tolist()
    [2.0, 1.0, 0.0]
    """
    positions = np.array(positions, dtype=float).reshape(-1, 2)
    heights, seen = np.zeros(len(positions)), np.zeros(len(positions), bool)
    image = np.ascontiguousarray(image, np.float64)
    for _ in range(_SWEEPS):
        model = np.zeros(image.shape)
        draw(model, positions, heights, sigma)
        _sweep(image, model, positions, heights, seen, sigma, reach * spacing)
    errors = np.full(len(positions), np.nan)
    for _ in range(_ROUNDS):
        rest = leftover(image, positions, heights, sigma, spacing)
        for _ in range(_SWEEPS):
            _sweep_on_background(rest, positions, heights, errors, sigma)
    heights[~seen], errors[~seen] = np.nan, np.nan
    return heights, errors


def measure_heights(image, positions, sigma, spacing):
    """Fit heights as `fit_heights` does, with the standard errors that the noise of the image gives them.

    Parameters
    ----------
    image, positions, sigma, spacing
        As `fit_heights` takes them.

    Returns
    -------
    heights : numpy.ndarray, shape (N,)
        In units of the image; 0 with too few pixels.
    errors : numpy.ndarray, shape (N,)
        Their standard errors, from what is left of the image around each; infinite with too few pixels.

    Examples
    --------
    >>> from stemlib.synthetic import render_columns
    >>> places = np.mgrid[8:90:8, 8:90:8].reshape(2, -1).T.astype(float)
    >>> image = render_columns(places, np.ones(len(places)), (96, 96), 1.8)
    >>> noise = np.random.default_rng(0).normal(0, 0.32, image.shape)
    >>> heights, errors = measure_heights((image + noise).astype("float32"), places, 1.8, 8.0)
    >>> float(heights.mean().round(1)), float(errors.mean().round(1))
    (1.0, 0.1)
    """
    heights, per_noise = fit_heights(image, positions, sigma, spacing, reach=REACH)
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


def leftover(image, positions, heights, sigma, spacing):
    """What peaks and the smooth background do not explain of an image: (H, W) float64."""
    rest = np.array(image, np.float64)
    draw(rest, positions, -heights, sigma)
    smooth = cv2.GaussianBlur(
        rest.astype(np.float32), (0, 0), _SMOOTH * spacing, borderType=cv2.BORDER_REFLECT
    )
    return rest - smooth


@numba.njit(cache=True)
def _sweep(image, model, positions, heights, seen, sigma, radius):
    """Improve each height once, in place: least squares of a peak and a background within a disc around it."""
    for k in range(len(positions)):
        y, x = positions[k]
        top, bottom = span(y, radius, image.shape[0])
        left, right = span(x, radius, image.shape[1])
        down, along = profile(y, top, bottom, sigma), profile(x, left, right, sigma)
        count, peaks, squares, total, product = 0, 0.0, 0.0, 0.0, 0.0
        for i in range(len(down)):
            for j in range(len(along)):
                if (top + i - y) ** 2 + (left + j - x) ** 2 > radius * radius:
                    continue
                peak = down[i] * along[j]
                rest = image[top + i, left + j] - model[top + i, left + j] + heights[k] * peak
                count += 1
                peaks += peak
                squares += peak * peak
                total += rest
                product += peak * rest
        determinant = count * squares - peaks * peaks
        if count < 5 or determinant <= 1e-9 * count * squares:
            continue
        height = (count * product - peaks * total) / determinant
        add(model, y, x, height - heights[k], sigma)
        heights[k], seen[k] = height, True


@numba.njit(cache=True)
def _sweep_on_background(rest, positions, heights, errors, sigma):
    """Improve each height once, in place: least squares of a peak, what all others leave over being given."""
    for k in range(len(positions)):
        y, x = positions[k]
        top, bottom = span(y, _FIT_REACH * sigma, rest.shape[0])
        left, right = span(x, _FIT_REACH * sigma, rest.shape[1])
        down, along = profile(y, top, bottom, sigma), profile(x, left, right, sigma)
        squares, product = 0.0, 0.0
        for i in range(len(down)):
            for j in range(len(along)):
                peak = down[i] * along[j]
                squares += peak * peak
                product += peak * rest[top + i, left + j]
        if squares < 1e-3:
            continue
        step = product / squares
        add(rest, y, x, -step, sigma)
        heights[k] += step
        errors[k] = 1 / math.sqrt(squares)
