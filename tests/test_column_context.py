"""Doubtful columns are judged by others whose surroundings look the same."""

import numpy as np

from stemlib.column_context import credible
from stemlib.synthetic import render_columns

SPACING, SIGMA, ERROR = 10.0, 2.0, 0.1


def crystal(heights_of_second):
    """Strong columns with a second sublattice between them; every height, and where it is, the surroundings too."""
    strong = np.mgrid[1:13, 1:13].reshape(2, -1).T * 2 * SPACING
    weak = strong + SPACING
    places = np.vstack([strong, weak]).astype(float)
    heights = np.concatenate([np.full(len(strong), 2.0), heights_of_second])
    return render_columns(places, heights, (280, 280), SIGMA), places, heights


def kept(image, places, heights, likelihood):
    return credible(image, places, heights, np.full(len(heights), ERROR), likelihood, SPACING, SIGMA)


def test_a_faint_sublattice_is_kept_though_each_of_its_columns_is_doubtful():
    image, places, heights = crystal(np.full(144, 0.3))
    likelihood = np.where(heights > 1, 1.0, 0.55)
    likelihood[150] = 0.2
    assert kept(image, places, heights, likelihood).all()


def test_an_equally_high_bump_in_a_vacancy_of_strong_columns_is_dropped():
    second = np.full(144, 1.0)
    second[[30, 77]] = 0.3
    image, places, heights = crystal(second)
    result = kept(image, places, heights, np.where(heights > 0.5, 1.0, 0.6))
    assert np.flatnonzero(~result).tolist() == [144 + 30, 144 + 77]


def test_a_dim_column_that_stands_out_by_itself_is_kept():
    second = np.full(144, 2.0)
    second[30] = 0.6
    image, places, heights = crystal(second)
    assert kept(image, places, heights, np.full(288, 0.9)).all()


def test_noise_among_noise_is_dropped():
    image, places, heights = crystal(np.full(144, 0.2))
    assert not kept(image, places, heights, np.where(heights > 1, 1.0, 0.2))[144:].any()


def test_with_few_columns_the_network_decides():
    result = credible(
        np.zeros((30, 30), np.float32),
        np.array([[5.0, 5], [15, 15]]),
        np.array([0.2, 0.2]),
        np.array([0.1, 0.1]),
        np.array([0.4, 0.8]),
        SPACING,
        SIGMA,
    )
    assert result.tolist() == [False, True]


def test_more_columns_than_opencv_takes_at_once(monkeypatch):
    second = np.full(144, 1.0)
    second[30] = 0.3
    image, places, heights = crystal(second)
    likelihood = np.where(heights > 0.5, 0.4, 0.6)
    whole = kept(image, places, heights, likelihood)
    monkeypatch.setattr("stemlib.column_context._ROWS", 50)
    np.testing.assert_array_equal(kept(image, places, heights, likelihood), whole)
