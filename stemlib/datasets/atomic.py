"""The atomic-resolution images: what is known of each, its labels, and what was drawn on it by hand."""

import functools

import numpy as np
import pandas as pd

from stemlib.datasets import formats, registry
from stemlib.io.micrograph import Micrograph, read

_CERTAINTIES = ("sure", "likely", "doubtful")


@functools.cache
def _facts():
    facts = registry.packaged("atomic.csv").copy()
    facts["select"] = pd.to_numeric(facts["select"]).astype("Int64")
    facts["minority_classes"] = [
        tuple(map(int, str(classes).split())) for classes in facts["minority_classes"]
    ]
    return facts.set_index("image")


def atomic_images():
    """Return the table of the atomic-resolution images.

    Defaults are chosen on the images with the role "development" (and on synthetic ones); those with the role
    "test" are only scored.

    Returns
    -------
    pandas.DataFrame
        Indexed by name ("wse2-ti/adf1", "wse2-cr", ...): `path`, `select` (number of the frame, missing where
        the file holds one image), `role` ("development" or "test"), `what`, `detector`, `dark_columns` (bool),
        `height_px`, `width_px`, `pixel_size_nm` (NaN where unknown), `pixel_size_certainty` ("sure",
        "approximate" or "unknown"), `pixel_size_sure` (bool), `pixel_size_basis`, `truth` ("columns and
        classes", "columns", "columns and boundaries", "boundaries", "no defects" or empty), `points` and
        `classes` (registry paths, empty where there are none), `minority_classes` (tuple of int: dopants and
        vacancies), `licence` (as stated by the source, "none" where it states none), `address` (public, of the
        source) and `available` (bool: the image and its label files are on this machine).

    Examples
    --------
    >>> from stemlib.datasets import atomic_images
    >>> images = atomic_images()
    >>> images.loc["wse2-ti/adf1", ["pixel_size_certainty", "truth"]].to_list()
    ['sure', 'columns and classes']
    """
    table = _facts().copy()
    table.insert(
        table.columns.get_loc("pixel_size_basis"),
        "pixel_size_sure",
        table["pixel_size_certainty"] == "sure",
    )
    table["licence"] = [registry.registered(path)["licence"] for path in table["path"]]
    table["address"] = [registry.public_address(path) for path in table["path"]]
    table["available"] = [registry.at_hand(_files(row)) for _, row in table.iterrows()]
    return table


def read_atomic_image(name):
    """Read one of the atomic images, with the pixel size that the table gives.

    Parameters
    ----------
    name : str
        An index entry of `atomic_images`.

    Returns
    -------
    stemlib.Micrograph
        ``image`` float32 (H, W); ``pixel_size_nm`` None where it is unknown.

    Raises
    ------
    ValueError
        If the name is unknown, or the file does not match its checksum or the size in the table.
    FileNotFoundError
        If the file is neither local nor downloadable.

    Examples
    --------
    >>> from stemlib.datasets import atomic_images, read_atomic_image
    >>> if atomic_images().loc["wse2-cr", "available"]:
    ...     micrograph = read_atomic_image("wse2-cr")
    """
    row = _facts_of(name)
    select = None if pd.isna(row["select"]) else int(row["select"])
    micrograph = read(registry.fetch(row["path"]), select=select)
    size = (row["height_px"], row["width_px"])
    if micrograph.image.shape != size:
        raise ValueError(f"{row['path']} holds {micrograph.image.shape} px where {size} are registered")
    known = None if np.isnan(row["pixel_size_nm"]) else row["pixel_size_nm"]
    return Micrograph(micrograph.image, known, micrograph.metadata)


def atomic_labels(name):
    """Read the labelled columns of one of the atomic images.

    The labels are semi-automatic: agreement with them, not truth, is what they measure.

    Parameters
    ----------
    name : str
        An index entry of `atomic_images` whose `truth` names columns.

    Returns
    -------
    pandas.DataFrame
        One row per column of atoms: `y`, `x` (float, px, pixel centres; labels are whole pixels), `class`
        (int: of "wse2-ti" 0 W, 1 dim column on a W site, 2 Se2, 3 dim column on an Se2 site; of "wse2-cr" 0 and
        1 the hosts, 2 a minority on sites of class 1, 3 on sites of class 0; -1 where there are no classes) and
        `is_minority` (bool).

    Raises
    ------
    ValueError
        If the name is unknown, the image has no labelled columns, or a file is malformed.
    FileNotFoundError
        If a file is neither local nor downloadable.

    Examples
    --------
    >>> from stemlib.datasets import atomic_images, atomic_labels
    >>> if atomic_images().loc["wse2-cr", "available"]:
    ...     columns = atomic_labels("wse2-cr")
    """
    row = _facts_of(name)
    if not row["points"]:
        raise ValueError(f"name={name!r} has no labelled columns; see truth in atomic_images()")
    points = _array(row["points"], "xy")
    shape = (row["height_px"], row["width_px"])
    table = formats.parse_points(points, shape, name=row["points"])
    classes = np.full(len(table), -1)
    if row["classes"]:
        classes = _array(row["classes"], None)
        if classes.shape != (len(table),) or classes.dtype.kind not in "uif" or (classes % 1).any():
            raise ValueError(
                f"{row['classes']} holds {classes.dtype} {classes.shape}; it must have one whole number for "
                f"each of the {len(table)} points"
            )
    table["class"] = classes.astype(int)
    table["is_minority"] = table["class"].isin(row["minority_classes"])
    return table


def drawn_polygon(name):
    """Return the polygon inside which found columns are compared with the labels of an image.

    Drawn by hand before any method had run on the images; how is said in ``polygons.json``.

    Parameters
    ----------
    name : str
        An index entry of `atomic_images`.

    Returns
    -------
    numpy.ndarray of float64, shape (N, 2)
        Vertices (y, x), px.

    Raises
    ------
    ValueError
        If the name is unknown or the image has no polygon.

    Examples
    --------
    >>> from stemlib.datasets import drawn_polygon
    >>> drawn_polygon("wse2-cr")[0]
    array([16., 16.])
    """
    return np.array(_drawn_entry("polygons.json", "polygons", name)["vertices"], dtype=np.float64)


def drawn_boundaries(name):
    """Return the domain boundaries that were drawn on an image, twice, before any method had run on it.

    Parameters
    ----------
    name : str
        An index entry of `atomic_images`.

    Returns
    -------
    dict
        ``n_domains`` (int: kinds of domain), ``n_areas`` (int: connected areas), ``how`` (str), ``lines``
        (name -> dict with ``kind`` "boundary" or "fault", ``first`` and ``second``, arrays (N, 2) of vertices
        y, x in px, and ``drawing_error_px``, the mean distance between the two) and ``undecided`` (list of
        polygons (N, 2), areas that may be given to any domain or to none).

    Raises
    ------
    ValueError
        If the name is unknown or nothing was drawn on the image.

    Examples
    --------
    >>> from stemlib.datasets import drawn_boundaries
    >>> drawn_boundaries("fe-boundary")["n_domains"]
    2
    """
    entry = _drawn_entry("boundaries.json", "images", name)
    lines = {
        line: {**drawing, **{d: np.array(drawing[d], dtype=np.float64) for d in ("first", "second")}}
        for line, drawing in entry["lines"].items()
    }
    undecided = [np.array(polygon, dtype=np.float64) for polygon in entry["undecided"]]
    return {**entry, "lines": lines, "undecided": undecided}


def drawn_vacancies(name):
    """Return the vacancies that were marked on an image, twice, before anybody had seen what a method finds there.

    Parameters
    ----------
    name : str
        An index entry of `atomic_images`.

    Returns
    -------
    dict
        ``marks``, a table with one row per vacancy: ``y, x`` (float, px; the mean of both drawings), ``kind``
        ("missing", or "half" where the column is only dimmer, as if one of two atoms were gone), ``certainty``
        ("sure", "likely" or "doubtful", the lesser of both; always "doubtful" where only one drawing has it),
        ``drawings`` (1 or 2) and ``drawing_error_px`` (distance between the two, NaN for one); ``how`` (str) and
        ``undecided``, polygons (N, 2) in which nothing was marked and nothing counts.

    Raises
    ------
    ValueError
        If the name is unknown or no vacancies were marked on the image.

    Examples
    --------
    >>> from stemlib.datasets import drawn_vacancies
    >>> marks = drawn_vacancies("mose2-40kv")["marks"]
    >>> (marks["kind"] == "missing").sum()
    np.int64(18)
    """
    entry = _drawn_entry("vacancies.json", "images", name)
    marks = pd.DataFrame([_mark(row) for row in entry["marks"]])
    undecided = [np.array(polygon, dtype=np.float64) for polygon in entry["undecided"]]
    return {"marks": marks, "how": entry["how"], "undecided": undecided}


def atomic_paths():
    """Return the registered paths of all atomic images and their labels, each once."""
    return list(dict.fromkeys(path for _, row in _facts().iterrows() for path in _files(row)))


def _files(row):
    return [path for path in (row["path"], row["points"], row["classes"]) if path]


def _facts_of(name):
    """Return the registered facts of an image, or raise a ValueError that names those there are."""
    facts = _facts()
    if name not in facts.index:
        raise ValueError(f"name={name!r} is not an atomic image; use one of {list(facts.index)}")
    return facts.loc[name]


def _array(path, key):
    """Return the array in a registered .npy file, or the one called `key` in an .npz file."""
    file = registry.fetch(path)
    try:
        content = np.load(file, allow_pickle=False)
        return content if isinstance(content, np.ndarray) else content[key]
    except (ValueError, KeyError, OSError) as error:
        raise ValueError(f"{path} cannot be read as positions ({error})") from error


def _mark(row):
    drawn = [mark for mark in (row["first"], row["second"]) if mark is not None]
    places = np.array([mark[:2] for mark in drawn], dtype=np.float64)
    both = len(drawn) == 2
    y, x = places.mean(axis=0)
    return {
        "y": y,
        "x": x,
        "kind": row["kind"],
        "certainty": max((mark[2] for mark in drawn), key=_CERTAINTIES.index) if both else _CERTAINTIES[-1],
        "drawings": len(drawn),
        "drawing_error_px": np.hypot(*(places[0] - places[1])) if both else np.nan,
    }


def _drawn_entry(file, key, name):
    _facts_of(name)
    entries = registry.packaged(file)[key]
    # The images of one folder show one place.
    folder = name.split("/")[0]
    if folder not in entries:
        raise ValueError(f"name={name!r} has nothing drawn on it in {file}; it holds {list(entries)}")
    return entries[folder]
