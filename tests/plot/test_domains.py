import numpy as np
from matplotlib.colors import to_rgb

from stemlib.plot import DomainPanel, panels_figure, style

LABELS = np.repeat(np.repeat([0, 1, -1], [20, 25, 15])[None], 50, axis=0)
LINE = np.array([[0.0, 19.5], [49.0, 19.5]])
IMAGE = np.random.default_rng(0).random((50, 60))


def lines(axes, gid):
    return [line.get_xydata()[:, ::-1] for line in axes.lines if line.get_gid() == gid]


def overlay(axes):
    (drawn,) = [image for image in axes.images if image.get_gid() == "labels"]
    return drawn.get_array()


def test_domains_are_coloured_where_they_are_and_undecided_areas_are_not():
    figure = panels_figure([DomainPanel("a", IMAGE, LABELS, (LINE,))], columns=1)
    (axes,) = figure.axes
    colours = overlay(axes)
    np.testing.assert_allclose(colours[10, 5, :3], to_rgb(style.BLUE))
    np.testing.assert_allclose(colours[10, 30, :3], to_rgb(style.ORANGE))
    assert 0 < colours[10, 5, 3] == colours[10, 30, 3] < 0.6
    assert (colours[:, 45:, 3] == 0).all()
    np.testing.assert_array_equal(axes.images[0].get_array(), IMAGE)
    np.testing.assert_array_equal(lines(axes, "found boundary"), [LINE])
    assert axes.get_xlim() == (-0.5, 59.5) and axes.get_ylim() == (49.5, -0.5)
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["domain 1", "domain 2", "not coloured: undecided, vacuum", "found boundary"]


def test_found_and_known_lines_look_different():
    panel = DomainPanel("a", IMAGE, LABELS, (LINE,), (LINE + 2,), (LINE - 5,), found_faults=(LINE - 6,))
    (axes,) = panels_figure([panel], columns=1).axes
    np.testing.assert_array_equal(lines(axes, "found fault"), [LINE - 6])
    np.testing.assert_array_equal(lines(axes, "known boundary"), [LINE + 2])
    np.testing.assert_array_equal(lines(axes, "known fault"), [LINE - 5])
    assert len({(line.get_linestyle(), line.get_color()) for line in axes.lines}) == 4


def test_there_are_colours_for_any_number_of_domains():
    labels = np.arange(64).reshape(8, 8) % 9
    (axes,) = panels_figure([DomainPanel("many", None, labels)], columns=1).axes
    assert len(np.unique(overlay(axes).reshape(-1, 4), axis=0)) == 6


def test_lines_drawn_by_hand_are_called_so():
    panel = DomainPanel("a", IMAGE, LABELS, known=(LINE,), faults=(LINE,))
    texts = [text.get_text() for text in panels_figure([panel], truth="drawn").legends[0].get_texts()]
    assert texts[-2:] == ["drawn boundary", "drawn fault"]
