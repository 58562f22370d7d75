"""What a mask hides changes nothing, whatever it holds, and is no defect and no domain."""

import numpy as np
import pytest

import stemlib
from stemlib.synthetic import PointDefects, Recording, crystal_image

SIDE = 200
BAR = np.ones((SIDE, SIDE), bool)
BAR[170:185, 20:120] = False
ATOMIC = ["find_columns", "find_defects", "find_domains", "find_lattice"]


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


@pytest.mark.parametrize("finder", ATOMIC)
def test_what_is_masked_out_may_hold_anything(finder):
    find, image = getattr(stemlib, finder), crystal(vacancies=0.02)
    expected = numbers(find(image, mask=BAR))
    assert expected[0].size
    for held in (0.0, image.max(), 10 * image.max(), 255 * image.max(), np.nan):
        for value, before in zip(numbers(find(np.where(BAR, image, held), mask=BAR)), expected, strict=True):
            np.testing.assert_array_equal(value, before)


def test_a_scale_bar_that_is_masked_out_is_no_defect():
    image = crystal()
    marked = np.where(BAR, image, 3 * image.max())
    found = stemlib.find_defects(marked, mask=BAR).table
    assert len(found) <= 2
    unmasked = stemlib.find_defects(marked).table
    assert len(unmasked) > len(found) + 5
