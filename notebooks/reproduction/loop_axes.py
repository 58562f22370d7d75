"""One loop measured twice: the axes of loops that two sources both have."""

import numpy as np
import pandas as pd

from stemlib.agreement import axis_errors, match, pool

EDGES = ["top", "left", "bottom", "right"]


def axis_pairs(cases, objects, source, truth):
    """Return the loops that two sources both have, matched one to one, with both major axes.

    Parameters
    ----------
    cases : list of LoopCase
    objects : pandas.DataFrame
        As `size_objects` returns it.
    source, truth : str
        Who is held against whom.

    Returns
    -------
    pandas.DataFrame
        `image`, `truth` and `found` (px), without pairs in which either touches the image edge or has no axes.

    Raises
    ------
    KeyError
        If a column is missing.

    Examples
    --------
    >>> from reproduction import drawn_cases, size_objects
    >>> cases = drawn_cases(1, side_px=256)
    >>> pairs = axis_pairs(cases, size_objects(cases, {}), "C", "C")
    >>> bool((pairs["truth"] == pairs["found"]).all())
    True
    """
    parts = [pd.DataFrame(columns=["image", "truth", "found"])]
    for name, one, before, after in _matched(cases, objects, source, truth):
        pair = pd.DataFrame({"truth": before[one.pairs[:, 0]], "found": after[one.pairs[:, 1]]})
        parts.append(pair.dropna().assign(image=name))
    parts = [part for part in parts if len(part)] or parts
    return pd.concat(parts, ignore_index=True)[["image", "truth", "found"]]


def axis_table(cases, objects, pairs_of, *, seed=0):
    """Return the agreement of the major axes of matched loops, image by image and pooled.

    Parameters
    ----------
    cases : list of LoopCase
    objects : pandas.DataFrame
        As `size_objects` returns it.
    pairs_of : list of (str, str)
        Who is held against whom: (source, truth).
    seed : int
        For the bootstrap.

    Returns
    -------
    pandas.DataFrame
        `source`, `truth`, `image` ("pooled" last, where every image is at hand) and what
        `stemlib.agreement.axis_errors` returns.

    Raises
    ------
    ValueError
        If a length is not positive.

    Examples
    --------
    >>> from reproduction import drawn_cases, size_objects
    >>> cases = drawn_cases(1, side_px=256)
    >>> axis_table(cases, size_objects(cases, {}), [("C", "C")])["median_absolute_error"].tolist()
    [0.0, 0.0]
    """
    rows = []
    for source, truth in pairs_of:
        matched = list(_matched(cases, objects, source, truth))
        if not matched:
            continue
        for name, one, before, after in matched:
            rows.append(
                {"source": source, "truth": truth, "image": name} | axis_errors(one, before, after, seed=seed)
            )
        if not all(case.available for case in cases):
            continue
        _, matches, before, after = zip(*matched, strict=True)
        pooled = axis_errors(pool(matches), np.concatenate(before), np.concatenate(after), seed=seed)
        rows.append({"source": source, "truth": truth, "image": "pooled"} | pooled)
    return pd.DataFrame(rows)


def _matched(cases, objects, source, truth):
    """Yield image name, match, and both sides' diameters with NaN where the image edge cuts a loop."""
    for case in cases:
        sides = [
            objects[(objects["image"] == case.name) & (objects["source"] == name)] for name in (truth, source)
        ]
        if any(side.empty for side in sides):
            continue
        before, after = (
            side["diameter"].where(~side["touches_edge"].astype(bool)).to_numpy() for side in sides
        )
        if np.isnan(before).all() or np.isnan(after).all():
            continue
        yield case.name, match(sides[0][EDGES], sides[1][EDGES]), before, after
