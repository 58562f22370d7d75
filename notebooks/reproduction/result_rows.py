"""Rows of a figure's JSON: what `reproduction.figures.write_figure` takes as `results`."""

import math

# Recall and precision of Modules I and II, published rule, from the comments of the authors' code: 206 of 242
# and 206 of 246 for the six images. Their paper's tables of single images are not at hand.
_PUBLISHED = {"six": (0.8512, 0.8374), "test28": (0.8546, 0.8733)}


def published_scores(image_set):
    """Return the authors' recall and precision of Modules I and II, by the published rule.

    Parameters
    ----------
    image_set : str
        They are known for "six" and "test28". Part of the test areas was in the authors' training images.

    Returns
    -------
    dict of str to float
        `recall` and `precision`; empty for other sets.

    Raises
    ------
    TypeError
        If `image_set` is not hashable.

    References
    ----------
    Comments in the code published with Li, Field & Morgan, npj Comput. Mater. 4, 36 (2018),
    https://doi.org/10.1038/s41524-018-0093-8

    Examples
    --------
    >>> published_scores("six")
    {'recall': 0.8512, 'precision': 0.8374}
    """
    return dict(zip(("recall", "precision"), _PUBLISHED.get(image_set, ()), strict=False))


def interval_result(name, row, key, *, unit="", published=None):
    """Return one result with its interval, from a table row or dict that holds `key`, `key_low`, `key_high`.

    Parameters
    ----------
    name : str
        What it is called in the JSON.
    row : mapping
        Holds the number and its interval; NaN and missing mean that it is not available.
    key : str
        The number's name in `row`.
    unit : str
    published : float, optional
        The published value beside it.

    Returns
    -------
    dict

    Raises
    ------
    KeyError
        If `row` has no `key`.

    Examples
    --------
    >>> interval_result("recall", {"r": 0.5, "r_low": 0.4, "r_high": 0.6}, "r", published=0.85)
    {'name': 'recall', 'value': 0.5, 'unit': '', 'low': 0.4, 'high': 0.6, 'published': 0.85}
    """
    result = {"name": name, "value": _number(row[key]), "unit": unit}
    low, high = _number(row.get(f"{key}_low")), _number(row.get(f"{key}_high"))
    if low is not None and high is not None:
        result |= {"low": low, "high": high}
    if published is not None:
        result["published"] = published
    return result


def score_results(table, rule, published):
    """Return recall, precision and F1 of every system, pooled over images.

    Parameters
    ----------
    table : pandas.DataFrame
        As `reproduction.score_table` returns it.
    rule : {"published", "one-to-one"}
        Which rows.
    published : dict of str to float
        As `published_scores` returns it. It stands beside what is screened, by the published rule.

    Returns
    -------
    list of dict
        Named such as "recall, Module I, published rule"; None where an image of the set is not at hand.

    Raises
    ------
    KeyError
        If a column is missing.

    Examples
    --------
    >>> import pandas as pd
    >>> row = {"system": "fcn", "rule": "published", "image": "pooled"}
    >>> table = pd.DataFrame([row | {"recall": 0.9, "precision": 0.8, "f1": 0.85}])
    >>> [result["name"] for result in score_results(table, "published", {})]
    ['recall, fcn, published rule', 'precision, fcn, published rule', 'F1, fcn, published rule']
    """
    table = table[table["rule"] == rule]
    results = []
    for system in dict.fromkeys(table["system"]):
        rows = table[(table["system"] == system) & (table["image"] == "pooled")].to_dict("records")
        row = rows[0] if rows else dict.fromkeys(("recall", "precision", "f1"))
        comparable = rule == "published" and system != "Module I"
        for key, name in (("recall", "recall"), ("precision", "precision"), ("f1", "F1")):
            value = published.get(key) if comparable else None
            results.append(interval_result(f"{name}, {system}, {rule} rule", row, key, published=value))
    return results


def _number(value):
    return None if value is None or not math.isfinite(value) else float(value)
