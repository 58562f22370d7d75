"""Where a figure's numbers come from: checksums of the data and of the weights."""

import hashlib
from pathlib import Path

import stemlib.weights
from stemlib.datasets import atomic_images, load_registry

_FILES = {
    "cascade": "loop_cascade.xml",
    "screening": "loop_screening.safetensors",
    "fcn": "loop_fcn.safetensors",
    "columns": "columns.safetensors",
}


def credit(image_set, images=None):
    """Return whose micrographs a figure shows, for its caption.

    Parameters
    ----------
    image_set : str
        As `reproduction.load_cases` takes it, "atomic" or "drawn".
    images : iterable of str, optional
        The atomic images that are shown; by default those whose columns are labelled, as figures of columns show.

    Returns
    -------
    str

    Raises
    ------
    TypeError
        If `image_set` is not hashable.

    Examples
    --------
    >>> credit("six")[:43]
    'FeCrAl micrographs: Li, Field & Morgan, npj'
    """
    fecral = (
        "FeCrAl micrographs: Li, Field & Morgan, npj Comput. Mater. 4, 36 (2018), data set under MIT licence"
    )
    registry = load_registry()
    if image_set == "atomic":
        known = atomic_images()
        images = known.index[known["points"] != ""] if images is None else list(images)
        if not len(images):
            return ""
        shown = registry.loc[known.loc[images, "path"]]
        sources = dict.fromkeys(zip(shown["repository"], shown["licence"], strict=True))
        return "Micrographs: public repositories " + ", ".join(f"{name} ({terms})" for name, terms in sources)
    if image_set == "316l":
        steel = registry[registry["path"].str.startswith("316l-loops/")]["repository"].unique()
        return f"316L micrographs: public repository {', '.join(steel)}, MIT licence"
    return "Drawn by stemlib.synthetic" if image_set in ("synthetic", "drawn") else fecral


def weight_files(folder=None, *, methods=("cascade", "fcn")):
    """Return the weight files that `stemlib.find_loops` or `stemlib.find_columns` takes, from one folder.

    Parameters
    ----------
    folder : str or pathlib.Path, optional
        Holds ``loop_cascade.xml``, ``loop_screening.safetensors``, ``loop_fcn.safetensors`` and
        ``columns.safetensors``; by default the folder of the shipped ones.
    methods : iterable of str
        The methods whose files are wanted, "cascade" (needs the first two), "fcn" and "columns".

    Returns
    -------
    dict of str to pathlib.Path
        Keys among "cascade", "screening", "fcn" and "columns".

    Raises
    ------
    FileNotFoundError
        If one is missing.

    Examples
    --------
    >>> weight_files(methods=["fcn"])["fcn"].name
    'loop_fcn.safetensors'
    """
    folder = Path(stemlib.weights.__file__).parent if folder is None else Path(folder)
    needed = {"cascade": ("cascade", "screening"), "fcn": ("fcn",), "columns": ("columns",)}
    files = {name: folder / _FILES[name] for method in methods for name in needed[method]}
    for path in files.values():
        if not path.is_file():
            raise FileNotFoundError(
                f"weights: {path.name} is not in {str(folder)!r}; train it anew, or take another"
            )
    return files


def weight_checksums(files):
    """Return file name -> sha256 of weight files.

    Parameters
    ----------
    files : dict of str to pathlib.Path
        As `weight_files` returns them.

    Returns
    -------
    dict of str to str

    Raises
    ------
    FileNotFoundError
        If one is missing.

    Examples
    --------
    >>> len(weight_checksums(weight_files(methods=["fcn"]))["loop_fcn.safetensors"])
    64
    """
    return {name: digest for path in files.values() for name, digest in file_checksum(path).items()}


def file_checksum(path):
    """Return the name of a file -> its sha256.

    Parameters
    ----------
    path : str or pathlib.Path

    Returns
    -------
    dict of str to str
        Empty for a folder, as some formats of microscopy are.

    Raises
    ------
    FileNotFoundError
        If it is not there.

    Examples
    --------
    >>> list(file_checksum(weight_files(methods=["fcn"])["fcn"]))
    ['loop_fcn.safetensors']
    """
    path = Path(path)
    return {} if path.is_dir() else {path.name: hashlib.sha256(path.read_bytes()).hexdigest()}


def data_checksums(cases, more=()):
    """Return registry path -> sha256 of everything that was read for some cases.

    Parameters
    ----------
    cases : iterable of LoopCase or ColumnCase
    more : iterable of str
        Further registry paths.

    Returns
    -------
    dict of str to str
        `stemlib.datasets.fetch` has verified them.

    Raises
    ------
    KeyError
        If a path is not in the registry.

    Examples
    --------
    >>> list(data_checksums([], ["fecral-loops/testimages.txt"]))
    ['fecral-loops/testimages.txt']
    """
    registry = load_registry()["sha256"]
    paths = {path for case in cases for path in case.paths} | set(more)
    return {path: registry[path] for path in sorted(paths)}
