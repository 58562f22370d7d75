"""How found defects agree with labelled dopants and with vacancies marked by eye."""

import numpy as np
import pandas as pd
from skimage.measure import points_in_poly
from sklearn.metrics import average_precision_score, precision_recall_curve

from stemlib.agreement import column_spacing, match_columns, wilson_interval

# Labels are whole px, and a dopant may be off its site: as far as half-way to the neighbour it is still that column.
_REACH_IN_SPACINGS = 0.5
_RESAMPLES = 300


def rank_labelled(case, defects):
    """Return the labelled columns inside the polygon with the scores of the columns found there.

    `defects` is a `stemlib.defects.Defects`. Columns: `y`, `x`, `class`, `is_minority`, `is_found` (a column, or an
    empty site, found within half a nearest-neighbour distance, one to one) and `score`, -1 where none is found: below
    all others. A case without labels is a ValueError.
    """
    if case.labels is None:
        raise ValueError(f"case {case.name!r} has no labelled columns to rank")
    positions = case.labels[["y", "x"]].to_numpy(float)
    reach = _REACH_IN_SPACINGS * column_spacing(positions)
    pairs = match_columns(positions, defects.columns, reach_px=reach).pairs
    scores = np.full(len(positions), -1.0)
    scores[pairs[:, 0]] = defects.columns["score"].to_numpy()[pairs[:, 1]]
    found = np.isin(np.arange(len(positions)), pairs[:, 0])
    inside = np.ones(len(positions), bool) if case.region is None else points_in_poly(positions, case.region)
    ranked = case.labels[["y", "x", "class", "is_minority"]].assign(is_found=found, score=scores)
    return ranked[inside].reset_index(drop=True)


def ranking_tables(cases, found, *, seed=0):
    """Return how well scores put labelled dopants first, and the curves behind that.

    `found` maps a case's name to `stemlib.defects.Defects`; cases without labels are passed over; `seed` is that of the
    bootstrap over columns. The first table has a row per image and kind of site, and for "all columns": `image`,
    `role`, `sites`, `n_columns`, `n_minority`, `not_found` (minority columns without a found one), `average_precision`
    with `_low` and `_high` (95 %), NaN where the image is not at hand. The second holds `image`, `sites`, `recall` and
    `precision` along the ranking.
    """
    rows, curves = [], []
    for case in cases:
        if not case.sites:
            continue
        ranked = rank_labelled(case, found[case.name]) if case.name in found else None
        for sites, classes in (*case.sites.items(), ("all columns", None)):
            row = {"image": case.name, "role": case.role, "sites": sites}
            if ranked is None:
                rows.append(row | {"average_precision": np.nan})
                continue
            chosen = ranked if classes is None else ranked[ranked["class"].isin(classes)]
            rows.append(row | _precision_of_ranking(chosen, seed))
            precision, recall, _ = precision_recall_curve(chosen["is_minority"], chosen["score"])
            curves.append(
                pd.DataFrame({"image": case.name, "sites": sites, "recall": recall, "precision": precision})
            )
    curves = pd.concat(curves, ignore_index=True) if curves else pd.DataFrame()
    return pd.DataFrame(rows), curves


def _precision_of_ranking(ranked, seed):
    is_minority, scores = ranked["is_minority"].to_numpy(), ranked["score"].to_numpy()
    rng = np.random.default_rng(seed)
    samples = rng.integers(len(ranked), size=(_RESAMPLES, len(ranked)))
    values = [average_precision_score(is_minority[s], scores[s]) for s in samples if is_minority[s].any()]
    low, high = np.quantile(values, [0.025, 0.975])
    return {
        "n_columns": len(ranked),
        "n_minority": int(is_minority.sum()),
        "not_found": int((is_minority & ~ranked["is_found"].to_numpy()).sum()),
        "average_precision": float(average_precision_score(is_minority, scores)),
        "average_precision_low": float(low),
        "average_precision_high": float(high),
    }


def match_known(case, defects):
    """Match known defects with found ones, one to one within a nearest-neighbour distance.

    Known are the case's marks, or else the labelled minority inside the polygon; a case with neither is a ValueError.
    Returns a table of the known ones (`y`, `x` px, `kind`, `certainty`, `is_found`), and for every row of the table of
    defects whether it is on a known one, and whether it counts: is known, or lies where all defects should be, inside
    the polygon and in no undecided area.
    """
    at = defects.table[["y", "x"]].to_numpy(float)
    counts = np.ones(len(at), bool)
    if case.marks is not None:
        known = case.marks[["y", "x", "kind", "certainty"]]
        for polygon in case.undecided:
            counts &= ~points_in_poly(at, polygon)
    elif case.sites:
        known = case.labels.loc[case.labels["is_minority"], ["y", "x"]]
        known = known.assign(kind=case.known_groups[0][0], certainty="as labelled").reset_index(drop=True)
        if case.region is not None:
            known = known[points_in_poly(known[["y", "x"]], case.region)].reset_index(drop=True)
            counts &= points_in_poly(at, case.region)
    else:
        raise ValueError(f"case {case.name!r} has neither marked vacancies nor labelled minority columns")
    columns = defects.columns.loc[~defects.columns["is_empty"], ["y", "x"]]
    matched = match_columns(known, at, reach_px=column_spacing(columns))
    return known.assign(is_found=matched.is_found), matched.is_true, counts | matched.is_true


def known_defect_table(cases, found):
    """Return how many of the known defects are found, by kind and certainty, and how many others.

    `found` as for `ranking_tables`. Columns: `image`, `kind`, `certainty`, `n_known`, `n_found`, `recall` with `_low`
    and `_high`, by kind and certainty and for all of a kind ("any"); in rows of kind "other", `n_found` are the defects
    found where none is known, of a control all.
    """
    rows = []
    for case in cases:
        if case.name not in found:
            continue
        others = len(found[case.name].table)
        if not case.is_control:
            known, is_known, counts = match_known(case, found[case.name])
            others = int((counts & ~is_known).sum())
            rows += [{"image": case.name} | row for row in _known_rows(known)]
        rows.append({"image": case.name, "kind": "other", "certainty": "any", "n_found": others})
    return pd.DataFrame(rows)


def _known_rows(known):
    for kind in dict.fromkeys(known["kind"]):
        of_kind = known[known["kind"] == kind]
        for certainty in ("any", *dict.fromkeys(of_kind["certainty"])):
            some = of_kind if certainty == "any" else of_kind[of_kind["certainty"] == certainty]
            hits = int(some["is_found"].sum())
            low, high = wilson_interval(hits, len(some))
            yield {
                "kind": kind,
                "certainty": certainty,
                "n_known": len(some),
                "n_found": hits,
                "recall": hits / len(some),
                "recall_low": low,
                "recall_high": high,
            }
