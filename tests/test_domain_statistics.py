"""What divides segments in two, and how far the halves are apart, for many divisions at once."""

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from stemlib.domain_statistics import (
    Moments,
    distance_apart,
    inner,
    otsu_threshold,
    otsu_thresholds,
    shrunk,
)


@pytest.fixture
def divisions():
    """Correlated numbers (N, K), and three divisions of them into groups of equal size."""
    rng = np.random.default_rng(2)
    values = rng.normal(size=(120, 4)) @ rng.normal(size=(4, 4))
    order = np.array([rng.permutation(120) for _ in range(3)])
    return values, order < 30, (order >= 30) & (order < 60)


def test_inner_places_have_no_neighbour_of_another_label():
    labels = np.zeros((5, 6), int)
    labels[:, 3:] = 1
    labels[0] = -1
    expected = np.zeros((5, 6), bool)
    expected[1:, [0, 1, 4, 5]] = True
    np.testing.assert_array_equal(inner(labels), expected)


def test_inner_takes_other_labels_than_the_first_two():
    labels = np.full((3, 7), 4)
    labels[:, 3:] = 7
    np.testing.assert_array_equal(inner(labels), [[True, True, False, False, True, True, True]] * 3)


def test_discriminants_are_those_of_each_division(divisions):
    values, first, second = divisions
    found = Moments(values).discriminants(first, second)
    for direction, one, other in zip(found, first, second, strict=True):
        used = one | other
        machine = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1)
        expected = machine.fit(values[used], other[used]).coef_[0]
        cosine = direction @ expected / np.linalg.norm(direction) / np.linalg.norm(expected)
        assert cosine == pytest.approx(1, abs=1e-9)
        np.testing.assert_allclose(Moments(values).discriminants(one, other), direction, rtol=1e-9)


def test_discriminants_do_not_depend_on_numbers_of_no_group(divisions):
    values, first, second = divisions
    changed = values.copy()
    unused = ~(first[0] | second[0])
    changed[unused] += 100
    directions = [Moments(v).discriminants(first[0], second[0]) for v in (values, changed)]
    np.testing.assert_allclose(*directions, rtol=1e-9)


def test_distances_apart_are_those_of_each_division(divisions):
    values, first, second = divisions
    found = distance_apart(values[:, 0], first, second)
    for distance, one, other in zip(found, first, second, strict=True):
        a, b = values[one, 0], values[other, 0]
        assert distance == pytest.approx(abs(a.mean() - b.mean()) / np.sqrt((a.var() + b.var()) / 2))


def test_threshold_leaves_the_least_scatter():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0, 1, 60), rng.normal(4, 1, 40)])
    rng.shuffle(values)

    def scatter(threshold):
        return sum(
            part.var() * len(part) for part in (values[values <= threshold], values[values > threshold])
        )

    found = otsu_threshold(values)
    ordered = np.sort(values)
    assert found in (ordered[:-1] + ordered[1:]) / 2
    assert scatter(found) == pytest.approx(min(scatter(t) for t in ordered[1:-2]))


def test_neither_part_is_smaller_than_two_percent():
    values = np.append(np.linspace(0, 1, 199), 1e6)
    assert (values > otsu_threshold(values)).sum() == 4


def test_thresholds_do_not_depend_on_what_is_not_used():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(5, 80)) ** 3
    used = rng.random((5, 80)) < [[0.3], [0.5], [0.7], [0.9], [1.0]]
    expected = [otsu_threshold(row[use]) for row, use in zip(values, used, strict=True)]
    np.testing.assert_allclose(otsu_thresholds(values, used), expected, rtol=1e-12)
    np.testing.assert_allclose(otsu_thresholds(np.where(used, values, -50), used), expected, rtol=1e-12)


def test_a_scatter_shrinks_towards_a_round_one():
    scatter = np.array([[[4.0, 1.0], [1.0, 2.0]], [[0.0, 0.0], [0.0, 0.0]]])
    found = shrunk(scatter, 0.5)
    np.testing.assert_allclose(found[0], [[3.5, 0.5], [0.5, 2.5]], atol=1e-8)
    assert np.isfinite(np.linalg.inv(found[1])).all()
