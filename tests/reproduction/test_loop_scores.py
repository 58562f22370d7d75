from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from reproduction.cases import LoopCase
from reproduction.loop_scores import (
    EDGES,
    annotator_table,
    compare_methods,
    machine_boxes,
    match_cases,
    score_results,
    score_table,
)
from stemlib.loops.result import Loops


def boxes(*corners, side=30.0):
    return pd.DataFrame([(y, x, y + side, x + side) for y, x in corners], columns=EDGES)


def labels(*corners, classes=0):
    return boxes(*corners).assign(**{"class": classes})


def case(name, source=True, role="six", **sets):
    image = np.zeros((512, 512), np.float32) if source else None
    return LoopCase(name, image, role, shape=(512, 512), pixel_size_nm=0.5, labels=sets)


TWO = [
    case("a", A=labels((10, 10), (100, 100)), B=labels((10, 10), (200, 200), classes=[0, 1])),
    case("b", A=labels((50, 50)), C=labels((50, 50), (300, 300))),
]
FOUND = {"a": boxes((12, 12), (201, 201), (400, 400)), "b": boxes((50, 50))}


def test_scores_are_pooled_by_counts_and_classes_told_apart():
    table = score_table(TWO, {"fcn": FOUND}, rules=["published"]).set_index("image")
    assert table.loc["a", ["n_truth", "n_found", "truth_found", "found_true"]].tolist() == [2, 3, 1, 1]
    assert table.loc["pooled", "recall"] == pytest.approx(2 / 3)
    assert table.loc["pooled", "precision"] == pytest.approx(2 / 4)
    assert table.loc["a", "false_on_class_1"] == 1
    assert table.loc["b", "false_on_class_1"] == 0
    assert table.loc["a", "classes_by"] == "B"


def test_an_image_not_at_hand_is_a_row_and_there_is_no_smaller_average():
    table = score_table([*TWO, case("c", source=False)], {"fcn": FOUND}, rules=["published"])
    assert table["image"].tolist() == ["a", "b", "c"]
    assert table["available"].tolist() == [True, True, False]
    assert np.isnan(table.loc[2, "recall"])


def test_no_image_at_all_is_an_error():
    with pytest.raises(ValueError, match="'fcn' has no boxes"):
        score_table([case("c", source=False)], {"fcn": {}})


def test_matches_need_the_truth_asked_for():
    assert list(match_cases(TWO, FOUND, "published", truth="C")) == ["b"]


def test_annotators_are_compared_where_both_labelled_and_the_machine_only_on_unseen_images():
    seen = case("d", role="training", A=labels((10, 10), (60, 60)), B=labels((10, 10)))
    boxes_everywhere = FOUND | {"d": boxes((10, 10))}
    table = annotator_table([*TWO, seen], {"fcn": boxes_everywhere}, rules=["published"])
    rows = {(row["images"], row["found"], row["truth"]): row for row in table.to_dict("records")}
    assert rows["all", "B", "A"]["n_images"] == 2
    assert rows["unseen", "B", "A"]["n_images"] == 1
    assert rows["all", "C", "A"]["precision"] == 0.5
    assert rows["unseen", "fcn", "A"]["n_images"] == 2
    assert rows["unseen", "fcn", "B"]["n_images"] == 1
    assert ("all", "fcn", "A") not in rows
    # Nobody labelled one image as both B and C here.
    assert ("all", "B", "C") not in rows


def test_methods_are_compared_loop_by_loop():
    systems = {"one": FOUND, "other": {"a": boxes((100, 100)), "b": boxes((50, 50))}}
    result = compare_methods(TWO, systems, "one", "other", "published")
    assert [result[key] for key in ("both", "only_one", "only_other", "neither")] == [1, 1, 1, 0]


def test_modules_are_told_apart():
    table = boxes((10, 10)).assign(y=25.0, x=25.0)
    candidates = boxes((10, 10), (90, 90)).assign(probability=[0.9, 0.1], accepted=[True, False])
    ellipse = table.assign(major=30.0, minor=30.0, angle_deg=0.0)
    loops = replace(Loops.from_table(ellipse, np.zeros((512, 512))), candidates=candidates)
    systems = machine_boxes({"cascade": {"a": loops}, "fcn": {"a": loops}})
    assert {name: len(by_image["a"]) for name, by_image in systems.items()} == {
        "Module I": 2,
        "Modules I-II": 1,
        "Modules I-III": 1,
        "fcn": 1,
    }


def test_results_carry_ids_titles_and_what_was_published():
    row = {"system": ["Module I", "fcn"], "rule": "published", "image": "pooled"}
    table = pd.DataFrame(row | {"recall": 0.9, "precision": 0.8, "f1": 0.85})
    results = score_results(table, "published", "six", suffix=", all", published={"recall": 0.8512})
    assert [one["id"] for one in results[::3]] == [
        "six.module-1.published.recall",
        "six.fcn.published.recall",
    ]
    assert results[3]["name"] == "recall, fcn, published rule, all"
    assert [one.get("published") for one in results] == [None, None, None, 0.8512, None, None]
