"""Heights at fixed places have no bias, and their errors are those that noise gives."""

import cv2
import numpy as np
import pytest

from stemlib.columns.heights import _shared, fit_heights, measure_heights
from stemlib.synthetic import render_columns


def grid(n, spacing):
    return np.mgrid[1 : n + 1, 1 : n + 1].reshape(2, -1).T * spacing + 0.3


def test_heights_beside_each_other_and_at_empty_places():
    at = grid(8, 8.0)
    heights = np.random.default_rng(0).uniform(0.4, 2, len(at))
    heights[20] = 0
    image = 3 + render_columns(at, heights, (74, 74), 2.0)
    found, errors = fit_heights(image, at, 2.0, 8.0)
    np.testing.assert_allclose(found, heights, atol=0.02)
    assert np.isfinite(errors).all()


def test_errors_are_those_of_noise_and_empty_places_have_a_mean_of_zero():
    at, rng = grid(12, 9.0), np.random.default_rng(1)
    found, errors = zip(
        *(fit_heights(rng.normal(0, 0.2, (118, 118)), at, 2.0, 9.0) for _ in range(12)), strict=True
    )
    scaled = np.concatenate(found) / (0.2 * np.concatenate(errors))
    assert scaled.std() == pytest.approx(1, abs=0.1)
    assert abs(scaled.mean()) < 0.1


def test_columns_cut_by_the_edge_are_less_certain_and_those_beyond_it_unknown():
    image = render_columns([(0.0, 20), (20, 20)], [1, 1], (41, 41), 2.0)
    heights, errors = fit_heights(image, [(0.0, 20), (20, 20), (-30, 20)], 2.0, 9.0)
    np.testing.assert_allclose(heights[:2], 1, atol=0.02)
    assert errors[0] > 1.2 * errors[1]
    assert np.isnan(heights[2])
    assert np.isnan(errors[2])
    assert fit_heights(image, np.zeros((0, 2)), 2.0, 9.0)[0].shape == (0,)


def test_standard_errors_are_measured_from_the_image():
    at = grid(14, 9.0)
    clean = render_columns(at, np.ones(len(at)), (136, 136), 2.0)
    noise = np.random.default_rng(2).normal(0, 0.3, clean.shape)
    heights, errors = measure_heights(
        (clean + noise).astype(np.float32), np.vstack([at, (-40, 20)]), 2.0, 9.0
    )
    assert (heights[:-1] - 1).std() == pytest.approx(np.median(errors), rel=0.15)
    assert (heights[-1], errors[-1]) == (0, np.inf)


def test_noise_that_neighbouring_pixels_share_weighs_more():
    noise = np.random.default_rng(0).normal(size=(300, 300)).astype(np.float32)
    assert _shared(noise) == pytest.approx(1, abs=0.03)
    # A sum over many pixels of blurred noise varies as that over white noise does, each pixel less.
    blurred = cv2.GaussianBlur(noise, (0, 0), 0.6)
    assert _shared(blurred) == pytest.approx(1 / blurred.var(), rel=0.15)
    assert _shared(np.zeros((9, 9), np.float32)) == 1
