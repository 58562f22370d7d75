"""Arrays in files that no microscope wrote: NumPy's, MATLAB's, plain HDF5 and grids of numbers as text."""

import zipfile

import numpy as np


class UnreadableError(Exception):
    """What is wrong with a file, as the second half of a sentence that begins with its name."""


def read_npy(path):
    """Array of a .npy file, never an unpickled one."""
    return np.load(path, allow_pickle=False)


def read_text(path):
    """Array (H, W) of a text file with a row of numbers a line; lines that begin with # are comments."""
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        lines = [line for line in file if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        raise UnreadableError("holds no line of numbers; is the file complete?")
    # Commas are looked for after semicolons, beside which they would be decimal commas: an error, no wider image.
    separator = next((sign for sign in ";," if sign in lines[0]), None)
    try:
        return np.loadtxt(lines, delimiter=separator, ndmin=2)
    except ValueError as error:
        raise UnreadableError(
            f"is no grid of numbers ({str(error).partition(';')[0]}); write a row of the image a line, with decimal "
            "points, and commas, semicolons, tabs or blanks between the numbers"
        ) from error


def read_npz(path):
    """Arrays of a .npz archive by name; the one called image alone where there is one."""
    try:
        archive = np.load(path, allow_pickle=False)
    except (zipfile.BadZipFile, ValueError) as error:
        raise UnreadableError("is not a whole .npz archive; save it anew with numpy.savez") from error
    with archive:
        # An array called "image" is meant to be read; the tables of positions beside it are not.
        names = ["image"] if "image" in archive.files else archive.files
        return {name: archive[name] for name in names}


def read_mat(path):
    """Arrays of a MATLAB file of any version by name, those in structures as ``structure/field``; frames first."""
    import h5py
    from scipy.io import loadmat

    if h5py.is_hdf5(path):
        # MATLAB counts columns first, HDF5 rows; what begins with # is MATLAB's own.
        held = {name: item[()] for name, item in read_hdf5(path).items() if not name.startswith("#")}
        held = {name: array.T for name, array in held.items() if isinstance(array, np.ndarray)}
    else:
        held = dict(_flattened(loadmat(path, simplify_cells=True)))
    return {
        name: array.transpose(*range(array.ndim)[:1:-1], *range(array.ndim)[:2])
        for name, array in held.items()
    }


def read_hdf5(path):
    """Data sets of an HDF5 file by their paths, not yet in memory: a file may hold far more than one image."""
    import h5py

    held = {}

    def keep(name, item):
        if isinstance(item, h5py.Dataset):
            held[name] = item

    h5py.File(path, "r").visititems(keep)
    return held


def _flattened(tree, above=""):
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flattened(value, f"{above}{name}/")
        elif isinstance(value, np.ndarray):
            yield above + name, value
