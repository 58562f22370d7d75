"""Loops found, held against annotators: image by image, module by module, annotator by annotator."""

import pandas as pd

from stemlib.agreement import compare_systems, match, pool, score_images

from .results import interval_result

EDGES = ["top", "left", "bottom", "right"]
RULES = ("published", "one-to-one")
# System, as figures call it -> its part of a result's id.
SYSTEM_IDS = {
    "Module I": "module-1",
    "Modules I-II": "modules-1-2",
    "Modules I-III": "modules",
    "cascade": "modules",
    "fcn": "fcn",
    "B": "set-b",
    "C": "set-c",
}
# Recall and precision of Modules I and II, published rule, from the comments of the code published with Li, Field &
# Morgan, npj Comput. Mater. 4, 36 (2018), https://doi.org/10.1038/s41524-018-0093-8: 206 of 242 and 206 of 246 for the
# six images. Part of the test areas was in their training images. Their tables of single images are not at hand.
PUBLISHED = {
    "six": {"recall": 0.8512, "precision": 0.8374},
    "test28": {"recall": 0.8546, "precision": 0.8733},
}


def machine_boxes(found):
    """Return the boxes after each module: system -> image name -> DataFrame with the edges.

    `found` maps a method to what `find_in_cases` returned. "Module I" is every candidate, "Modules I-II" the candidates
    that the screening accepted, "Modules I-III" the ellipses' boxes after the flood.
    """
    systems = {}
    for method, by_image in found.items():
        if method == "cascade":
            candidates = {name: loops.candidates for name, loops in by_image.items()}
            systems["Module I"] = {name: table[EDGES] for name, table in candidates.items()}
            systems["Modules I-II"] = {
                name: table.loc[table["accepted"], EDGES] for name, table in candidates.items()
            }
        final = {"cascade": "Modules I-III", "fcn": "fcn"}[method]
        systems[final] = {name: loops.table[EDGES] for name, loops in by_image.items()}
    return systems


def match_cases(cases, boxes, rule, *, truth="A"):
    """Match the boxes found in each image with one label set's loops: image name -> `stemlib.agreement.Match`.

    Images without boxes or without these labels are left out.
    """
    matches = {}
    for case in cases:
        if case.name not in boxes or truth not in case.labels:
            continue
        others = case.others()
        matches[case.name] = match(
            case.loops(truth)[EDGES],
            boxes[case.name],
            rule=rule,
            other=others[EDGES].astype(float),
            other_class=others["class"].to_numpy(int),
        )
    return matches


def score_table(cases, systems, *, truth="A", rules=RULES, seed=0):
    """Return the scores of every system by every rule, image by image and pooled.

    `systems` is what `machine_boxes` returns, `truth` the label set, `seed` that of F1's bootstrap. Columns: `rule`,
    `system`, `image` ("pooled" for the sum of counts), `available`, `classes_by` (which of B and C say what is not an
    open loop there) and those of `stemlib.agreement.score_images`. An image that is not at hand has a row of its own,
    everything else missing; pooled rows exist only where every image of the set is at hand. No image at all is a
    ValueError.
    """
    parts = []
    by_name = {case.name: case for case in cases}
    for rule in rules:
        for system, boxes in systems.items():
            matches = match_cases(cases, boxes, rule, truth=truth)
            if not matches:
                raise ValueError(f"systems: {system!r} has no boxes in any image with labels of set {truth}")
            part = score_images(matches, seed=seed)
            whole = [*by_name, "pooled"] if len(matches) == len(cases) else list(by_name)
            part = part.reindex(whole).rename_axis("image").reset_index()
            part["available"] = part["image"].isin([*matches, "pooled"])
            part["classes_by"] = [
                " ".join(one for one in "BC" if name in by_name and one in by_name[name].labels)
                for name in part["image"]
            ]
            parts.append(part.assign(rule=rule, system=system))
    table = pd.concat(parts, ignore_index=True)
    on_class = [column for column in table if column.startswith("false_on_class_")]
    # A class that one system never met is none there, not unknown.
    table.loc[table["available"], on_class] = table.loc[table["available"], on_class].fillna(0)
    first = ["rule", "system", "image", "available", "classes_by"]
    return table[first + [column for column in table if column not in first]]


def score_results(table, rule, prefix, *, suffix="", published=None):
    """Return recall, precision and F1 of every system as results, pooled over images; `table`: of `score_table`.

    Ids are such as "six.modules.published.recall", `prefix` before the system; titles such as "recall, Module I,
    published rule", with `suffix` behind. What was published stands beside what is screened. Where an image of the set
    is not at hand, a number is not available.
    """
    table = table[table["rule"] == rule]
    results = []
    for system in dict.fromkeys(table["system"]):
        rows = table[(table["system"] == system) & (table["image"] == "pooled")].to_dict("records")
        row = rows[0] if rows else dict.fromkeys(("recall", "precision", "f1"))
        beside = (published or {}) if system != "Module I" else {}
        for key, name in (("recall", "recall"), ("precision", "precision"), ("f1", "F1")):
            one = f"{prefix}.{SYSTEM_IDS[system]}.{rule}.{key}"
            title = f"{name}, {system}, {rule} rule{suffix}"
            results.append(interval_result(one, title, row, key, published=beside.get(key)))
    return results


def annotator_table(cases, systems, *, rules=RULES, seed=0):
    """Return how well annotators agree with each other, and the machine with each of them, pooled over images.

    One row per rule, `images` ("all", or "unseen": those no weights were trained or chosen on), `found` (who is judged)
    and `truth` (by whom): `n_images` and the columns of `stemlib.agreement.score`; recall and precision also with
    `_images_low` and `_images_high`, from a bootstrap over whole images. Images with two or more label sets count;
    those with systems' boxes only where unseen.
    """
    cases = [case for case in cases if len(set(case.labels) & set("ABC")) > 1]
    unseen = [case for case in cases if case.unseen]
    rows = []
    for rule in rules:
        for found, truth in (("C", "A"), ("B", "A"), ("B", "C")):
            for which, chosen in (("all", cases), ("unseen", unseen)):
                boxes = {case.name: case.loops(found)[EDGES] for case in chosen if found in case.labels}
                rows.append(_pooled_row(chosen, boxes, rule, found, truth, which, seed))
        for system, boxes in systems.items():
            rows += [_pooled_row(unseen, boxes, rule, system, truth, "unseen", seed) for truth in "ABC"]
    return pd.DataFrame([row for row in rows if row])


def _pooled_row(cases, boxes, rule, found, truth, which, seed):
    matches = match_cases(cases, boxes, rule, truth=truth)
    if not matches:
        return None
    pooled = score_images(matches, seed=seed).loc["pooled"].to_dict()
    first = {"rule": rule, "images": which, "found": found, "truth": truth, "n_images": len(matches)}
    return first | {key: value for key, value in pooled.items() if not key.startswith("false_on_class")}


def compare_methods(cases, systems, one, other, rule, *, truth="A"):
    """Compare the recall of two systems loop by loop, over all images, as `stemlib.agreement.compare_systems`."""
    pooled = [pool(match_cases(cases, systems[name], rule, truth=truth).values()) for name in (one, other)]
    return compare_systems(*pooled)
