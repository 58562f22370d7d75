import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib_scalebar.scalebar import ScaleBar

from stemlib.plot import ColumnPanel, DefectPanel, DomainPanel, LoopPanel, Panel, panels, panels_figure

IMAGE = np.random.default_rng(0).random((50, 60))


@pytest.mark.parametrize("kind", [Panel, LoopPanel, ColumnPanel, DefectPanel, DomainPanel])
def test_an_image_not_at_hand_says_so(kind):
    figure = panels_figure([Panel("there", IMAGE), kind("missing.jpg", note="a note")])
    there, missing = figure.axes
    assert [text.get_text() for text in missing.texts] == ["not available"]
    assert missing.get_title() == "missing\na note" and not missing.images
    assert there.images and not there.texts
    assert not figure.legends


def test_no_panels_are_an_error():
    with pytest.raises(ValueError, match="panels is empty"):
        panels_figure([])


def test_a_scale_bar_only_where_the_scale_is_sure():
    panels = [Panel("sure", IMAGE, pixel_size_nm=0.5), Panel("not sure", IMAGE)]
    sure, unsure = panels_figure(panels).axes
    (bar,) = sure.findobj(ScaleBar)
    assert (bar.dx, bar.units) == (0.5, "nm")
    assert not unsure.findobj(ScaleBar)


def test_rows_are_filled_and_what_is_left_stays_empty():
    figure = panels_figure([Panel(name, IMAGE) for name in "abcd"], columns=3)
    assert [axes.get_title() for axes in figure.axes] == ["a", "b", "c", "d", "", ""]
    assert [axes.axison for axes in figure.axes] == [True] * 4 + [False] * 2


def test_a_semantic_image_is_shown_from_0_to_1_and_a_micrograph_by_its_own_range():
    semantic, micrograph = panels_figure(
        [Panel("semantic", IMAGE / 2, is_semantic=True), Panel("micrograph", IMAGE / 2)]
    ).axes
    assert semantic.images[0].get_clim() == (0, 1)
    assert micrograph.images[0].get_clim() == pytest.approx(np.percentile(IMAGE / 2, [0.5, 99.5]))


def test_what_is_left_out_is_hatched_and_does_not_set_the_contrast():
    ignored = np.zeros(IMAGE.shape, bool)
    ignored[:10] = True
    figure = panels_figure(
        [ColumnPanel("rim", np.where(ignored, 99, IMAGE), np.zeros((0, 2)), ignored=ignored)]
    )
    (axes,) = figure.axes
    assert axes.images[0].get_clim() == pytest.approx(np.percentile(IMAGE[10:], [0.5, 99.5]))
    assert any(getattr(collection, "hatches", [None])[0] for collection in axes.collections)
    assert "left out" in [t.get_text() for t in figure.legends[0].get_texts()]


def test_kinds_of_panels_share_one_legend():
    found = np.array([[20.0, 30.0]])
    labels = np.zeros(IMAGE.shape, int)
    panels = [ColumnPanel("columns", IMAGE, found), DomainPanel("domains", IMAGE, labels)]
    texts = [text.get_text() for text in panels_figure(panels).legends[0].get_texts()]
    assert texts == ["column found", "domain 1"]


def test_an_image_of_more_pixels_than_dots_is_shown_by_means_in_its_own_pixels():
    image = np.zeros((2100, 4200), np.float32)
    image[:, 2100:] = np.arange(2100)[None] % 2 * 10
    axes = Figure().subplots()
    panels.show_image(axes, image, limits=(0, 10))
    shown = axes.images[0]
    assert max(shown.get_array().shape) <= 2048
    assert shown.get_array()[:, :690].max() == 0 and 3 < shown.get_array()[:, 710:].mean() < 7
    assert axes.get_xlim() == (-0.5, 4199.5) and axes.get_ylim() == (2099.5, -0.5)
