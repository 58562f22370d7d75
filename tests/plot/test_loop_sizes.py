import pandas as pd
import pytest

from stemlib.plot import axes_figure, sizes_figure

OBJECTS = pd.DataFrame(
    {
        "image": ["a"] * 6 + ["b"] * 2,
        "source": ["fcn", "fcn", "fcn", "C", "C", "A", "fcn", "fcn"],
        "diameter": [20.0, 40.0, 90.0, 30.0, 50.0, None, 10.0, 30.0],
        "touches_edge": [False, False, True, False, False, False, False, False],
        "pixel_size_nm": [0.5] * 6 + [0.8] * 2,
        "pixel_size_sure": [True] * 6 + [False] * 2,
    }
)


def test_distributions_are_in_nanometres_only_where_the_scale_is_sure():
    a, b = sizes_figure(OBJECTS, ["a", "b"], ["fcn", "C"]).axes
    machine, person = a.lines
    assert machine.get_xdata().tolist() == [10.0, 10.0, 20.0]
    assert machine.get_ydata().tolist() == [0.0, 0.5, 1.0]
    assert person.get_xdata().max() == 25.0
    assert machine.get_linestyle() != person.get_linestyle()
    assert a.get_xlabel() == "diameter (nm)"
    assert b.get_xlabel() == "diameter (px; scale not sure)"
    assert b.lines[0].get_xdata().max() == 30.0


def test_means_are_marked():
    a, _ = sizes_figure(OBJECTS, ["a", "b"], ["fcn", "C"]).axes
    means = {mark.get_gid(): mark.get_offsets()[0][0] for mark in a.collections}
    assert means == {"mean fcn": 15.0, "mean C": 20.0}


def test_an_image_without_sizes_says_so():
    figure = sizes_figure(OBJECTS, ["a", "c"], ["fcn"])
    assert [text.get_text() for text in figure.axes[1].texts] == ["not available"]
    with pytest.raises(ValueError, match="images is empty"):
        sizes_figure(OBJECTS, [], ["fcn"])


def test_axes_are_drawn_against_the_expert_with_a_band_of_a_tenth():
    pairs = {"fcn": pd.DataFrame({"truth": [20.0, 50.0], "found": [22.0, 49.0]})}
    error = {"median_absolute_error": 0.06, "median_absolute_error_low": 0.02, "n_pairs": 2}
    (axes,) = axes_figure(pairs, {"fcn": error | {"median_absolute_error_high": 0.1}}).axes
    line, marks = axes.lines
    assert marks.get_ydata().tolist() == [22.0, 49.0]
    assert line.get_xdata().tolist() == line.get_ydata().tolist()
    assert "2 matched loops" in axes.get_title() and "6.0 % (2.0 to 10.0 %)" in axes.get_title()
    assert axes.get_xscale() == axes.get_yscale() == "log"


def test_without_a_pooled_number_the_title_says_why():
    (axes,) = axes_figure({"fcn": pd.DataFrame({"truth": [20.0], "found": [22.0]})}, {}).axes
    assert axes.get_title().endswith("not all images at hand")


def test_no_pairs_are_an_error():
    with pytest.raises(ValueError, match="no matched loops"):
        axes_figure({"fcn": pd.DataFrame({"truth": [], "found": []})}, {})
