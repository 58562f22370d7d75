import numpy as np
import pandas as pd
import pytest

from reproduction.cases import DefectCase
from stemlib.defects.find import Defects
from stemlib.io.micrograph import Micrograph
from stemlib.plot.defects import DefectPanel, defects_figure

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
    figure = defects_figure([panel], columns=1, truth="vacancy", caption="credit")
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
    assert [patch for patch in axes.patches if patch.get_gid() == "scale bar"]


def test_dots_are_all_red_on_a_semantic_image_from_0_to_1():
    figure = defects_figure([DefectPanel("semantic", IMAGE / 2, FOUND, is_semantic=True, as_dots=True)])
    (axes,) = figure.axes
    assert axes.images[0].get_clim() == (0, 1)
    (dots,) = axes.lines
    assert len(dots.get_xdata()) == 3 and dots.get_color() == "#E8000B"
    assert legend_texts(figure) == ["defect found"]
    assert not axes.patches


def test_the_polygon_is_drawn_as_x_and_y():
    region = np.array([[10, 20], [10, 90], [80, 90]], float)
    (axes,) = defects_figure([DefectPanel("one", IMAGE, region=region)]).axes
    (polygon,) = [patch for patch in axes.patches if patch.get_gid() == "region"]
    assert polygon.get_xy()[:3].tolist() == [[20, 10], [90, 10], [90, 80]]


def test_nothing_found_needs_no_legend_and_what_is_not_at_hand_says_so():
    figure = defects_figure([DefectPanel("empty", IMAGE, FOUND[:0]), DefectPanel("missing", None)])
    assert not figure.legends
    # Credit stays where nothing is found.
    alone = defects_figure([DefectPanel("empty", IMAGE, FOUND[:0])], caption="credit")
    assert alone.get_supxlabel() == "credit"
    assert figure.axes[1].texts[0].get_text() == "not available"
    with pytest.raises(ValueError, match="panels is empty; give one DefectPanel"):
        defects_figure([])


def test_an_unknown_kind_is_named():
    with pytest.raises(ValueError, match="kind 'odd'; it must be one of"):
        defects_figure([DefectPanel("one", IMAGE, FOUND.assign(kind="odd"))])


def test_markers_can_be_smaller():
    panel = DefectPanel("one", IMAGE, FOUND, TRUTH)
    sizes = [
        [line.get_markersize() for line in defects_figure([panel], size=size).axes[0].lines]
        for size in (1, 0.5)
    ]
    assert np.allclose(np.array(sizes[0]) / 2, sizes[1])


def test_a_panel_of_a_case_says_how_many_known_ones_are_found():
    region = np.array([[0, 0], [0, 99], [99, 99]], float)
    case = DefectCase("case", Micrograph(IMAGE, 0.02), region=region, sites={"W sites": (0, 1)})
    defects = Defects(FOUND, pd.DataFrame(), pd.DataFrame(), None, 0, IMAGE.shape, 0.02)
    match = TRUTH, np.array([True, False, False]), np.array([True, True, False])
    panel = DefectPanel.of(case, defects, match)
    assert panel.note == "1 of 2 known found, 1 others"
    assert panel.image is case.source.image and panel.region is region and panel.pixel_size_nm == 0.02
    hidden = DefectPanel.of(case, defects, show_image=False)
    assert hidden.note == "3 found\nno licence stated, defects alone"
    assert np.ptp(hidden.image) == 0 and hidden.image.shape == IMAGE.shape
    (shown,) = defects_figure([hidden], columns=1).axes[0].images
    assert np.ptp(shown.get_array()) == 0
    assert DefectPanel.of(case).image is None
