"""Any microscope file, HyperSpy signal or array as one thing: an image with its pixel size."""

import math
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from stemlib.io.grey import as_grey, to_uint8
from stemlib.io.metadata import described

__all__ = [
    "Micrograph",
    "as_micrograph",
    "check_mask",
    "check_positive",
    "read",
    "to_uint8",
]


@dataclass(frozen=True, eq=False)
class Micrograph:
    """A grey image, the size of its pixels and what the file said about it.

    Parameters
    ----------
    image : array_like, shape (H, W)
        Intensities of any real dtype; kept as float32. Three or four equal colour channels count as grey. What is no
        finite number, as in the rims that alignment leaves, becomes the mean of what is.
    pixel_size_nm : float or None
        Side of a pixel in nm, None where it is unknown.
    metadata : dict
        What the file told, in the layout that `read` describes.
    origin_nm : tuple of float
        Coordinates (y, x) in nm of the centre of pixel (0, 0), from which positions in nm are counted.
    recorded : numpy.ndarray of bool, shape (H, W), or None
        False where `image` was no finite number; None where all of it was.

    Raises
    ------
    TypeError
        If `image` does not hold real numbers.
    ValueError
        If `image` is empty, not 2-D, coloured, finite nowhere or a list of positions, `pixel_size_nm` is not positive,
        or `origin_nm` is no pair of finite numbers.

    Examples
    --------
    >>> import numpy as np
    >>> Micrograph(np.zeros((4, 6), "uint16"), pixel_size_nm=0.2)
    Micrograph(4 x 6 px, 0.2 nm per px)
    """

    image: np.ndarray
    pixel_size_nm: float | None = None
    metadata: dict = field(default_factory=dict)
    origin_nm: tuple[float, float] = (0.0, 0.0)
    recorded: np.ndarray | None = None

    def __post_init__(self):
        image = as_grey(self.image, in_part=True)
        finite = np.isfinite(image)
        if not finite.all():
            image = np.where(finite, image, image[finite].mean(dtype=np.float64)).astype(np.float32)
            object.__setattr__(self, "recorded", finite)
        object.__setattr__(self, "image", image)
        if self.pixel_size_nm is not None:
            size = check_positive(self.pixel_size_nm, "pixel_size_nm", remedy="; None where it is unknown")
            object.__setattr__(self, "pixel_size_nm", size)
        if np.shape(self.origin_nm) != (2,) or not np.isfinite(self.origin_nm).all():
            raise ValueError(
                f"origin_nm={self.origin_nm!r} must be two numbers, y and x of pixel (0, 0) in nm"
            )

    def __repr__(self):
        size = "pixel size unknown" if self.pixel_size_nm is None else f"{self.pixel_size_nm:g} nm per px"
        return f"Micrograph({self.image.shape[0]} x {self.image.shape[1]} px, {size})"


def read(path, *, select=None, channel=None):
    """Read one image from a microscope's file, with its pixel size in nm where the file tells it.

    Parameters
    ----------
    path : str or pathlib.Path
        A picture (png, jpg, ...; 16-bit colour is read as 8-bit), tif, npy, npz (the array called ``image``,
        or the only image in it), mat, plain h5 or hdf5 (the only image in it), txt, csv or tsv (a row of numbers a
        line), or any format of RosettaSciIO, HyperSpy's readers (dm3, dm4, emd, hspy, mrc, ser, ...).
    select : int or str, optional
        Which image, where the file holds several: its number, counted over all data sets and the frames of
        stacks in the order of the error message, or the name of a data set that holds one image.
    channel : {"red", "green", "blue"}, optional
        Which channel of a coloured image; only where all are equal, none has to be chosen.

    Returns
    -------
    Micrograph
        ``image`` float32 (H, W); ``pixel_size_nm`` None where the file has none, or one in reciprocal or
        undefined units; ``origin_nm`` from the offsets of its axes. ``metadata`` holds ``path``, ``name`` (of the
        data set), ``instrument``, ``voltage_kv`` and ``detector`` (None where the file does not say), ``file`` (a dict
        in the layout of HyperSpy's metadata: ``General``, ``Acquisition_instrument``, ...) and ``original`` (the
        format's own tree, raw).

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    TypeError
        If `path` is no path, `select` is neither a number nor a name, or the image is complex.
    ValueError
        If the file cannot be read, holds several images and `select` does not name one of them, or the image
        is empty, not 2-D, coloured (and there is no `channel`), finite nowhere or a list of positions.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "stack.npy"
    >>> np.save(path, np.arange(60.0).reshape(3, 4, 5))
    >>> read(path, select=1).image[0]
    array([20., 21., 22., 23., 24.], dtype=float32)
    """
    from stemlib.io import readers

    path = existing_file(path)
    return chosen(readers.data_sets(path), path, select=select, channel=channel)


def existing_file(path):
    """Check that a path is that of a file, or of a .zspy folder, that holds anything: a `pathlib.Path`."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path must be a str or pathlib.Path, not {type(path).__name__}")
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"path: there is no file {str(path)!r}; working folder: {os.getcwd()}")
    if path.is_dir() and path.suffix.lower() != ".zspy":
        raise ValueError(f"path: {str(path)!r} is a folder; give one image file in it")
    if path.is_file() and path.stat().st_size == 0:
        raise ValueError(f"path: {str(path)!r} is an empty file; copy it anew")
    return path


def chosen(found, path, *, select=None, channel=None):
    """The one image that is asked for of a file's data sets, as `read` returns it."""
    from stemlib.io import readers

    data_set, index = readers.choose(found, select, path)
    tree, original = data_set.metadata.get("file", {}), data_set.metadata.get("original", {})
    metadata = {"path": str(path), **described(data_set.name, tree, original)}
    image = readers.chosen_channel(data_set, index, channel, path)
    try:
        return Micrograph(image, data_set.pixel_size_nm, metadata, data_set.origin_nm)
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
        Side of a pixel in nm; wins over what `image` says itself. If it differs from that, the offset of the
        image's axes is not believed either: positions in nm count from the centre of pixel (0, 0).

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
    recorded = None
    if isinstance(image, Micrograph):
        found, size, metadata, origin = image.image, image.pixel_size_nm, image.metadata, image.origin_nm
        recorded = image.recorded
    elif _is_signal(image):
        found, size, metadata, origin = _from_signal(image)
    else:
        found, size, metadata, origin = image, None, {}, (0.0, 0.0)
    if pixel_size_nm is not None:
        own, size = size, check_positive(pixel_size_nm, "pixel_size_nm", remedy="; None where it is unknown")
        # Files keep it in 32 bits, so that what a person writes for the same differs in the seventh digit.
        origin = origin if own is not None and math.isclose(size, own, rel_tol=1e-6) else (0.0, 0.0)
    return Micrograph(found, size, metadata, origin, recorded)


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


def check_positive(value, name, *, most=math.inf, remedy=""):
    """Check a number that a caller gives.

    Parameters
    ----------
    value : float
    name : str
        Of the argument.
    most : float
        The largest value that will do.
    remedy : str
        What would do, the end of an error's sentence.

    Returns
    -------
    float

    Raises
    ------
    TypeError
        If `value` is no number.
    ValueError
        If it is not positive and finite, or more than `most`.

    Examples
    --------
    >>> check_positive("0.5", "threshold", most=1)
    0.5
    """
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be a number, not {value!r}{remedy}") from error
    if not (0 < number <= most and math.isfinite(number)):
        limit = f" and at most {most:g}" if math.isfinite(most) else ""
        raise ValueError(f"{name}={value!r} must be positive{limit}{remedy}")
    return number


def _is_signal(image):
    # By the name of the class, so that arrays and pictures do not need HyperSpy loaded.
    return any(
        c.__name__ == "BaseSignal" and c.__module__.startswith("hyperspy") for c in type(image).__mro__
    )


def _from_signal(signal):
    from stemlib.io.scale import origin_nm, pixel_size_nm

    axes = signal.axes_manager
    if axes.signal_dimension != 2 or axes.navigation_size > 1:
        raise ValueError(
            f"image is the signal {signal!r}; it must have two signal axes and no navigation axes: "
            "take one image of a stack with .inav[NUMBER], or turn a map with .transpose()"
        )
    # HyperSpy lists (x, y).
    pair = axes.signal_axes[::-1]
    scales, units = [a.scale for a in pair], [a.units for a in pair]
    size, origin = pixel_size_nm(scales, units, "image"), origin_nm([a.offset for a in pair], scales, units)
    data = np.asarray(signal.data)
    # A stack of one image is an image.
    data = data[(0,) * axes.navigation_dimension]
    if data.dtype.names is not None:
        data = np.stack([data[c] for c in "RGB" if c in data.dtype.names], axis=-1)
    trees = signal.metadata.as_dictionary(), signal.original_metadata.as_dictionary()
    return data, size, described(signal.metadata.General.title, *trees), origin
