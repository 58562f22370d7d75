"""The common width of columns is found in noise, with missing columns and beside false ones."""

import numpy as np
import pytest

from stemlib.columns.gaussians import fit_columns
from stemlib.columns.width import fit_width
from stemlib.synthetic import render_columns


def crystal(n, sigma, noise, seed=0):
    places = np.mgrid[1 : n + 1, 1 : n + 1].reshape(2, -1).T * 8.0
    rng = np.random.default_rng(seed)
    there = rng.random(len(places)) < 0.9
    side = 8 * (n + 1) + 1
    image = 3 + render_columns(places[there], np.ones(there.sum()), (side, side), sigma)
    return (image + rng.normal(0, noise, image.shape)).astype(np.float32), places


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


@pytest.mark.parametrize("sigma", [1.3, 1.8])
def test_width_does_not_follow_the_noise_that_places_follow(sigma):
    image, places = crystal(24, sigma, np.sqrt(np.pi) * sigma / 6)
    fitted, *_, by_fit = fit_columns(image, places, 8.0)
    assert abs(by_fit / sigma - 1) > 0.03
    assert fit_width(image, fitted, by_fit, 8.0) == pytest.approx(sigma, rel=0.06)


def test_width_of_a_strong_disturbed_crystal_is_not_that_of_the_disturbance():
    rng = np.random.default_rng(3)
    places = np.mgrid[1:21, 1:21].reshape(2, -1).T * 8.0 + rng.normal(0, 0.8, (400, 2))
    image = render_columns(places, rng.uniform(0.5, 1.5, 400), (169, 169), 1.5)
    image = (image + rng.normal(0, 0.02, image.shape)).astype(np.float32)
    assert fit_width(image, places, 1.5, 8.0) == pytest.approx(1.5, rel=0.05)


def test_columns_beyond_the_edge_do_not_matter():
    places = np.mgrid[0:17, 0:17].reshape(2, -1).T * 8.0 - 2.0
    image = render_columns(places, np.ones(len(places)), (124, 124), 2.0).astype(np.float32)
    inside = places[(places > 0).all(axis=1) & (places < 123).all(axis=1)]
    assert fit_width(image, inside, 1.7, 8.0) == pytest.approx(2.0, rel=0.02)


def test_without_company_a_column_stands_for_itself():
    image, places = crystal(12, 1.8, 0.02)
    # Nothing is where look-alikes foretell it: peaks at random places.
    astray = np.random.default_rng(4).uniform(8, 96, (60, 2))
    assert 0.12 * 8 <= fit_width(image, astray, 1.8, 8.0) <= 0.38 * 8
