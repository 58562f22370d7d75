"""How many loops, how large, and how often: the machine beside each annotator, image by image and pooled.

`objects` is everywhere the long table of `size_objects`; `cases` are `LoopCase`s; all lengths are px.
"""

import numpy as np
import pandas as pd

from stemlib.agreement import (
    axis_errors,
    compare_sizes,
    longer_side,
    match,
    pool,
    size_statistics,
    touches_edge,
)

from .loop_scores import EDGES

_DIFFERENCES = ("count_difference", "mean_difference", "std_difference")
_STATISTICS = ("mean", "mean_low", "mean_high", "std", "std_low", "std_high", "median")


def size_objects(cases, found):
    """Return every loop, machine's or annotator's, as one row of a long table.

    `found` maps a method to image name -> `stemlib.loops.Loops`. Columns: `image`, `source` (a method, or "A", "B",
    "C"), `diameter` (full major axis; NaN where only a box was drawn), `longer_side` (of the box), `touches_edge`, the
    box's edges, `pixel_size_nm` and `pixel_size_sure`.
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

    Columns: `image`, `source`, `available` (False where the image is not at hand, or has no axes of that annotator),
    `count` (all loops), `n_measured`, `n_at_edge` (left out of all that follows), `mean`, `std` and `median` with
    bootstrap intervals; the same in nm (``mean_nm``, ...) where a pixel size is stated, and `pixel_size_sure`, without
    which nanometres are not to be trusted. The rows "all images" pool the pixels, where every image is there.
    """
    rows = []
    for source in sources:
        mine = _of(objects, source)
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

    Columns: `image`, `source` ("A" or a method), `available` (where False, nothing else is there), `count`,
    `n_measured`, `longer_side_mean` and `longer_side_std`. Never to be held against a diameter: the box of a tilted
    ellipse is smaller than its major axis.
    """
    rows = []
    for case in cases:
        for source in ["A", *methods]:
            row = {"image": case.name, "source": source, "available": True}
            if not ("A" in case.labels if source == "A" else case.available):
                rows.append(row | {"available": False})
                continue
            sides = _of(objects, source, case.name)[["longer_side", "touches_edge"]]
            result = size_statistics(sides.rename(columns={"longer_side": "diameter"}), n_resamples=1)
            row |= {key: result[key] for key in ("count", "n_measured")}
            rows.append(row | {f"longer_side_{key}": result[key] for key in ("mean", "std")})
    return pd.DataFrame(rows)


def pooled_differences(cases, objects, pairs_of, *, seed=0):
    """Return how far two sources are apart in count, mean and spread of the diameter, pooled over images.

    `pairs_of` are pairs (source, truth). Only images count on which both have axes. Columns: `source`, `truth`,
    `n_images` and what `stemlib.agreement.compare_sizes` returns. Where an image is not at hand there is no smaller
    pool: `n_images` is 0 and nothing else is there.
    """
    rows = []
    for source, truth in pairs_of:
        row = {"source": source, "truth": truth}
        if not all(case.available for case in cases):
            rows.append(row | {"n_images": 0} | dict.fromkeys(_DIFFERENCES, np.nan))
            continue
        sides = {name: _of(objects, name) for name in (source, truth)}
        both = [case.name for case in cases if all(_has_axes(case, *side) for side in sides.items())]
        if not both:
            continue
        columns = ["image", "diameter", "touches_edge"]
        one, other = (sides[name][sides[name]["image"].isin(both)][columns] for name in (source, truth))
        rows.append(row | {"n_images": len(both)} | compare_sizes(one, other, seed=seed))
    return pd.DataFrame(rows)


def density_table(found):
    """Return the number density of loops with its 95 % Poisson interval, per method and image.

    `found` as for `size_objects`. Columns: `method`, `image`, `count`, `area` (px², the area searched), and `per_area`,
    `low`, `high` (px⁻²) with the same in nm⁻² where a pixel size is stated.
    """
    return pd.DataFrame(
        [
            {"method": method, "image": name} | vars(loops.density)
            for method, by_image in found.items()
            for name, loops in by_image.items()
        ]
    )


def axis_pairs(cases, objects, source, truth):
    """Return the loops that two sources both have, matched one to one, with both major axes.

    Columns: `image`, `truth` and `found`, without pairs in which either touches the image edge or has no axes.
    """
    parts = [pd.DataFrame(columns=["image", "truth", "found"])]
    for name, one, before, after in _matched(cases, objects, source, truth):
        pair = pd.DataFrame({"truth": before[one.pairs[:, 0]], "found": after[one.pairs[:, 1]]})
        parts.append(pair.dropna().assign(image=name))
    parts = [part for part in parts if len(part)] or parts
    return pd.concat(parts, ignore_index=True)[["image", "truth", "found"]]


def axis_table(cases, objects, pairs_of, *, seed=0):
    """Return the agreement of the major axes of matched loops, image by image and pooled.

    `pairs_of` are pairs (source, truth). Columns: `source`, `truth`, `image` ("pooled" last, where every image is at
    hand) and what `stemlib.agreement.axis_errors` returns.
    """
    rows = []
    for source, truth in pairs_of:
        matched = list(_matched(cases, objects, source, truth))
        if not matched:
            continue
        first = {"source": source, "truth": truth}
        rows += [
            first | {"image": name} | axis_errors(one, before, after, seed=seed)
            for name, one, before, after in matched
        ]
        if all(case.available for case in cases):
            _, matches, before, after = zip(*matched, strict=True)
            pooled = axis_errors(pool(matches), np.concatenate(before), np.concatenate(after), seed=seed)
            rows.append(first | {"image": "pooled"} | pooled)
    return pd.DataFrame(rows)


def _matched(cases, objects, source, truth):
    """Yield image name, match, and both sides' diameters with NaN where the image edge cuts a loop."""
    for case in cases:
        sides = [_of(objects, name, case.name) for name in (truth, source)]
        if any(side.empty for side in sides):
            continue
        before, after = (
            side["diameter"].where(~side["touches_edge"].astype(bool)).to_numpy() for side in sides
        )
        if np.isnan(before).all() or np.isnan(after).all():
            continue
        yield case.name, match(sides[0][EDGES], sides[1][EDGES]), before, after


def _of(objects, source, image=None):
    mine = objects[objects["source"] == source]
    return mine if image is None else mine[mine["image"] == image]


def _has_axes(case, source, mine):
    if source in ("A", "B", "C"):
        return source in case.ellipse_sets
    # A method that found nothing in an image has measured it all the same.
    return case.available and not mine.empty
