import warnings

import numpy as np
import pytest

import stemlib
from stemlib.synthetic import crystal_image, loop_micrograph


@pytest.mark.parametrize("structure", ["square", "hexagonal"])
def test_columns_taken_for_loops_are_said_to_be_columns(structure):
    image = crystal_image(structure, (384, 384), spacing=24, seed=0).image
    with pytest.warns(UserWarning, match=r"repeats at the distance of its \d+ loops.*stemlib.find_columns"):
        found = stemlib.find_loops(image)
    assert len(found.table) > 10


def test_where_none_are_found_it_says_what_may_be():
    image = crystal_image("perovskite", (256, 256), spacing=10, seed=0).image
    with pytest.warns(
        UserWarning, match="no loops are found in image.*stemlib.tune_loops.*stemlib.find_columns"
    ):
        assert len(stemlib.find_loops(image).table) == 0


def test_a_constant_image_is_said_to_be_one():
    with pytest.warns(UserWarning, match="image is constant where mask is True: no loops") as said:
        stemlib.find_loops(np.zeros((100, 100)))
    assert len(said) == 1 and said[0].filename == __file__


@pytest.mark.parametrize("n_loops, seed", [(3, 0), (8, 1), (20, 2)])
def test_of_loops_nothing_is_said(n_loops, seed):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        found = stemlib.find_loops(loop_micrograph((512, 512), n_loops=n_loops, seed=seed).image)
    assert len(found.table) > 1
