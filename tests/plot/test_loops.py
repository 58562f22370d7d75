import numpy as np
import pandas as pd

from stemlib.plot import LoopPanel, panels_figure

TRUTH = pd.DataFrame(
    {"top": [10.0, 60.0], "left": [20.0, 60.0], "bottom": [40.0, 80.0], "right": [40.0, 90.0]}
)
LOOPS = pd.DataFrame(
    {
        "y": [25.0, 100.0, 110.0],
        "x": [30.0, 20.0, 80.0],
        "major": [30.0, 20.0, 10.0],
        "minor": [20.0, 10.0, 5.0],
        "angle_deg": [30.0, 0.0, 90.0],
        "touches_edge": [False, False, True],
    }
)
PANEL = LoopPanel(
    "a.jpg",
    np.arange(128.0 * 128).reshape(128, 128),
    TRUTH,
    LOOPS,
    np.array([True, False]),
    np.array([True, False, False]),
    np.array([-1, -1, 1]),
    pixel_size_nm=0.5,
    note="a note",
)


def patches(axes, gid):
    return [patch for patch in axes.patches if patch.get_gid() == gid]


def test_true_missed_and_false_are_drawn_apart():
    figure = panels_figure([PANEL])
    (axes,) = figure.axes
    (found,), (missed,), (false,) = (patches(axes, gid) for gid in ("found", "missed", "false"))
    assert found.get_center() == (30.0, 25.0)
    assert (found.width, found.height) == (30.0, 20.0)
    # As seen counter-clockwise, and the image's y axis points down.
    assert found.angle == -30.0
    assert (missed.get_x(), missed.get_y(), missed.get_width(), missed.get_height()) == (60, 60, 30, 20)
    assert false.get_center() == (20.0, 100.0)
    assert len(patches(axes, "on another class")) == 1
    assert axes.get_ylim() == (127.5, -0.5)
    styles = {patch.get_linestyle() for patch in (found, missed, false)}
    colours = {patch.get_edgecolor() for patch in (found, missed, false)}
    assert len(styles) == len(colours) == 3


def test_the_legend_explains_what_is_there():
    texts = [text.get_text() for text in panels_figure([PANEL]).legends[0].get_texts()]
    assert texts[:3] == ["loop of set A, found", "loop of set A, missed (box)", "found, no loop of set A"]
    assert len(texts) == 4
    nothing = LoopPanel(
        "b", PANEL.image, TRUTH, LOOPS[:0], np.zeros(2, bool), np.zeros(0, bool), np.zeros(0, int)
    )
    legend = panels_figure([nothing], truth="the masks", caption="credit").legends[0]
    assert [text.get_text() for text in legend.get_texts()][0] == "loop of the masks, found"
    assert len(legend.get_texts()) == 3
    assert legend.get_title().get_text() == "credit"
