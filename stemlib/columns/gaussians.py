"""Sub-pixel positions and intensities of columns: Gaussian peaks fitted to an image, each beside its neighbours."""

import math

import cv2
import numba
import numpy as np

LIMITS = (0.12, 0.38)  # over the spacing: the narrowest and the widest peak that is believed
_FIRST_SIGMA = 0.22
_WIDTH_STEPS = (
    0.25,
    0.2,
    0.15,
    0.1,
    0.1,
    0.05,
)  # by which the width is tried smaller and larger, sweep by sweep
_SWEEPS = 8
_ALONE, _TOGETHER = 4, 3  # sweeps where the width is known: with a background for each, and on the common one
_FITTED_REACH = 2.5  # standard deviations of a peak in which it is fitted on the common background
_SMOOTH = 1.0  # over the spacing: standard deviation over which that is smoothed
_FIXED = 1e6  # makes the background of a disc 0
_ENOUGH = 1500  # columns, spread over all, that the width is taken from
# Over the spacing: within half of it a wide peak on a low background looks like a narrow one on a high background.
_WIDTH_RADIUS = 0.7
_FARTHEST = 0.3  # over the spacing: a fit that ends farther from its start has run off to something else


def fit_columns(image, positions, spacing, *, sigma=None):
    """Fit a Gaussian peak on a constant background at every column.

    All peaks share one width: by default the one with the smallest sum of squares. Column by column, the neighbours'
    peaks as fitted so far are taken off, and position, height and background are improved by one step of least squares
    within half the distance of neighbours; eight sweeps over all columns. With a known width four sweeps are enough,
    and three more follow on what all peaks leave over, smoothed: a background that many pixels tell brings the error
    of positions nearer to the least that noise allows, sqrt(2) widths over the signal-to-noise ratio along each axis.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W), float32
        Bright columns.
    positions : numpy.ndarray, shape (N, 2)
        Where to start, (y, x), px.
    spacing : float
        Distance of neighbouring columns, px.
    sigma : float, optional
        Standard deviation of the peaks, px, where it is known.

    Returns
    -------
    positions : numpy.ndarray, shape (N, 2)
        (y, x), px; where a fit does not stay near its start, the start.
    intensities : numpy.ndarray, shape (N,)
        Height of the peak over the background around it, in units of the image.
    errors : numpy.ndarray, shape (N,)
        Standard errors of the intensities, from what the fit leaves over around each column; infinite where too
        little of it lies on the image.
    sigma : float
        Standard deviation of the peaks, px.

    Examples
    --------
    >>> import numpy as np
    >>> from stemlib.synthetic import render_columns
    >>> image = 5 + render_columns([(9.3, 8.0), (9.3, 16.0)], [2.0, 1.0], (20, 25), 1.8)
    >>> fitted, intensities, errors, sigma = fit_columns(image, np.array([(9.0, 8), (9, 16)]), 8.0)
    >>> fitted.round(2).tolist(), intensities.round(2).tolist()
    ([[9.3, 8.0], [9.3, 16.0]], [2.0, 1.0])
    """
    start = np.array(positions, dtype=float).reshape(-1, 2)
    free = sigma is None
    sigma = _FIRST_SIGMA * spacing if free else sigma
    if not len(start):
        return start, np.zeros(0), np.zeros(0), sigma
    image = np.ascontiguousarray(image, np.float64)
    now, heights = start.copy(), np.zeros(len(start))
    radius = max(2.0, 0.5 * spacing)
    for sweep in range(_SWEEPS if free else _ALONE + _TOGETHER):
        model = np.zeros(image.shape)
        draw(model, now, heights, sigma)
        if free and 0 < sweep <= len(_WIDTH_STEPS):
            sigma = _better_width(image, model, now, heights, sigma, spacing, _WIDTH_STEPS[sweep - 1])
            model[:] = 0
            draw(model, now, heights, sigma)
        if free or sweep < _ALONE:
            _sweep(image, model, now, heights, sigma, radius, 0.0)
        else:
            model += cv2.GaussianBlur(image - model, (0, 0), _SMOOTH * spacing, borderType=cv2.BORDER_REFLECT)
            _sweep(image, model, now, heights, sigma, _FITTED_REACH * sigma, _FIXED)
        astray = np.hypot(*(now - start).T) > _FARTHEST * spacing
        now[astray] = start[astray]
    model = np.zeros(image.shape)
    draw(model, now, heights, sigma)
    errors = _height_errors(image - model, now, sigma, radius)
    return now, np.maximum(heights, 0), errors, sigma


def _better_width(image, model, positions, heights, sigma, spacing, step):
    """Where the parabola through the sums of squares at three widths is lowest, at most one step away."""
    radius = max(2.0, _WIDTH_RADIUS * spacing)
    some = slice(None, None, max(1, len(positions) // _ENOUGH))
    below, here, above = (
        _misfit(image, model, positions[some], heights[some], sigma, sigma * factor, radius)
        for factor in (1 - step, 1.0, 1 + step)
    )
    curvature = below + above - 2 * here
    move = np.clip((below - above) / (2 * curvature), -1, 1) if curvature > 0 else np.sign(below - above)
    return float(np.clip(sigma * (1 + step * move), LIMITS[0] * spacing, LIMITS[1] * spacing))


@numba.njit(cache=True)
def _sweep(image, model, positions, heights, sigma, radius, stiffness):
    """Improve each column once, in place, with a background of its own or, if that is stiff, none."""
    normal, found = np.empty((4, 4)), np.empty(4)
    for k in range(len(positions)):
        y, x = positions[k]
        n_pixels, _ = _normal_equations(image, model, y, x, heights[k], sigma, sigma, radius, normal, found)
        if n_pixels < 6:
            continue
        normal[0, 0] *= 1 + stiffness
        _solve(normal, found)
        height = found[1]
        add(model, y, x, -heights[k], sigma)
        if height > 0:
            for axis in range(2):
                step = sigma * found[2 + axis] / height
                positions[k, axis] += min(max(step, -0.5 * sigma), 0.5 * sigma)
        heights[k] = height
        add(model, positions[k, 0], positions[k, 1], heights[k], sigma)


@numba.njit(cache=True)
def _misfit(image, model, positions, heights, sigma, trial, radius):
    """Sum of squares left over if each column's peak, drawn with `sigma`, were fitted anew with a `trial` width."""
    normal, found, right_side = np.empty((4, 4)), np.empty(4), np.empty(4)
    total = 0.0
    for k in range(len(positions)):
        y, x = positions[k]
        n_pixels, squares = _normal_equations(
            image, model, y, x, heights[k], sigma, trial, radius, normal, found
        )
        if n_pixels < 6:
            continue
        right_side[:] = found
        _solve(normal, found)
        total += squares
        for p in range(4):
            total -= right_side[p] * found[p]
    return total


@numba.njit(cache=True)
def _normal_equations(image, model, y, x, height, sigma, trial, radius, normal, right_side):
    """Sums over a disc around (y, x) for background, height and height times shifts, with a peak of width `trial`.

    The column's own peak in the model, of width `sigma`, is put back first. Returns the number of pixels and the sum
    of squares to be explained.
    """
    normal[:], right_side[:] = 0.0, 0.0
    top, bottom = span(y, radius, image.shape[0])
    left, right = span(x, radius, image.shape[1])
    down, along = profile(y, top, bottom, sigma), profile(x, left, right, sigma)
    down_trial, along_trial = profile(y, top, bottom, trial), profile(x, left, right, trial)
    basis = np.empty(4)
    basis[0] = 1.0
    n_pixels, squares = 0, 0.0
    for i in range(len(down)):
        dy = top + i - y
        for j in range(len(along)):
            dx = left + j - x
            if dy * dy + dx * dx > radius * radius:
                continue
            n_pixels += 1
            peak = down_trial[i] * along_trial[j]
            # Shifts in units of the width.
            basis[1], basis[2], basis[3] = peak, peak * dy / trial, peak * dx / trial
            rest = image[top + i, left + j] - model[top + i, left + j] + height * down[i] * along[j]
            squares += rest * rest
            for p in range(4):
                right_side[p] += basis[p] * rest
                for q in range(p + 1):
                    normal[p, q] += basis[p] * basis[q]
    return n_pixels, squares


@numba.njit(cache=True)
def _solve(normal, values):
    """Solve in place by Cholesky's decomposition of the lower triangle; a hair of damping keeps it positive."""
    n = len(values)
    for p in range(n):
        normal[p, p] = normal[p, p] * (1 + 1e-9) + 1e-12
        for q in range(p + 1):
            total = normal[p, q]
            for r in range(q):
                total -= normal[p, r] * normal[q, r]
            normal[p, q] = math.sqrt(max(total, 1e-12)) if p == q else total / normal[q, q]
    for p in range(n):
        for r in range(p):
            values[p] -= normal[p, r] * values[r]
        values[p] /= normal[p, p]
    for p in range(n - 1, -1, -1):
        for r in range(p + 1, n):
            values[p] -= normal[r, p] * values[r]
        values[p] /= normal[p, p]


@numba.njit(cache=True)
def _height_errors(rest, positions, sigma, radius):
    """Standard error of each height: scatter of the rest in the disc, over the length of the peak without its mean."""
    errors = np.empty(len(positions))
    for k in range(len(positions)):
        y, x = positions[k]
        top, bottom = span(y, radius, rest.shape[0])
        left, right = span(x, radius, rest.shape[1])
        n, rest_sum, rest_square, peak_sum, peak_square = 0, 0.0, 0.0, 0.0, 0.0
        for row in range(top, bottom + 1):
            for column in range(left, right + 1):
                away = (row - y) ** 2 + (column - x) ** 2
                if away > radius * radius:
                    continue
                peak, value = math.exp(-away / (2 * sigma**2)), rest[row, column]
                n += 1
                rest_sum, rest_square = rest_sum + value, rest_square + value * value
                peak_sum, peak_square = peak_sum + peak, peak_square + peak * peak
        length = peak_square - peak_sum**2 / n if n > 4 else 0.0
        # Background, height and two shifts were fitted.
        spread = max(rest_square - rest_sum**2 / n, 0.0) / (n - 4) if n > 4 else 0.0
        errors[k] = math.sqrt(spread / length) if length > 1e-9 else np.inf
    return errors


_REACH = 3.5  # standard deviations of a peak that are drawn


@numba.njit(cache=True)
def draw(model, positions, heights, sigma):
    """Add a peak at each position."""
    for k in range(len(positions)):
        add(model, positions[k, 0], positions[k, 1], heights[k], sigma)


@numba.njit(cache=True)
def add(model, y, x, height, sigma):
    """Add one peak."""
    top, bottom = span(y, _REACH * sigma, model.shape[0])
    left, right = span(x, _REACH * sigma, model.shape[1])
    down, along = profile(y, top, bottom, sigma), profile(x, left, right, sigma)
    for i in range(len(down)):
        for j in range(len(along)):
            model[top + i, left + j] += height * down[i] * along[j]


@numba.njit(cache=True)
def span(centre, reach, size):
    """First and last pixel within reach along one axis of the image."""
    return max(0, math.ceil(centre - reach)), min(size - 1, math.floor(centre + reach))


@numba.njit(cache=True)
def profile(centre, first, last, sigma):
    """Gaussian of height 1 along one axis, at the pixels from `first` to `last`."""
    return np.exp(-((np.arange(first, last + 1) - centre) ** 2) / (2 * sigma**2))
