"""One defect is one row, whatever flagged it; lines are chains."""

import numpy as np
import pandas as pd
import pytest

from stemlib.defects.merging import COLUMNS, join_parts, nearest_values, number_chains, score_of
from stemlib.defects.one_class import SegmentScores

SPACING = 10.0


def places(*rows):
    table = pd.DataFrame(rows, columns=["y", "x", "kind", "log_p"])
    return table.assign(column=-1, site=0, intensity_ratio=0.1, content=0.1, offset=0.2)


def windows(defects, spread=0.0):
    """Windows of 30 px every 10 px; those that show a defect are unusual."""
    positions = np.mgrid[15:190:10, 15:190:10].reshape(2, -1).T.astype(float)
    segments = SegmentScores(positions, np.eye(2) * 30, 7.0, np.zeros(len(positions)))
    log_p = np.full(len(positions), -0.5)
    for point in defects:
        shown = (np.abs(positions - point) <= 15.0 + spread).all(axis=1)
        log_p[shown] = -20.0 + np.abs(positions[shown] - point).max(axis=1) / 10
    return SegmentScores(segments.positions, segments.axes, 7.0, log_p), log_p < -10


def test_a_column_beside_an_empty_site_has_moved_off_it():
    rows = places((50, 50, "missing", -40.0), (53, 55, "interstitial", -30.0), (90, 90, "missing", -35.0))
    table = join_parts(rows, None, None, SPACING)
    assert table["kind"].tolist() == ["displaced", "missing"]
    moved = table.iloc[0]
    # One defect is as unlikely as the less likely of its signs.
    assert moved["score"] == pytest.approx(score_of(-40.0))
    assert (moved["y"], moved["x"]) == (53, 55)
    assert moved["offset"] == pytest.approx(np.hypot(3, 5))


def test_a_peak_that_holds_two_columns_hides_that_of_one_empty_site_beside_it():
    rows = places(
        (50, 50, "missing", -40.0),
        (50, 59, "bright", -30.0),
        (50, 68, "missing", -40.0),
        (90, 90, "missing", -35.0),
        (90, 99, "displaced", -30.0),
    )
    table = join_parts(rows.assign(content=[0, 1.8, 0, 0, 1.1]), None, None, SPACING)
    assert sorted(table["kind"]) == ["displaced", "displaced", "missing", "missing"]
    assert table.loc[table["x"] == 59, ["kind", "offset"]].to_numpy().tolist() == [["displaced", 9.0]]
    assert not ((table["x"] == 50) & (table["y"] == 50)).any()


def test_weak_changes_beside_a_strong_defect_belong_to_it_and_other_vacancies_do_not():
    rows = places(
        (50, 50, "missing", -200.0),
        (50, 60, "displaced", -20.0),
        (60, 50, "missing", -150.0),
        (40, 50, "displaced", -120.0),
        (90, 90, "displaced", -20.0),
    )
    table = join_parts(rows, None, None, SPACING)
    assert table[["y", "x"]].to_numpy().tolist() == [[50, 50], [60, 50], [40, 50], [90, 90]]


def test_segments_that_show_a_known_defect_add_no_other():
    segments, unusual = windows([(80, 80)], spread=6)
    table = join_parts(
        places((80, 80, "missing", -60.0), (150, 40, "dim", -30.0)), segments, unusual, SPACING
    )
    assert table["flagged_by"].tolist() == ["both", "contrast"]


def test_segments_that_show_but_the_empty_site_of_a_moved_column_are_explained():
    # Windows of 30 px, and 7 px around: only they reach the site at 60, not the peak at 69.
    segments, _ = windows([])
    unusual = (np.abs(segments.positions - [60, 45]) < [6, 1]).all(axis=1)
    rows = places((60, 60, "missing", -40.0), (60, 69, "interstitial", -30.0))
    table = join_parts(rows, segments, unusual, SPACING)
    assert unusual.any()
    assert table["kind"].tolist() == ["displaced"]


def test_segments_alone_show_where_a_defect_is():
    truth = np.array([(82.0, 63.0), (140.0, 120.0), (40.0, 150.0)])
    segments, unusual = windows(truth)
    table = join_parts(None, segments, unusual, SPACING)
    assert len(table) == 3
    assert (table["kind"] == "structure").all()
    assert (table["flagged_by"] == "patterson").all()
    distance = np.linalg.norm(truth[:, None] - table[["y", "x"]].to_numpy(), axis=-1).min(axis=1)
    assert distance.max() < 6


def test_nothing_flagged_is_an_empty_table():
    segments, _ = windows([])
    for table in (
        join_parts(None, segments, np.zeros(len(segments.log_p), bool), SPACING),
        join_parts(places().astype({"log_p": float}), None, None, SPACING),
    ):
        assert len(table) == 0
        assert table.columns.tolist() == COLUMNS


def test_the_least_likely_comes_first_and_scores_are_finite():
    table = join_parts(places((9, 9, "dim", -9.0), (50, 50, "missing", -1e9)), None, None, SPACING)
    assert table["score"].is_monotonic_decreasing
    assert np.isfinite(table["score"]).all()
    assert table["p_value"].tolist() == [0.0, pytest.approx(np.exp(-9))]
    assert score_of([np.log(1e-3), 0.0]).tolist() == [pytest.approx(3), 0]


@pytest.mark.parametrize("angle", [0, 35, 90, 140])
def test_two_lines_in_any_direction_are_two_chains_and_lone_defects_none(angle):
    rng = np.random.default_rng(angle)
    along = np.array([np.sin(np.deg2rad(angle)), np.cos(np.deg2rad(angle))])
    steps = np.arange(-7, 8)[:, None] * 10.0 * along
    beside = 25.0 * along[::-1] * [1, -1]
    at = 200 + np.vstack([steps, steps[:6] + beside]) + rng.normal(0, 1.0, (21, 2))
    lone = np.array([[20.0, 20], [31, 20], [380, 25], [20, 370]])
    order = rng.permutation(25)
    table = pd.DataFrame(np.vstack([at, lone])[order], columns=["y", "x"])
    chain = np.empty(25, int)
    chain[order] = number_chains(table, 10.0)["chain"]
    assert len(set(chain[:15])) == len(set(chain[15:21])) == 1
    assert {*chain[:15], *chain[15:21]} == {0, 1}
    assert (chain[21:] == -1).all()


def test_a_line_with_one_gap_and_a_kink_is_one_chain_and_with_two_gaps_is_two():
    x = np.arange(12) * 10.0
    table = pd.DataFrame({"y": np.where(np.arange(12) < 6, 50.0, 55.0), "x": x})
    assert number_chains(table, 10.0)["chain"].tolist() == [0] * 12
    wider = table[~table["x"].isin([50.0, 60.0])].reset_index(drop=True)
    assert number_chains(wider, 10.0)["chain"].tolist() == [0] * 5 + [1] * 5


def test_lines_are_chains_and_clusters_are_not():
    line = [(20 + 7 * k, 20 + 7.5 * k) for k in range(8)]
    cluster = [(150 + 9 * i, 40 + 9 * j) for i in range(3) for j in range(3)]
    pair = [(30, 150), (30, 160)]
    table = number_chains(pd.DataFrame(line + cluster + pair, columns=["y", "x"], dtype=float), SPACING)
    assert table["chain"].tolist() == [0] * 8 + [-1] * 11


def test_the_map_shows_the_nearest_score_and_nothing_far_away():
    grid = np.mgrid[5:60:10, 5:60:10].reshape(2, -1).T.astype(float)
    columns = pd.DataFrame(grid, columns=["y", "x"]).assign(score=np.arange(36.0))
    defect = pd.DataFrame({"y": [35.0], "x": [35.0], "score": [100.0]})
    shown = nearest_values([columns, defect], (120, 64), 10.0)
    assert shown[6, 4] == 0
    assert shown[35, 36] == 100
    assert np.isnan(shown[100, 30])
    assert np.isnan(nearest_values([columns.iloc[:0]], (8, 8), 10.0)).all()
