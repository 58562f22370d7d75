"""Distances in maps of pixels, by OpenCV, which is several times as fast as scipy.ndimage."""

import cv2
import numpy as np

_FAR = np.float32(1e9)


def distance_to(places):
    """Euclidean distance of each pixel to the nearest one of some places.

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


def depth_in(mask):
    """How far each pixel of a mask is inside it; what is at the image's edge goes on beyond.

    Parameters
    ----------
    mask : numpy.ndarray of bool, shape (H, W)

    Returns
    -------
    numpy.ndarray, shape (H, W), float32
        Distance to the nearest pixel outside the mask, px; 1e9 everywhere if there is none.

    Examples
    --------
    >>> depth_in(np.array([[True, True, True, False]])).tolist()
    [[3.0, 2.0, 1.0, 0.0]]
    """
    return distance_to(~mask)
