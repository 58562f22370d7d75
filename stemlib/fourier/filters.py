"""Filters: slow background, local contrast and outliers taken off an image; blocks of pixels; medians of short rows."""

import cv2
import numpy as np

_LARGE = 2**20  # px to transform
_NATURAL = 8.0  # px between neighbouring columns, below which no pixel is spared


def flatten(image, weights, sigma):
    """Subtract the slow background, leave out what has no weight, and cut off what is far too bright.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W), float32
    weights : numpy.ndarray, shape (H, W), float32
        0 where not to look, 1 where to.
    sigma : float
        Standard deviation of the Gaussian local mean, px.

    Returns
    -------
    numpy.ndarray, shape (H, W), float32
        Zero outside the weights.

    Examples
    --------
    >>> image = np.fromfunction(lambda y, x: x, (64, 64), dtype=np.float32)
    >>> bool(np.abs(flatten(image, np.ones_like(image), 6)[20:-20, 20:-20]).max() < 0.2)
    True
    """
    rows = slice(None, None, max(1, len(image) // 512))
    level = np.float32(np.average(image[rows], weights=weights[rows] + 1e-9))
    flat = (image - level) * weights
    flat -= blurred(flat, sigma) / np.maximum(blurred(weights, sigma), np.float32(1e-3))
    flat *= weights
    sample = flat[:: max(1, flat.shape[0] // 512), :: max(1, flat.shape[1] // 512)]
    # Of sorted values, quantiles are found several times faster.
    sample = np.sort(sample[sample != 0])
    low, high = np.quantile(sample, (0.005, 0.995)) if sample.size else (0, 0)
    # Columns under thick contamination and hot pixels must not outweigh the rest of the image.
    return np.clip(flat, 2 * low, 2 * high, out=flat)


def even_contrast(flat, sigma):
    """Divide a flattened image by its local contrast, where there is any.

    Parameters
    ----------
    flat : numpy.ndarray, shape (H, W), float32
    sigma : float
        Standard deviation of the Gaussian over which contrast is averaged, px.

    Returns
    -------
    numpy.ndarray, shape (H, W), float32
    """
    contrast = np.sqrt(np.maximum(blurred(flat**2, sigma), 0))
    usual = np.quantile(contrast[:: max(1, len(flat) // 512), :: max(1, flat.shape[1] // 512)], 0.8)
    return flat / np.maximum(contrast, np.float32(max(0.5 * usual, 1e-30)))


def blurred(image, sigma):
    """Blur an image (H, W) of float32 with a Gaussian, reduced before where the Gaussian is broad."""
    factor = max(1, int(sigma / 4))
    height, width = image.shape
    size = (max(1, round(width / factor)), max(1, round(height / factor)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / factor, borderType=cv2.BORDER_REFLECT)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def natural_factor(spacing):
    """The whole number by which to reduce an image of columns so far apart, px: 8 to 16 px apart lose nothing.

    Examples
    --------
    >>> [natural_factor(spacing) for spacing in (5.0, 15.9, 16.0, 67.4)]
    [1, 1, 2, 8]
    """
    return max(1, int(spacing / _NATURAL))


def reduced(image, mask, factor):
    """Average an image over blocks of ``factor x factor`` px, of those where to look.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W), float32
    mask : numpy.ndarray of bool, shape (H, W)
        True where to look.
    factor : int
        By 1, the image is what it was.

    Returns
    -------
    image : numpy.ndarray, shape (H // factor, W // factor), float32
        Without an incomplete rim; 0 where at most half of a block counts.
    weights : numpy.ndarray, shape (H // factor, W // factor), float32
        1 where more of it does, else 0.

    Examples
    --------
    >>> image = np.array([[1, 3, 5, 8], [1, 3, 5, 8]], np.float32)
    >>> [part.tolist() for part in reduced(image, image < 6, 2)]
    [[[2.0, 0.0]], [[1.0, 0.0]]]
    """
    if factor == 1:
        return image, mask.astype(np.float32)
    height, width = (n // factor for n in image.shape)
    means, shares = (
        cv2.resize(
            np.ascontiguousarray(values[: height * factor, : width * factor]),
            (width, height),
            interpolation=cv2.INTER_AREA,
        )
        for values in (image * mask, mask.astype(np.float32))
    )
    counts = shares > 0.5
    return np.where(counts, means / np.maximum(shares, 1e-6), np.float32(0)), counts.astype(np.float32)


def summits(values, at):
    """Places of maxima between pixels, by a parabola along each axis; along one that the edge cuts, as they are.

    Parameters
    ----------
    values : numpy.ndarray, shape (H, W)
    at : numpy.ndarray of int, shape (N, 2)
        Pixels higher than their neighbours.

    Returns
    -------
    numpy.ndarray, shape (N, 2)

    Examples
    --------
    >>> summits(
    ...     np.fromfunction(lambda y, x: -((y - 2.2) ** 2) - (x - 3) ** 2, (5, 7)), np.array([[2, 3]])
    ... ).round(1)
    array([[2.2, 3. ]])
    """
    centre, places = values[tuple(at.T)], at.astype(float)
    last = np.array(values.shape) - 1
    for axis, step in enumerate(np.eye(2, dtype=int)):
        inside = (at[:, axis] > 0) & (at[:, axis] < last[axis])
        before, after = (values[tuple(np.clip(at + sign * step, 0, last).T)] for sign in (-1, 1))
        bend = 2 * centre - before - after
        with np.errstate(divide="ignore", invalid="ignore"):
            offset = np.where(inside & (bend > 0), 0.5 * (after - before) / bend, 0)
        places[:, axis] += np.clip(offset, -0.5, 0.5)
    return places


def threads_for(shape):
    """Threads to transform so many values with, as scipy.fft takes them: on few they cost more than they save."""
    return -1 if np.prod(shape) > _LARGE else 1


def median(values, axis):
    """Median along an axis, by sorting: what numpy.median returns, several times faster where it is taken often.

    Parameters
    ----------
    values : numpy.ndarray
        Floating-point numbers, at least one along the axis.
    axis : int

    Returns
    -------
    numpy.ndarray
        Without the axis.

    Examples
    --------
    >>> median(np.array([[1.0, 9.0, 2.0], [4.0, 3.0, 0.0]]), 1).tolist()
    [2.0, 3.0]
    """
    ordered = np.sort(values, axis=axis)
    count = ordered.shape[axis]
    return (np.take(ordered, (count - 1) // 2, axis) + np.take(ordered, count // 2, axis)) / 2
