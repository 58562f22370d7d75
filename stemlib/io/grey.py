"""Arrays of any kind as grey images: checked, as float32, or stretched to 8 bits."""

import cv2
import numpy as np

# Widest list of positions: y, x and two more, as a height and a width. No image is that narrow.
LIST_WIDTH = 4
_COLOUR_NOISE = 8  # levels of 8 bits by which the channels of a grey image may differ after JPEG compression


def to_uint8(image):
    """Stretch an image to 8 bits: the same result for ``a * image + b`` with any a > 0.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W)
        Finite real intensities.

    Returns
    -------
    numpy.ndarray of uint8, shape (H, W)
        Percentile 0.1 becomes 0, percentile 99.9 becomes 255 and what lies beyond is cut off. Where the two
        are equal (nearly all pixels have one value) the extremes take their place; a constant becomes 128.

    Raises
    ------
    TypeError, ValueError
        As `Micrograph`.

    Examples
    --------
    >>> import numpy as np
    >>> to_uint8(np.array([[10.0, 20.0, 30.0]]))
    array([[  0, 128, 255]], dtype=uint8)
    """
    image = as_grey(image)
    if image.min() >= 0 and image.max() <= 255:
        levels = image.astype(np.uint8)
        if np.array_equal(levels, image):
            # Images of 8 bits, the usual case: a histogram and a table give the same ten times as fast.
            counts = np.bincount(levels.ravel(), minlength=256)
            table = np.arange(256, dtype=np.float32)
            return _stretched(table, *_limits(table, counts))[levels]
    return _stretched(image, *_limits(image))


def check_uint8(image):
    """Raise a TypeError or ValueError if an image is not a 2-D array of uint8, as `to_uint8` gives it."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        kind = f"an array of {image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__
        raise TypeError(
            f"image must be an array of uint8, as stemlib.io.micrograph.to_uint8 gives it, not {kind}"
        )
    if image.ndim != 2:
        raise ValueError(f"image has the shape {image.shape}; it must be 2-D")


def as_grey(image, *, in_part=False):
    """Check an image and return it as a contiguous float32 array (H, W), finite everywhere, or `in_part` at least."""
    if np.ma.isMaskedArray(image):
        raise TypeError("image is a masked array; pass its .data as image and the valid pixels as mask")
    try:
        array = np.asarray(image)
    except ValueError as error:
        raise ValueError(f"image is no array of numbers ({error}); give a 2-D array (H, W)") from error
    if array.dtype.kind == "c":
        raise TypeError(
            f"image is complex ({array.dtype}); give its amplitude, numpy.abs(image), or its phase"
        )
    if array.dtype.kind not in "buif":
        raise TypeError(f"image must hold real numbers, not {array.dtype} ({type(image).__name__})")
    if array.size == 0:
        raise ValueError(f"image is empty, its shape is {array.shape}; give a 2-D array (H, W)")
    if array.ndim == 3 and array.shape[2] in (3, 4):
        array = _without_colour(array)
    if array.ndim != 2:
        raise ValueError(
            f"image has {array.ndim} axes, shape {array.shape}; "
            "give a 2-D array (H, W), one frame of a stack at a time"
        )
    if 1 < array.shape[1] <= LIST_WIDTH < array.shape[0]:
        raise ValueError(
            f"image has the shape {array.shape}; that looks like a list of positions, not an image: "
            "give the image (H, W) that they were found in"
        )
    with np.errstate(over="ignore"):
        grey = np.ascontiguousarray(array, dtype=np.float32)
    finite = np.isfinite(grey)
    # What only float32 cannot hold is no gap in the record.
    if not finite.all() and not (in_part and finite.any() and np.array_equal(finite, np.isfinite(array))):
        _raise_not_finite(array)
    return grey


def _without_colour(array):
    """The grey image (H, W) in an array (H, W, 3 or 4) whose channels are equal, but for JPEG's colour noise."""
    low, high = array[..., :3].min(axis=-1), array[..., :3].max(axis=-1)
    if np.array_equal(low, high):
        return low
    if array.dtype == np.uint8 and (high - low).max() <= _COLOUR_NOISE:
        # The luminance is what JPEG keeps.
        return cv2.cvtColor(np.ascontiguousarray(array[..., :3]), cv2.COLOR_RGB2GRAY)
    raise ValueError(
        f"image has the shape {array.shape} and unequal colour channels; give a grey image (H, W), for instance "
        "one channel: array[..., 0] of an array, stemlib.read(path, channel='red') of a file, signal.data['R'] of a "
        "HyperSpy signal"
    )


def _limits(values, counts=None):
    """Values that become 0 and 255; `counts` says how often each of sorted `values` occurs, if not once."""
    last = int(values.size if counts is None else counts.sum()) - 1
    # Nearest ranks instead of interpolated percentiles: two pixels of the image, whatever its scale.
    ranks = [round(0.001 * last), round(0.999 * last)]
    if counts is None:
        low, high = np.partition(values, sorted(set(ranks)), axis=None)[ranks]
    else:
        low, high = values[np.searchsorted(np.cumsum(counts), ranks, side="right")]
        values = values[counts > 0]
    return (low, high) if low < high else (values.min(), values.max())


def _stretched(values, low, high):
    if low == high:
        return np.full(values.shape, 128, np.uint8)
    # In float64, because the range of a float32 image can exceed float32 or drown in a large offset.
    scale = 255.0 / (float(high) - float(low))
    return np.floor((np.clip(values, low, high) - np.float64(low)) * scale + 0.5).astype(np.uint8)


def _raise_not_finite(array):
    bad = ~np.isfinite(array)
    if not bad.any():
        raise ValueError(f"image reaches {np.abs(array).max():g}, beyond float32; rescale it")
    y, x = np.argwhere(bad)[0]
    raise ValueError(
        f"image holds {bad.sum()} values that are NaN or infinite, the first at y={y}, x={x}; "
        "fill them (numpy.nan_to_num) and leave the place out with mask"
    )
