"""What a microscope's file holds: its images, one by one, with the pixel size of each."""

import importlib
import math
import warnings
from dataclasses import dataclass, field

import numpy as np

from stemlib.io.arrays import UnreadableError, read_hdf5, read_mat, read_npy, read_npz, read_text
from stemlib.io.grey import LIST_WIDTH
from stemlib.io.metadata import completed
from stemlib.io.scale import origin_nm, pixel_size_nm

# Suffixes that Pillow reads; none of them carries a pixel size that a microscope wrote.
PICTURES = {".png", ".jpg", ".jpeg", ".jpe", ".bmp", ".dib", ".gif", ".pgm", ".ppm", ".pbm", ".webp"}

_ARRAYS = {".npy": read_npy, **dict.fromkeys((".txt", ".csv", ".tsv"), read_text)}
_ARCHIVES = {".npz": read_npz, ".mat": read_mat}
_HDF5 = {"h5", "hdf5"}
CHANNELS = ("red", "green", "blue")


@dataclass
class DataSet:
    """One array of a file: an image, or a stack whose leading axes count images."""

    name: str
    data: object
    pixel_size_nm: float | None = None
    metadata: dict = field(default_factory=dict)
    origin_nm: tuple[float, float] = (0.0, 0.0)

    @property
    def stack_shape(self):
        """Shape of the leading axes; () for a single image."""
        return tuple(self.data.shape[: -3 if self.coloured else -2])

    @property
    def coloured(self):
        """Whether the last axis holds the channels of colours."""
        return (
            len(self.data.shape) > 2 and self.data.shape[-1] in (3, 4) and self.metadata.get("colour", False)
        )

    @property
    def n_images(self):
        """Number of images in it."""
        return math.prod(self.stack_shape)

    def image(self, index):
        """Return the image at a flat `index` as an array in memory."""
        return np.asarray(
            self.data[np.unravel_index(index, self.stack_shape)] if self.stack_shape else self.data
        )


def data_sets(path):
    """Read every data set of a file that can be an image.

    Parameters
    ----------
    path : pathlib.Path
        An existing file (or a .zspy folder).

    Returns
    -------
    list of DataSet
        In the order of the file.

    Raises
    ------
    ValueError
        If the format is unknown or the content cannot be read; the message names the file and the remedy.
    """
    suffix = path.suffix.lower()
    try:
        if suffix in PICTURES:
            return _read_picture(path)
        if suffix in _ARRAYS:
            return [_checked(path.name, _ARRAYS[suffix](path))]
        if suffix in _ARCHIVES:
            return _archived(_ARCHIVES[suffix](path))
        if suffix in (".tif", ".tiff"):
            return _read_tiff(path)
        return _read_microscope_file(path)
    except UnreadableError as error:
        raise ValueError(f"path: {str(path)!r} {error}") from error
    except MemoryError:
        raise
    except Exception as error:  # readers raise whatever their parser meets in a broken file
        raise ValueError(
            f"path: {str(path)!r} cannot be read ({str(error) or type(error).__name__}); "
            f"is the file complete, and is {suffix!r} the right suffix?"
        ) from error


def choose(found, select, path):
    """Data set and flat index of the one image that `select` names."""
    images = [(data_set, index) for data_set in found for index in range(data_set.n_images)]
    total = len(images)
    if select is None and total == 1:
        select = 0
    listing = _listing(found)
    if total == 0:
        raise ValueError(f"path: {str(path)!r} holds no image but {listing}")
    if select is None:
        raise ValueError(
            f"path: {str(path)!r} holds {total} images ({listing}); choose one with "
            "stemlib.read(path, select=NUMBER or NAME)"
        )
    if isinstance(select, str):
        named = [d for d in found if d.name == select]
        if len(named) == 1 and named[0].n_images == 1:
            return named[0], 0
        raise ValueError(f"select={select!r} does not name one image of {str(path)!r}; it holds {listing}")
    if isinstance(select, bool) or not isinstance(select, int | np.integer):
        raise TypeError(f"select must be a number or a name, not {select!r}")
    if not 0 <= select < total:
        raise ValueError(f"select={select} is not among the images of {str(path)!r}; it holds {listing}")
    return images[select]


def chosen_channel(data_set, index, channel, path):
    """Image at a flat index: all that is there, or the one channel of a coloured image that is asked for."""
    try:
        image = data_set.image(index)
    except OSError as error:  # of HDF5, which is read only now
        raise ValueError(
            f"path: {str(path)!r} cannot be read ({error}); is the file complete? If its compression is not HDF5's "
            "own, import hdf5plugin before"
        ) from error
    if channel is None:
        return image
    if channel not in CHANNELS:
        raise ValueError(
            f"channel={channel!r} is not known; one of {', '.join(map(repr, CHANNELS))} would do"
        )
    if not data_set.coloured:
        raise ValueError(f"channel={channel!r}: the image of {str(path)!r} has no colours; leave channel out")
    return image[..., CHANNELS.index(channel)]


def _listing(found):
    parts, first = [], 0
    for data_set in found:
        count = data_set.n_images
        numbers = f"{first}" if count == 1 else f"{first} to {first + count - 1}"
        parts.append(f"{numbers}: {data_set.name!r} {tuple(data_set.data.shape)}")
        first += count
    return ", ".join(parts)


def _read_picture(path):
    from PIL import Image, ImageSequence

    with Image.open(path) as picture:
        frames = [np.array(_plain(frame)) for frame in ImageSequence.Iterator(picture)]
    colour = frames[0].ndim == 3
    return [DataSet(path.name, frames[0] if len(frames) == 1 else np.stack(frames), None, {"colour": colour})]


def _plain(frame):
    if frame.mode in ("L", "F", "I", "I;16", "I;16B", "I;16L"):
        return frame
    # Palettes and CMYK become colours first: their stored numbers are no intensities.
    return frame.convert("L" if frame.mode in ("1", "LA", "La") else "RGB")


def _archived(arrays):
    """The arrays among several that can be images; one that is alone is taken, whatever it is: its error says more."""
    found = [
        _checked(name, array)
        for name, array in arrays.items()
        if len(arrays) == 1
        or (len(array.shape) >= 2 and min(array.shape[-2:]) > LIST_WIDTH and array.dtype.kind in "buif")
    ]
    if not found:
        held = ", ".join(f"{name} {a.shape} {a.dtype}" for name, a in arrays.items()) or "nothing"
        raise UnreadableError(
            f"holds no image, a 2-D array of real numbers more than {LIST_WIDTH} on a side, but {held}"
        )
    return found


def _checked(name, array):
    """Make a data set of an array from a file of arrays, whose last axis may hold colours."""
    return DataSet(name, array, None, {"colour": len(array.shape) == 3 and array.shape[-1] in (3, 4)})


def _read_tiff(path):
    try:
        return _read_microscope_file(path)
    except Exception as error:
        # tifffile decodes LZW and other compressions only with imagecodecs; Pillow has its own decoders.
        try:
            found = _read_picture(path)
        except Exception:
            raise error from None
        warnings.warn(
            f"{path}: only the pixels of this TIFF could be read, its pixel size is taken as unknown "
            f"({error}). Install imagecodecs to read all of it, or pass pixel_size_nm",
            stacklevel=5,
        )
        return found


def _read_microscope_file(path):
    """Ask RosettaSciIO, HyperSpy's readers, without HyperSpy itself: its signals are not needed here."""
    from rsciio import IO_PLUGINS

    suffix = path.suffix[1:].lower()
    # HyperSpy's own files may be called .h5 too, which RosettaSciIO does not expect.
    suffixes = _HDF5 if suffix in _HDF5 else {suffix}
    plugins = [p for p in IO_PLUGINS if suffixes & {e.lower() for e in p["file_extensions"]}]
    if not plugins:
        raise UnreadableError(
            f"has the suffix {path.suffix!r}, which no reader knows; give a file that RosettaSciIO reads "
            "(dm3, dm4, emd, hspy, mrc, ser, tif, ...), a picture, .npy, .npz, .mat, .h5, .txt or .csv"
        )
    if suffix == "mrc":
        _check_mrc(path)
    problems = []
    for plugin in plugins:
        try:
            dictionaries = importlib.import_module(plugin["api"]).file_reader(str(path))
        except ImportError as error:
            problems.append(
                f"{plugin['name']}: the package {error.name or error} is missing, install it "
                "or all of them with: pip install 'rosettasciio[all]'"
            )
        except Exception as error:  # several formats share a suffix: the next reader may know it
            problems.append(f"{plugin['name']}: {str(error) or type(error).__name__}")
        else:
            if not dictionaries and suffix == "emi":
                raise UnreadableError(
                    f"holds no pixels, they are in {path.stem}_1.ser, {path.stem}_2.ser, ...; copy these "
                    "into its folder, or read one of them"
                )
            return _images_among(dictionaries, path)
    if suffix in _HDF5:
        return _archived(read_hdf5(path))
    raise UnreadableError(
        f"cannot be read ({'; '.join(problems)}); is the file complete, and is {path.suffix!r} the right suffix?"
    )


def _check_mrc(path):
    """Raise an error where the header says more than the file can hold: RosettaSciIO would plan chunks for ever."""
    sizes = np.fromfile(path, "<i4", 3).tolist()
    # A pixel has half a byte at least.
    if min(sizes, default=1) < 1 or math.prod(sizes) > 2 * path.stat().st_size:
        raise UnreadableError(
            f"cannot be read (its header says {' x '.join(map(str, sizes))} px, which is not what it holds); "
            "is the file complete?"
        )


def _images_among(dictionaries, path):
    found, others = [], []
    for number, entry in enumerate(dictionaries):
        data, axes = entry["data"], list(entry.get("axes", []))
        title = entry.get("metadata", {}).get("General", {}).get("title") or f"data set {number}"
        signal = [i for i, axis in enumerate(axes) if not axis.get("navigate", False)]
        colour = data.dtype.names is not None and {"R", "G", "B"} <= set(data.dtype.names)
        if len(data.shape) < 2 or (len(data.shape) > 2 and len(signal) < 2):
            others.append(f"{title} {tuple(data.shape)}")
            continue
        pair = signal[-2:] if len(signal) >= 2 else [0, 1]
        scales, units, offsets = (
            [axes[i].get(key) if len(axes) > i else None for i in pair]
            for key in ("scale", "units", "offset")
        )
        scales, units = _corrected(scales, units, entry.get("original_metadata") or {})
        if colour:
            data = np.asarray(data)
            data = np.stack([data[c] for c in ("R", "G", "B")], axis=-1)
        metadata = {
            "colour": colour,
            "file": completed(entry),
            "original": entry.get("original_metadata") or {},
        }
        origin = origin_nm(offsets, scales, units)
        found.append(DataSet(title, data, pixel_size_nm(scales, units, path), metadata, origin))
    if not found:
        raise UnreadableError(f"holds no image but {', '.join(others) or 'nothing'}")
    return found


def _corrected(scales, units, original):
    """Scales and units where RosettaSciIO leaves out what a file says, or says what the file does not."""
    described = str(original.get("ImageDescription", ""))
    if described.startswith("ImageJ") and set(units) <= {None, ""}:
        # Of ImageJ's units RosettaSciIO knows the micron alone.
        said = [line.partition("=")[2] for line in described.splitlines() if line.startswith("unit=")]
        return scales, said * len(units) or units
    if "std_header" in original and not original["std_header"].get("Xlen", 1):
        # An MRC file with an empty cell has no scale; it is given as 1 nm.
        return [None] * len(scales), units
    return scales, units
