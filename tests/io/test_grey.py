import numpy as np
import pytest

from stemlib.io.grey import as_grey
from stemlib.io.micrograph import as_micrograph, to_uint8


@pytest.fixture
def grey():
    return np.random.default_rng(3).integers(0, 256, (40, 60)).astype(np.uint8)


@pytest.mark.parametrize(
    "dtype", ["uint8", ">u2", "int32", "uint32", "float16", "float32", "float64", "bool"]
)
def test_takes_arrays_of_every_real_dtype(dtype):
    array = (np.arange(20).reshape(4, 5) % 2).astype(dtype)
    found = as_micrograph(array)
    assert found.image.dtype == np.float32 and found.image.flags.c_contiguous
    assert np.array_equal(found.image, array)


def test_equal_colour_channels_are_grey(grey):
    assert np.array_equal(as_micrograph(np.dstack([grey] * 3)).image, grey)
    assert np.array_equal(as_micrograph(np.dstack([grey] * 3 + [grey * 0])).image, grey)


def test_takes_small_constant_and_strided_images(grey):
    assert as_micrograph(np.zeros((20, 20))).image.shape == (20, 20)
    assert np.array_equal(as_micrograph(grey[::2, ::-1]).image, grey[::2, ::-1])


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (np.zeros((0, 5)), ValueError, r"empty, its shape is \(0, 5\)"),
        (np.zeros(7), ValueError, r"1 axes, shape \(7,\)"),
        (np.zeros((5, 6, 7)), ValueError, r"3 axes, shape \(5, 6, 7\).*one frame"),
        (np.zeros((2, 2, 2, 3)), ValueError, "4 axes"),
        (5.0, ValueError, "0 axes"),
        (
            np.array([[np.nan, np.nan], [np.inf, np.nan]]),
            ValueError,
            "4 values that are NaN or infinite, the first at y=0, x=0",
        ),
        (np.array([[1e300, 0]]), ValueError, "beyond float32"),
        (np.ones((5, 2)), ValueError, r"shape \(5, 2\); that looks like a list of positions, not an image"),
        (np.ones((90, 3)), ValueError, "looks like a list of positions"),
        (np.ones((90, 4)), ValueError, "looks like a list of positions"),
        (np.ones((3, 3), complex), TypeError, "complex"),
        (np.array([["a", "b"]]), TypeError, "real numbers"),
        (np.array([[None, 1]]), TypeError, "real numbers, not object"),
        ([[1, 2], [3]], ValueError, "no array"),
        (np.ma.masked_less(np.eye(3), 0.5), TypeError, "masked array.*mask"),
        (np.dstack([np.eye(4)[::-1], np.eye(4), np.eye(4)]), ValueError, "unequal colour channels"),
        (np.dstack([np.eye(4), np.eye(4)[::-1], np.eye(4)]), ValueError, "unequal colour channels"),
        (np.dstack([np.eye(4), np.eye(4), np.eye(4)[::-1]]), ValueError, "unequal colour channels"),
    ],
)
def test_each_bad_image_is_one_clear_error(bad, error, message):
    with pytest.raises(error, match=f"image.*{message}"):
        as_micrograph(bad)


def test_8_bits_are_not_made_of_gaps():
    with pytest.raises(ValueError, match="1 values that are NaN or infinite, the first at y=0, x=1"):
        to_uint8(np.array([[1.0, np.nan], [0, 0]]))


def test_8_bits_do_not_depend_on_scale_and_offset():
    image = np.random.default_rng(0).normal(size=(100, 120)).astype(np.float32)
    eight = to_uint8(image)
    assert eight.dtype == np.uint8 and eight.min() == 0 and eight.max() == 255
    # A power of two and no offset are exact; others may move a pixel across the edge between two levels.
    assert np.array_equal(to_uint8(image * 4096), eight)
    assert np.abs(to_uint8(image * 3e30 + 1e29).astype(int) - eight).max() <= 1
    assert np.abs(to_uint8(image * 17 + 400).astype(int) - eight).max() <= 1
    order = np.argsort(image, axis=None)
    assert (np.diff(eight.ravel()[order].astype(int)) >= 0).all()


def test_8_bits_are_the_same_by_histogram_and_by_sorting():
    image = np.random.default_rng(1).integers(20, 200, (90, 70)).astype(np.uint8)
    assert np.array_equal(to_uint8(image), to_uint8(image.astype(float) * 2))


def test_8_bits_cut_one_in_a_thousand_at_each_end():
    image = np.linspace(0, 1, 10000).reshape(100, 100)
    image[0, 0], image[-1, -1] = -1e6, 1e6
    eight = to_uint8(image)
    assert 10 <= (eight == 255).sum() <= 50
    assert abs(int(eight[50, 0]) - 128) <= 1


def test_8_bits_of_constant_and_nearly_constant_images():
    assert (to_uint8(np.full((5, 7), 3.7)) == 128).all()
    image = np.zeros((100, 100))
    image[3, 4] = 9
    assert to_uint8(image)[3, 4] == 255 and to_uint8(image).sum() == 255


@pytest.mark.parametrize("levels", [8, 9])
def test_colour_noise_of_jpeg_is_no_colour_but_more_is(levels):
    grey = np.random.default_rng(0).integers(20, 230, (30, 40)).astype(np.uint8)
    noisy = np.dstack([grey, grey, grey])
    noisy[4, 5, 2] += levels
    if levels > 8:
        with pytest.raises(ValueError, match="unequal colour channels"):
            as_grey(noisy)
    else:
        assert np.abs(as_grey(noisy) - grey).max() <= 1
        assert as_grey(noisy).dtype == np.float32
