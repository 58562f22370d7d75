from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from reproduction.cases import ColumnCase
from stemlib.io.micrograph import Micrograph
from stemlib.plot.columns import ColumnPanel, columns_figure, position_error_figure

TRUTH = np.array([[50.0, 50.0], [50.0, 58.0], [58.0, 50.0]])
FOUND = np.array([[50.2, 50.0], [58.0, 50.1], [62.0, 62.0]])
PANEL = ColumnPanel(
    "a crystal",
    np.random.default_rng(0).random((100, 120)),
    FOUND,
    TRUTH,
    np.array([True, False, True]),
    np.array([True, True, False]),
    pixel_size_nm=0.02,
    note="a note",
    spacing=2.0,
)


def markers(axes, gid):
    (line,) = [line for line in axes.lines if line.get_gid() == gid]
    return line.get_xydata()[:, ::-1]


def test_found_missed_and_unlabelled_lie_where_they_are_on_the_part_shown():
    figure = columns_figure([PANEL], columns=1)
    (axes,) = figure.axes
    # 30 spacings of 2 px from the middle of 100 x 120 px.
    corner = [20, 30]
    assert axes.get_xlim() == (-0.5, 59.5) and axes.get_ylim() == (59.5, -0.5)
    assert np.allclose(markers(axes, "found"), FOUND[:2] - corner)
    assert np.allclose(markers(axes, "missed"), TRUTH[1:2] - corner)
    assert np.allclose(markers(axes, "false"), FOUND[2:] - corner)
    assert np.array_equal(axes.images[0].get_array(), PANEL.image[20:80, 30:90])
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["labelled column, found", "labelled column, missed", "found, not labelled"]
    assert len({line.get_marker() for line in axes.lines}) == 3


def test_a_scale_bar_only_where_the_scale_is_sure():
    def bars(panel):
        return [patch for patch in columns_figure([panel]).axes[0].patches if patch.get_gid() == "scale bar"]

    assert len(bars(PANEL)) == 1
    assert not bars(ColumnPanel("unsure", PANEL.image, FOUND, spacing=2.0))


def test_a_semantic_image_keeps_its_scale_from_0_to_1():
    panel = ColumnPanel("semantic", PANEL.image / 2, FOUND, is_semantic=True, spacing=2.0)
    figure = columns_figure([panel])
    assert figure.axes[0].images[0].get_clim() == (0, 1)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["column found"]


@pytest.mark.parametrize("semantic", [False, True])
def test_without_a_licence_the_columns_are_drawn_alone(semantic):
    table = pd.DataFrame({"y": FOUND[:, 0], "x": FOUND[:, 1]})
    columns = SimpleNamespace(table=table, semantic_image=PANEL.image, spacing=2.0)
    case = ColumnCase("case", Micrograph(PANEL.image, None))
    panel = ColumnPanel.of(case, columns, semantic=semantic, show_image=False)
    (axes,) = columns_figure([panel], columns=1).axes
    assert not axes.images[0].get_array().any()
    assert len(markers(axes, "column")) == len(FOUND)
    assert axes.get_title().endswith("; no licence stated")


def test_an_image_that_is_not_at_hand_says_so_and_no_panels_is_an_error():
    figure = columns_figure([PANEL, ColumnPanel("missing", None)])
    assert figure.axes[1].texts[0].get_text() == "not available"
    with pytest.raises(ValueError, match="panels is empty"):
        columns_figure([])


def test_position_errors_are_drawn_as_they_are():
    rows = [
        {
            "crystal": crystal,
            "counts_per_column": counts,
            "method": method,
            "error_rms_px": error / counts**0.5,
            "limit_px": 1 / counts**0.5,
            "recall": 0.9 if counts == 100 else 1.0,
        }
        for crystal in ("square", "perovskite")
        for counts in (100, 400, 1600)
        for method, error in (("find_columns", 1.1), ("Gaussian fits", 1.4))
    ]
    figure = position_error_figure(pd.DataFrame(rows))
    assert [axes.get_title() for axes in figure.axes] == ["square", "perovskite"]
    lines = {line.get_label(): line.get_xydata() for line in figure.axes[0].lines}
    assert np.allclose(lines["find_columns"], [[100, 0.11], [400, 0.055], [1600, 0.0275]])
    assert np.allclose(lines["limit (Cramér-Rao), lone column"][:, 1], [0.1, 0.05, 0.025])
    assert [text.get_text() for text in figure.axes[0].texts] == ["90 % found"]
    assert figure.axes[0].get_xscale() == figure.axes[0].get_yscale() == "log"
