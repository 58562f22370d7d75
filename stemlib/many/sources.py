"""Where many images come from: files, stacks and signals, each with the name that its results get."""

import glob
import hashlib
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stemlib.io.micrograph import Micrograph, as_micrograph

_TEXT = {".txt", ".csv", ".tsv"}


@dataclass(frozen=True, eq=False)
class File:
    """A file that may hold several images; `name` is its path below the folder that all files share."""

    name: str
    path: Path

    def identity(self):
        """Size and time of the last change: another file, or a file changed, has another."""
        parts = [self.path, *self.path.rglob("*")] if self.path.is_dir() else [self.path]
        found = [part.stat() for part in parts]
        return {
            "bytes": sum(status.st_size for status in found),
            "modified_ns": max(status.st_mtime_ns for status in found),
        }


@dataclass(frozen=True, eq=False)
class Stack:
    """Images in memory, or computed one by one: an array, dask's too, or a HyperSpy signal, lazy or not."""

    name: str
    data: object
    shape: tuple[int, ...]

    @property
    def n_images(self):
        """Number of images in it."""
        return math.prod(self.shape)

    def micrograph(self, number):
        """The image of a number, counted as NumPy does."""
        index = np.unravel_index(number, self.shape) if self.shape else ()
        if hasattr(self.data, "axes_manager"):
            # HyperSpy counts navigation axes from the last one.
            return as_micrograph(self.data.inav[tuple(map(int, index[::-1]))] if index else self.data)
        if isinstance(self.data, Micrograph):
            return self.data
        return Micrograph(np.asarray(self.data[index]))


def identity_of(micrograph):
    """What tells one image in memory from another: a checksum of its pixels, and their size."""
    digest = hashlib.sha256(np.ascontiguousarray(micrograph.image))
    digest.update(repr((micrograph.image.shape, micrograph.pixel_size_nm, micrograph.origin_nm)).encode())
    return {"sha256": digest.hexdigest()}


def expand(source):
    """Files and stacks of a source, each with a name of its own.

    Parameters
    ----------
    source : path-like, array_like, Micrograph, HyperSpy signal, or list of these
        A folder stands for all images in it; where there is no file of that name, a text with ``*``, ``?`` or ``[``
        is a pattern, ``**`` for any folders.

    Returns
    -------
    list of File or Stack

    Raises
    ------
    FileNotFoundError
        If there is no such file, or no image in the folder or after the pattern.
    TypeError
        If the source is of none of these kinds.

    Examples
    --------
    >>> [(stack.name, stack.n_images) for stack in expand(np.zeros((3, 64, 64)))]
    [('image', 3)]
    """
    if isinstance(source, str | os.PathLike):
        return _named(_files(source))
    if isinstance(source, list | tuple):
        if not source:
            raise ValueError("source is an empty list; give paths, arrays or signals")
        digits = len(str(len(source) - 1))
        stacks = {
            number: _stack(one, f"image-{number:0{digits}}")
            for number, one in enumerate(source)
            if not isinstance(one, str | os.PathLike)
        }
        files = _named([Path(one) for number, one in enumerate(source) if number not in stacks])
        by_path = {file.path: file for file in files}
        found = [
            stacks[number] if number in stacks else by_path[_absolute(one)]
            for number, one in enumerate(source)
        ]
        return list(dict.fromkeys(found))
    return [_stack(source, "image")]


def _files(source):
    path = Path(source)
    if path.is_dir() and path.suffix.lower() != ".zspy":
        found = [one for one in path.iterdir() if _is_image(one)]
        where = f"the folder {str(source)!r}"
    elif path.exists():
        return [path]
    elif glob.has_magic(str(source)):
        found = [Path(one) for one in glob.glob(str(source), recursive=True) if _is_file(Path(one))]
        where = f"source={str(source)!r}"
    else:
        raise FileNotFoundError(
            f"source: there is no file or folder {str(source)!r}; working folder: {os.getcwd()}"
        )
    if not found:
        raise FileNotFoundError(
            f"{where} holds no image that a reader knows; give a folder of images or a pattern"
        )
    return sorted(found)


def _is_file(path):
    return path.is_file() or path.suffix.lower() == ".zspy"


def _is_image(path):
    """Whether a file of a folder is an image by its suffix; tables beside images are none, hidden files neither."""
    from rsciio import IO_PLUGINS

    from stemlib.io.readers import _ARCHIVES, _ARRAYS, PICTURES

    suffix = path.suffix.lower()
    known = {f".{one.lower()}" for plugin in IO_PLUGINS for one in plugin["file_extensions"]}
    known |= PICTURES | set(_ARRAYS) | set(_ARCHIVES)
    if path.name.startswith(".") or suffix in _TEXT or suffix not in known or not _is_file(path):
        return False
    # What a detector recorded lies in the ser files; an emi file only gathers them.
    return suffix != ".emi" or not list(path.parent.glob(f"{glob.escape(path.stem)}_*.ser"))


def _named(paths):
    """Files called by their path below the folder that they share; one that is given twice is taken once."""
    absolute = list(dict.fromkeys(map(_absolute, paths)))
    if not absolute:
        return []
    shared = os.path.commonpath([path.parent for path in absolute]) if _one_drive(absolute) else None
    return [
        File(path.relative_to(shared).as_posix() if shared else path.as_posix().replace(":", ""), path)
        for path in absolute
    ]


def _absolute(path):
    return Path(os.path.abspath(path))


def _one_drive(paths):
    return len({path.anchor for path in paths}) == 1


def _stack(data, name):
    if hasattr(data, "axes_manager"):
        title = str(data.metadata.General.title or name)
        if data.axes_manager.signal_dimension != 2:
            raise ValueError(
                f"source is the signal {data!r}; it must have two signal axes: turn it with .transpose()"
            )
        usable = "".join(c if c.isalnum() or c in " ._-" else "_" for c in title).strip(". ")
        shape = data.axes_manager.navigation_shape[::-1]
        return Stack(usable if name == "image" and usable else name, data, tuple(map(int, shape)))
    if isinstance(data, Micrograph):
        return Stack(name, data, ())
    if not hasattr(data, "shape"):
        data = np.asarray(data)
    if data.dtype.kind not in "buif" or len(data.shape) < 2:
        raise TypeError(
            f"source is {type(data).__name__} of {data.dtype}, shape {tuple(data.shape)}; give a folder, a pattern, "
            "paths, an array of real numbers (frames, height, width) or a HyperSpy signal"
        )
    if 0 in data.shape:
        raise ValueError(f"source has the shape {tuple(data.shape)}, no image; give at least one")
    # Colours are the last axis; no stack has frames three or four pixels wide.
    coloured = len(data.shape) == 3 and data.shape[-1] in (3, 4)
    return Stack(name, data, () if coloured else tuple(data.shape[:-2]))
