"""The artists of the column network's training figure."""

import numpy as np
import pytest

from stemlib.plot import column_training_figure

ROWS = [
    {"threshold": 0.3, "recall": 0.99, "precision": 0.95, "filled": 0.01},
    {"threshold": 0.5, "recall": 0.98, "precision": 0.97, "filled": 0.002},
]


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


def test_nothing_to_draw_is_an_error():
    with pytest.raises(ValueError, match="one entry at least"):
        column_training_figure([], ROWS, ROWS[0])
