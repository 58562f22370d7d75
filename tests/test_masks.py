"""What a mask hides changes nothing, whatever it holds; rims, bars and gaps are left out without one, and said."""

import numpy as np
import pytest

import stemlib
from stemlib.synthetic import PointDefects, Recording, crystal_image, loop_micrograph

SIDE = 200
BAR = np.ones((SIDE, SIDE), bool)
BAR[170:185, 20:120] = False
FINDERS = sorted(name for name in stemlib.__all__ if name.startswith("find_"))


def crystal(vacancies=0.0):
    return crystal_image(
        "honeycomb",
        (SIDE, SIDE),
        spacing=9.0,
        rotation_deg=11,
        defects=PointDefects(vacancies=vacancies),
        recording=Recording(snr=25),
        seed=4,
    ).image


def numbers(result):
    """Return what a finder measured, as arrays."""
    if hasattr(result, "table"):
        return [result.table.select_dtypes("number").to_numpy(float), getattr(result, "labels", 0)]
    return [result.cell, result.origin]


def shown_to(finder):
    if finder == "find_loops":
        return loop_micrograph((SIDE, SIDE), n_loops=5, seed=2).image.astype(np.float32)
    return crystal(vacancies=0.02)


@pytest.mark.parametrize("finder", FINDERS)
def test_what_is_masked_out_may_hold_anything(finder):
    find, image = getattr(stemlib, finder), shown_to(finder)
    expected = numbers(find(image, mask=BAR))
    assert expected[0].size
    for held in (0.0, image.max(), 10 * image.max(), 255 * image.max(), np.nan):
        for value, before in zip(numbers(find(np.where(BAR, image, held), mask=BAR)), expected, strict=True):
            np.testing.assert_array_equal(value, before)


@pytest.mark.parametrize("finder", FINDERS)
@pytest.mark.parametrize("held", [0.0, np.nan])
def test_a_rim_is_left_out_by_itself_and_said(finder, held):
    find, image = getattr(stemlib, finder), shown_to(finder)
    image[:12], image[:, -20:] = held, held
    with pytest.warns(UserWarning, match="of image records no specimen and is left out"):
        result = find(image)
    assert result.ignored[:12].all() and result.ignored[:, -20:].all()
    assert not result.ignored[16:, :-24].any()
    # As if a mask had said so.
    for value, masked in zip(numbers(result), numbers(find(image, mask=~result.ignored)), strict=True):
        np.testing.assert_array_equal(value, masked)


def test_a_scale_bar_is_no_defect_unless_a_mask_says_to_look_there():
    image = crystal()
    marked = np.where(BAR, image, 3 * image.max())
    assert len(stemlib.find_defects(marked, mask=BAR).table) <= 1
    with pytest.warns(UserWarning, match="annotation"):
        found = stemlib.find_defects(marked)
    assert len(found.table) <= 1
    assert found.ignored[~BAR].all() and found.ignored.mean() < 0.1
    assert len(stemlib.find_defects(marked, mask=np.ones(image.shape, bool)).table) > 5


@pytest.mark.parametrize("seed", range(4))
def test_columns_beside_what_is_hidden_are_no_defects(seed):
    image = crystal_image("perovskite", (SIDE, SIDE), spacing=10, rotation_deg=17 * seed, seed=seed).image
    seen = np.ones(image.shape, bool)
    seen[:23] = seen[120:150, 60:150] = False
    assert len(stemlib.find_defects(image, mask=seen).table) <= 1
