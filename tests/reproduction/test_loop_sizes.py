import numpy as np
import pandas as pd
import pytest

from reproduction.cases import LoopCase
from reproduction.loop_scores import EDGES
from reproduction.loop_sizes import (
    axis_pairs,
    axis_table,
    density_table,
    longer_side_table,
    pooled_differences,
    size_objects,
    size_table,
)
from stemlib.loops.result import Loops


def ellipses(*rows):
    """Upright ellipses from (y, x, major), class 0."""
    table = pd.DataFrame(rows, columns=["y", "x", "major"]).astype(float)
    half = table["major"] / 2
    table = table.assign(top=table["y"] - half, bottom=table["y"] + half)
    return table.assign(left=table["x"] - half / 2, right=table["x"] + half / 2, **{"class": 0})


def loops(*rows):
    table = ellipses(*rows).assign(touches_edge=False, score=0.9)
    return Loops.from_table(
        table.assign(minor=table["major"], angle_deg=0.0), np.zeros((512, 512)), pixel_size_nm=0.5
    )


C = ellipses((100, 100, 40), (200, 200, 60), (5, 300, 50))
A = C[EDGES].assign(**{"class": 0})
IMAGE = np.zeros((512, 512), np.float32)
SHAPE = (512, 512)
CASE = LoopCase("a", IMAGE, "six", shape=SHAPE, pixel_size_nm=0.5, labels={"A": A, "C": C}, ellipse_sets="C")
FOUND = {"fcn": {"a": loops((100, 100, 44), (200, 200, 57), (400, 400, 30))}}
OBJECTS = size_objects([CASE], FOUND)


def test_loops_cut_by_the_edge_are_counted_and_not_measured():
    row = size_table([CASE], OBJECTS, ["C"]).iloc[0]
    assert (row["count"], row["n_at_edge"], row["mean"]) == (3, 1, 50.0)
    assert row["std"] == pytest.approx(np.std([40, 60], ddof=1))
    assert row["mean_nm"] == 25.0


def test_what_was_not_drawn_is_not_available_and_not_pooled():
    other = LoopCase("b", None, "six", shape=SHAPE)
    table = size_table([CASE, other], OBJECTS, ["B", "C"])
    assert table[["image", "source", "available"]].to_numpy().tolist() == [
        ["a", "B", False],
        ["b", "B", False],
        ["a", "C", True],
        ["b", "C", False],
    ]


def test_beside_a_stand_longer_sides_only():
    table = longer_side_table([CASE], OBJECTS, ["fcn"]).set_index("source")
    assert table.loc["A", "longer_side_mean"] == 50.0
    assert table.loc["fcn", "longer_side_mean"] == pytest.approx((44 + 57 + 30) / 3)
    assert OBJECTS.loc[OBJECTS["source"] == "A", "diameter"].isna().all()
    assert "mean" not in table


def test_longer_sides_of_an_image_not_at_hand_are_not_available():
    other = LoopCase("b", None, "six", shape=SHAPE)
    table = longer_side_table([other], OBJECTS, ["fcn"])
    assert table[["source", "available"]].to_numpy().tolist() == [["A", False], ["fcn", False]]


def test_a_method_that_found_nothing_found_no_sides():
    empty = LoopCase("b", IMAGE, "six", shape=SHAPE, labels={"A": A})
    table = longer_side_table([empty], OBJECTS, ["fcn"]).set_index("source")
    assert table.loc["fcn", "available"] and table.loc["fcn", "count"] == 0


def test_axes_of_matched_whole_loops():
    pairs = axis_pairs([CASE], OBJECTS, "fcn", "C")
    assert pairs[["truth", "found"]].to_numpy().tolist() == [[40, 44], [60, 57]]
    table = axis_table([CASE], OBJECTS, [("fcn", "C")]).set_index("image")
    assert table.loc["pooled", "n_pairs"] == 2
    assert table.loc["pooled", "median_absolute_error"] == pytest.approx(0.075)
    assert table.loc["pooled", "median_error"] == pytest.approx(0.025)


def test_a_source_without_axes_has_no_pairs():
    assert axis_pairs([CASE], OBJECTS, "A", "C").empty
    assert axis_table([CASE], OBJECTS, [("B", "C")]).empty


def test_differences_are_pooled_over_the_images_that_both_measured():
    row = pooled_differences([CASE], OBJECTS, [("fcn", "C")]).iloc[0]
    assert row["n_images"] == 1
    assert row["count_difference"] == 0.0
    assert row["mean_difference"] == pytest.approx((44 + 57 + 30) / 3 / 50 - 1)
    assert pooled_differences([CASE], OBJECTS, [("B", "C")]).empty


def test_an_image_not_at_hand_leaves_no_smaller_pool():
    other = LoopCase("b", None, "six", shape=SHAPE)
    row = pooled_differences([CASE, other], OBJECTS, [("fcn", "C")]).iloc[0]
    assert row["n_images"] == 0
    assert np.isnan(row["mean_difference"])
    assert axis_table([CASE, other], OBJECTS, [("fcn", "C")])["image"].tolist() == ["a"]


def test_density_keeps_its_interval():
    row = density_table(FOUND).iloc[0]
    assert (row["method"], row["image"], row["count"]) == ("fcn", "a", 3)
    assert row["low_per_nm2"] < row["per_nm2"] < row["high_per_nm2"]
