from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from reproduction.cases import DomainCase
from stemlib.io.micrograph import Micrograph
from stemlib.plot import style
from stemlib.plot.domains import DomainPanel, domains_figure, twin_figure

LABELS = np.repeat(np.repeat([0, 1, -1], [20, 25, 15])[None], 50, axis=0)
LINE = np.array([[0.0, 19.5], [49.0, 19.5]])
IMAGE = np.random.default_rng(0).random((50, 60))


def lines(axes, gid):
    return [line.get_xydata()[:, ::-1] for line in axes.lines if line.get_gid() == gid]


def overlay(axes):
    (drawn,) = [image for image in axes.images if image.get_gid() == "labels"]
    return drawn.get_array()


def test_domains_are_coloured_where_they_are_and_undecided_areas_are_not():
    figure = domains_figure([DomainPanel("a", IMAGE, LABELS, (LINE,))], columns=1)
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


def test_found_and_drawn_lines_look_different():
    panel = DomainPanel("a", IMAGE, LABELS, (LINE,), (LINE + 2,), (LINE - 5,), found_faults=(LINE - 6,))
    (axes,) = domains_figure([panel], columns=1).axes
    np.testing.assert_array_equal(lines(axes, "found fault"), [LINE - 6])
    np.testing.assert_array_equal(lines(axes, "drawn boundary"), [LINE + 2])
    np.testing.assert_array_equal(lines(axes, "drawn fault"), [LINE - 5])
    assert len({(line.get_linestyle(), line.get_color()) for line in axes.lines}) == 4


def test_an_image_may_be_left_out_and_an_unsure_scale_has_no_bar():
    case = DomainCase(
        "crystal",
        Micrograph(IMAGE, 0.02),
        n_domains=2,
        labels=LABELS,
        boundaries=(LINE,),
        may_be_shown=False,
        pixel_size_sure=False,
    )
    domains = SimpleNamespace(labels=LABELS, boundaries=[LINE], faults=[LINE - 6])
    hidden = DomainPanel.of(case, domains, show_image=False)
    (axes,) = domains_figure([hidden], columns=1).axes
    assert len(axes.images) == 1 and not lines(axes, "found fault")
    assert axes.get_title() == "crystal\nno licence stated, labels alone"
    assert overlay(axes)[10, 5, 3] == 1
    assert not [patch for patch in axes.patches if patch.get_gid() == "scale bar"]
    (axes,) = domains_figure([DomainPanel.of(case, domains, show_faults=True)], columns=1).axes
    assert len(lines(axes, "found fault")) == 1
    sure = DomainPanel("sure", IMAGE, LABELS, pixel_size_nm=0.02)
    (axes,) = domains_figure([sure], columns=1).axes
    assert [patch for patch in axes.patches if patch.get_gid() == "scale bar"]


def test_an_image_not_at_hand_says_so():
    figure = domains_figure(
        [DomainPanel.of(DomainCase("crystal", None, n_domains=2)), DomainPanel("b", IMAGE)]
    )
    assert figure.axes[0].texts[0].get_text() == "not available"
    assert not figure.axes[1].texts
    assert not figure.legends
    with pytest.raises(ValueError, match="DomainPanel"):
        domains_figure([])


def test_there_are_colours_for_any_number_of_domains():
    labels = np.arange(64).reshape(8, 8) % 9
    (axes,) = domains_figure([DomainPanel("many", None, labels)], columns=1).axes
    assert len(np.unique(overlay(axes).reshape(-1, 4), axis=0)) == 6


def test_twins_over_dose_and_tilt():
    rows = [
        {"over": over, "dose_per_nm2": dose, "tilt_deg": tilt, "method": method, "number": number}
        | {"accuracy": 0.9 + 0.02 * number, "distance_px": 4.0, "allowed_px": 25.0, "found": 2}
        for over, dose, tilt in (("dose", 1e5, 0.0), ("dose", 1e6, 0.0), ("tilt", 1e6, 20.0))
        for method in ("mixture", "one-class")
        for number in (0, 1)
    ]
    figure = twin_figure(pd.DataFrame(rows))
    accuracy = figure.axes[0]
    assert accuracy.get_xscale() == "log"
    containers = accuracy.containers
    assert [container.get_label() for container in containers] == [
        "classification of all segments",
        "one-class SVM, as published",
    ]
    np.testing.assert_allclose(containers[0].lines[0].get_xydata(), [[1e5, 0.91], [1e6, 0.91]])
    (bars,) = containers[0].lines[2]
    np.testing.assert_allclose(bars.get_segments()[0][:, 1], [0.9, 0.92])
    assert containers[0].lines[0].get_marker() != containers[1].lines[0].get_marker()
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "longer cell edge" in texts
