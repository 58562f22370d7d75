"""Tables of loops that a person or another program made, checked, as `stemlib.loops.Loops` holds them."""

import functools

import numpy as np
import pandas as pd

from stemlib.io.density import number_density
from stemlib.io.micrograph import as_micrograph, check_mask, check_positive
from stemlib.io.result import View
from stemlib.io.tables import with_nanometres
from stemlib.loops.ellipses import AXES, EDGES, with_edges

_EDGE = 1.0  # px from the image's edge at which a loop is measured as cut off


def checked_ellipses(table, where, shape=None):
    """Return a table of ellipses, its numbers checked, with ``area`` and the edges of those that lack them.

    Parameters
    ----------
    table : pandas.DataFrame
        ``y, x, major, minor, angle_deg``, and what else there is.
    where : str
        What errors call the table.
    shape : tuple of int, optional
        Height and width of the image, px: centres must lie inside, and ``touches_edge`` is told where it is not known.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    ValueError
        If a column is missing, a value is no number, an axis is not positive, minor is longer than major, or a centre
        lies outside the image.

    Examples
    --------
    >>> checked_ellipses(pd.DataFrame([[10.0, 20.0, 8.0, 4.0, 270.0]], columns=AXES), "mine").angle_deg[0]
    np.float64(90.0)
    """
    missing = [name for name in AXES if name not in table]
    if missing:
        raise ValueError(f"{where} lacks the columns {missing}; it has {list(map(str, table))}")
    table = table.reset_index(drop=True)
    numbers = table[AXES].apply(pd.to_numeric, errors="coerce").astype(float)
    y, x, major, minor, _ = numbers.to_numpy().T
    height, width = (np.inf, np.inf) if shape is None else shape
    outside = (y < -0.5) | (x < -0.5) | (y > height - 0.5) | (x > width - 0.5)
    for wrong, why in (
        (~np.isfinite(numbers).all(axis=1).to_numpy(), "holds something other than numbers"),
        (~(minor > 0), "has an axis that is not positive"),
        (minor > major * (1 + 1e-6), "has a minor axis longer than its major one"),
        (outside, f"lies outside the image of {height} x {width} px: is it measured in px?"),
    ):
        if wrong.any():
            n = int(np.argmax(wrong))
            raise ValueError(f"{where}: row {n + 1}, {table[AXES].iloc[n].to_dict()}, {why}")
    numbers["angle_deg"] %= 180
    table = table.assign(**numbers)
    computed = with_edges(table, shape)[["area", *EDGES]]
    table = table.assign(**{name: table.get(name, computed[name]) for name in computed}).astype(
        dict.fromkeys(computed, float)
    )
    if shape is not None and "touches_edge" not in table:
        far = table[["bottom", "right"]].to_numpy() >= np.array(shape) - 0.5 - _EDGE
        near = table[["top", "left"]].to_numpy() <= -0.5 + _EDGE
        table["touches_edge"] = near.any(axis=1) | far.any(axis=1)
    return table


def fields_of(table, image, *, pixel_size_nm=None, mask=None, thickness_nm=None):
    """Return what `stemlib.loops.Loops` is made of, by name, from a table of ellipses and their image.

    Parameters and errors are those of `stemlib.loops.Loops.from_table`.
    """
    micrograph = as_micrograph(image, pixel_size_nm=pixel_size_nm)
    shape = micrograph.image.shape
    mask = check_mask(mask, shape)
    if thickness_nm is not None:
        thickness_nm = check_positive(thickness_nm, "thickness_nm")
    own = table[[name for name in table if not str(name).endswith(("_nm", "_nm2"))]]
    checked = checked_ellipses(own, "table", shape)
    if "flood_failed" not in checked:
        checked["flood_failed"] = False
    if "score" not in checked:
        checked["score"] = np.nan
    if "kind" not in checked:
        checked["kind"] = "loop"
    scores = checked["score"].astype(float)
    wanted = [*AXES, "area", *EDGES, "score", "kind", "touches_edge", "flood_failed"]
    checked = checked[[*wanted, *(name for name in checked if name not in wanted)]]
    count = functools.partial(
        number_density,
        area=int(mask.sum()),
        pixel_size_nm=micrograph.pixel_size_nm,
        thickness_nm=thickness_nm,
    )
    # Whatever the scores, all of them are loops.
    threshold = 0.0 if scores.isna().all() else float(scores.min())
    kinds = checked["kind"].astype(str).value_counts(sort=False).to_dict() or {"loop": 0}
    return {
        "table": with_nanometres(checked, micrograph.pixel_size_nm, micrograph.origin_nm),
        "candidates": checked[EDGES].assign(probability=scores, kind=checked["kind"], accepted=True),
        "density": count(len(checked)),
        "densities": {kind: count(number) for kind, number in kinds.items()},
        "method": "table",
        "threshold": threshold,
        "thresholds": dict.fromkeys(kinds, threshold),
        "scale": 1.0,
        "fit": None,
        "pixel_size_nm": micrograph.pixel_size_nm,
        "shape": shape,
        "view": View(micrograph, mask),
    }
