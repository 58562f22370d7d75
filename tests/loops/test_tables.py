import numpy as np
import pandas as pd
import pytest

from stemlib.loops import Loops
from stemlib.loops.ellipses import AXES


@pytest.fixture
def table():
    return pd.DataFrame([[40.0, 60.0, 20.0, 12.0, 200.0], [2.0, 30.0, 14.0, 8.0, 0.0]], columns=AXES)


def test_a_table_becomes_a_whole_result(table):
    mask = np.ones((100, 120), bool)
    mask[:50] = False
    loops = Loops.from_table(table, np.zeros((100, 120)), pixel_size_nm=0.5, mask=mask, thickness_nm=100)
    assert loops.density.count == 2 and loops.density.area == 6000
    assert loops.density.per_nm3 == pytest.approx(2 / 1500 / 100)
    assert loops.table["major_nm"].tolist() == [10, 7] and loops.table["angle_deg"].tolist() == [20, 0]
    assert loops.table["touches_edge"].tolist() == [False, True]
    assert loops.table["area"][0] == pytest.approx(np.pi / 4 * 240)
    assert loops.candidates["accepted"].all() and len(loops.candidates) == 2
    assert loops.view.mask.sum() == 6000


def test_what_a_result_holds_comes_back_from_its_table(table):
    once = Loops.from_table(
        table.assign(score=[0.9, 0.4], kind="loop"), np.zeros((100, 120)), pixel_size_nm=0.5
    )
    again = Loops.from_table(once.table, once.view.micrograph)
    pd.testing.assert_frame_equal(again.table, once.table)
    assert again.threshold == 0.4


@pytest.mark.parametrize(
    "change, words",
    [
        ({"x": 300.0}, "row 1.*lies outside the image of 100 x 120 px"),
        ({"minor": 0.0}, "row 1.*an axis that is not positive"),
        ({"major": np.nan}, "row 1.*other than numbers"),
        ({"minor": 30.0}, "row 1.*minor axis longer"),
    ],
)
def test_rows_that_are_no_loops_are_named(table, change, words):
    table.loc[0, list(change)] = list(change.values())
    with pytest.raises(ValueError, match=words):
        Loops.from_table(table, np.zeros((100, 120)))


def test_columns_that_are_missing_and_a_wrong_mask_are_named(table):
    with pytest.raises(ValueError, match=r"table lacks the columns \['minor'\]"):
        Loops.from_table(table.drop(columns="minor"), np.zeros((100, 120)))
    with pytest.raises(ValueError, match="mask has the shape"):
        Loops.from_table(table, np.zeros((100, 120)), mask=np.ones((3, 3), bool))
    with pytest.raises(ValueError, match="thickness_nm=-1"):
        Loops.from_table(table, np.zeros((100, 120)), thickness_nm=-1)
