import numpy as np
import pandas as pd
import pytest

from stemlib.plot.defects import DefectPanel, defects_figure, dose_figure, ranking_figure

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
    assert figure.axes[1].texts[0].get_text() == "not available"
    with pytest.raises(ValueError, match="panels is empty; give one DefectPanel"):
        defects_figure([])


def test_an_unknown_kind_is_named():
    with pytest.raises(ValueError, match="kind 'odd'; it must be one of"):
        defects_figure([DefectPanel("one", IMAGE, FOUND.assign(kind="odd"))])


def ranking(image, value):
    return {"image": image, "sites": "W sites", "average_precision": value, "n_minority": 2, "n_columns": 9}


def test_rankings_are_drawn_as_they_are_and_missing_images_said():
    table = pd.DataFrame([ranking("one", 0.75), ranking("two", np.nan)])
    curve = pd.DataFrame({"recall": [1.0, 0.5, 0.0], "precision": [0.5, 1.0, 1.0]})
    first, second = ranking_figure(table, curve.assign(image="one", sites="W sites")).axes
    assert first.lines[0].get_xydata().tolist() == [[1.0, 0.5], [0.5, 1.0], [0.0, 1.0]]
    assert first.get_legend().get_texts()[0].get_text() == "W sites: 0.750\n(2 of 9 columns)"
    assert second.texts[0].get_text() == "not available" and second.get_legend() is None
    with pytest.raises(ValueError, match="ranking is empty"):
        ranking_figure(table[:0], curve)


def test_rates_against_dose_with_their_intervals():
    keys = ("recall_missing", "recall_displaced", "precision")
    rows = [
        {"method": method, "dose_per_nm2": dose}
        | {
            key + end: value + shift
            for key in keys
            for end, shift in (("", 0), ("_low", -0.1), ("_high", 0.05))
        }
        for method, value in (("first", 0.8), ("second", 0.6))
        for dose in (1e5, 1e6)
    ]
    figure = dose_figure(pd.DataFrame(rows), caption="what counts")
    for axes in figure.axes:
        assert axes.get_xscale() == "log"
        first, second = axes.containers
        assert first.lines[0].get_ydata().tolist() == [0.8, 0.8]
        assert second.lines[0].get_ydata().tolist() == [0.6, 0.6]
        # A little beside each other around the true dose.
        pairs = zip(first.lines[0].get_xdata(), second.lines[0].get_xdata(), strict=True)
        assert [(a * b) ** 0.5 for a, b in pairs] == pytest.approx([1e5, 1e6])
        (bars,) = first.lines[2]
        assert bars.get_segments()[0][:, 1] == pytest.approx([0.7, 0.85])
    assert legend_texts(figure) == ["first", "second"]
    assert figure.legends[0].get_title().get_text() == "what counts"
