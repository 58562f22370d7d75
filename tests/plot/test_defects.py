import numpy as np
import pandas as pd
import pytest

from stemlib.plot import DefectPanel, panels_figure

IMAGE = np.random.default_rng(0).random((100, 120))
FOUND = pd.DataFrame(
    {"y": [20.0, 40.0, 60.0], "x": [30.0, 50.0, 110.0], "kind": ["missing", "dim", "structure"]}
)
TRUTH = pd.DataFrame({"y": [21.0, 80.0], "x": [30.0, 10.0], "is_found": [True, False]})


def markers(axes, gid):
    lines = [line for line in axes.lines if line.get_gid() == gid]
    assert len(lines) == 1, f"{len(lines)} groups of {gid}"
    return lines[0]


def legend_texts(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_kinds_and_what_is_known_lie_where_they_are():
    panel = DefectPanel("a crystal", IMAGE, FOUND, TRUTH, note="a note", pixel_size_nm=0.02)
    figure = panels_figure([panel], columns=1, truth="vacancy", caption="credit")
    (axes,) = figure.axes
    assert axes.get_title() == "a crystal\na note"
    assert axes.get_xlim() == (-0.5, 119.5) and axes.get_ylim() == (99.5, -0.5)
    for row, kind in enumerate(("missing", "dim", "structure")):
        assert markers(axes, kind).get_xydata().tolist() == [FOUND.loc[row, ["x", "y"]].tolist()]
    assert markers(axes, "truth found").get_xydata().tolist() == [[30, 21]]
    assert markers(axes, "truth missed").get_xydata().tolist() == [[10, 80]]
    assert len({line.get_marker() for line in axes.lines[2:]}) == 3
    assert legend_texts(figure) == [
        "missing column",
        "dim column",
        "structure, by the Patterson function alone",
        "vacancy, found",
        "vacancy, not found",
    ]
    assert figure.legends[0].get_title().get_text() == "credit"


def test_dots_are_all_red_on_a_semantic_image_from_0_to_1():
    figure = panels_figure([DefectPanel("semantic", IMAGE / 2, FOUND, is_semantic=True, as_dots=True)])
    (axes,) = figure.axes
    assert axes.images[0].get_clim() == (0, 1)
    (dots,) = axes.lines
    assert len(dots.get_xdata()) == 3 and dots.get_color() == "#E8000B"
    assert legend_texts(figure) == ["defect found"]
    assert not axes.patches


def test_the_polygon_is_drawn_as_x_and_y():
    region = np.array([[10, 20], [10, 90], [80, 90]], float)
    (axes,) = panels_figure([DefectPanel("one", IMAGE, region=region)]).axes
    (polygon,) = [patch for patch in axes.patches if patch.get_gid() == "region"]
    assert polygon.get_xy()[:3].tolist() == [[20, 10], [90, 10], [90, 80]]


def test_nothing_found_needs_no_legend_and_credit_stays():
    panel = DefectPanel("empty", IMAGE, FOUND[:0])
    assert not panels_figure([panel]).legends
    (legend,) = panels_figure([panel], caption="credit").legends
    assert legend.get_title().get_text() == "credit" and not legend.get_texts()


def test_an_unknown_kind_is_named():
    with pytest.raises(ValueError, match="kind 'odd'; it must be one of"):
        panels_figure([DefectPanel("one", IMAGE, FOUND.assign(kind="odd"))])


def test_markers_can_be_smaller():
    panel = DefectPanel("one", IMAGE, FOUND, TRUTH)
    sizes = [
        [line.get_markersize() for line in panels_figure([panel], marker_scale=size).axes[0].lines]
        for size in (1, 0.5)
    ]
    assert np.allclose(np.array(sizes[0]) / 2, sizes[1])
