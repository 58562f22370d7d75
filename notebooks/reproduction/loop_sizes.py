"""How many loops, how large, and how often: the machine beside each human set, image by image and pooled."""

import numpy as np
import pandas as pd

from stemlib.agreement import compare_sizes, longer_side, size_statistics, touches_edge

EDGES = ["top", "left", "bottom", "right"]
_DIFFERENCES = ("count_difference", "mean_difference", "std_difference")
_STATISTICS = ("mean", "mean_low", "mean_high", "std", "std_low", "std_high", "median")


def size_objects(cases, found):
    """Return every loop, machine's or person's, as one row of a long table.

    Parameters
    ----------
    cases : list of LoopCase
    found : dict of str to dict
        Method -> image name -> `stemlib.loops.Loops`.

    Returns
    -------
    pandas.DataFrame
        `image`, `source` (a method, or "A", "B", "C"), `diameter` (full major axis, px; NaN where only a box
        was drawn), `longer_side` (of the box, px), `touches_edge`, the box's edges, `pixel_size_nm` and
        `pixel_size_sure`.

    Raises
    ------
    KeyError
        If a table lacks a column.

    Examples
    --------
    >>> from reproduction import drawn_cases
    >>> objects = size_objects(drawn_cases(1, side_px=256), {})
    >>> sorted(objects["source"].unique())
    ['A', 'B', 'C']
    """
    parts = []
    for case in cases:
        tables = {name: case.loops(name) for name in "ABC" if name in case.labels}
        tables |= {method: loops[case.name].table for method, loops in found.items() if case.name in loops}
        for source, table in tables.items():
            flagged = "touches_edge" in table
            parts.append(
                table[EDGES].assign(
                    image=case.name,
                    source=source,
                    diameter=table["major"].astype(float) if "major" in table else np.nan,
                    longer_side=longer_side(table[EDGES]),
                    touches_edge=table["touches_edge"] if flagged else touches_edge(table[EDGES], case.shape),
                    pixel_size_nm=np.nan if case.pixel_size_nm is None else case.pixel_size_nm,
                    pixel_size_sure=case.pixel_size_sure,
                )
            )
    return pd.concat([part for part in parts if len(part)], ignore_index=True)


def size_table(cases, objects, sources, *, seed=0):
    """Return count, mean and standard deviation of the diameter, image by image, for each source with axes.

    Parameters
    ----------
    cases : list of LoopCase
        An image that is not at hand, or that a team drew no axes on, has a row with `available` False.
    objects : pandas.DataFrame
        As `size_objects` returns it.
    sources : list of str
        Methods and label sets.
    seed : int
        For the bootstrap.

    Returns
    -------
    pandas.DataFrame
        `image`, `source`, `available`, `count` (all loops), `n_measured`, `n_at_edge` (left out of all that
        follows), `mean`, `std` and `median` with bootstrap intervals, px; the same in nm (``mean_nm``, ...)
        where a pixel size is stated, and `pixel_size_sure`, without which nanometres are not to be trusted.
        The rows "all images" pool the pixels, where every image is there.

    Raises
    ------
    ValueError
        If a diameter is not positive.

    Examples
    --------
    >>> from reproduction import drawn_cases
    >>> cases = drawn_cases(1, side_px=256)
    >>> table = size_table(cases, size_objects(cases, {}), ["C"])
    >>> table["image"].tolist(), table["count"].nunique()
    (['synthetic 1', 'all images'], 1)
    """
    rows = []
    for source in sources:
        mine = objects[objects["source"] == source]
        known = [case for case in cases if _has_axes(case, source, mine)]
        for case in cases:
            row = {"image": case.name, "source": source, "available": case in known}
            row |= {"pixel_size_nm": case.pixel_size_nm, "pixel_size_sure": case.pixel_size_sure}
            if case in known:
                statistics = size_statistics(mine[mine["image"] == case.name], seed=seed)
                row |= statistics
                if case.pixel_size_nm is not None:
                    row |= {f"{name}_nm": statistics[name] * case.pixel_size_nm for name in _STATISTICS}
            rows.append(row)
        if len(known) == len(cases):
            pooled = {"image": "all images", "source": source, "available": True}
            rows.append(pooled | {"pixel_size_sure": False} | size_statistics(mine, seed=seed))
    return pd.DataFrame(rows)


def longer_side_table(cases, objects, methods):
    """Return the size beside set A, which has no axes: the longer side of A's box and of the machine's box.

    Parameters
    ----------
    cases : list of LoopCase
    objects : pandas.DataFrame
        As `size_objects` returns it.
    methods : list of str

    Returns
    -------
    pandas.DataFrame
        `image`, `source` ("A" or a method), `available` (where False, nothing else is there), `count`,
        `n_measured`, `longer_side_mean` and `longer_side_std`, px. Never to be held against a diameter: the box
        of a tilted ellipse is smaller than its major axis.

    Raises
    ------
    ValueError
        If a side is not positive.

    Examples
    --------
    >>> from reproduction import drawn_cases
    >>> cases = drawn_cases(1, side_px=256)
    >>> longer_side_table(cases, size_objects(cases, {}), [])["source"].tolist()
    ['A']
    """
    rows = []
    for case in cases:
        for source in ["A", *methods]:
            mine = objects[(objects["image"] == case.name) & (objects["source"] == source)]
            if not ("A" in case.labels if source == "A" else case.available):
                rows.append({"image": case.name, "source": source, "available": False})
                continue
            sides = mine[["longer_side", "touches_edge"]].rename(columns={"longer_side": "diameter"})
            result = size_statistics(sides, n_resamples=1)
            rows.append(
                {"image": case.name, "source": source, "available": True, "count": result["count"]}
                | {"n_measured": result["n_measured"]}
                | {"longer_side_mean": result["mean"], "longer_side_std": result["std"]}
            )
    return pd.DataFrame(rows)


def pooled_differences(cases, objects, pairs_of, *, seed=0):
    """Return how far two sources are apart in count, mean and spread of the diameter, pooled over images.

    Parameters
    ----------
    cases : list of LoopCase
        Only images count on which both have axes.
    objects : pandas.DataFrame
        As `size_objects` returns it.
    pairs_of : list of (str, str)
        (source, truth).
    seed : int
        For the bootstrap over images.

    Returns
    -------
    pandas.DataFrame
        `source`, `truth`, `n_images` and what `stemlib.agreement.compare_sizes` returns; px. Where an image
        is not at hand there is no smaller pool: `n_images` is 0 and nothing else is there.

    Raises
    ------
    ValueError
        If a diameter is not positive.

    Examples
    --------
    >>> from reproduction import drawn_cases
    >>> cases = drawn_cases(1, side_px=256)
    >>> pooled_differences(cases, size_objects(cases, {}), [("C", "C")])["mean_difference"].tolist()
    [0.0]
    """
    rows = []
    for source, truth in pairs_of:
        sides = [objects[objects["source"] == name] for name in (source, truth)]
        both = [
            case.name
            for case in cases
            if all(_has_axes(case, name, side) for name, side in zip((source, truth), sides, strict=True))
        ]
        if not all(case.available for case in cases):
            rows.append(
                {"source": source, "truth": truth, "n_images": 0} | dict.fromkeys(_DIFFERENCES, np.nan)
            )
            continue
        if not both:
            continue
        one, other = (side[side["image"].isin(both)][["image", "diameter", "touches_edge"]] for side in sides)
        rows.append(
            {"source": source, "truth": truth, "n_images": len(both)} | compare_sizes(one, other, seed=seed)
        )
    return pd.DataFrame(rows)


def density_table(found):
    """Return the number density of loops with its 95 % Poisson interval, per method and image.

    Parameters
    ----------
    found : dict of str to dict
        Method -> image name -> `stemlib.loops.Loops`.

    Returns
    -------
    pandas.DataFrame
        `method`, `image`, `count`, `area` (px², the area searched), and `per_area`, `low`, `high` (px⁻²) with
        the same in nm⁻² where a pixel size is stated.

    Raises
    ------
    AttributeError
        If the values are no loops.

    Examples
    --------
    >>> density_table({}).empty
    True
    """
    rows = []
    for method, by_image in found.items():
        for name, loops in by_image.items():
            rows.append({"method": method, "image": name} | vars(loops.density))
    return pd.DataFrame(rows)


def _has_axes(case, source, mine):
    if source in ("A", "B", "C"):
        return source in case.ellipse_sets
    # A method that found nothing in an image has measured it all the same.
    return case.available and not mine.empty
