"""At which scale an image is looked at: the one at which its loops are as large as those that a detector knows."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

USUAL = 32.0  # px, diameter that a detector knows best
_SMALLEST = 0.25  # px of the image per px of the detector: what is magnified more shows nothing new
_LEAST_SIDE = 128  # px of a reduced image that is worth looking at


def pixel_of(diameter: float) -> float:
    """Return the size of a detector's px, in px of the image, for loops of this diameter (px).

    An image is magnified by powers of two alone, and no sooner than its loops are less than half as large as `USUAL`: a
    magnified image takes four times as long, and shows more noise.

    Examples
    --------
    >>> pixel_of(64.0), pixel_of(20.0), pixel_of(16.0)
    (2.0, 1.0, 0.5)
    """
    pixel = float(diameter) / USUAL
    return pixel if pixel >= 1 else max(2.0 ** math.ceil(math.log2(pixel)), _SMALLEST)


def octave_and_share(pixel):
    """Return the octave at which an image is looked at, and the share that the next coarser one has in the answer.

    Between two octaves the answers of both are averaged, so that a slightly different diameter changes the answer
    slightly.

    Parameters
    ----------
    pixel : float
        Size of the network's px, px of the image, as `pixel_of` gives it.

    Returns
    -------
    octave, share : float

    Examples
    --------
    >>> octave_and_share(4.0), octave_and_share(0.5)
    ((4.0, 0.0), (0.5, 0.0))
    """
    level = math.log2(pixel)
    return 2.0 ** math.floor(level), level % 1


def choose_pixel(
    found: Callable[[float], tuple[np.ndarray, np.ndarray]], shape: tuple[int, int], *, sees_all: bool = False
) -> float:
    """Return by how much an image is reduced so that its usual loop is as large as `USUAL`.

    Every octave of diameters is looked for at the scale at which it lies around `USUAL`, where the detector is most
    sure; the median over all octaves, weighted by score, decides. The image's size does not: a part of an image is
    looked at as the whole is. No image is magnified unasked: magnified noise looks like loops to any detector.

    Parameters
    ----------
    found : callable
        Takes the size of the detector's px, in px of the image; returns (N, 4) boxes, px of the image, and their
        scores (N,).
    shape : tuple of int
        Height and width of the image, px.
    sees_all : bool
        Whether the detector itself searches all larger diameters, so that the image's own px will do for them.

    Returns
    -------
    float

    Examples
    --------
    >>> boxes = np.array([[10.0, 10, 70, 80]])
    >>> round(choose_pixel(lambda pixel: (boxes, np.ones(1)), (1024, 1024)), 1)
    2.0
    """
    largest = 2.0 ** max(0, math.floor(math.log2(min(shape) / _LEAST_SIDE)))
    pixels = [1.0] if sees_all else [2.0**n for n in range(int(math.log2(largest)) + 1)]
    return min(max(pixel_of(_usual(*_octaves(found, pixels))), 1.0), largest)


def _octaves(found, pixels):
    """Diameters and weights of what each scale finds in its octave, the outermost in all beyond as well."""
    diameters, weights = [], []
    for pixel in pixels:
        boxes, scores = found(pixel)
        diameter = np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
        low = 0 if pixel == pixels[0] else pixel * USUAL / math.sqrt(2)
        high = np.inf if pixel == pixels[-1] else pixel * USUAL * math.sqrt(2)
        own = (diameter >= low) & (diameter < high)
        diameters.append(diameter[own])
        weights.append(scores[own])
    return np.concatenate(diameters), np.concatenate(weights)


def _usual(diameters, weights):
    """Median weighted by score; `USUAL` where there is nothing."""
    if not len(diameters):
        return USUAL
    order = np.argsort(diameters)
    cumulative = np.cumsum(weights[order])
    return float(diameters[order][np.searchsorted(cumulative, cumulative[-1] / 2)])
