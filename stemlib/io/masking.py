"""An image without what is no part of the specimen: hot pixels, rims and annotation, and what a mask hides."""

import warnings
from dataclasses import replace

import cv2
import numpy as np

from stemlib.io.micrograph import as_micrograph, check_mask
from stemlib.io.unrecorded import unrecorded

# Ranges from percentile 2 to 98, beyond these: no column reaches there, and no noise, be it of few counts.
_OUTLYING = 10.0


def masked_micrograph(image, mask, *, pixel_size_nm=None):
    """Take an image in any form, without what is no part of the specimen.

    Without a mask, empty rims, annotation and dead lines are found and left out, with a warning. What is left out
    becomes the mean of what is near, so that it neither counts nor makes an edge: whatever it holds, NaN too, nothing
    found depends on it. A hot pixel, or one of a hot line, becomes the median of its neighbourhood.

    Parameters
    ----------
    image : path, (H, W) array of any real dtype, Micrograph or HyperSpy Signal2D
    mask : array_like of bool, shape (H, W), or None
        True where to look.
    pixel_size_nm : float, optional
        Wins over the image's own.

    Returns
    -------
    micrograph : Micrograph
    mask : numpy.ndarray of bool, shape (H, W)
        Where to look.
    ignored : numpy.ndarray of bool, shape (H, W)
        What is left out though no mask says so.

    Warns
    -----
    UserWarning
        If anything is left out though no mask says so.

    Raises
    ------
    FileNotFoundError, TypeError, ValueError
        As `as_micrograph` and `check_mask`.

    Examples
    --------
    >>> import numpy as np
    >>> image, seen = np.eye(4), np.ones((4, 4), bool)
    >>> image[0, 0], seen[0, 0] = np.nan, False
    >>> bool(masked_micrograph(image, seen)[0].image[0, 0] < 1)
    True
    """
    micrograph = as_micrograph(image, pixel_size_nm=pixel_size_nm)
    image, wanted = micrograph.image, check_mask(mask, micrograph.image.shape)
    left_out = {}
    if micrograph.recorded is not None:
        left_out["pixels without a number"] = wanted & ~micrograph.recorded
    visible = wanted if micrograph.recorded is None else wanted & micrograph.recorded
    if not visible.any():
        raise ValueError("image is NaN or infinite wherever mask is True")
    # Hot pixels must not reach into what is filled, nor what is filled decide which pixels are hot.
    image = _without_hot_pixels(_filled(image, visible), image[visible])
    if mask is None:
        left_out |= unrecorded(image, visible)
    ignored = np.logical_or.reduce([np.zeros(image.shape, bool), *left_out.values()])
    if ignored.any():
        kinds = ", ".join(what for what, there in left_out.items() if there.any())
        warnings.warn(
            f"{ignored.mean():.2%} of image records no specimen and is left out: {kinds}; `ignored` of the result "
            "shows where, and a mask, such as numpy.ones(image.shape, bool), says where to look instead",
            stacklevel=3,
        )
    mask = wanted & ~ignored
    return replace(micrograph, image=_filled(image, mask)), mask, ignored


def _without_hot_pixels(image, visible):
    low, high = np.quantile(visible[:: max(1, visible.size // 2**18)], (0.02, 0.98))
    reach = _OUTLYING * (high - low)
    if reach == 0:
        return image
    usual = cv2.medianBlur(image, 3)
    # A bright column is broader than a pixel: there the median is high as well.
    hot = (np.abs(image - usual) > reach) & ((image < low - reach) | (image > high + reach))
    return np.where(hot, usual, image) if hot.any() else image


def _filled(image, mask):
    if mask.all():
        return image
    share, shown = mask.astype(np.float32), np.where(mask, image, np.float32(0))
    filled = np.full_like(image, image[mask].mean(dtype=np.float64))
    # Ever nearer, as far as anything is near.
    for sigma in (64, 16, 4):
        near = cv2.GaussianBlur(share, (0, 0), sigma)
        mean = cv2.GaussianBlur(shown, (0, 0), sigma)
        filled = np.where(near > 1e-3, mean / np.maximum(near, 1e-3), filled)
    return np.where(mask, image, filled).astype(np.float32)
