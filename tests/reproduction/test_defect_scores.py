"""Agreement of found defects with labelled dopants, marked vacancies and simulated defects."""

import numpy as np
import pandas as pd
import pytest

import stemlib
from reproduction.cases import DefectCase
from reproduction.defect_scores import known_defect_table, match_known, rank_labelled, ranking_tables
from reproduction.loading import find_in_cases, load_cases
from reproduction.simulated_defects import (
    DEFECT_METHODS,
    MoWTe2,
    defect_score_table,
    judge_defects,
    perfect_crystal_table,
    true_defects,
)
from stemlib.defects.result import Defects
from stemlib.io.micrograph import Micrograph

GRID = np.stack(np.meshgrid(np.arange(10.0, 100, 10), np.arange(10.0, 100, 10), indexing="ij"), -1).reshape(
    -1, 2
)


def defects_of(columns, table=()):
    columns = pd.DataFrame(columns, columns=["y", "x", "score"]).assign(is_empty=False)
    table = pd.DataFrame(np.reshape(table, (-1, 2)), columns=["y", "x"], dtype=float)
    return Defects(table, columns, pd.DataFrame(), None, 0, (100, 100), None)


def labelled_case(minority, **more):
    labels = pd.DataFrame(GRID, columns=["y", "x"])
    labels["is_minority"] = np.isin(np.arange(len(GRID)), minority)
    labels["class"] = np.where(labels["is_minority"], 1, 0)
    known = {"source": Micrograph(np.zeros((100, 100))), "labels": labels, "sites": {"W sites": (0, 1)}}
    return DefectCase("simulated", **(known | more))


def test_a_perfect_ranking_has_precision_one_and_a_column_that_is_not_found_comes_last():
    case = labelled_case([3, 40])
    scores = np.where(case.labels["is_minority"], 9.0, 0.5)
    found = {case.name: defects_of(np.column_stack([GRID, scores]))}
    ranking, curves = ranking_tables([case], found)
    assert ranking["sites"].tolist() == ["W sites", "all columns"]
    assert ranking["average_precision"].tolist() == [1.0, 1.0]
    assert (ranking["n_columns"] == 81).all() and (ranking["not_found"] == 0).all()
    assert set(curves["sites"]) == {"W sites", "all columns"}

    kept = np.arange(81) != 40
    found = {case.name: defects_of(np.column_stack([GRID, scores])[kept])}
    ranked = rank_labelled(case, found[case.name])
    assert not ranked.loc[40, "is_found"]
    assert ranked.loc[40, "score"] < ranked.loc[kept, "score"].min()
    ranking, _ = ranking_tables([case], found)
    # The first of two right, the second after all 81.
    assert ranking.loc[0, "average_precision"] == pytest.approx((1 + 2 / 81) / 2)
    assert ranking.loc[0, "not_found"] == 1
    row = ranking.iloc[0]
    assert row["average_precision_low"] <= row["average_precision"] <= row["average_precision_high"]


def test_only_columns_of_the_sites_and_inside_the_polygon_are_ranked():
    region = np.array([[5, 5], [5, 95], [55, 95], [55, 5]], float)
    case = labelled_case([3, 80], region=region)
    case.labels.loc[0, "class"] = 7
    found = {case.name: defects_of(np.column_stack([GRID, np.zeros(81)]))}
    ranking, _ = ranking_tables([case], found)
    rows = ranking.set_index("sites")
    assert rows.loc["W sites", "n_columns"] == 44 and rows.loc["all columns", "n_columns"] == 45
    assert rows.loc["all columns", "n_minority"] == 1


def test_a_column_counts_within_half_a_spacing_only():
    case = labelled_case([3])
    near, far = GRID.copy(), GRID.copy()
    near[3, 0] += 4.0
    far[3, 0] -= 6.0
    for positions, is_found in ((near, True), (far, False)):
        ranked = rank_labelled(case, defects_of(np.column_stack([positions, np.ones(81)])))
        assert ranked.loc[3, "is_found"] == is_found


def test_images_that_are_not_at_hand_are_ranked_as_not_available(monkeypatch, tmp_path):
    monkeypatch.setenv("STEMLIB_DATA", str(tmp_path))
    monkeypatch.setenv("STEMLIB_CACHE", str(tmp_path))
    cases = load_cases("defects", "atomic")
    assert [case.name for case in cases] == [
        "wse2-ti/adf1",
        "wse2-ti/adf2",
        "wse2-cr",
        "mose2-40kv",
        "nsmo-perfect",
        "bto-perfect/1",
        "bto-perfect/2",
    ]
    assert [case.name for case in cases if case.is_control] == [
        "nsmo-perfect",
        "bto-perfect/1",
        "bto-perfect/2",
    ]
    assert [case.name for case in cases if not case.may_be_shown] == ["bto-perfect/1", "bto-perfect/2"]
    assert find_in_cases(cases, stemlib.find_defects) == {}
    ranking, curves = ranking_tables(cases, {})
    assert len(ranking) == 9 and ranking["average_precision"].isna().all() and curves.empty
    assert known_defect_table(cases, {}).empty


def test_labels_and_marks_are_needed_for_what_they_are_for():
    with pytest.raises(ValueError, match="'nothing' has no labelled columns"):
        rank_labelled(DefectCase("nothing", None), None)
    with pytest.raises(ValueError, match="'nothing' has neither marked vacancies nor labelled minority"):
        match_known(DefectCase("nothing", None), defects_of(np.empty((0, 3))))


def test_marks_are_found_one_to_one_within_a_spacing_and_what_is_undecided_is_told_apart():
    marks = pd.DataFrame({"y": [20.0, 50.0, 80.0], "x": [20.0, 50.0, 20.0]})
    marks["kind"], marks["certainty"] = ["missing", "half", "half"], ["sure", "sure", "doubtful"]
    undecided = (np.array([[60, 60], [60, 99], [99, 99], [99, 60]], float),)
    case = labelled_case([], marks=marks, undecided=undecided)
    at = [[23.0, 22.0], [24.0, 20.0], [50.0, 59.0], [91.0, 20.0], [80.0, 80.0]]
    found = defects_of(np.column_stack([GRID, np.zeros(81)]), at)
    known, is_known, counts = match_known(case, found)
    assert known["is_found"].tolist() == [True, True, False]
    assert is_known.tolist() == [True, False, True, False, False]
    assert counts.tolist() == [True, True, True, True, False]
    table = known_defect_table([case], {case.name: found}).set_index(["kind", "certainty"])
    assert table["n_known"].dropna().to_dict() == {
        ("missing", "any"): 1,
        ("missing", "sure"): 1,
        ("half", "any"): 2,
        ("half", "sure"): 1,
        ("half", "doubtful"): 1,
    }
    assert table.loc[("half", "any"), "recall"] == 0.5
    assert list(dict.fromkeys(kind for kind, _ in case.known_groups)) == ["missing", "half"]
    assert case.known_groups[2:] == (("half", "any"), ("half", "sure"), ("half", "doubtful"))
    assert table.loc[("other", "any"), "n_found"] == 2


def test_known_dopants_are_the_minority_inside_the_polygon_and_all_is_other_in_a_control():
    region = np.array([[5, 5], [5, 95], [55, 95], [55, 5]], float)
    case = labelled_case([3, 40, 80], region=region)
    found = defects_of(np.column_stack([GRID, np.zeros(81)]), [GRID[3] + 1, GRID[80], GRID[20]])
    known, is_known, counts = match_known(case, found)
    assert known["is_found"].tolist() == [True, False]
    assert is_known.tolist() == [True, False, False] and counts.tolist() == [True, False, True]
    assert case.known_groups == (("minority column", "any"),)
    control = DefectCase("control", case.source, is_control=True)
    assert control.known_groups == ()
    table = known_defect_table([control], {"control": found})
    assert table[["image", "kind", "n_found"]].to_numpy().tolist() == [["control", "other", 3]]


def test_simulated_images_hold_dopants_vacancies_and_a_control():
    dopants, vacancies, control = load_cases("defects", "synthetic", side_px=128, seed=3)
    assert dopants.labels["is_minority"].any() and set(dopants.labels["class"]) == {0, 1, 2, 3}
    assert len(vacancies.marks) > 0 and vacancies.labels is None
    assert control.is_control and control.marks is None
    assert len({case.source.image.tobytes() for case in (dopants, vacancies, control)}) == 3


def test_simulated_defects_that_cannot_be_seen_count_neither_way():
    scene = MoWTe2(128, share=0.03).image(3e6, 2)
    truth = true_defects(scene)
    assert set(truth["kind"]) == {"missing", "displaced"} and truth["is_visible"].all()
    scene.missing.loc[0, "snr"] = 4.0
    found = pd.concat([truth[["y", "x"]], pd.DataFrame({"y": [5.0], "x": [3.0]})], ignore_index=True)
    seen, is_true, is_false = judge_defects(scene, found)
    assert len(seen) == len(truth) - 1 and seen["is_found"].all()
    assert is_true.sum() == len(truth) - 1
    assert is_false.tolist() == [False] * len(truth) + [True]


def test_scores_pool_images_and_count_refused_ones(monkeypatch):
    asked = []

    def find(image, **options):
        asked.append(options)
        if options["scheme"] == "columns":
            raise ValueError("no lattice")
        return defects_of(np.empty((0, 3)), [[64.0, 64.0], [100.0, 30.0]])

    monkeypatch.setattr(stemlib, "find_defects", find)
    table = defect_score_table([1e6, 1e7], MoWTe2(128), n_images=2, false_alarms=0.5)
    assert len(table) == 2 * len(DEFECT_METHODS) == len(asked) / 2
    assert {options["false_alarms"] for options in asked} == {0.5}
    assert sum(options.get("source") == "semantic" for options in asked) == len(asked) / 2
    refused = table["method"].str.endswith("columns")
    assert (table.loc[refused, "refused"] == 2).all() and (table.loc[~refused, "refused"] == 0).all()
    assert (table.loc[refused, "recall_missing"] == 0).all() and table.loc[refused, "precision"].isna().all()
    kept = table[~refused]
    # One of the two places is on a missing column in either image, the other on none.
    assert (kept["missing_found"] == 2).all() and (kept["displaced_found"] == 0).all()
    assert (kept["found"] == 4).all() and (kept["false"] == 2).all() and (kept["precision"] == 0.5).all()
    perfect = perfect_crystal_table(1e6, MoWTe2(96, share=0.0), n_images=3).set_index("method")
    assert perfect.loc["default, unit cell", "found"] == 6
    assert perfect.loc["default, unit cell", "found_per_image"] == 2


def test_plain_defects_are_found_in_simulated_mowte2():
    scene = MoWTe2(192, share=0.02).image(1e7, 4)
    truth, _, is_false = judge_defects(scene, stemlib.find_defects(scene.image).table)
    assert truth["is_found"].mean() > 0.9
    assert is_false.sum() <= 2


def test_every_simulated_dopant_ranks_before_all_other_columns():
    case = load_cases("defects", "synthetic", side_px=96)[0]
    scores = rank_labelled(case, stemlib.find_defects(case.source)).groupby("is_minority")["score"]
    assert scores.min()[True] > scores.max()[False]


def test_simulated_vacancies_are_found_and_nothing_else():
    case = load_cases("defects", "synthetic", side_px=128)[1]
    known, is_known, _ = match_known(case, stemlib.find_defects(case.source))
    assert known["is_found"].all() and is_known.all()


def test_a_crystal_without_defects_holds_none():
    assert MoWTe2(96, share=0.0).image(3e6, 0).missing.empty
    table = perfect_crystal_table(1e7, MoWTe2(128, share=0.0), n_images=1).set_index("method")
    assert table.loc["default, columns", "found"] == 0
