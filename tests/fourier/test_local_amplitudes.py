import numpy as np
import pytest

from stemlib.fourier.local_amplitudes import HalfSpectrum, LocalWaves

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
    (amplitudes,) = waves.amplitudes([vector])
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
    measured = waves.noise([(0.1, 0.2), (0.3, 0.1), (-0.2, 0.3), (0.0, 0.4)]).mean()
    assert measured == pytest.approx(1 / (4 * np.pi * 12.0**2), rel=0.15)


def test_waves_continue_a_crystal_beyond_where_it_was_measured():
    image = waves_image((96, 128))
    inside = np.ones(image.shape, np.float32)
    inside[:, 64:] = 0
    rebuilt, _ = LocalWaves(image, inside, 12.0).continued(VECTORS)
    assert np.abs(rebuilt - image)[8:-8, 8:60].max() < 0.2
    assert np.corrcoef(rebuilt[8:-8, 64:80].ravel(), image[8:-8, 64:80].ravel())[0, 1] > 0.98


def test_a_crystal_is_rebuilt_in_the_proportions_of_another():
    image = waves_image((96, 128))
    everywhere = np.ones(image.shape, np.float32)
    waves = LocalWaves(image, everywhere, 12.0)
    np.testing.assert_allclose(waves.proportions(VECTORS).ravel(), [0.5, 0.3, 0.2], rtol=0.03)
    other = np.array([1.0, 0.6, 0.0]).reshape(3, 1, 1)
    rebuilt, _ = waves.continued(VECTORS, proportions=other)
    without = LocalWaves(image, everywhere, 12.0).continued(VECTORS[:2])[0]
    assert np.abs(rebuilt - without)[10:-10, 10:-10].max() < 0.15


def test_proportions_that_change_are_followed():
    y, x = np.mgrid[:128, :400]
    order = np.where(x < 200, 0.8, 0.2)
    image = np.cos(2 * np.pi * 0.2 * y) + order * np.cos(2 * np.pi * 0.1 * x)
    waves = LocalWaves(image.astype(np.float32), np.ones(image.shape, np.float32), 6.0)
    vectors = [(0.2, 0.0), (0.0, 0.1)]
    usual = waves.proportions(vectors, changing=True)
    ratio = usual[1] / usual[0]
    columns = ratio.shape[1] * np.array([60, 340]) // waves.size[1]
    assert ratio[ratio.shape[0] // 3, columns[0]] == pytest.approx(0.8, abs=0.1)
    assert ratio[ratio.shape[0] // 3, columns[1]] == pytest.approx(0.2, abs=0.1)
    rest = [np.abs(waves.continued(vectors, changing=c)[0] - image)[:, 300:380].mean() for c in (False, True)]
    assert rest[1] < 0.5 * rest[0]


SIZES = [(24, 30), (25, 31), (24, 31), (25, 30)]
SHAPE = (7, 8)
# Middle, edges of the half that is stored, its far side, and the other half.
CORNERS = [(-3, -4), (2, 3), (-9, 0), (4, -1), (-2, 8), (3, 9), (-8, -9), (5, -14), (8, 11), (-12, -15)]


def whole_blocks(whole, corners, shape):
    rows, columns = whole.shape
    return np.stack(
        [
            whole[np.ix_((top + np.arange(shape[0])) % rows, (left + np.arange(shape[1])) % columns)]
            for top, left in corners
        ]
    )


@pytest.mark.parametrize("size", SIZES)
def test_blocks_are_read_as_from_the_whole_spectrum(size):
    image = np.random.default_rng(0).normal(size=(size[0] - 3, size[1] - 5))
    padded = np.pad(image, [(0, 3), (0, 5)])
    blocks = HalfSpectrum.of(image, size).blocks(CORNERS, SHAPE)
    np.testing.assert_allclose(blocks, whole_blocks(np.fft.fft2(padded), CORNERS, SHAPE), atol=1e-4)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("corner", CORNERS)
def test_an_added_block_makes_the_image_of_its_waves(size, corner):
    rng = np.random.default_rng(1)
    block = rng.normal(size=SHAPE) + 1j * rng.normal(size=SHAPE)
    spectrum = HalfSpectrum.empty(size)
    spectrum.add(block[None], [corner])
    y, x = (
        np.exp(2j * np.pi * np.outer(np.arange(n), start + np.arange(count)) / n)
        for n, start, count in zip(size, corner, SHAPE, strict=True)
    )
    expected = 2 * (y @ block @ x.T).real / np.prod(size)
    np.testing.assert_allclose(spectrum.image(), expected, atol=1e-5)
