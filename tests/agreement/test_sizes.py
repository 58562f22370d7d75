"""Sizes and axes whose differences are known beforehand."""

import numpy as np
import pandas as pd
import pytest

from stemlib import agreement


def _squares(centres, side=30.0):
    centres = np.asarray(centres, dtype=float)
    return np.hstack([centres - side / 2, centres + side / 2])


def test_objects_at_the_edge_are_counted_but_not_measured():
    boxes = [[-0.5, 5, 20, 40], [30, 30, 50, 50], [40, 44, 62.5, 60], [40, 44, 62.4, 60]]
    at_edge = agreement.touches_edge(boxes, (64, 64))
    assert at_edge.tolist() == [True, False, True, False]
    sizes = pd.DataFrame({"diameter": agreement.longer_side(boxes), "touches_edge": at_edge})
    result = agreement.size_statistics(sizes)
    assert (result["count"], result["n_measured"], result["n_at_edge"]) == (4, 2, 2)
    assert result["mean"] == pytest.approx(21.2)
    assert result["std"] == pytest.approx(np.std([20, 22.4], ddof=1))
    assert agreement.touches_edge([], (64, 64)).shape == (0,)


def test_size_statistics_of_few():
    none = agreement.size_statistics(pd.DataFrame({"diameter": []}))
    assert none["count"] == 0
    assert np.isnan([none["mean"], none["std"], none["mean_low"], none["std_high"]]).all()
    one = agreement.size_statistics(pd.DataFrame({"diameter": [30.0, np.nan]}))
    assert (one["count"], one["n_measured"], one["mean"]) == (2, 1, 30)
    assert np.isnan(one["std"])
    with pytest.raises(ValueError, match="sizes lacks the column diameter"):
        agreement.size_statistics(pd.DataFrame({"major": [1.0]}))
    with pytest.raises(ValueError, match=r"diameter=-1\.0 must be positive"):
        agreement.size_statistics(pd.DataFrame({"diameter": [-1.0]}))


def test_size_interval_has_the_width_of_the_standard_error():
    diameter = np.random.default_rng(2).normal(50, 10, 400)
    result = agreement.size_statistics(pd.DataFrame({"diameter": diameter}))
    width = result["mean_high"] - result["mean_low"]
    assert width == pytest.approx(2 * 1.96 * diameter.std(ddof=1) / 20, rel=0.1)


def test_sizes_scaled_by_a_known_factor():
    rng = np.random.default_rng(3)
    other = pd.DataFrame({"diameter": rng.uniform(20, 60, 300), "image": rng.choice(["a", "b", "c"], 300)})
    one = other.assign(diameter=other["diameter"] * 1.1)
    result = agreement.compare_sizes(one, other, n_resamples=300)
    assert result["count_difference"] == 0
    assert result["mean_difference"] == pytest.approx(0.1)
    assert result["std_difference"] == pytest.approx(0.1)
    assert result["wasserstein"] == pytest.approx(0.1 * other["diameter"].mean())
    # Whole images are drawn for both alike, so the difference of the same objects does not vary.
    assert result["mean_difference_low"] == pytest.approx(0.1)
    assert result["mean_difference_high"] == pytest.approx(0.1)


def test_size_differences_without_images_vary_with_the_objects():
    rng = np.random.default_rng(4)
    other = pd.DataFrame({"diameter": rng.normal(50, 10, 100)})
    one = pd.DataFrame({"diameter": rng.normal(50, 10, 120)})
    result = agreement.compare_sizes(one, other, n_resamples=500)
    assert result["count_difference"] == pytest.approx(0.2)
    # Two means with a standard error of 0.02 and 0.018 of the mean.
    width = result["mean_difference_high"] - result["mean_difference_low"]
    assert width == pytest.approx(2 * 1.96 * np.hypot(0.02, 0.018), rel=0.2)
    assert 0 < result["ks"] < 0.3
    empty = agreement.compare_sizes(one.iloc[:0], other)
    assert empty["count_difference"] == -1
    assert np.isnan(empty["wasserstein"])
    with pytest.raises(ValueError, match="must both have the column image"):
        agreement.compare_sizes(one, other.assign(image="a"))


def test_no_objects_in_any_image_have_no_differences():
    none = pd.DataFrame({"diameter": [], "image": []})
    result = agreement.compare_sizes(none, none)
    assert np.isnan(list(result.values())).all()


def test_axes_of_matched_loops():
    truth = _squares([[50, 50], [150, 150], [250, 250], [350, 350]])
    found = truth[[2, 0, 1]]
    match = agreement.match(truth, found)
    result = agreement.axis_errors(match, [10, 20, 40, 80], [44, 9, np.nan])
    assert result["n_pairs"] == 2
    assert result["median_absolute_error"] == pytest.approx(0.1)
    assert result["median_error"] == pytest.approx(0)
    assert result["median_error_low"] == pytest.approx(-0.1)
    with pytest.raises(ValueError, match="axes need 'one-to-one'"):
        agreement.axis_errors(agreement.match(truth, found, rule="published"), [1] * 4, [1] * 3)
    with pytest.raises(ValueError, match="found needs 3 positive lengths"):
        agreement.axis_errors(match, [1] * 4, [1] * 4)
    nothing = agreement.axis_errors(agreement.match(truth, []), [1] * 4, [])
    assert nothing["n_pairs"] == 0
    assert np.isnan(nothing["median_absolute_error_low"])
