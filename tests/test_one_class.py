"""What does not look like the rest gets the largest scores, exactly or approximately."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from stemlib.one_class import one_class_scores


def crowd(n, rng, outliers=0, distance=8.0):
    values = rng.normal(size=(n, 30)) * np.geomspace(1, 0.05, 30)
    values[:outliers, 0] += distance
    values[:outliers, 1] -= distance
    return values.astype(np.float32)


@pytest.mark.parametrize("outliers", [1, 20, 80])
def test_outliers_have_the_largest_scores_even_when_they_are_many(outliers):
    scores = one_class_scores(crowd(1000, np.random.default_rng(0), outliers))
    assert scores[:outliers].min() > scores[outliers:].max()
    assert scores.min() == 0


def test_the_score_grows_far_outside():
    values = crowd(500, np.random.default_rng(1))
    values[0, 0], values[1, 0] = 12, 30
    scores = one_class_scores(values)
    assert scores[1] > scores[0] > np.sort(scores)[-3]


def test_the_linear_method_agrees_with_the_exact_one():
    values = crowd(3000, np.random.default_rng(2), 60, 7.0)
    exact, linear = (one_class_scores(values, method=m) for m in ("exact", "linear"))
    assert spearmanr(exact, linear)[0] > 0.98
    assert set(np.argsort(-exact)[:60]) == set(np.argsort(-linear)[:60]) == set(range(60))


def test_the_same_seed_gives_the_same_scores_and_many_are_scored_linearly():
    values = crowd(6000, np.random.default_rng(3))
    np.testing.assert_array_equal(one_class_scores(values, seed=4), one_class_scores(values, seed=4))
    assert (one_class_scores(values, seed=4) != one_class_scores(values, seed=5)).any()


def test_scale_does_not_matter():
    values = crowd(400, np.random.default_rng(4), 3)
    np.testing.assert_allclose(one_class_scores(values), one_class_scores(50 * values), rtol=1e-3, atol=1e-4)


def test_identical_descriptors_are_all_usual():
    assert one_class_scores(np.ones((50, 10))).max() == pytest.approx(0, abs=1e-9)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="method='svm' is not known"):
        one_class_scores(np.ones((9, 9)), method="svm")
    with pytest.raises(ValueError, match="holds 2 rows"):
        one_class_scores(np.ones((2, 9)))
