"""Gaussian peaks are fitted where and as high as they were drawn."""

import numpy as np
import pytest

from stemlib.columns.gaussians import fit_columns
from stemlib.columns.peaks import find_peaks
from stemlib.columns.spacing import resample
from stemlib.synthetic import render_columns


def square(n, spacing, rng):
    grid = np.mgrid[1 : n + 1, 1 : n + 1].reshape(2, -1).T * spacing
    return grid + rng.uniform(-0.08, 0.08, grid.shape) * spacing


@pytest.mark.parametrize("relative_sigma", [0.16, 0.25, 0.36])
def test_overlapping_peaks_are_told_apart(relative_sigma):
    rng = np.random.default_rng(0)
    truth, heights = square(8, 8.0, rng), rng.uniform(0.4, 2, 64)
    image = 7 + render_columns(truth, heights, (72, 72), 8 * relative_sigma)
    fitted, intensities, _, sigma = fit_columns(image, truth + rng.uniform(-0.8, 0.8, truth.shape), 8.0)
    assert sigma == pytest.approx(8 * relative_sigma, rel=0.03)
    np.testing.assert_allclose(fitted, truth, atol=0.12)
    np.testing.assert_allclose(intensities, heights, rtol=0.12)


def test_a_fit_that_runs_off_keeps_its_start():
    image = render_columns([(20, 20)], [1.0], (41, 41), 2.0)
    start = np.array([[20.0, 27.5]])
    fitted, *_ = fit_columns(image, start, 9.0)
    np.testing.assert_array_equal(fitted, start)


def test_error_falls_with_noise_as_theory_says():
    rng = np.random.default_rng(1)
    truth = square(12, 9.0, rng)
    clean = render_columns(truth, np.ones(144), (120, 120), 2.0)
    errors = []
    for noise in (0.05, 0.1):
        fitted, *_ = fit_columns(clean + rng.normal(0, noise, clean.shape), truth, 9.0)
        errors.append(np.sqrt(((fitted - truth) ** 2).mean()) / noise)
    # The bound for white noise of standard deviation s and a peak of height 1: s * sqrt(2 / pi) per axis.
    np.testing.assert_allclose(errors, np.sqrt(2 / np.pi), rtol=0.25)


@pytest.mark.parametrize("relative_sigma", [0.18, 0.26])
def test_known_width_brings_positions_near_the_bound(relative_sigma):
    rng, sigma, ratio = np.random.default_rng(2), 9.0 * relative_sigma, 8.0
    truth = square(16, 9.0, rng)
    image = 2 + render_columns(truth, np.ones(len(truth)), (160, 160), sigma)
    image += np.linspace(0, 1, 160) + rng.normal(0, np.sqrt(np.pi) * sigma / ratio, image.shape)
    fitted, heights, _, returned = fit_columns(image, truth, 9.0, sigma=sigma)
    assert returned == sigma
    assert heights.mean() == pytest.approx(1, abs=0.1)
    # A matched filter sees each column at this ratio; the bound of Cramer and Rao for a lone peak.
    error = np.sqrt(((fitted - truth) ** 2).mean())
    assert 0.9 < error / (np.sqrt(2) * sigma / ratio) < 1.15


def test_no_columns_no_fit():
    fitted, intensities, *_ = fit_columns(np.zeros((9, 9), np.float32), np.zeros((0, 2)), 5.0)
    assert fitted.shape == (0, 2)
    assert intensities.shape == (0,)


def test_peaks_have_sub_pixel_places_and_probabilities():
    truth = np.array([[8.25, 9.5], [8.0, 15.0], [20.7, 12.3], [0.0, 30.0]])
    sure = np.array([1.0, 0.4, 0.8, 0.9])
    found, likelihood = find_peaks(render_columns(truth, sure, (40, 40), 1.0))
    order = np.lexsort(np.rint(truth).T[::-1])
    np.testing.assert_allclose(found, truth[order], atol=0.12)
    np.testing.assert_allclose(likelihood, sure[order], atol=0.08)


def test_a_broad_peak_keeps_its_probability():
    _, likelihood = find_peaks(render_columns([(20, 20)], [0.45], (41, 41), 1.45))
    assert likelihood[0] == pytest.approx(0.85, abs=0.1)


@pytest.mark.parametrize("factor", [0.13, 0.4, 0.77, 1.0, 1.6])
def test_resampling_moves_no_column(factor):
    truth = np.array([[100.3, 80.9]])
    image = render_columns(truth, [1.0], (200, 180), max(3.0, 1.5 / factor))
    small = resample(image, factor)
    total = small.sum()
    centre = [(small.sum(axis=1 - axis) * np.arange(small.shape[axis])).sum() / total for axis in (0, 1)]
    np.testing.assert_allclose((np.array(centre) + 0.5) / factor - 0.5, truth[0], atol=0.05 / min(factor, 1))
