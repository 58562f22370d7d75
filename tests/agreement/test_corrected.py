import numpy as np
import pandas as pd
import pytest

from stemlib.agreement import corrected_density, corrected_diameter


def series(rng, n=60, spread=0.5):
    """People's counts of a series of fields, and those of a detector that finds most and adds a few."""
    truth = rng.poisson(30 * np.exp(rng.normal(0, spread, n)))
    found = rng.binomial(truth, 0.8) + rng.poisson(5, n)
    names = [f"field {number}" for number in range(n)]
    return pd.Series(found, names), pd.Series(truth, names)


@pytest.mark.parametrize("n_checked", [10, 12, 25])
def test_intervals_hold_as_often_as_they_say_and_are_narrower_than_without_the_detector(n_checked):
    rng = np.random.default_rng(n_checked)
    held, ratio = [], []
    for _ in range(600):
        found, truth = series(rng)
        checked = truth.iloc[rng.choice(len(truth), n_checked, replace=False)]
        result = corrected_density(found, checked, areas=4.0)
        held.append(result.low <= truth.mean() / 4 <= result.high)
        ratio.append((result.high - result.low) / np.diff(result.from_checked)[0])
    assert 0.92 <= np.mean(held) <= 0.98
    assert np.median(ratio) < 0.6


def test_a_detector_that_says_nothing_is_not_followed():
    rng = np.random.default_rng(0)
    _, truth = series(rng)
    noise = pd.Series(rng.permutation(truth.to_numpy()), truth.index)
    held = []
    for _ in range(200):
        checked = truth.iloc[rng.choice(len(truth), 12, replace=False)]
        result = corrected_density(noise, checked)
        held.append(result.low <= truth.mean() <= result.high)
    assert np.mean(held) > 0.9
    silent = corrected_density(truth * 0 + 3, truth.iloc[:12])
    assert silent.reliance == 0
    assert silent.value == pytest.approx(truth.iloc[:12].mean())


def test_where_all_is_checked_the_people_decide():
    found, truth = series(np.random.default_rng(1), n=12)
    result = corrected_density(found, truth)
    assert result.low == pytest.approx(result.high) == pytest.approx(truth.mean())


def test_areas_are_those_of_the_fields():
    found, truth = series(np.random.default_rng(2), n=20)
    areas = pd.Series(2.0, found.index)
    one, other = corrected_density(found, truth[:10], areas=areas), corrected_density(found, truth[:10])
    assert one.value == pytest.approx(other.value / 2)


def test_a_bias_of_diameters_is_taken_off():
    rng = np.random.default_rng(3)
    truth = pd.Series(rng.normal(30, 4, 50))
    found = truth * 0.9 + rng.normal(0, 0.3, 50)
    result = corrected_diameter(found, truth[:10])
    assert result.low < truth.mean() < result.high
    assert result.high - result.low < 2
    assert (result.n_fields, result.n_checked) == (50, 10)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"checked": {"a": 1, "b": 2, "c": 3}}, "3 fields; at least 10"),
        ({"checked": {"a": 1, "b": 2, "c": 3, "x": 4}}, "lacks: x"),
        ({"found": [1, 2]}, "list"),
        ({"checked": {"a": 1, "b": 2, "c": 3, "d": np.nan}}, "checked must hold"),
        ({"areas": 0.0}, "areas"),
        ({"confidence": 1.0}, "confidence=1.0"),
    ],
)
def test_bad_arguments_are_named(change, words):
    call = {"found": dict.fromkeys("abcdefghijkl", 3), "checked": dict.fromkeys("abcdefghij", 4)} | change
    with pytest.raises(ValueError, match=words):
        corrected_density(call.pop("found"), call.pop("checked"), **call)
