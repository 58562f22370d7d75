"""On the scale of stabilised heights noise is the same for all, and there is a way back."""

import numpy as np
import pytest

from stemlib.stabilising import Stabiliser


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
