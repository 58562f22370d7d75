import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib_scalebar.scalebar import ScaleBar

from stemlib.plot import mark_simulated, title
from stemlib.plot.style import add_scale_bar, intervals, legend_below, new_figure, round_length, short_name


@pytest.mark.parametrize(("about", "length"), [(102.4, 100), (99, 50), (0.21, 0.2), (5, 5), (49.9, 20)])
def test_scale_bars_have_round_lengths(about, length):
    assert round_length(about) == pytest.approx(length)


@pytest.mark.parametrize(("pixel_size_nm", "text"), [(0.5, "10 nm"), (0.004, "0.1 nm")])
def test_a_scale_bar_is_as_long_as_it_says(pixel_size_nm, text):
    figure = Figure()
    axes = figure.add_subplot()
    axes.imshow(np.zeros((90, 128)))
    add_scale_bar(axes, pixel_size_nm)
    figure.draw_without_rendering()
    (bar,) = axes.findobj(ScaleBar)
    assert bar.info.scale_text == text
    assert bar.info.length_px * pixel_size_nm == pytest.approx(bar.info.value)


def test_a_scale_bar_needs_a_pixel_size():
    with pytest.raises(ValueError, match="pixel_size_nm=0"):
        add_scale_bar(Figure().add_subplot(), 0)


def test_long_names_are_cut_in_the_middle():
    assert short_name("K713_300kx.jpg") == "K713_300kx"
    cut = short_name("200kV_500kx_p2nm_8cmCL_grain1_0056 - Copy.jpg", 20)
    assert len(cut) == 20
    assert cut.startswith("200kV_500") and cut.endswith("56 - Copy")


def test_what_has_no_title_is_called_by_its_name():
    assert title("B") == "annotators, set B"
    assert title("another method") == "another method"


@pytest.mark.parametrize("long", [False, True])
def test_a_legend_is_never_wider_than_its_figure(long):
    with new_figure(6, 3) as figure:
        figure.subplots()
        names = ["a loop that was found", "missed", "a loop of another class, found as well", "other", "none"]
        handles = [Line2D([], [], label=name + 3 * long * " and more") for name in names]
        legend = legend_below(figure, handles, "credit")
        figure.draw_without_rendering()
    box = legend.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.x1
    rows = {round(text.get_window_extent().y0, -1) for text in legend.get_texts()}
    assert len(rows) == (5 if long else 2)


def test_intervals_hold_their_values():
    rows = {"recall": [0.8, 0.5], "recall_low": [0.7, 0.5 + 1e-9], "recall_high": [0.9, 0.6]}
    axes = Figure().add_subplot()
    upright = intervals(axes, [1, 2], rows, "recall")
    sideways = intervals(axes, [1, 2], rows, "recall", sideways=True)
    np.testing.assert_allclose(upright.lines[2][0].get_segments()[0], [[1, 0.7], [1, 0.9]])
    np.testing.assert_allclose(sideways.lines[2][0].get_segments()[1], [[0.5, 2], [0.6, 2]])


@pytest.mark.parametrize("images", [False, True])
def test_the_label_of_simulated_data_lies_above_all_titles(images):
    with new_figure(8, 4, images=images) as figure:
        for axes in figure.subplots(1, 2):
            axes.imshow(np.zeros((40, 40)))
            axes.set_title("two\nlines")
        legend_below(figure, [Line2D([], [], label="one")])
    for _ in range(2):
        mark_simulated(figure)
    figure.draw_without_rendering()
    (label,) = [legend for legend in figure.legends if legend.get_gid() == "simulated"]
    box = label.get_window_extent()
    assert box.y1 <= figure.bbox.y1 and box.x0 >= 0
    for axes in figure.axes:
        assert not box.overlaps(axes.get_tightbbox())


def test_a_figure_without_a_layout_is_arranged_below_the_label():
    figure = Figure(figsize=(3, 1.2))
    figure.subplots().set_title("a title", loc="left")
    mark_simulated(figure)
    figure.draw_without_rendering()
    assert not figure.legends[0].get_window_extent().overlaps(figure.axes[0].get_tightbbox())
