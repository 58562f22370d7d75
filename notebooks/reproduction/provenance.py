"""Where a figure's numbers come from: checksums of the data and of the weights."""

import hashlib
from pathlib import Path

import stemlib.weights
from stemlib.datasets import atomic_images, load_registry

from .repository import ROOT

_FILES = {
    "cascade": "loop_cascade.xml",
    "screening": "loop_screening.safetensors",
    "fcn": "loop_fcn.safetensors",
    "columns": "columns.safetensors",
}


def credit(image_set, images=None):
    """Return whose micrographs a figure of an image set shows, for its caption.

    `images` are the atomic images that are shown; by default those whose columns are labelled, as figures of columns
    show.
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
    return "Simulated by stemlib.synthetic" if image_set in ("synthetic", "simulated") else fecral


def weight_files(folder="", *, methods=("cascade", "fcn")):
    """Return the weight files that finders take: name -> path.

    `folder` holds them, relative to the repository; by default they are the shipped ones.

    `methods` are those whose files are wanted: "cascade" (two files), "fcn" and "columns". A missing one is a
    FileNotFoundError.
    """
    folder = ROOT / folder if folder else Path(stemlib.weights.__file__).parent
    needed = {"cascade": ("cascade", "screening"), "fcn": ("fcn",), "columns": ("columns",)}
    files = {name: folder / _FILES[name] for method in methods for name in needed[method]}
    for path in files.values():
        if not path.is_file():
            raise FileNotFoundError(
                f"weights: {path.name} is not in {str(folder)!r}; train it anew, or take another"
            )
    return files


def weight_checksums(files):
    """Return file name -> sha256 of weight files as `weight_files` returns them."""
    return {name: digest for path in files.values() for name, digest in file_checksum(path).items()}


def file_checksum(path):
    """Return the name of a file -> its sha256; empty for a folder, as some formats of microscopy are."""
    path = Path(path)
    return {} if path.is_dir() else {path.name: hashlib.sha256(path.read_bytes()).hexdigest()}


def data_checksums(cases, more=()):
    """Return registry path -> sha256 of everything that was read for some cases, and of `more` registry paths.

    `stemlib.datasets.fetch` has verified them.
    """
    registry = load_registry()["sha256"]
    paths = {path for case in cases for path in case.paths} | set(more)
    return {path: registry[path] for path in sorted(paths)}
