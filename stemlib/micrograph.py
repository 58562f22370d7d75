"""Any microscope file, HyperSpy signal or array as one thing: an image with its pixel size."""

import math
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


@dataclass(frozen=True, eq=False)
class Micrograph:
    """A grey image, the size of its pixels and what the file said about it.

    Parameters
    ----------
    image : array_like, shape (H, W)
        Intensities of any real dtype; kept as float32. Three or four equal colour channels count as grey.
    pixel_size_nm : float or None
        Side of a pixel in nm, None where it is unknown.
    metadata : dict
        What the file told, in the layout of its reader.

    Raises
    ------
    TypeError
        If `image` does not hold real numbers.
    ValueError
        If `image` is empty, not 2-D, coloured, or not finite, or `pixel_size_nm` is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> Micrograph(np.zeros((4, 6), "uint16"), pixel_size_nm=0.2)
    Micrograph(4 x 6 px, 0.2 nm per px)
    """

    image: np.ndarray
    pixel_size_nm: float | None = None
    metadata: dict = field(default_factory=dict)

    def __post_init__(self):
        object.__setattr__(self, "image", _as_grey(self.image))
        object.__setattr__(self, "pixel_size_nm", _checked_pixel_size(self.pixel_size_nm))

    def __repr__(self):
        size = "pixel size unknown" if self.pixel_size_nm is None else f"{self.pixel_size_nm:g} nm per px"
        return f"Micrograph({self.image.shape[0]} x {self.image.shape[1]} px, {size})"


def read(path, *, select=None):
    """Read one image from a microscope's file, with its pixel size in nm where the file tells it.

    Parameters
    ----------
    path : str or pathlib.Path
        A picture (png, jpg, ...; 16-bit colour is read as 8-bit), tif, npy, npz (the array called ``image``,
        or the only image in it), or any format of RosettaSciIO, HyperSpy's readers (dm3, dm4, emd, hspy,
        mrc, ser, ...).
    select : int or str, optional
        Which image, where the file holds several: its number, counted over all data sets and the frames of
        stacks in the order of the error message, or the name of a data set that holds one image.

    Returns
    -------
    Micrograph
        ``image`` float32 (H, W); ``pixel_size_nm`` None where the file has none, or one in reciprocal or
        undefined units; ``metadata`` with ``path``, ``name`` and, under ``file``, what the reader found.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    TypeError
        If `path` is no path, `select` is neither a number nor a name, or the image is complex.
    ValueError
        If the file cannot be read, holds several images and `select` does not name one of them, or the image
        is empty, not 2-D, coloured or not finite.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "stack.npy"
    >>> np.save(path, np.arange(60.0).reshape(3, 4, 5))
    >>> read(path, select=1).image[0]
    array([20., 21., 22., 23., 24.], dtype=float32)
    """
    from stemlib import _readers

    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path must be a str or pathlib.Path, not {type(path).__name__}")
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"path: there is no file {str(path)!r}; working folder: {os.getcwd()}")
    if path.is_dir() and path.suffix.lower() != ".zspy":
        raise ValueError(f"path: {str(path)!r} is a folder; give one image file in it")
    if path.is_file() and path.stat().st_size == 0:
        raise ValueError(f"path: {str(path)!r} is an empty file; copy it anew")
    found = _readers.data_sets(path)
    data_set, index = _readers.choose(found, select, path)
    metadata = {"path": str(path), "name": data_set.name, "file": data_set.metadata.get("file", {})}
    try:
        return Micrograph(data_set.image(index), data_set.pixel_size_nm, metadata)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{str(path)!r}: {error}") from error


def as_micrograph(image, *, pixel_size_nm=None):
    """Take an image in any form as a `Micrograph`.

    Parameters
    ----------
    image : str, pathlib.Path, array_like, Micrograph or hyperspy.signals.Signal2D
        A file, an array (H, W) of any real dtype or (H, W, 3 or 4) with equal colour channels, or a signal
        without navigation axes.
    pixel_size_nm : float, optional
        Side of a pixel in nm; wins over what `image` says itself.

    Returns
    -------
    Micrograph
        ``image`` float32 (H, W).

    Raises
    ------
    FileNotFoundError, TypeError, ValueError
        As `read` and `Micrograph`; a signal that is a stack or a spectrum is a ValueError too.

    Examples
    --------
    >>> import numpy as np
    >>> as_micrograph(np.eye(3), pixel_size_nm=0.1).pixel_size_nm
    0.1
    """
    if isinstance(image, str | os.PathLike):
        image = read(image)
    if isinstance(image, Micrograph):
        found, own_size, metadata = image.image, image.pixel_size_nm, image.metadata
    elif _is_signal(image):
        found, own_size, metadata = _from_signal(image)
    else:
        found, own_size, metadata = image, None, {}
    return Micrograph(found, own_size if pixel_size_nm is None else pixel_size_nm, metadata)


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
    image = _as_grey(image)
    if image.min() >= 0 and image.max() <= 255:
        levels = image.astype(np.uint8)
        if np.array_equal(levels, image):
            # Images of 8 bits, the usual case: a histogram and a table give the same ten times as fast.
            counts = np.bincount(levels.ravel(), minlength=256)
            table = np.arange(256, dtype=np.float32)
            return _stretched(table, *_limits(table, counts))[levels]
    return _stretched(image, *_limits(image))


def check_mask(mask, shape):
    """Check where to look in an image.

    Parameters
    ----------
    mask : array_like of bool, shape (H, W), or None
        True where to look; None looks everywhere. Zeros and ones of any dtype will do.
    shape : tuple of int
        Shape (H, W) of the image.

    Returns
    -------
    numpy.ndarray of bool, shape (H, W)
        A new array.

    Raises
    ------
    TypeError
        If `mask` holds other things than zeros and ones.
    ValueError
        If its shape is not that of the image, or it is False everywhere.

    Examples
    --------
    >>> check_mask(None, (2, 2)).all()
    np.True_
    """
    shape = tuple(int(n) for n in shape)
    if mask is None:
        return np.ones(shape, bool)
    mask = np.asarray(mask)
    if mask.shape != shape:
        raise ValueError(f"mask has the shape {mask.shape}, the image {shape}; they must be equal")
    if mask.dtype != bool:
        if mask.dtype.kind not in "uif" or not np.isin(mask, (0, 1)).all():
            raise TypeError(
                f"mask must be True where to look and False elsewhere, not {mask.dtype} with other values"
            )
        mask = mask.astype(bool)
    if not mask.any():
        raise ValueError("mask is False everywhere; it must be True where to look")
    return mask.copy()


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


def _is_signal(image):
    # By the name of the class, so that arrays and pictures do not need HyperSpy loaded.
    return any(
        c.__name__ == "BaseSignal" and c.__module__.startswith("hyperspy") for c in type(image).__mro__
    )


def _from_signal(signal):
    from stemlib._readers import pixel_size_nm

    axes = signal.axes_manager
    if axes.signal_dimension != 2 or axes.navigation_dimension != 0:
        raise ValueError(
            f"image is the signal {signal!r}; it must have two signal axes and no navigation axes: "
            "take one image of a stack with .inav[NUMBER], or turn a map with .transpose()"
        )
    # HyperSpy lists (x, y); scales are equal or unknown, so the order does not matter.
    size = pixel_size_nm([a.scale for a in axes.signal_axes], [a.units for a in axes.signal_axes], "image")
    data = np.asarray(signal.data)
    if data.dtype.names is not None:
        data = np.stack([data[c] for c in "RGB" if c in data.dtype.names], axis=-1)
    return data, size, {"name": signal.metadata.General.title, "file": signal.metadata.as_dictionary()}


def _as_grey(image):
    """Check an image and return it as a contiguous float32 array (H, W)."""
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
        if not (
            np.array_equal(array[..., 0], array[..., 1]) and np.array_equal(array[..., 0], array[..., 2])
        ):
            raise ValueError(
                f"image has the shape {array.shape} and unequal colour channels; give a grey image (H, W), "
                "for instance one channel: image[..., 0]"
            )
        array = array[..., 0]
    if array.ndim != 2:
        raise ValueError(
            f"image has {array.ndim} axes, shape {array.shape}; "
            "give a 2-D array (H, W), one frame of a stack at a time"
        )
    with np.errstate(over="ignore"):
        grey = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(grey).all():
        _raise_not_finite(array)
    return grey


def _raise_not_finite(array):
    bad = ~np.isfinite(array)
    if not bad.any():
        raise ValueError(f"image reaches {np.abs(array).max():g}, beyond float32; rescale it")
    y, x = np.argwhere(bad)[0]
    raise ValueError(
        f"image holds {bad.sum()} values that are NaN or infinite, the first at y={y}, x={x}; "
        "fill them (numpy.nan_to_num) and leave the place out with mask"
    )


def _checked_pixel_size(value):
    if value is None:
        return None
    try:
        size = float(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"pixel_size_nm must be a number of nm or None, not {value!r}") from error
    if not (math.isfinite(size) and size > 0):
        raise ValueError(f"pixel_size_nm={value!r} must be positive; None where it is unknown")
    return size
