"""Gaussian peaks drawn into an image, compiled by numba for `stemlib.column_fitting` and `stemlib.column_heights`."""

import math

import numba
import numpy as np

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
