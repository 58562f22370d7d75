"""What was drawn by hand on the atomic-resolution images, before any method had run on them."""

import functools
import json
from pathlib import Path

import numpy as np
import pandas as pd

_CERTAINTIES = ("sure", "likely", "doubtful")


def drawn_polygon(name):
    """Return the polygon inside which found columns are compared with the labels of an image.

    Drawn by hand before any method had run on the images; how is said in ``polygons.json``.

    Parameters
    ----------
    name : str
        An index entry of `stemlib.datasets.atomic_images`.

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
    >>> from reproduction.drawings import drawn_polygon
    >>> drawn_polygon("wse2-cr")[0]
    array([16., 16.])
    """
    return np.array(_drawn_entry("polygons.json", "polygons", name)["vertices"], dtype=np.float64)


def drawn_boundaries(name):
    """Return the domain boundaries that were drawn on an image, twice, before any method had run on it.

    Parameters
    ----------
    name : str
        An index entry of `stemlib.datasets.atomic_images`.

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
    >>> from reproduction.drawings import drawn_boundaries
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
        An index entry of `stemlib.datasets.atomic_images`.

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
    >>> from reproduction.drawings import drawn_vacancies
    >>> marks = drawn_vacancies("mose2-40kv")["marks"]
    >>> (marks["kind"] == "missing").sum()
    np.int64(18)
    """
    entry = _drawn_entry("vacancies.json", "images", name)
    marks = pd.DataFrame([_mark(row) for row in entry["marks"]])
    undecided = [np.array(polygon, dtype=np.float64) for polygon in entry["undecided"]]
    return {"marks": marks, "how": entry["how"], "undecided": undecided}


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
    entries = _content(file)[key]
    # The images of one folder show one place.
    folder = name.split("/")[0]
    if folder not in entries:
        raise ValueError(f"name={name!r} has nothing drawn on it in {file}; it holds {list(entries)}")
    return entries[folder]


@functools.cache
def _content(file):
    return json.loads(Path(__file__).with_name(file).read_text(encoding="utf-8"))
