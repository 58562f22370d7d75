import json

import pytest

from reproduction import comparison
from reproduction.comparison import Comparison, Tolerance, format_table, tolerance
from reproduction.repository import ROOT

CONTENT = {
    "name": "loop-detection-six",
    "synthetic": False,
    "seed": 0,
    "parameters": {"image_set": "six"},
    "data": {"a.jpg": "ab", "b.jpg": "cd"},
    "weights": {},
    "results": [
        {
            "id": "six.recall",
            "name": "recall",
            "value": 0.871234,
            "unit": "",
            "low": 0.82,
            "high": 0.91,
            "published": 0.8512,
        },
        {"id": "six.mean", "name": "mean diameter", "value": 31.25, "unit": "nm"},
        {"id": "six.third", "name": "recall, image 3", "value": None, "unit": ""},
    ],
}


def committed(**changes):
    """The same figure with other values, by id, or other content."""
    results = [row | changes.pop(row["id"].split(".")[1], {}) for row in CONTENT["results"]]
    return CONTENT | {"results": results} | changes


def test_each_result_stands_beside_what_was_published_and_committed():
    rows = Comparison(CONTENT, committed(mean={"value": 30.0})).rows()
    assert rows == [
        ("recall", "0.8712 (0.82 to 0.91)", "0.8512", "0.8712", "none", "within"),
        ("mean diameter", "31.25 nm", "", "30 nm", "+1.25", "outside"),
        ("recall, image 3", "not available", "", "not available", "", "within"),
    ]
    assert Comparison(CONTENT, None).rows()[0] == ("recall", "0.8712 (0.82 to 0.91)", "0.8512", "", "", "")


@pytest.mark.parametrize(
    ("recall", "drift", "where"),
    [
        ({"value": 0.871234 * (1 + 1e-10)}, "none", "within"),
        ({"value": 0.871234 * (1 + 5e-7)}, "-4.36e-07", "within"),
        ({"value": 0.871234 * (1 + 2e-6)}, "-1.74e-06", "outside"),
        ({"low": 0.821}, "none", "outside"),
        ({"high": 0.911}, "none", "outside"),
        ({"value": None}, "", "outside"),
    ],
)
def test_rounding_is_within_and_anything_else_outside(recall, drift, where):
    row = Comparison(CONTENT, committed(recall=recall)).rows()[0]
    assert row[-2:] == (drift, where)


def test_an_ill_conditioned_result_states_a_wider_tolerance(monkeypatch):
    monkeypatch.setattr(comparison, "WIDER", {"six.m*": Tolerance(0.0, 2.0, "labels near the rim")})
    assert tolerance("six.mean").absolute == 2.0 and tolerance("six.recall") is comparison.ROUNDING
    assert Comparison(CONTENT, committed(mean={"value": 33.2})).verdict == "within"
    assert Comparison(CONTENT, committed(mean={"value": 33.3})).verdict == "outside"


def test_every_wider_tolerance_is_of_results_that_exist_and_says_why():
    ids = {
        row["id"]
        for path in (ROOT / "figures").glob("*.json")
        for row in json.loads(path.read_text(encoding="utf-8"))["results"]
    }
    for pattern, wider in comparison.WIDER.items():
        fitting = {one for one in ids if tolerance(one) is wider}
        assert fitting, pattern
        assert wider.reason and max(wider.relative, wider.absolute) > 0


@pytest.mark.parametrize(
    ("made", "before", "verdict"),
    [
        (CONTENT, CONTENT, "within"),
        (CONTENT, CONTENT | {"versions": {"numpy": "1"}}, "within"),
        (CONTENT, None, "new"),
        (CONTENT | {"name": "loop-detection-synthetic"}, None, "stand-in"),
        (CONTENT | {"data": {"a.jpg": "ab"}}, CONTENT, "incomplete"),
        (CONTENT | {"weights": {"a": "b"}}, CONTENT, "changed"),
        (CONTENT | {"parameters": {}}, CONTENT, "changed"),
        (CONTENT, committed(mean={"name": "mean size"}), "changed"),
        (CONTENT, committed(results=CONTENT["results"][:2]), "changed"),
        (CONTENT, committed(recall={"published": 0.9}), "changed"),
        (CONTENT, committed(recall={"value": 0.9}), "outside"),
    ],
)
def test_the_verdict_says_what_sets_a_figure_apart(made, before, verdict):
    assert Comparison(made, before).verdict == verdict


def test_the_committed_figure_is_that_of_the_same_name(tmp_path):
    (tmp_path / "loop-detection-six.json").write_text(json.dumps(CONTENT))
    assert Comparison.with_folder(CONTENT, tmp_path).verdict == "within"
    assert Comparison.with_folder(CONTENT | {"name": "loop-sizes-six"}, tmp_path).verdict == "new"


def test_columns_line_up_under_the_header():
    lines = format_table([Comparison(CONTENT, CONTENT)]).splitlines()
    assert lines[2] == "loop-detection-six: within"
    assert lines[0].index("published") == lines[3].index("0.8512")
