"""The common width of columns is found in noise, with missing columns and beside false ones."""

import numpy as np
import pytest

from stemlib.column_width import fit_width
from stemlib.synthetic import render_columns


def crystal(n, sigma, noise, seed=0):
    places = np.mgrid[1 : n + 1, 1 : n + 1].reshape(2, -1).T * 8.0
    rng = np.random.default_rng(seed)
    there = rng.random(len(places)) < 0.9
    side = 8 * (n + 1) + 1
    image = 3 + render_columns(places[there], np.ones(there.sum()), (side, side), sigma)
    return image + rng.normal(0, noise, image.shape), places


@pytest.mark.parametrize("sigma", [1.3, 1.8, 2.4])
def test_width_in_noise_with_vacancies(sigma):
    # A matched filter sees each column at a signal-to-noise ratio of 5.
    image, places = crystal(20, sigma, np.sqrt(np.pi) * sigma / 5)
    assert fit_width(image, places, 1.76, 8.0) == pytest.approx(sigma, rel=0.08)


def test_some_of_very_many_columns_are_enough():
    image, places = crystal(60, 1.8, 0.05)
    assert fit_width(image, places, 2.2, 8.0) == pytest.approx(1.8, rel=0.02)


def test_width_stays_within_what_is_believed():
    image, places = crystal(12, 3.9, 0.0)
    assert fit_width(image, places, 2.9, 8.0) == pytest.approx(0.38 * 8)
