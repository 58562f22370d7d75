"""Chances are weighted by what an image shows; in a perfect crystal nothing changes."""

import numpy as np
import pytest

from stemlib.weighted_chances import weighted_chances

SHARES = (0.25, 0.25, 0.5)


def weighted_of(log_p, direction, prior=SHARES):
    return weighted_chances(log_p, direction, 2 * len(log_p) * np.array(SHARES), prior)


def drawn(rng, count=4000):
    """Smaller of the two-sided chance of an intensity and the chance of a place, and the direction of that."""
    intensity, place = rng.random(count), rng.random(count)
    direction = np.where(place < intensity, 2, rng.integers(0, 2, count))
    return np.log(np.minimum(intensity, place)), direction


def test_in_a_perfect_crystal_as_many_fall_below_a_threshold():
    rng = np.random.default_rng(0)
    before = after = 0
    for _ in range(40):
        log_p, direction = drawn(rng)
        weighted = weighted_of(log_p, direction)
        before += (log_p < np.log(1e-3)).sum()
        after += (weighted < np.log(1e-3)).sum()
        assert np.abs(weighted - log_p).max() < 0.7
    assert after == pytest.approx(before, rel=0.1)


def test_many_dim_columns_make_another_one_likelier_and_false_alarms_do_not_grow():
    rng = np.random.default_rng(1)
    false = 0
    for _ in range(40):
        log_p, direction = drawn(rng)
        dim = np.arange(len(log_p)) < 150
        log_p[dim], direction[dim] = np.log(rng.uniform(0, 1e-3, 150)), 0
        weighted = weighted_of(log_p, direction)
        assert (weighted[dim] < log_p[dim] - np.log(3)).all()
        others = ~dim & (direction > 0) & (log_p < np.log(0.05))
        assert (weighted[others] > log_p[others] + np.log(3)).all()
        false += (weighted[~dim] < np.log(1e-3)).sum()
    # Two tests of each of the 3850 others; two standard deviations of such a count.
    expected = 40 * 2 * 3850 * 1e-3
    assert false <= expected + 2 * np.sqrt(expected)


def test_no_direction_is_given_up():
    log_p, direction = np.full(1000, np.log(1e-9)), np.zeros(1000, int)
    direction[0] = 1
    assert weighted_of(log_p, direction)[0] < np.log(1e-9) + np.log(20)


def test_a_direction_of_few_tests_has_its_share_of_the_false_alarms():
    rng = np.random.default_rng(2)
    sites, places = 500, 20_000
    tests, prior = [sites, places], [0.5, 0.5]
    direction = np.repeat([0, 1], tests)
    false = np.zeros(2)
    for _ in range(40):
        weighted = weighted_chances(np.log(rng.random(sites + places)), direction, tests, prior)
        false += np.bincount(direction[weighted < np.log(5e-4)], minlength=2)
    expected = 40 * 5e-4 * (sites + places) / 2
    assert false == pytest.approx([expected, expected], rel=0.25)
