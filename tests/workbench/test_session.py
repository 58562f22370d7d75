import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import stemlib
from stemlib import agreement
from stemlib.io.micrograph import Micrograph
from stemlib.loops import Loops
from stemlib.loops.ellipses import AXES
from stemlib.synthetic import crystal_image, loop_micrograph
from stemlib.workbench import edit


@pytest.fixture(scope="module")
def scene():
    return loop_micrograph((384, 384), n_loops=7, seed=5)


@pytest.fixture(scope="module")
def found(scene):
    return stemlib.find_loops(scene.image, pixel_size_nm=0.5, thickness_nm=80)


@pytest.fixture
def editor(found):
    return edit(found)


@pytest.fixture
def drawn():
    """Loops of a table, three of them, well apart, with scores."""
    rows = [[40.0, 60.0, 20.0, 12.0, 30.0], [70.0, 140.0, 24.0, 10.0, 120.0], [20.0, 100.0, 16.0, 16.0, 0.0]]
    table = pd.DataFrame(rows, columns=AXES).assign(score=[0.9, 0.6, 0.3], kind="loop")
    return Loops.from_table(table, np.random.default_rng(0).normal(size=(100, 180)), pixel_size_nm=0.5)


def test_untouched_the_result_is_what_was_found(found, editor):
    result = editor.result
    pd.testing.assert_frame_equal(result.table[found.table.columns], found.table)
    pd.testing.assert_frame_equal(result.candidates, found.candidates)
    assert result.density == found.density and result.threshold == found.threshold
    assert not result.table["by_hand"].any()


def test_rejecting_and_accepting_count_and_can_be_undone(drawn):
    editor = edit(drawn)
    first = editor.at(40, 60)
    editor.reject(first)
    assert len(editor.result.table) == 2 and editor.result.density.count == 2
    assert editor.result.density.per_nm2 == pytest.approx(2 / (100 * 180 * 0.25))
    editor.undo()
    assert len(editor.result.table) == 3 and not editor.can_undo
    editor.redo()
    assert len(editor.result.table) == 2 and not editor.can_redo
    editor.accept(first)
    assert len(editor.result.table) == 3
    editor.toggle(first)
    assert len(editor.result.table) == 2
    for _ in range(3):
        editor.undo()
    editor.undo()
    pd.testing.assert_frame_equal(editor.result.table.drop(columns="by_hand"), drawn.table)


def test_a_new_step_forgets_what_was_undone(drawn):
    editor = edit(drawn)
    editor.reject(0)
    editor.undo()
    editor.reject(1)
    assert not editor.can_redo
    editor.redo()
    assert editor.marks.index.tolist() == [0, 2]


def test_the_threshold_brings_candidates_back_without_a_new_run(scene, found, editor):
    at_once = editor
    at_once.threshold = 0.03
    many = len(at_once.result.table)
    assert many > len(found.table)
    anew = stemlib.find_loops(scene.image, pixel_size_nm=0.5, threshold=0.03)
    pd.testing.assert_frame_equal(
        at_once.result.table[anew.table.columns].sort_values(["y", "x"], ignore_index=True),
        anew.table.sort_values(["y", "x"], ignore_index=True),
    )
    at_once.threshold = 0.99
    assert len(at_once.result.table) < len(found.table)
    with pytest.raises(ValueError, match="threshold='high' must be a number"):
        at_once.threshold = "high"


def test_what_a_person_said_holds_at_every_threshold(drawn):
    editor = edit(drawn)
    editor.accept(2)
    editor.reject(0)
    editor.threshold = 0.95
    assert editor.marks.index.tolist() == [2]
    editor.threshold = 0.0
    assert editor.marks.index.tolist() == [1, 2]


def test_a_loop_drawn_by_hand_is_measured_by_its_ellipse(drawn):
    editor = edit(drawn)
    number = editor.draw(50, 30, 30, 10, 45)
    row = editor.result.table.iloc[-1]
    assert row["by_hand"] and np.isnan(row["score"]) and row["major_nm"] == 15
    assert row["area"] == pytest.approx(np.pi / 4 * 300)
    assert row["bottom"] - row["top"] == pytest.approx(np.hypot(30, 10) / np.sqrt(2))
    assert not row["touches_edge"] and not row["flood_failed"]
    editor.move(number, y=3, major=8, minor=16, angle_deg=100)
    row = editor.result.table.iloc[-1]
    assert row[["y", "major", "minor", "angle_deg"]].tolist() == [3, 16, 8, 10]
    assert row["touches_edge"] and row["top"] == -0.5
    editor.reject(number)
    assert number not in editor.everything.index
    editor.undo()
    assert number in editor.marks.index


def test_a_loop_that_was_moved_keeps_its_score_and_counts(drawn):
    editor = edit(drawn)
    editor.move(2, x=110)
    row = editor.result.table.set_index("score").loc[0.3]
    assert row["x"] == 110 and row["by_hand"] and row["major"] == 16
    editor.threshold = 0.95
    assert editor.marks.index.tolist() == [2]


def test_kinds_are_given_and_kept(drawn):
    editor = edit(drawn, kinds=["black dot"])
    editor.set_kind(0, "black dot")
    assert editor.result.table["kind"].tolist() == ["black dot", "loop", "loop"]
    with pytest.raises(ValueError, match="kind='cavity' must be one of 'loop', 'black dot'"):
        editor.set_kind(0, "cavity")


def test_only_the_area_looked_at_counts(drawn):
    editor = edit(drawn)
    editor.look_at([[-1, -1], [-1, 90], [101, 90], [101, -1]])
    result = editor.result
    assert result.table["x"].tolist() == [60]
    assert result.density.area == pytest.approx(100 * 91, rel=0.02)
    assert result.density.count == 1 and (result.view.mask.sum() == result.density.area)
    editor.look_at([[30, 50], [30, 70], [50, 70], [50, 50]], adds=False)
    assert len(editor.result.table) == 0
    editor.look_everywhere()
    assert len(editor.result.table) == 3 and editor.result.density == drawn.density
    editor.undo()
    assert len(editor.result.table) == 0
    with pytest.raises(ValueError, match=r"vertices has the shape \(2, 2\)"):
        editor.look_at([[0, 0], [1, 1]])
    with pytest.raises(ValueError, match="leave nothing of the image"):
        edit(drawn).look_at([[500, 500], [500, 600], [600, 600]])


def test_the_first_outline_may_leave_a_part_out(drawn):
    editor = edit(drawn)
    editor.look_at([[-1, -1], [-1, 90], [101, 90], [101, -1]], adds=False)
    assert editor.result.table["x"].tolist() == [140, 100]


def test_density_per_volume_stays_known(found, editor):
    editor.reject(editor.marks.index[0])
    old, new = found.density, editor.result.density
    assert new.per_nm3 / new.per_nm2 == pytest.approx(old.per_nm3 / old.per_nm2)
    assert new.count == old.count - 1


def test_places_are_hit_within_a_tolerance(drawn):
    editor = edit(drawn)
    assert editor.at(41, 62) == 0
    # On the long axis, at 30 degrees, but outside the short one.
    assert editor.at(40 - 4.5, 60 + 8) == 0 and editor.at(40 + 8, 60 + 4.5) is None
    assert editor.at(40 + 8, 60 + 4.5, tolerance=4) == 0
    assert editor.at(90, 20) is None
    editor.reject(0)
    on_top = editor.draw(41, 61, 14, 10)
    assert editor.at(40, 60) == on_top


@pytest.mark.parametrize(
    "act, words",
    [
        (lambda e: e.draw(500, 0, 10), "y=500.0, x=0.0 lies outside the image of 100 x 180 px"),
        (lambda e: e.draw(50, 50), "major=None"),
        (lambda e: e.draw(50, 50, 1.0), "must be 2 px at least"),
        (lambda e: e.draw(50, 50, 1e6), "and fit the image"),
        (lambda e: e.draw(50, 50, np.nan), "must be 2 px"),
        (lambda e: e.draw(50, 50, 10, kind="x"), "kind='x'"),
        (lambda e: e.move(0, y=np.nan), "lies outside"),
        (lambda e: e.reject(99), "number=99 is no object here"),
    ],
)
def test_what_cannot_be_is_named_and_changes_nothing(drawn, act, words):
    editor = edit(drawn)
    with pytest.raises(ValueError, match=words):
        act(editor)
    assert not editor.can_undo and len(editor.marks) == 3


def test_nothing_changed_is_no_step(drawn):
    editor = edit(drawn)
    editor.threshold = editor.threshold
    editor.set_kind(0, "loop")
    editor.look_everywhere()
    assert not editor.can_undo


def test_refitting_proposes_what_module_three_measures(found, editor):
    number = editor.marks.index[~editor.result.table["flood_failed"].to_numpy()][0]
    row = found.table.loc[number]
    editor.move(number, y=row["y"] + 2, major=row["major"] * 1.1)
    steps = len(editor._history.past)
    y, x, (major, minor, angle) = editor.refit(number)
    assert len(editor._history.past) == steps
    assert abs(y - row["y"]) < 1.5 and major == pytest.approx(row["major"], rel=0.1)
    editor.move(number, y=y, x=x, major=major, minor=minor, angle_deg=angle)
    assert editor.marks.loc[number, "y"] == y


def test_defects_and_columns_are_corrected_too():
    scene = crystal_image("square", (96, 96), spacing=10, seed=0)
    found = stemlib.find_columns(scene.image, pixel_size_nm=0.02)
    editor = edit(found)
    editor.reject(editor.at(*found.table.loc[5, ["y", "x"]]))
    editor.draw(33.3, 44.4)
    result = editor.result
    assert type(result) is type(found) and len(result.table) == len(found.table)
    row = result.table[result.table["by_hand"]].iloc[0]
    assert row[["y", "x"]].tolist() == [33.3, 44.4] and row["y_nm"] == pytest.approx(0.666)
    assert np.isnan(row["probability"])
    assert result.table["y"].is_monotonic_increasing
    with pytest.raises(TypeError, match="columns are points"):
        editor.refit(0)

    defects = stemlib.find_defects(
        crystal_image("perovskite", (128, 128), spacing=10, seed=3).image, pixel_size_nm=0.02
    )
    editor = edit(defects)
    number = editor.draw(60, 60, kind="missing")
    editor.set_kind(number, "dim")
    result = editor.result
    assert len(result.table) == len(defects.table) + 1
    assert result.table["flagged_by"].iloc[-1] == "hand" and result.table["chain"].iloc[-1] == -1
    assert result.densities.loc["all", "count"] == len(result.table)
    assert np.isfinite(result.score_map).any()


def test_what_holds_no_objects_says_so(drawn):
    lattice = stemlib.find_lattice(crystal_image("square", (96, 96), spacing=10, seed=0).image)
    with pytest.raises(TypeError, match="a Lattice holds no objects to correct"):
        edit(lattice)
    with pytest.raises(ValueError, match="this Loops has no image"):
        edit(replace(drawn, view=None))


def test_the_score_compares_with_what_was_found(drawn):
    editor = edit(drawn)
    assert editor.score()["f1"] == 1
    editor.reject(0)
    editor.draw(60, 20, 20)
    editor.draw(85, 20, 20)
    score = editor.score()
    assert score["precision"] == pytest.approx(2 / 3) and score["recall"] == 0.5
    assert score["precision_low"] < 2 / 3 < score["precision_high"]
    assert score["axis_median_absolute_error"] == 0
    editor.look_at([[-1, 80], [-1, 181], [101, 181], [101, 80]])
    assert editor.score()["f1"] == 1 and editor.score()["n_truth"] == 2


def test_the_score_of_one_kind_takes_others_for_false(drawn):
    editor = edit(drawn, kinds=["black dot"])
    editor.set_kind(1, "black dot")
    score = editor.score("loop")
    assert score["n_truth"] == 2 and score["n_found"] == 3 and score["false_on_class"] == {1: 1}
    assert editor.score("black dot")["recall"] == 0
    with pytest.raises(ValueError, match="kind='x' must be one of"):
        editor.score("x")


def test_the_score_of_columns_is_that_of_positions():
    found = stemlib.find_columns(crystal_image("square", (96, 96), spacing=10, seed=0).image)
    editor = edit(found)
    editor.reject(0)
    score = editor.score()
    truth = editor.result.table[["y", "x"]].to_numpy()
    matched = agreement.match_columns(truth, found.table[["y", "x"]].to_numpy(), reach_px=2.5)
    assert score["found_true"] == matched.is_true.sum() == len(found.table) - 1
    assert score["recall"] == 1


def test_tuning_hands_over_images_tables_and_regions(drawn, tmp_path, monkeypatch):
    editor = edit(drawn)
    editor.reject(0)
    editor.look_at([[-1, 80], [-1, 181], [101, 181], [101, 80]])
    given = {}

    def tune_loops(images, labels, *, output, regions=None, polarity="dark", seed=0):
        given.update(locals())
        return output / "weights"

    monkeypatch.setattr(stemlib, "tune_loops", tune_loops, raising=False)
    assert editor.tune(edit(drawn), output=tmp_path, seed=3) == tmp_path / "weights"
    assert [len(table) for table in given["labels"]] == [2, 3]
    assert all(isinstance(one, Micrograph) for one in given["images"])
    assert given["regions"][0].mean() < 0.6 and given["regions"][1].all() and given["seed"] == 3


def test_what_cannot_be_taught_together_is_refused(drawn, tmp_path):
    columns = stemlib.find_columns(crystal_image("square", (96, 96), spacing=10, seed=0).image)
    with pytest.raises(TypeError, match="only the detector of loops"):
        edit(columns).tune(output=tmp_path)
    bright = edit(replace(drawn, polarity="bright"))
    with pytest.raises(ValueError, match="some brighter; teach them apart"):
        bright.tune(edit(drawn), output=tmp_path)


def test_bright_loops_are_taught_as_bright_ones(drawn, tmp_path, monkeypatch):
    given = {}
    monkeypatch.setattr(stemlib, "tune_loops", lambda *_, **settings: given.update(settings))
    edit(replace(drawn, polarity="bright")).tune(output=tmp_path)
    assert given["polarity"] == "bright"


def test_what_has_no_score_counts_until_it_is_rejected(drawn, tmp_path):
    bare = Loops.from_table(drawn.table.drop(columns="score"), drawn.view.micrograph)
    editor = edit(bare, tmp_path / "mine.json")
    assert len(editor.marks) == 3 and editor.score()["f1"] == 1
    editor.reject(1)
    assert len(edit(bare, tmp_path / "mine.json").marks) == 2


def test_a_corrected_result_can_be_corrected_further(drawn):
    editor = edit(drawn)
    editor.reject(0)
    editor.draw(50, 30, 30, 10, 45)
    again = edit(editor.result)
    pd.testing.assert_frame_equal(again.result.table, editor.result.table)
    assert len(again.everything) == 3


def test_each_kind_keeps_its_own_threshold(drawn):
    kinds = ["loop", "dot", "dot"]
    table = drawn.table.assign(kind=kinds)
    count = {kind: replace(drawn.density, count=kinds.count(kind)) for kind in ("loop", "dot")}
    found = replace(drawn, table=table, densities=count, threshold=0.8, thresholds={"loop": 0.8, "dot": 0.2})
    found = replace(found, candidates=drawn.candidates.assign(kind=kinds))
    editor = edit(found)
    assert len(editor.marks) == 3 and editor.score()["f1"] == 1
    editor.threshold = 0.88
    assert editor.marks["kind"].tolist() == ["loop", "dot", "dot"]
    # The dots' threshold has moved in proportion: to 0.35.
    editor.threshold = 1.4
    result = editor.result
    assert editor.marks["score"].tolist() == [0.6] and result.thresholds["dot"] == pytest.approx(0.35)
    assert {kind: one.count for kind, one in result.densities.items()} == {"loop": 0, "dot": 1}


def test_all_kinds_are_there_as_they_were_found(scene):
    found = stemlib.find_loops(scene.image, kinds="all", pixel_size_nm=0.5)
    editor = edit(found)
    pd.testing.assert_frame_equal(editor.result.table[found.table.columns], found.table)
    assert editor.result.densities == found.densities and set(editor.kinds) >= set(found.densities)


def test_bright_loops_are_measured_as_such(scene):
    dark = edit(stemlib.find_loops(scene.image))
    bright = edit(stemlib.find_loops(-scene.image.astype(float), polarity="bright"))
    number = dark.marks.index[0]
    assert np.allclose(bright.refit(number)[2], dark.refit(number)[2], rtol=0.02)


def test_it_says_what_it_is(drawn, tmp_path):
    editor = edit(drawn, tmp_path / "mine.json")
    editor.reject(0)
    assert "3 loops" in repr(editor) and "2 loops now" in repr(editor) and "mine.json" in repr(editor)
    assert json.loads((tmp_path / "mine.json").read_text())["objects"] == "loops"
