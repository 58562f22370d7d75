"""The numbers that a figure stands for: rows of its JSON, each with an id that others refer to."""

import math
import re

import pandas as pd

KEYS = ("id", "name", "value", "unit", "low", "high", "published")


def result(one, name, value, unit="", *, low=None, high=None, published=None):
    """Return one result.

    `one` is its id: lower-case words and numbers with hyphens between, parted by dots from the general to the
    particular, such as "six.modules.published.recall"; it stays when `name`, the title that people read, is put better.
    `value` is not rounded; NaN and None mean that it is not available. `low` and `high` end its 95 % interval, where
    both are there; `published` is what it is to be held against.
    """
    row = {"id": one, "name": name, "value": _number(value), "unit": unit}
    low, high = _number(low), _number(high)
    if low is not None and high is not None:
        row |= {"low": low, "high": high}
    if published is not None:
        row["published"] = published
    return row


def interval_result(one, name, row, key, *, unit="", published=None):
    """Return one result from a table row or dict that holds `key`, and `key_low` and `key_high` where they exist."""
    value = None if row[key] is None else float(row[key])
    ends = {end: row.get(f"{key}_{end}") for end in ("low", "high")}
    return result(one, name, value, unit, published=published, **ends)


def part(text):
    """Return a name as part of an id: "wse2-ti/adf1" becomes "wse2-ti-adf1", 3e6 becomes "3e6"."""
    if isinstance(text, float | int):
        text = re.sub(r"e\+?0*", "e", f"{text:.0e}") if text >= 1000 else f"{text:g}"
    return re.sub(r"[^a-z0-9]+", "-", str(text).lower()).strip("-")


def checked(results):
    """Return results as a list, or raise a ValueError that says what is wrong with one of them."""
    for key in ("id", "name"):
        seen = set()
        for row in results:
            if not {"id", "name", "value", "unit"} <= row.keys() <= set(KEYS):
                raise ValueError(
                    f"results: {row} must have id, name, value and unit and may have low, high and published"
                )
            if row[key] in seen:
                raise ValueError(f"results: {row[key]!r} is there twice")
            seen.add(row[key])
    for row in results:
        if not re.fullmatch(r"[a-z0-9]+(?:[.-][a-z0-9]+)+", row["id"]):
            raise ValueError(
                f"results: id {row['id']!r} must be lower-case words with hyphens and dots between"
            )
        for key in row.keys() & {"value", "low", "high", "published"}:
            if row[key] is not None and not math.isfinite(row[key]):
                raise ValueError(
                    f"results: {key} of {row['id']!r} is {row[key]}; give None where it is not available"
                )
    return list(results)


def _number(value):
    if value is None or pd.isna(value) or not math.isfinite(value):
        return None
    return value
