import warnings

import numpy as np
import pytest

from stemlib.io.masking import masked_micrograph
from stemlib.io.micrograph import Micrograph, as_micrograph
from stemlib.synthetic import crystal_image


@pytest.fixture
def image():
    return crystal_image("square", (96, 96), spacing=9, seed=0).image


def test_a_rim_without_numbers_is_left_out_and_said(image):
    image[:7] = np.nan
    with pytest.warns(
        UserWarning, match=r"7\.29% of image records no specimen.*pixels without a number.*`ignored`"
    ):
        micrograph, mask, ignored = masked_micrograph(image, None)
    assert np.isfinite(micrograph.image).all()
    assert ignored[:7].all() and not ignored[7:].any()
    assert np.array_equal(mask, ~ignored)


def test_the_advice_of_the_warning_works(image):
    image[:7] = 0
    with pytest.warns(UserWarning, match="empty rim"):
        _, mask, _ = masked_micrograph(image, None)
    assert not mask[:7].any()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        micrograph, mask, ignored = masked_micrograph(image, np.ones(image.shape, bool))
    assert mask.all() and not ignored.any()
    assert np.array_equal(micrograph.image, image)


def test_what_a_mask_hides_is_not_said_again(image):
    seen = np.ones(image.shape, bool)
    seen[:7] = False
    image[:7] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, mask, ignored = masked_micrograph(image, seen)
    assert np.array_equal(mask, seen) and not ignored.any()


def test_nothing_to_look_at_is_one_clear_error(image):
    image[:50] = np.nan
    seen = np.zeros(image.shape, bool)
    seen[:40] = True
    with pytest.raises(ValueError, match="image is NaN or infinite wherever mask is True"):
        masked_micrograph(image, seen)


def test_a_micrograph_knows_what_was_recorded(image):
    assert Micrograph(image).recorded is None
    image[3, 4] = np.inf
    micrograph = as_micrograph(as_micrograph(image), pixel_size_nm=0.1)
    assert np.isfinite(micrograph.image).all()
    assert np.argwhere(~micrograph.recorded).tolist() == [[3, 4]]
