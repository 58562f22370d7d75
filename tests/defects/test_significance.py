import numpy as np
import pytest
from scipy import stats

from stemlib.defects.significance import (
    Levels,
    Stabiliser,
    clipped_scatter,
    log_chances,
    normal_levels,
    student_log_tail,
    weighted_chances,
)


@pytest.mark.parametrize("outliers", [0, 30, 80])
def test_outliers_do_not_widen_the_scatter(outliers):
    rng = np.random.default_rng(outliers)
    values = np.concatenate([rng.normal(3, 0.5, 1000), rng.uniform(8, 20, outliers)])
    mean, sd, kept = clipped_scatter(values)
    assert mean == pytest.approx(3, abs=0.07)
    assert sd == pytest.approx(0.5, rel=0.08)
    assert 950 <= kept <= 1000


def test_one_level_is_one_level():
    rng = np.random.default_rng(0)
    counts = [len(normal_levels(rng.normal(1, 0.1, n)).means) for n in (40, 200, 200, 200, 1000, 1000) * 8]
    assert max(counts) == 1


def test_a_mixture_has_its_levels_and_a_minority_has_none():
    rng = np.random.default_rng(1)
    mixture = np.concatenate([rng.normal(m, 0.05, 200) for m in (0.6, 1.0, 1.4)])
    np.testing.assert_allclose(normal_levels(mixture).means, (0.6, 1.0, 1.4), atol=0.03)
    doped = np.concatenate([rng.normal(1, 0.05, 920), rng.normal(0.5, 0.05, 80)])
    levels = normal_levels(doped)
    assert len(levels.means) == 1
    assert levels.log_chance([0.5])[0] < np.log(1e-10)


def test_what_fits_one_of_several_levels_is_normal_and_what_lies_between_or_beyond_is_not():
    levels = Levels(np.array([1.0, 2.0]), np.array([0.05, 0.05]), np.array([500, 500]))
    chances = levels.log_chance([1.02, 1.97, 1.5, 0.4, 2.8])
    assert (chances[:2] > np.log(0.3)).all()
    assert (chances[2:] < np.log(1e-9)).all()
    uncertain = levels.log_chance([1.5], errors=[10.0])
    assert uncertain[0] > np.log(0.1)


@pytest.mark.parametrize("n", [60, 400, 5000])
def test_chances_of_normal_values_are_uniform(n):
    rng = np.random.default_rng(n)
    tested = 0
    below = {0.1: 0, 0.01: 0}
    while tested < 60_000:
        values = rng.normal(size=n)
        chances = np.exp(normal_levels(values).log_chance(values))
        tested += n
        for chance in below:
            below[chance] += (chances < chance).sum()
    for chance, count in below.items():
        assert 0.7 * chance < count / tested < 1.3 * chance


def test_the_tail_is_students_also_where_it_underflows():
    assert student_log_tail(2.5, 7) == pytest.approx(stats.t.logsf(2.5, 7))
    far = student_log_tail(np.array([1e4, 1e6]), 200)
    assert np.isfinite(far).all()
    # By a factor of 100 farther: by 100 to the power of minus the degrees of freedom less likely.
    assert far[1] - far[0] == pytest.approx(-200 * np.log(100), rel=1e-3)
    assert student_log_tail(np.array([40.0]), 1e7)[0] == pytest.approx(stats.norm.logsf(40), rel=0.01)


@pytest.mark.parametrize("freedom", [3, 12, 30])
def test_scores_of_the_majority_are_as_rare_as_their_chances_say(freedom):
    rng = np.random.default_rng(freedom)
    found = {0.1: 0, 1.0: 0, 10.0: 0}
    for _ in range(40):
        log_p = log_chances(rng.chisquare(freedom, 1500))
        for rate in found:
            found[rate] += (log_p < np.log(rate / 1500)).sum()
    for rate, count in found.items():
        # The one-sided 95 % lower bound of the mean does not exceed what was asked for.
        assert (stats.chi2.ppf(0.05, 2 * count) / 2 if count else 0) <= 40 * rate
    assert found[10.0] > 40


@pytest.mark.parametrize("share", [0.02, 0.1, 0.25])
def test_a_share_of_outliers_stays_unlikely(share):
    rng = np.random.default_rng(2)
    n = int(1500 * share)
    scores = np.concatenate([rng.chisquare(8, 1500 - n), rng.uniform(100, 200, n)])
    assert (log_chances(scores)[-n:] < np.log(1e-4)).all()


def test_doubtful_scores_do_not_teach_and_few_scores_say_nothing():
    rng = np.random.default_rng(3)
    scores = np.concatenate([rng.chisquare(8, 900), rng.chisquare(8, 600) + 12])
    doubtful = np.arange(1500) >= 900
    assert log_chances(scores, doubtful)[900:].mean() < log_chances(scores)[900:].mean() - 1
    assert not log_chances(scores[:20]).any()
    assert not log_chances(np.ones(100)).any()


def test_too_few_values_are_refused():
    with pytest.raises(ValueError, match="values holds 2 finite"):
        normal_levels([1.0, 2.0, np.nan])


def test_uneven_mixtures_are_levels():
    rng = np.random.default_rng(3)
    for share in (0.2, 0.8):
        values = np.where(rng.random(300) < share, 1.4, 1.0) + rng.normal(0, 0.05, 300)
        assert normal_levels(values).means.round(1).tolist() == [1.0, 1.4]


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


def test_counted_electrons_scatter_by_one_whatever_their_number():
    rng = np.random.default_rng(0)
    background, height = 20.0, 60.0
    counts = [rng.poisson(background + part * height, 40_000) - background for part in (0.0, 0.5, 1.0)]
    scale = Stabiliser.between(counts[0].std(), height, counts[2].std())
    assert [scale(c).std() for c in counts] == pytest.approx([1, 1, 1], rel=0.05)


def test_low_counts_are_rarer_than_a_gaussian_of_their_scatter_says():
    rng = np.random.default_rng(1)
    counts = rng.poisson(30.0, 400_000).astype(float)
    scale = Stabiliser.between(0.0, 30.0, np.sqrt(30))
    off = scale(counts) - scale(30.0)
    plain = (counts - 30) / np.sqrt(30)
    assert (plain > 3.5).sum() > 3 * (plain < -3.5).sum()
    assert (off > 3.5).sum() < 2 * (off < -3.5).sum() < 8 * (off > 3.5).sum()


@pytest.mark.parametrize("empty", [0.0, 0.05, 0.2, 1.0, np.inf])
def test_heights_come_back_and_keep_their_order(empty):
    scale = Stabiliser.between(empty, 1.0, 0.2)
    heights = np.linspace(-2, 3, 101)
    assert scale.back(scale(heights)) == pytest.approx(heights)
    assert (np.diff(scale(heights)) > 0).all()


def test_where_noise_does_not_grow_the_scale_is_that_of_heights():
    scale = Stabiliser.between(0.3, 1.0, 0.2)
    assert scale(np.array([-1.0, 0.5, 1.0])) == pytest.approx([-5.0, 2.5, 5.0])


@pytest.mark.parametrize("height", [0.0, -1.0, 0.5])
def test_variance_grows_only_towards_heights_above_nothing(height):
    scale = Stabiliser.between(0.1, height, 0.2)
    assert scale.growth == pytest.approx(0.06 if height > 0 else 0)
