import numpy as np

from stemlib.plot import ColumnPanel, panels_figure

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
    figure = panels_figure([PANEL], columns=1)
    (axes,) = figure.axes
    # 30 spacings of 2 px from the middle of 100 x 120 px.
    assert axes.get_xlim() == (29.5, 89.5) and axes.get_ylim() == (79.5, 19.5)
    assert np.array_equal(markers(axes, "found"), FOUND[:2])
    assert np.array_equal(markers(axes, "missed"), TRUTH[1:2])
    assert np.array_equal(markers(axes, "false"), FOUND[2:])
    assert np.array_equal(axes.images[0].get_array(), PANEL.image[20:80, 30:90])
    assert axes.images[0].get_extent() == [29.5, 89.5, 79.5, 19.5]
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["labelled column, found", "labelled column, missed", "found, not labelled"]
    assert len({line.get_marker() for line in axes.lines}) == 3


def test_a_semantic_image_keeps_its_scale_from_0_to_1():
    panel = ColumnPanel("semantic", PANEL.image / 2, FOUND, is_semantic=True, spacing=2.0)
    figure = panels_figure([panel])
    assert figure.axes[0].images[0].get_clim() == (0, 1)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["column found"]


def test_markers_are_as_wide_as_half_a_spacing_whatever_the_panels_width():
    sizes = [
        line.get_markersize()
        for width in (4, 8)
        for line in panels_figure([PANEL], panel_width=width).axes[0].lines
        if line.get_gid() == "found"
    ]
    assert sizes[1] == 2 * sizes[0]


def test_without_a_spacing_the_whole_of_a_square_image_is_shown():
    panel = ColumnPanel("square", PANEL.image[:, :100], FOUND)
    (axes,) = panels_figure([panel]).axes
    assert np.array_equal(axes.images[0].get_array(), panel.image)
