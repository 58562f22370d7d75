"""Dark blobs by a multi-scale Laplacian of Gaussian: no training, and a stated number of false alarms."""

from __future__ import annotations

import math

import cv2
import numpy as np
from scipy import optimize
from scipy.spatial import cKDTree
from skimage.feature import peak_local_max

from stemlib.loops.boxes import suppress
from stemlib.loops.tiling import resampled

LEAST = 0.5  # score at which as many blobs as stated would be found in noise alone
_DIAMETERS = np.geomspace(8.0, 90.0, 11)  # working px; a third of an octave apart
_FALSE_ALARMS = 1.0  # in a megapixel of noise
_MOST_ELONGATED = 10.0  # ratio of curvatures beyond which it is an edge or a line, as Lowe (2004) has it
_REPORTED = 0.4
_MOST_OVERLAP = 0.3


def find_blobs(image, mask=None, *, pixel=1.0):
    """Find dark blobs that stand out of the noise.

    Each scale's response is judged by its own noise: that of white noise as strong as the image's highest frequencies
    show it to be, or, where the specimen's texture is stronger, the spread of the response itself.

    Parameters
    ----------
    image : numpy.ndarray, (H, W), uint8
    mask : numpy.ndarray of bool, (H, W), optional
        True where to look.
    pixel : float
        Size of the px at which blobs of 8 to 90 px are looked for, px of the image.

    Returns
    -------
    boxes : numpy.ndarray, (N, 4), float64
        Top, left, bottom, right in px, best first.
    scores : numpy.ndarray, (N,), float64
        z / (z + z₀), with the response z in standard deviations of its noise and z₀ the one that noise alone exceeds
        once in a megapixel: 0.5 there.

    References
    ----------
    T. Lindeberg, Int. J. Comput. Vis. 30, 79 (1998), https://doi.org/10.1023/A:1008045108935. Noise from high
    frequencies: J. Immerkær, Comput. Vis. Image Underst. 64, 300 (1996), https://doi.org/10.1006/cviu.1996.0060.
    Maxima of noise: R. J. Adler, The Geometry of Random Fields (1981), https://doi.org/10.1137/1.9780898718980. Edges
    and lines: D. G. Lowe, Int. J. Comput. Vis. 60, 91 (2004), https://doi.org/10.1023/B:VISI.0000029664.99615.94.

    Examples
    --------
    >>> y, x = np.mgrid[:128, :128]
    >>> image = 150 - 90 * (np.hypot(y - 60, x - 40) < 8) + np.random.default_rng(0).normal(0, 5, (128, 128))
    >>> boxes, scores = find_blobs(image.astype(np.uint8))
    >>> bool(abs((boxes[0, 2] - boxes[0, 0]) - 16) < 3)
    True
    """
    working = resampled(image.astype(np.float32), pixel)
    seen = np.ones(working.shape, bool)
    if mask is not None and not mask.all():
        seen = resampled(mask.view(np.uint8), pixel) > 0
    noise = _white_noise(working, seen)
    responses, elongated, noises = zip(
        *(_response(working, seen, one, noise) for one in _DIAMETERS), strict=True
    )
    # The scale-normalised response is largest at the blob's own size; its noise says how sure it is.
    cube = np.stack([one * diameter**2 for one, diameter in zip(responses, _DIAMETERS, strict=True)])
    scale, row, column = peak_local_max(cube, min_distance=1, threshold_abs=1e-6, exclude_border=False).T
    limits = np.array([_limit(diameter) for diameter in _DIAMETERS])
    strength = np.stack(responses)[scale, row, column] / np.array(noises)[scale]
    scores = strength / (strength + limits[scale])
    kept = (scores >= _REPORTED) & seen[row, column] & ~np.stack(elongated)[scale, row, column]
    scale, row, column, scores = scale[kept], row[kept], column[kept], scores[kept]
    ratio = np.array(image.shape) / working.shape
    centre = (np.stack([row, column], axis=1) + 0.5) * ratio - 0.5
    half = _DIAMETERS[scale][:, None] * ratio / 2
    boxes = np.hstack([centre - half, centre + half])
    kept = _not_within(centre, half[:, 0], cube[scale, row, column])
    best = kept[suppress(boxes[kept], scores[kept], most_overlap=_MOST_OVERLAP)]
    return np.clip(boxes[best], -0.5, np.array(image.shape * 2) - 0.5), scores[best].astype(float)


def _not_within(centre, radius, contrast):
    """Rows of the blobs that do not lie within one of more contrast, as noise on the inner side of its edge does."""
    if not len(centre):
        return np.empty(0, int)
    tree = cKDTree(centre)
    order = np.argsort(-contrast, kind="stable")
    free = np.ones(len(centre), bool)
    for at in order:
        if free[at]:
            near = np.array(tree.query_ball_point(centre[at], radius[at]))
            free[near[(near != at) & (contrast[near] <= contrast[at]) & (radius[near] <= radius[at])]] = False
    return np.flatnonzero(free)


def _white_noise(image, seen):
    """Standard deviation per px, from differences that no smooth structure makes."""
    kernel = np.float32([[1, -2, 1], [-2, 4, -2], [1, -2, 1]]) / 6
    differences = cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101)[seen]
    return float(np.median(np.abs(differences))) * 1.4826


def _response(image, seen, diameter, noise):
    """Response of one scale, dark blobs positive; where it is an edge's or a line's; and its noise's deviation."""
    sigma = diameter / (2 * math.sqrt(2))
    # On every n-th px of a smoothed image the same is seen in a fraction of the time.
    step = max(1, int(sigma // 4))
    small = resampled(image, step)
    smooth = cv2.GaussianBlur(small, (0, 0), sigma / step, borderType=cv2.BORDER_REFLECT_101)
    yy, xx, xy = (
        cv2.filter2D(smooth, -1, kernel, borderType=cv2.BORDER_REFLECT_101) / step**2
        for kernel in _CURVATURES
    )
    elongated = (yy + xx) ** 2 >= (_MOST_ELONGATED + 1) ** 2 / _MOST_ELONGATED * (yy * xx - xy**2)
    size = image.shape[::-1]
    response = cv2.resize(yy + xx, size, interpolation=cv2.INTER_LINEAR)
    elongated = cv2.resize(elongated.view(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    inside = response[seen]
    spread = float(np.median(np.abs(inside - np.median(inside)))) * 1.4826
    # White noise through the Laplacian of a Gaussian: its sum of squares is 1 / (2 pi sigma^6).
    white = noise / math.sqrt(2 * math.pi) / sigma**3
    return response, elongated, max(spread, white, 1e-6)


_CURVATURES = (
    np.float32([[0, 1, 0], [0, -2, 0], [0, 1, 0]]),
    np.float32([[0, 0, 0], [1, -2, 1], [0, 0, 0]]),
    np.float32([[1, 0, -1], [0, 0, 0], [-1, 0, 1]]) / 4,
)


def _limit(diameter):
    """Deviation that so many maxima of the noise exceed that there is one in a megapixel, over all scales.

    High maxima of a Gaussian field are as many as its expected Euler characteristic says; the second spectral moment
    of white noise through the Laplacian of a Gaussian is 3 / (2 sigma^2).
    """
    sigma = diameter / (2 * math.sqrt(2))
    density = 1e6 * 1.5 / sigma**2 / (2 * math.pi) ** 1.5
    wanted = _FALSE_ALARMS / len(_DIAMETERS)
    return float(optimize.brentq(lambda z: density * z * math.exp(-(z**2) / 2) - wanted, 1.0, 20.0))
