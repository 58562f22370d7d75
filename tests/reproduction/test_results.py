"""Results of figures: their ids, and what is not available."""

import numpy as np
import pytest

from reproduction.results import checked, interval_result, part, result


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"r": 0.5, "r_low": 0.25, "r_high": 0.75}, {"value": 0.5, "low": 0.25, "high": 0.75}),
        ({"r": float("nan"), "r_low": float("nan"), "r_high": 1.0}, {"value": None}),
        ({"r": None}, {"value": None}),
    ],
)
def test_what_is_not_a_number_becomes_none(row, expected):
    assert (
        interval_result("six.recall", "recall", row, "r")
        == {
            "id": "six.recall",
            "name": "recall",
            "unit": "",
        }
        | expected
    )


def test_published_values_and_units_stand_beside():
    row = {"r": 0.5, "r_low": 0.4, "r_high": 0.6}
    one = interval_result("six.axis", "axis", row, "r", unit="px", published=0.85)
    assert list(one.items()) == [
        ("id", "six.axis"),
        ("name", "axis"),
        ("value", 0.5),
        ("unit", "px"),
        ("low", 0.4),
        ("high", 0.6),
        ("published", 0.85),
    ]


def test_a_count_stays_a_whole_number():
    assert type(result("a.n", "n", 3)["value"]) is int


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("wse2-ti/adf1", "wse2-ti-adf1"),
        ("default, unit cell", "default-unit-cell"),
        (3e6, "3e6"),
        (1e3, "1e3"),
        (np.float64(1e7), "1e7"),
        (20, "20"),
    ],
)
def test_names_become_parts_of_ids(text, expected):
    assert part(text) == expected


@pytest.mark.parametrize("one", ["Six.recall", "six", "six..recall", "six recall", "six.recall.", ""])
def test_ids_are_words_with_hyphens_and_dots_between(one):
    with pytest.raises(ValueError, match="must be lower-case words"):
        checked([result(one, "recall", 0.5)])


def test_an_id_or_a_title_stands_for_one_result():
    for one, name in (("six.recall", "recall of others"), ("six.other", "recall")):
        with pytest.raises(ValueError, match="is there twice"):
            checked([result("six.recall", "recall", 0.5), result(one, name, 0.6)])
