"""Matching of columns: what was moved, left out or added by a known amount comes back as such."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linear_sum_assignment

from stemlib.agreement import column_spacing, match_columns, score_columns


@pytest.fixture
def grid():
    """Columns 10 px apart, 20 by 20 of them, in random order."""
    y, x = np.mgrid[20:220:10, 20:220:10]
    return np.random.default_rng(0).permutation(np.column_stack([y.ravel(), x.ravel()]).astype(float))


def test_moved_columns_match_up_to_a_quarter_of_the_spacing(grid):
    assert column_spacing(grid) == 10
    for move, recall in ((2.49, 1.0), (2.51, 0.0)):
        result = score_columns(match_columns(grid, grid + [0, move]))
        assert result["recall"] == result["precision"] == recall
    result = score_columns(match_columns(grid, grid + [0.3, -0.4]))
    assert result["error_rms_px"] == pytest.approx(0.5)
    assert result["error_median_px"] == pytest.approx(0.5)
    assert [result["bias_y_px"], result["bias_x_px"]] == pytest.approx([0.3, -0.4])


def test_missing_and_additional_columns_are_counted(grid):
    found = np.vstack([grid[40:], [[25, 25], [35, 35]]])
    result = score_columns(match_columns(grid, found))
    assert (result["n_truth"], result["n_found"]) == (400, 362)
    assert (result["truth_found"], result["found_true"]) == (360, 360)
    assert result["recall"] == 0.9 and result["precision"] == pytest.approx(360 / 362)
    assert result["recall_low"] < 0.9 < result["recall_high"]
    assert result["f1"] == pytest.approx(2 * 360 / (400 + 362))


def test_a_column_found_twice_is_one_true_and_one_false(grid):
    match = match_columns(grid, np.vstack([grid + 0.5, grid[:7] - 0.2]))
    assert match.is_found.all() and match.is_true.sum() == 400
    # The nearer of the two is the true one.
    assert match.is_true[400:].all() and not match.is_true[:7].any()


def test_more_pairs_win_over_shorter_ones():
    # The nearest pair (0, 1) alone would leave both others without a partner.
    match = match_columns([[0, 0], [0, 3]], [[0, 2], [0, 6]], reach_px=3.5)
    assert match.pairs.tolist() == [[0, 0], [1, 1]]


def test_the_assignment_is_the_optimal_one():
    rng = np.random.default_rng(1)
    truth, found = rng.uniform(0, 60, (80, 2)), rng.uniform(0, 60, (90, 2))
    match = match_columns(truth, found, reach_px=6)
    distance = np.hypot(*(truth[:, None] - found[None]).transpose(2, 0, 1))
    rows, columns = linear_sum_assignment(np.where(distance <= 6, distance - 1e4, 0))
    kept = distance[rows, columns] <= 6
    assert len(match.pairs) == kept.sum()
    assert np.hypot(*match.offset.T).sum() == pytest.approx(distance[rows, columns][kept].sum())
    assert len(set(match.pairs[:, 0])) == len(set(match.pairs[:, 1])) == len(match.pairs)


def test_only_the_region_is_scored_and_pairs_across_its_edge_count(grid):
    found = np.vstack([grid[grid[:, 1] >= 100] - [0, 0.6], [[25.0, 25.0]]])
    polygon = [[0, 99.5], [300, 99.5], [300, 300], [0, 300]]
    mask = np.zeros((240, 240), bool)
    mask[:, 100:] = True
    for region in (polygon, np.array(polygon, int), mask):
        result = score_columns(match_columns(grid, found, region=region))
        # The found columns of the first file lie at x = 99.4, outside, and still match those at 100.
        assert result["n_truth"] == 240
        assert result["recall"] == result["precision"] == 1
    # At a polygon's right side the same pair is scored on the side of the truth only.
    result = score_columns(match_columns(grid, found, region=polygon))
    assert result["n_found"] == 220


def test_several_images_are_pooled(grid):
    both = score_columns([match_columns(grid, grid), match_columns(grid, grid[:100])])
    assert both["recall"] == 500 / 800 and both["precision"] == 1
    with pytest.raises(ValueError, match="at least one match"):
        score_columns([])


def test_nothing_found_and_nothing_there():
    result = score_columns(match_columns([[1, 1], [5, 5]], []))
    assert result["recall"] == 0 and np.isnan(result["precision"]) and np.isnan(result["error_rms_px"])
    result = score_columns(match_columns([], [[1, 1]], reach_px=1))
    assert np.isnan(result["recall"]) and result["precision"] == 0


def test_tables_and_arrays_are_alike(grid):
    table = pd.DataFrame({"x": grid[:, 1], "y": grid[:, 0], "class": 0})
    assert np.array_equal(match_columns(table, grid).pairs, match_columns(grid, table).pairs)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"truth": np.zeros((3, 3))}, ValueError, r"truth has shape \(3, 3\)"),
        ({"found": [[np.nan, 1]]}, ValueError, "found, row 0: .*not finite"),
        ({"truth": pd.DataFrame({"y": [1.0]})}, ValueError, r"truth lacks the column\(s\) x"),
        ({"truth": [[1, 1]]}, ValueError, r"holds 1 column\(s\)"),
        ({"truth": [[1, 1], [1, 1]]}, ValueError, "distance of 0 px"),
        ({"reach_px": 0}, ValueError, "reach_px=0 must be"),
        ({"region": [[0, 0], [1, 1]]}, ValueError, "three finite vertices"),
        ({"region": np.ones((5, 5))}, TypeError, r"region is float64 \(5, 5\)"),
    ],
)
def test_bad_input_is_named(arguments, error, message):
    given = {"truth": [[0, 0], [0, 4]], "found": [[0, 0]]} | arguments
    with pytest.raises(error, match=message):
        match_columns(given.pop("truth"), given.pop("found"), **given)


def test_ten_thousand_columns_take_no_quadratic_memory():
    y, x = np.mgrid[0:1000:10, 0:1000:10]
    many = np.column_stack([y.ravel(), x.ravel()]).astype(float)
    found = many + np.random.default_rng(2).normal(0, 0.5, many.shape)
    result = score_columns(match_columns(many, found))
    assert result["recall"] > 0.999
    assert result["error_rms_px"] == pytest.approx(np.sqrt(2) * 0.5, rel=0.03)
