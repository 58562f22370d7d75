import matplotlib
import numpy as np
import pytest

from stemlib.plot import column_training_figure, training_figure

CURVE = {
    "recall": 0.8,
    "precision": 0.7,
    "curve": [{"recall": 0.9, "precision": 0.5}, {"recall": 0.6, "precision": 0.9}],
}
BINS = [{"probability": 0.1, "fraction": 0.15, "n": 40}, {"probability": 0.9, "fraction": 0.8, "n": 20}]
SERIES = {"cascade": [{"series": "0501", "f1": 0.8}, {"series": "5401", "f1": 0.6}]}
ROWS = [
    {"threshold": 0.3, "recall": 0.99, "precision": 0.95, "filled": 0.01},
    {"threshold": 0.5, "recall": 0.98, "precision": 0.97, "filled": 0.002},
]


def test_each_part_has_a_panel_of_its_own():
    curve, bins, series = training_figure({"fcn": CURVE}, calibration=BINS, series=SERIES).axes
    assert curve.lines[0].get_xdata().tolist() == [0.9, 0.6]
    assert curve.lines[1].get_xdata() == [0.8]
    assert bins.lines[1].get_ydata().tolist() == [0.15, 0.8]
    assert [text.get_text() for text in bins.texts] == ["40", "20"]
    assert [label.get_text() for label in series.get_yticklabels()] == ["0501", "5401"]
    assert series.lines[1].get_xdata()[0] == pytest.approx(0.7)
    assert len(training_figure({}, series=SERIES).axes) == 1


def test_nothing_to_draw_is_an_error():
    with pytest.raises(ValueError, match="all empty"):
        training_figure({})


def test_the_users_own_style_stays_as_it_was():
    with matplotlib.rc_context({"font.size": 21}):
        training_figure({"fcn": CURVE})
        assert matplotlib.rcParams["font.size"] == 21


def test_examples_scores_and_the_threshold_are_drawn():
    example = (np.zeros((8, 8)), np.eye(8), np.ones((8, 8)))
    figure = column_training_figure(5 * [example], ROWS, ROWS[1])
    *panels, scores, filled = figure.axes
    assert sum(len(axes.images) for axes in panels) == 5
    lines = {line.get_label(): line for line in scores.lines}
    np.testing.assert_allclose(lines["recall"].get_ydata(), [0.99, 0.98])
    np.testing.assert_allclose(lines["precision"].get_xdata(), [0.3, 0.5])
    np.testing.assert_allclose(filled.lines[0].get_ydata(), [1.0, 0.2])
    assert scores.lines[-1].get_xdata()[0] == 0.5


def test_wanted_columns_are_orange_and_open_ones_blue():
    target, weight = np.zeros((8, 8)), np.ones((8, 8))
    target[2, 2], weight[5, 5] = 1, 0
    figure = column_training_figure([(np.zeros((8, 8)), target, weight)], ROWS, ROWS[0])
    picture = figure.axes[0].images[0].get_array()
    assert picture[2, 2, 0] > picture[2, 2, 2]
    assert picture[5, 5, 2] > picture[5, 5, 0]
    np.testing.assert_array_equal(picture[0, 0], 0)


def test_no_examples_is_an_error():
    with pytest.raises(ValueError, match="one entry at least"):
        column_training_figure([], ROWS, ROWS[0])
