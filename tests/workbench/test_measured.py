"""Numbers of a result: by kind where there are several."""

import numpy as np
import pandas as pd
import pytest

from stemlib.loops import Loops


def test_several_kinds_of_loops_have_their_own_sizes_and_densities():
    table = pd.DataFrame({"y": 30.0, "x": [20.0, 50, 70, 90], "major": [10.0, 12, 40, 42], "minor": 9.0})
    table = table.assign(angle_deg=0.0, kind=["dot", "dot", "loop", "loop"])
    loops = Loops.from_table(table, np.random.default_rng(0).random((120, 120)), pixel_size_nm=0.5)
    rows = loops.numbers().set_index("what")
    assert rows.loc["dot, mean diameter", ["value", "unit"]].tolist() == [5.5, "nm"]
    assert rows.loc["loop, mean diameter", "value"] == 20.5
    assert rows.loc["dot per area", "value"] == pytest.approx(2 / 60**2)
    one = Loops.from_table(table[:2], np.random.default_rng(0).random((120, 120)))
    assert not one.numbers()["what"].str.contains("dot").any()
