"""Boundaries between domains as lines."""

import math

import cv2
import numpy as np
from skimage.measure import find_contours

_REACH = 4.0  # standard deviations, at which OpenCV cuts a Gaussian off, but for a pixel


def boundary_lines(labels, smoothing):
    """Trace where two domains meet.

    Parameters
    ----------
    labels : numpy.ndarray of int, shape (H, W)
        -1 for no domain; its outlines are no boundaries.
    smoothing : float
        Standard deviation of the Gaussian that takes the pixels' steps off the lines, px.

    Returns
    -------
    lines : list of numpy.ndarray, shape (N, 2)
        Vertices (y, x), px.
    pairs : list of (int, int)
        The labels on the two sides of each line.

    Examples
    --------
    >>> labels = np.zeros((20, 20), int)
    >>> labels[:, 12:] = 1
    >>> lines, pairs = boundary_lines(labels, 1.0)
    >>> pairs, lines[0][:, 1].round(1).min(), lines[0][:, 1].round(1).max()
    ([(0, 1)], np.float64(11.5), np.float64(11.5))
    """
    lines, pairs = [], []
    for first, second in _neighbours(labels):
        box = _extent((labels == first) | (labels == second))
        one, other = (labels[box] == k for k in (first, second))
        place = _meeting(one, other, math.ceil(_REACH * smoothing) + 1)
        one, other = one[place], other[place]
        share = _share(one, other, smoothing)
        start = [outer.start + inner.start for outer, inner in zip(box, place, strict=True)]
        for line in find_contours(share, 0.5, mask=one | other):
            if len(line) > 1:
                lines.append(line + start)
                pairs.append((first, second))
    return lines, pairs


def _extent(mask, margin=0):
    """The rows and columns in which a mask is True, and some more on each side."""
    at = [np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0)]
    return tuple(slice(max(0, int(a[0]) - margin), int(a[-1]) + 1 + margin) for a in at)


def _meeting(one, other, reach):
    """The rows and columns in which two areas are within reach of each other: no line is anywhere else."""
    square = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    one, other = (cv2.dilate(area.astype(np.uint8), square) for area in (one, other))
    return _extent(one & other, reach)


def _neighbours(labels):
    """Pairs of labels that meet, each once, in order."""
    count = int(labels.max()) + 1
    pairs = set()
    for before, after in ((labels[:-1], labels[1:]), (labels[:, :-1], labels[:, 1:])):
        met = (before != after) & (before >= 0) & (after >= 0)
        codes = np.unique(before[met].astype(int) * count + after[met])
        pairs |= {tuple(sorted(divmod(code, count))) for code in codes.tolist()}
    return sorted(pairs)


def _share(one, other, smoothing):
    """Share of the second area around each pixel, of the pixels in one of the two."""
    share = _blurred(other, smoothing)
    both = one | other
    return share if both.all() else share / np.maximum(_blurred(both, smoothing), 1e-6)


def _blurred(mask, smoothing):
    return cv2.GaussianBlur(mask.astype(np.float32), (0, 0), smoothing, borderType=cv2.BORDER_REFLECT)
