"""A result on its image: every kind of loop looks like its own."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from stemlib.io.micrograph import Micrograph
from stemlib.loops import Loops
from stemlib.plot import result_figure

KINDS = ["loop", "edge-on", "dot", "other", "mine", "loop"]


@pytest.fixture
def loops():
    table = pd.DataFrame(
        {"y": 10.0 * np.arange(1, 7), "x": 30.0, "major": 8.0, "minor": 6.0, "angle_deg": 0.0}
    )
    table = table.assign(kind=KINDS, touches_edge=[False] * 5 + [True])
    return Loops.from_table(table, Micrograph(np.random.default_rng(0).random((80, 80))))


def test_kinds_of_loops_are_told_apart_and_those_at_the_edge(loops):
    figure = result_figure(loops)
    drawn = [(patch.get_gid(), to_hex(patch.get_edgecolor())) for patch in figure.axes[0].patches]
    assert [kind for kind, _ in drawn] == ["loop", "edge-on", "dot", "other", "other", "cut"]
    assert len({colour for _, colour in drawn}) == 5
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts[:2] == ["loop", "loop seen edge-on"]
    assert len(texts) == 5


def test_kinds_that_are_not_there_are_not_in_the_legend(loops):
    only = Loops.from_table(loops.table[loops.table["kind"] == "dot"], loops.view.micrograph)
    assert [text.get_text() for text in result_figure(only).legends[0].get_texts()] == ["black dot"]
