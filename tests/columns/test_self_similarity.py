"""Look-alikes foretell where a column should be, and how high."""

import numpy as np
import pytest

from stemlib.columns.self_similarity import foretell
from stemlib.synthetic import render_columns

SPACING = 10.0


def crystal(rng, weak=0.4):
    """Strong columns with weak ones between them, each a little off its site."""
    strong = np.mgrid[1:13, 1:13].reshape(2, -1).T * 2 * SPACING
    places = np.vstack([strong, strong + SPACING]) + rng.normal(0, 0.2, (288, 2))
    heights = np.repeat([2.0, weak], 144)
    return render_columns(places, heights, (280, 280), 2.5), places, heights


def test_vacancies_and_their_columns_are_foretold():
    image, places, heights = crystal(np.random.default_rng(0))
    gone = np.array([70, 144 + 70])
    left = np.setdiff1d(np.arange(288), gone)
    image -= render_columns(places[gone], heights[gone], image.shape, 2.5)
    near = places[gone] + [[2.5, -1.0], [-2.0, 1.5]]
    foretold = foretell(image, places[left], heights[left], np.ones(286), SPACING, near)
    np.testing.assert_allclose(foretold.sites, places[gone], atol=0.6)
    np.testing.assert_allclose(foretold.heights, [2.0, 0.4])
    assert foretold.share.min() > 0.45


def test_nothing_is_foretold_between_columns():
    image, places, heights = crystal(np.random.default_rng(1))
    middle = np.array([[105.0, 115.0]])
    foretold = foretell(image, places, heights, np.ones(288), SPACING, middle)
    assert foretold.share[0] == 0
    assert np.isnan(foretold.heights[0])
    assert np.isnan(foretold.likelihood[0])


def test_no_peak_speaks_for_itself():
    image, places, heights = crystal(np.random.default_rng(2))
    lone = np.vstack([places, [[105.0, 115.0]]])
    own = np.array([288])
    foretold = foretell(image, lone, np.append(heights, 1), np.ones(289), SPACING, lone[own], own)
    assert foretold.share[0] < 0.2


def test_probability_of_the_like_is_told():
    image, places, heights = crystal(np.random.default_rng(3))
    likelihood = np.repeat([1.0, 0.45], 144)
    asked = np.array([50, 200])
    foretold = foretell(image, places, heights, likelihood, SPACING, places[asked], asked)
    np.testing.assert_allclose(foretold.likelihood, [1.0, 0.45])


def test_more_columns_than_opencv_takes_at_once(monkeypatch):
    image, places, heights = crystal(np.random.default_rng(4))
    asked = np.arange(0, 288, 3)
    arguments = image, places, heights, np.ones(288), SPACING, places[asked], asked
    whole = foretell(*arguments)
    monkeypatch.setattr("stemlib.columns.self_similarity._ROWS", 50)
    pieces = foretell(*arguments)
    np.testing.assert_array_equal(pieces.sites, whole.sites)
    np.testing.assert_array_equal(pieces.heights, whole.heights)


@pytest.mark.parametrize("corner", [(0.0, 0.0), (279.0, 279.0)])
def test_places_beyond_the_image_have_no_vote(corner):
    image, places, heights = crystal(np.random.default_rng(5))
    foretold = foretell(image, places, heights, np.ones(288), SPACING, np.array([corner]))
    assert 0 <= foretold.share[0] <= 1
