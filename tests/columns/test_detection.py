"""Doubtful peaks are judged by what look-alikes foretell."""

import numpy as np
import pytest

from stemlib.columns.detection import judge_columns
from stemlib.synthetic import render_columns

SPACING, SIGMA, NOISE = 10.0, 2.0, 0.12


def crystal(heights_of_second, extra=(), extra_heights=()):
    """Strong columns with a second sublattice between them and whatever else, in noise; peaks at all of them.

    A column of height 0.4 has a signal-to-noise ratio of 12 for a matched filter.
    """
    strong = np.mgrid[1:13, 1:13].reshape(2, -1).T * 2 * SPACING
    places = np.vstack([strong, strong + SPACING, np.reshape(extra, (-1, 2))])
    heights = np.concatenate([np.full(144, 2.0), heights_of_second, extra_heights])
    noise = np.random.default_rng(0).normal(0, NOISE, (280, 280))
    return (render_columns(places, heights, (280, 280), SIGMA) + noise).astype(np.float32), places


def there(image, peaks, likelihood, threshold=0.15):
    """Which of the peaks have a column after judging, and how many there are."""
    places, chances, _ = judge_columns(image, peaks, likelihood, SPACING, threshold)
    assert len(places) == len(chances)
    distance = np.linalg.norm(peaks[:, None] - places, axis=-1).min(axis=1)
    return distance < 2.0, len(places)


def test_a_faint_sublattice_is_kept_though_the_network_doubts_it():
    image, places = crystal(np.full(144, 0.2))
    likelihood = np.repeat([1.0, 0.4], 144)
    found, count = there(image, places, likelihood)
    assert found.mean() > 0.98
    assert count <= 288


def test_noise_in_a_vacancy_is_dropped_and_as_high_a_faint_column_kept():
    second = np.full(144, 0.2)
    image, places = crystal(second, extra=[[125, 120]], extra_heights=[0.0])
    image -= render_columns(places[[70]], [1.85], image.shape, SIGMA)
    likelihood = np.append(np.repeat([1.0, 0.6], 144), 0.3)
    likelihood[70] = 0.6
    found, _ = there(image, places, likelihood)
    # A bump of 0.15 on a strong site.
    assert not found[70]
    assert found[144:288].mean() > 0.98


@pytest.mark.parametrize(("height", "kept"), [(0.1, False), (0.75, True)])
def test_height_counts_at_the_foretold_place(height, kept):
    second = np.full(144, 0.4)
    second[[40, 70, 100]] = 0.4 * height
    image, places = crystal(second)
    peaks, likelihood = places.copy(), np.ones(288)
    # The network sees them off their sites, and is not sure.
    peaks[[184, 214, 244]] += [1.0, -1.0]
    likelihood[[184, 214, 244]] = 0.45
    found, _ = there(image, peaks, likelihood)
    assert found[[184, 214, 244]].tolist() == [kept] * 3
    assert np.delete(found, [184, 214, 244]).all()


@pytest.mark.parametrize(("share", "kept"), [(0.4, True), (0.05, False)])
def test_a_partly_occupied_column_is_kept(share, kept):
    second = np.full(144, 0.6)
    second[[40, 70, 100]] = 0.6 * share
    image, places = crystal(second)
    likelihood = np.ones(288)
    likelihood[[184, 214, 244]] = 0.3
    found, _ = there(image, places, likelihood)
    assert found[[184, 214, 244]].tolist() == [kept] * 3
    assert np.delete(found, [184, 214, 244]).all()


def test_what_no_peak_points_to_is_found_in_what_is_left_over():
    second = np.full(144, 0.6)
    second[[40, 100]] = 0.0
    image, places = crystal(second)
    # The network sees neither the two vacancies nor one column.
    seen = np.delete(np.arange(288), [184, 214, 244])
    found, _, _ = judge_columns(image, places[seen], np.ones(285), SPACING, 0.15)
    assert len(found) == 286
    assert np.linalg.norm(found - places[214], axis=1).min() < 1.0


def test_a_bump_beside_an_empty_site_does_not_fill_it():
    second = np.full(144, 0.6)
    second[[40, 70, 100]] = 0
    image, places = crystal(second)
    bumps = places[[184, 214, 244]] + [2.6, 2.6]
    # A third as high as a column, but at the site only a seventh of one is left.
    image += render_columns(bumps, np.full(3, 0.2), image.shape, SIGMA)
    peaks, likelihood = places.copy(), np.ones(288)
    peaks[[184, 214, 244]], likelihood[[184, 214, 244]] = bumps, 0.45
    assert there(image, peaks, likelihood)[1] == 285


def test_a_displaced_column_is_kept_where_it_is():
    second = np.full(144, 0.6)
    second[70] = 0
    image, places = crystal(second)
    moved = places[214] + [3.0, 2.0]
    image += render_columns([moved], [0.6], image.shape, SIGMA)
    peaks, likelihood = places.copy(), np.ones(288)
    peaks[214], likelihood[214] = moved, 0.4
    places, _, _ = judge_columns(image, peaks, likelihood, SPACING, 0.15)
    assert np.linalg.norm(places - moved, axis=1).min() < 0.7


def test_a_peak_that_nothing_foretells_must_stand_out():
    between = [[105.0, 115.0], [145.0, 155.0]]
    image, places = crystal(np.full(144, 0.4), between, [0.4, 0.08])
    found, _ = there(image, places, np.append(np.ones(288), [0.7, 0.7]))
    assert found[-2:].tolist() == [True, False]
    unlikely, _ = there(image, places, np.append(np.ones(288), [0.4, 0.4]))
    assert unlikely[-2:].tolist() == [False, False]


def test_overlooked_columns_are_added_and_vacancies_stay():
    second = np.full(144, 0.4)
    second[[40, 100]] = 0.0
    image, places = crystal(second)
    likelihood = np.ones(288)
    likelihood[[184, 214, 244]] = 0.06
    found, count = there(image, places, likelihood)
    assert found[[184, 214, 244]].tolist() == [False, True, False]
    assert count == 286


def test_two_peaks_for_one_column_become_one():
    image, places = crystal(np.full(144, 0.4))
    peaks = np.vstack([places, places[200]])
    peaks[200] += [2.5, 0]
    likelihood = np.ones(289)
    likelihood[[200, 288]] = 0.4, 0.45
    places, chances, _ = judge_columns(image, peaks, likelihood, SPACING, 0.15)
    assert len(places) == 288
    # The likelier one stands for the column, whichever comes first.
    assert sorted(chances)[0] == 0.45


def test_with_few_columns_the_network_decides():
    image = np.random.default_rng(0).normal(size=(40, 40)).astype(np.float32)
    places, chances, _ = judge_columns(
        image, np.array([[5.0, 5], [15, 15], [30, 20]]), np.array([0.4, 0.8, 0.1]), SPACING, 0.15
    )
    assert chances.tolist() == [0.8]
    assert len(places) == 1


def test_noise_that_the_network_takes_for_columns_is_dropped():
    # So much of it that after judging too few are left to compare with.
    image = np.random.default_rng(0).normal(size=(200, 200)).astype(np.float32)
    peaks = np.mgrid[1:19, 1:19].reshape(2, -1).T * 10.0
    places, chances, _ = judge_columns(image, peaks, np.tile([0.6, 0.3], 162), SPACING, 0.15)
    assert len(places) < 20
    assert len(chances) == len(places)


def test_no_peaks_no_columns():
    places, chances, _ = judge_columns(
        np.zeros((40, 40), np.float32), np.zeros((0, 2)), np.zeros(0), SPACING, 0.15
    )
    assert places.shape == (0, 2)
    assert chances.shape == (0,)
