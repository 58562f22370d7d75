"""Blocks of a half spectrum are those of the whole one, wherever they lie."""

import numpy as np
import pytest

from stemlib.domain_spectrum import HalfSpectrum

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
