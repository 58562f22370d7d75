"""Atomic-resolution images with their labelled columns, real or drawn, and how finders agree with the labels."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

import stemlib
from stemlib.agreement import match_columns, score_columns
from stemlib.datasets import (
    atomic_images,
    atomic_labels,
    drawn_polygon,
    fetch_all,
    read_atomic_image,
)
from stemlib.io.micrograph import Micrograph
from stemlib.synthetic import crystal_image

_DRAWN = ("square", "graphene", "perovskite")


@dataclass(frozen=True, eq=False)
class ColumnCase:
    """One atomic-resolution image, with its labelled columns where it has any.

    Attributes
    ----------
    name : str
    source : stemlib.Micrograph or None
        None where the image is not at hand.
    labels : pandas.DataFrame or None
        Columns `y` and `x`, px; None where nobody labelled columns.
    region : numpy.ndarray, shape (V, 2), or None
        Polygon inside which columns are compared.
    dark_columns : bool
    role : str
        "development", "test" or "synthetic".
    may_be_shown : bool
        Whether the licence of the image is known, so that a picture of it may be published.
    pixel_size_sure : bool
    paths : tuple of str
        Registry paths of what was read; empty for a drawn image.
    """

    name: str
    source: Micrograph | None
    labels: pd.DataFrame | None = None
    region: np.ndarray | None = None
    dark_columns: bool = False
    role: str = "synthetic"
    may_be_shown: bool = True
    pixel_size_sure: bool = True
    paths: tuple[str, ...] = ()


def load_column_cases(name, *, n_images=2, side_px=256, seed=0):
    """Return the labelled images, and those with dark columns; those not at hand have no `source`.

    Parameters
    ----------
    name : {"atomic", "synthetic"}
    n_images, side_px, seed : int
        Of "synthetic": number of bright images drawn (one dark image comes on top), their side, and the seed.

    Returns
    -------
    list of ColumnCase

    Raises
    ------
    ValueError
        If the set is unknown, or a file at hand does not match its checksum.

    Examples
    --------
    >>> [case.dark_columns for case in load_column_cases("synthetic", n_images=1, side_px=128)]
    [False, True]
    """
    if name == "synthetic":
        return _drawn_column_cases(n_images, side_px, seed)
    if name != "atomic":
        raise ValueError(f"name={name!r} must be 'atomic' or 'synthetic'")
    fetch_all("atomic")
    images = atomic_images()
    wanted = images[images["truth"].str.contains("columns") | images["dark_columns"]]
    # One frame of the series is enough.
    wanted = wanted[wanted["select"].fillna(0) == 0]
    return [real_column_case(one, row) for one, row in wanted.iterrows()]


def real_column_case(name, row, kind=ColumnCase, **more):
    """Return the `ColumnCase`, or a subclass of it with further attributes, of a row of `atomic_images`."""
    labelled = bool(row["points"])
    here = bool(row["available"])
    paths = (row["path"], row["points"], row["classes"])
    return kind(
        name=name,
        source=read_atomic_image(name) if here else None,
        labels=atomic_labels(name) if here and labelled else None,
        region=drawn_polygon(name) if labelled else None,
        dark_columns=bool(row["dark_columns"]),
        role=row["role"],
        may_be_shown=row["licence"] != "none",
        pixel_size_sure=bool(row["pixel_size_sure"]),
        paths=tuple(sorted({path for path in paths if path})) if here else (),
        **more,
    )


def _drawn_column_cases(n_images, side_px, seed):
    cases = []
    for number in range(n_images + 1):
        dark = number == n_images
        scene = crystal_image(
            "perovskite" if dark else _DRAWN[number % len(_DRAWN)],
            (side_px, side_px),
            spacing=10.0 + 2 * number,
            rotation_deg=17.0 * (number + 1),
            snr=15.0,
            vacancies=0.02,
            seed=[seed, number],
        )
        inside = np.array([[5, 5], [5, side_px - 6], [side_px - 6, side_px - 6], [side_px - 6, 5]], float)
        image = 1 - scene.image if dark else scene.image
        name = f"synthetic {number + 1}" + (", dark columns" if dark else "")
        cases.append(ColumnCase(name, Micrograph(image), scene.columns[["y", "x"]], inside, dark))
    return cases


def find_in_column_cases(cases, *, weights=None, threshold=None, device="auto"):
    """Find the columns of every image at hand.

    Parameters
    ----------
    cases : iterable of ColumnCase
    weights, threshold, device
        As `stemlib.find_columns` takes them.

    Returns
    -------
    dict of str to stemlib.columns.Columns
        By the name of the case.

    Examples
    --------
    >>> find_in_column_cases([ColumnCase("not here", None)])
    {}
    """
    return {
        case.name: stemlib.find_columns(
            case.source, dark_columns=case.dark_columns, weights=weights, threshold=threshold, device=device
        )
        for case in cases
        if case.source is not None
    }


def match_column_cases(cases, found):
    """Return name -> ColumnMatch of every image that has labels and was searched.

    Parameters
    ----------
    cases : iterable of ColumnCase
    found : dict of str to stemlib.columns.Columns

    Returns
    -------
    dict of str to stemlib.agreement.ColumnMatch

    Examples
    --------
    >>> match_column_cases([ColumnCase("not here", None)], {})
    {}
    """
    return {
        case.name: match_columns(case.labels, found[case.name].table, region=case.region)
        for case in cases
        if case.labels is not None and case.name in found
    }


def column_score_table(cases, matches):
    """Return recall, precision and distances image by image, and pooled over the images at hand.

    Parameters
    ----------
    cases : iterable of ColumnCase
    matches : dict of str to stemlib.agreement.ColumnMatch

    Returns
    -------
    pandas.DataFrame
        `image`, `role` and what `stemlib.agreement.score_columns` returns; the last row is "pooled".

    Examples
    --------
    >>> cases = load_column_cases("synthetic", n_images=1, side_px=128)
    >>> table = column_score_table(cases, match_column_cases(cases, find_in_column_cases(cases)))
    >>> table["image"].iloc[-1]
    'pooled'
    """
    rows = [
        {"image": case.name, "role": case.role, **score_columns(matches[case.name])}
        for case in cases
        if case.name in matches
    ]
    if matches:
        rows.append({"image": "pooled", "role": "", **score_columns(matches.values())})
    return pd.DataFrame(rows)
