"""What maps of labels and masks show: which places are inside, how far others are, and what is too small."""

import cv2
import numpy as np
from scipy import ndimage

_FAR = np.float32(1e9)
_SMALLEST = 2.0  # cells: smaller areas go to what surrounds them
_SMALLEST_GAP = 6.0  # and areas of no domain


def inner(labels):
    """Which places of a map (M, N) have neighbours of their own label only; those of label -1 do not count."""
    square = np.ones((3, 3), np.uint8)
    # OpenCV takes no long integers, and looks at nothing beyond the edge.
    high = cv2.dilate(labels.astype(float), square)
    low = cv2.erode(np.where(labels < 0, np.inf, labels), square)
    return (labels >= 0) & (high == labels) & (low == labels)


def distance_to(places):
    """Euclidean distance of each pixel to the nearest one of some places.

    ``distance_to(~mask)`` is how deep in a mask each pixel is; at the image's edge a mask goes on beyond. OpenCV's is
    several times as fast as scipy.ndimage's.

    Parameters
    ----------
    places : numpy.ndarray of bool, shape (H, W)

    Returns
    -------
    numpy.ndarray, shape (H, W), float32
        px; 1e9 everywhere if there are none.

    Examples
    --------
    >>> distance_to(np.eye(4, dtype=bool)[:2]).astype(int).tolist()
    [[0, 1, 1, 2], [1, 0, 1, 2]]
    """
    if not places.any():
        return np.full(places.shape, _FAR)
    away = np.logical_not(places).view(np.uint8)
    return cv2.distanceTransform(away, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def opened(mask, radius):
    """What of a mask is as broad as a disk."""
    return distance_to(distance_to(~mask) > radius) <= radius


def extent(mask, margin=0):
    """The rows and columns, as slices, in which a mask is True, and some more on each side."""
    at = [np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0)]
    return tuple(slice(max(0, int(a[0]) - margin), int(a[-1]) + 1 + margin) for a in at)


def around_deepest(depth, reach):
    """The square, as slices, around the place of a map that is deepest."""
    at = np.unravel_index(depth.argmax(), depth.shape)
    return tuple(slice(max(0, int(a - reach)), int(a + reach) + 1) for a in at)


def without_specks(labels, area, usable):
    """Give areas that are too small to be domains, or gaps, to what surrounds them.

    Parameters
    ----------
    labels : numpy.ndarray of int, shape (H, W)
        -1 for no domain.
    area : float
        Of a cell, px².
    usable : numpy.ndarray of bool, shape (H, W)
        Elsewhere the result is -1.

    Returns
    -------
    numpy.ndarray of int, shape (H, W)

    Examples
    --------
    >>> labels = np.zeros((20, 20), int)
    >>> labels[3:5, 3:5] = 1
    >>> labels[:, 12:] = -1
    >>> np.unique(without_specks(labels, 10.0, np.ones((20, 20), bool))).tolist()
    [-1, 0]
    """
    small = ~usable
    for k in np.unique(labels).tolist():
        areas, _ = ndimage.label((labels == k) & usable)
        least = (_SMALLEST_GAP if k < 0 else _SMALLEST) * area
        small |= (areas > 0) & (np.bincount(areas.ravel()) < least)[areas]
    if small.all() or not small.any():
        return np.where(usable, labels, -1)
    # What is nearest to a small area lies beside it.
    box = extent(small, 1)
    nearest = ndimage.distance_transform_edt(small[box], return_distances=False, return_indices=True)
    result = labels.copy()
    result[box] = labels[box][tuple(nearest)]
    return np.where(usable, result, -1)
