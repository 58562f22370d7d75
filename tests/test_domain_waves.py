"""Local amplitudes agree with the sums that define them; a crystal is rebuilt and continued from its waves."""

import numpy as np
import pytest

from stemlib.domain_waves import LocalWaves

VECTORS = [(-0.03, 0.11), (0.2, 0.003), (0.31, 0.25)]


def waves_image(shape, cut=None):
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = sum(
        height * np.cos(2 * np.pi * (q[0] * y + q[1] * x) + phase)
        for q, height, phase in zip(VECTORS, (1.0, 0.6, 0.4), (0.7, 0.0, 1.0), strict=True)
    )
    return image.astype(np.float32)


@pytest.mark.parametrize("shape", [(97, 130), (96, 128)])
@pytest.mark.parametrize("vector", [*VECTORS, (0.2, -0.003), (0.01, 0.46)])
def test_amplitudes_are_gaussian_sums_counted_from_their_place(shape, vector):
    image, sigma = waves_image(shape), 7.0
    image = image + np.random.default_rng(3).normal(size=shape).astype(np.float32)
    waves = LocalWaves(image, np.ones(shape, np.float32), sigma)
    amplitudes = waves.amplitudes(vector)
    y, x = np.mgrid[: shape[0], : shape[1]]
    for i, j in ((4, 5), (3, 2), (0, 0)):
        dy, dx = y - waves.rows()[i], x - waves.columns()[j]
        window = np.exp(-0.5 * (dy**2 + dx**2) / sigma**2)
        wave = np.exp(-2j * np.pi * (vector[0] * dy + vector[1] * dx))
        expected = (window * image * wave).sum() / window.sum()
        assert amplitudes[i, j] == pytest.approx(expected, abs=4e-3)


def test_coverage_is_a_half_at_an_edge_and_a_quarter_in_a_corner():
    coverage = LocalWaves(np.zeros((90, 110), np.float32), np.ones((90, 110), np.float32), 6.0).coverage()
    assert coverage[0, 0] == pytest.approx(0.25, abs=0.05)
    assert coverage[0, coverage.shape[1] // 2] == pytest.approx(0.5, abs=0.05)
    assert coverage[coverage.shape[0] // 2, coverage.shape[1] // 2] == pytest.approx(1, abs=0.01)


def test_the_noise_of_a_window_is_that_of_white_noise():
    noise = np.random.default_rng(0).normal(size=(512, 512)).astype(np.float32)
    waves = LocalWaves(noise, np.ones_like(noise), 12.0)
    measured = np.mean([waves.noise(v) for v in [(0.1, 0.2), (0.3, 0.1), (-0.2, 0.3), (0.0, 0.4)]])
    assert measured == pytest.approx(1 / (4 * np.pi * 12.0**2), rel=0.15)


def test_waves_continue_a_crystal_beyond_where_it_was_measured():
    image = waves_image((96, 128))
    inside = np.ones(image.shape, np.float32)
    inside[:, 64:] = 0
    rebuilt, _ = LocalWaves(image, inside, 12.0).continued(VECTORS)
    assert np.abs(rebuilt - image)[8:-8, 8:60].max() < 0.2
    assert np.corrcoef(rebuilt[8:-8, 64:80].ravel(), image[8:-8, 64:80].ravel())[0, 1] > 0.98
