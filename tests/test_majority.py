"""Normal levels and scatter are those of the majority, and chances are as rare as they say."""

import numpy as np
import pytest
from scipy import stats

from stemlib.majority import Levels, clipped_scatter, log_chances, normal_levels, student_log_tail


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
