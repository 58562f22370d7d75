"""A result as files: picture, table, numbers, and for loops what other programs read."""

import hashlib
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from stemlib.io.files import write_atomically
from stemlib.workbench.measured import numbers


def write_result(result, folder, name, **facts):
    """Write a result as files named after its image.

    Parameters
    ----------
    result : Loops, Columns, Lattice, Defects or Domains
    folder : str or pathlib.Path
        Made where it is missing.
    name : str
        Of the image: the files are ``NAME-loops.png``, ``NAME-loops.csv`` and so on.
    **facts
        Written below the numbers, such as the finder's settings.

    Returns
    -------
    list of pathlib.Path
        Picture, numbers (with the image's file and its SHA-256, and stemlib's version), the table if the result has
        one, and of loops also a table and outlines for ImageJ and COCO's JSON.

    Examples
    --------
    >>> import tempfile
    >>> import stemlib
    >>> from stemlib.synthetic import crystal_image
    >>> lattice = stemlib.find_lattice(crystal_image("square", (96, 96), seed=0).image)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [path.name for path in write_result(lattice, folder, "mine")]
    ['mine-lattice.png', 'mine-lattice-numbers.csv']
    """
    from stemlib import plot

    what = type(result).__name__.lower()

    def path(end):
        return Path(folder) / f"{name}-{what}{end}"

    figure = plot.result_figure(result, width=8)
    written = [
        write_atomically(path(".png"), lambda temporary: figure.savefig(temporary, dpi=150)),
        write_atomically(path("-numbers.csv"), _numbers(result, facts).to_csv(index=False)),
    ]
    if hasattr(result, "to_csv"):
        result.to_csv(path(".csv"))
        written.append(path(".csv"))
    if what == "loops":
        result.to_imagej_csv(path("-imagej.csv"))
        result.to_imagej_rois(path("-imagej.zip"))
        result.to_coco(path("-coco.json"), _source(result).name)
        written += [path("-imagej.csv"), path("-imagej.zip"), path("-coco.json")]
    return written


def _source(result):
    return Path(result.view.micrograph.metadata.get("path") or "")


def _numbers(result, facts):
    source = _source(result)
    # Some formats of microscopy are folders.
    checksum = hashlib.sha256(source.read_bytes()).hexdigest() if source.is_file() else ""
    known = {"image": source.name, "sha256 of the image": checksum, "pixel size, nm": result.pixel_size_nm}
    known |= {"stemlib": version("stemlib")} | facts
    rows = [{"what": what, "value": "" if value is None else value} for what, value in known.items()]
    measured = numbers(result).astype({"value": object})
    return pd.concat([measured, pd.DataFrame(rows)], ignore_index=True)
