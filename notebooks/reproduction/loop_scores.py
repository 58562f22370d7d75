"""What was found, held against people: image by image, module by module, labeller by labeller."""

import pandas as pd
from tqdm.auto import tqdm

from stemlib.agreement import compare_systems, match, pool, score_images
from stemlib.loops.find import find_loops

EDGES = ["top", "left", "bottom", "right"]
RULES = ("published", "one-to-one")


def find_in_cases(cases, method, *, weights=None, threshold=None, progress=True):
    """Run `stemlib.find_loops` on every image at hand.

    Parameters
    ----------
    cases : list of LoopCase
    method : {"cascade", "fcn"}
    weights : dict, optional
        As `stemlib.find_loops` takes them.
    threshold : float, optional
        As `stemlib.find_loops`.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    dict of str to stemlib.loops.Loops
        By image name; images that are not at hand are not in it.

    Raises
    ------
    ValueError, FileNotFoundError
        As `stemlib.find_loops`.

    Examples
    --------
    >>> from reproduction import drawn_cases
    >>> found = find_in_cases(drawn_cases(1, side_px=256), "fcn", progress=False)
    >>> list(found)
    ['synthetic 1']
    """
    here = [case for case in cases if case.available]
    return {
        case.name: find_loops(
            case.source,
            method=method,
            pixel_size_nm=case.pixel_size_nm,
            weights=weights,
            threshold=threshold,
        )
        for case in tqdm(here, desc=method, unit="image", disable=not progress)
    }


def machine_boxes(found):
    """Return the boxes after each module, by system name and image.

    Parameters
    ----------
    found : dict of str to dict
        Method -> what `find_in_cases` returned.

    Returns
    -------
    dict of str to dict
        "Module I" (every candidate), "Modules I-II" (the candidates that the screening accepted), "Modules
        I-III" (the ellipses' boxes after the flood) and "fcn" -> image name -> DataFrame with the edges.

    Raises
    ------
    KeyError
        If a method is unknown.

    Examples
    --------
    >>> machine_boxes({})
    {}
    """
    systems = {}
    for method, by_image in found.items():
        if method == "cascade":
            systems["Module I"] = {name: loops.candidates[EDGES] for name, loops in by_image.items()}
            systems["Modules I-II"] = {
                name: loops.candidates.loc[loops.candidates["accepted"], EDGES]
                for name, loops in by_image.items()
            }
        final = {"cascade": "Modules I-III", "fcn": "fcn"}[method]
        systems[final] = {name: loops.table[EDGES] for name, loops in by_image.items()}
    return systems


def match_cases(cases, boxes, rule, *, truth="A"):
    """Match the boxes found in each image with one team's loops.

    Parameters
    ----------
    cases : list of LoopCase
        Images without boxes or without these labels are left out.
    boxes : dict of str to DataFrame
        Image name -> boxes.
    rule : {"published", "one-to-one"}
    truth : str
        The label set.

    Returns
    -------
    dict of str to stemlib.agreement.Match

    Raises
    ------
    ValueError
        If the rule is unknown.

    Examples
    --------
    >>> from reproduction import drawn_cases
    >>> case = drawn_cases(1, side_px=256)[0]
    >>> bool(match_cases([case], {case.name: case.loops("A")}, "published")[case.name].is_true.all())
    True
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

    Parameters
    ----------
    cases : list of LoopCase
        An image that is not at hand has a row of its own, ``available`` False and everything else missing.
    systems : dict of str to dict
        As `machine_boxes` returns them.
    truth : str
        The label set.
    rules : iterable of str
    seed : int
        For the bootstrap of F1.

    Returns
    -------
    pandas.DataFrame
        Columns `rule`, `system`, `image` ("pooled" for the sum of counts), `available`, `classes_by` (which
        of B and C say what is not an open loop there) and those of `stemlib.agreement.score_images`. Pooled
        rows exist only where every image of the set is at hand.

    Raises
    ------
    ValueError
        If no image is at hand.

    Examples
    --------
    >>> from reproduction import drawn_cases
    >>> case = drawn_cases(1, side_px=256)[0]
    >>> table = score_table([case], {"people": {case.name: case.loops("C")}})
    >>> table[table["image"] == "pooled"]["recall"].tolist()
    [1.0, 1.0]
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


def people_table(cases, systems, *, rules=RULES, seed=0):
    """Return how well people agree with people, and the machine with each of them, pooled over images.

    Parameters
    ----------
    cases : list of LoopCase
        Those with two or more label sets count.
    systems : dict of str to dict
        As `machine_boxes` returns them; only images with the role of unseen ones are used.
    rules : iterable of str
    seed : int
        For the bootstrap.

    Returns
    -------
    pandas.DataFrame
        One row per rule, `images` ("all", or "unseen": those no weights were trained or chosen on), `found`
        (who is judged) and `truth` (by whom): `n_images` and the columns of `stemlib.agreement.score`; recall
        and precision also with `_images_low` and `_images_high`, from a bootstrap over whole images.

    Raises
    ------
    ValueError
        If a rule is unknown.

    Examples
    --------
    >>> from reproduction import drawn_cases
    >>> table = people_table(drawn_cases(1, side_px=256), {})
    >>> sorted(set(zip(table["found"], table["truth"])))
    [('B', 'A'), ('B', 'C'), ('C', 'A')]
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
    """Compare the recall of two systems loop by loop, over all images.

    Parameters
    ----------
    cases : list of LoopCase
    systems : dict of str to dict
        As `machine_boxes` returns them.
    one, other : str
        Keys of `systems`.
    rule : {"published", "one-to-one"}
    truth : str
        The label set.

    Returns
    -------
    dict
        As `stemlib.agreement.compare_systems`.

    Raises
    ------
    KeyError
        If a system is unknown.

    Examples
    --------
    >>> from reproduction import drawn_cases
    >>> case = drawn_cases(1, side_px=256)[0]
    >>> systems = {"B": {case.name: case.loops("B")}, "C": {case.name: case.loops("C")}}
    >>> compare_methods([case], systems, "C", "B", "published")["only_other"]
    0
    """
    pooled = [pool(match_cases(cases, systems[name], rule, truth=truth).values()) for name in (one, other)]
    return compare_systems(*pooled)
