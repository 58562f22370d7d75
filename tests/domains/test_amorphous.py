"""What is no crystal of its own goes to its neighbour: bands along faults, and halves of one crystal."""

import numpy as np
import pytest

from stemlib.domains import amorphous
from stemlib.domains.amorphous import only_crystals
from stemlib.domains.pixel_labels import strong_waves
from stemlib.domains.windows import cut_segments, working_image
from stemlib.synthetic import crystal_image

SIDE = 288
COLUMNS = np.broadcast_to(np.arange(SIDE), (SIDE, SIDE))


def crystal(turn=0, shift=0):
    image = crystal_image("honeycomb", (SIDE, SIDE + 40), spacing=6, rotation_deg=turn, snr=30, seed=1).image
    return image[:, shift : shift + SIDE]


def kept(image, labels, *, is_sure=True, by_powers=True):
    """Numbers of the labels that stay, each segment in the group of the label where it lies."""
    work = working_image(image, np.ones(image.shape, bool))
    segments = cut_segments(work)
    y, x = (axis.astype(int).clip(0, SIDE - 1) for axis in (segments.waves.rows(), segments.waves.columns()))
    waves = strong_waves(segments, np.where(segments.usable, labels[np.ix_(y, x)], -1))

    def sure(first, second):
        assert first != second
        return is_sure

    left = only_crystals(work, segments.waves.sigma, waves, labels, is_sure=sure, by_powers=by_powers)
    return sorted(set(np.unique(left)) - {-1})


@pytest.mark.parametrize("is_sure", [True, False])
def test_two_grains_stay(is_sure):
    labels = (COLUMNS > 150).astype(int)
    assert kept(np.where(labels, crystal(20), crystal()), labels, is_sure=is_sure) == [0, 1]


def test_grains_a_few_degrees_apart_stay_where_segments_are_sure():
    labels = (COLUMNS > 150).astype(int)
    assert kept(np.where(labels, crystal(4), crystal()), labels) == [0, 1]


def test_a_pixel_amid_masked_ones_does_not_go_to_its_own_domain():
    labels = (COLUMNS > 150).astype(int)
    labels[[99, 101, 100, 100], [200, 200, 199, 201]] = -1
    assert kept(np.where(labels, crystal(20), crystal()), labels, is_sure=False) == [0, 1]


@pytest.mark.parametrize("by_powers", [True, False])
def test_halves_of_one_crystal_become_one_where_segments_are_in_doubt(by_powers):
    labels = (COLUMNS > 150).astype(int)
    assert kept(crystal(), labels, is_sure=False, by_powers=by_powers) == [0]


def test_three_labels_of_two_grains_become_two_where_segments_are_in_doubt():
    labels = (COLUMNS > 90).astype(int) + (COLUMNS > 190)
    assert len(kept(np.where(labels, crystal(20), crystal()), labels, is_sure=False)) == 2


@pytest.mark.parametrize("by_powers", [True, False])
def test_a_band_between_shifted_halves_goes_and_a_lamella_stays(by_powers):
    band = np.abs(COLUMNS - 150) < 30
    faulted = np.where(COLUMNS < 135, crystal(), np.where(COLUMNS < 165, crystal(0, 3), crystal(0, 7)))
    assert kept(np.where(band, crystal(20), crystal()), band.astype(int), by_powers=by_powers) == [0, 1]
    assert kept(faulted, band.astype(int)) == [0]
    assert kept(faulted, (~band).astype(int)) == [1]


@pytest.mark.parametrize(("half", "numbers"), [(19, [0]), (24, [0, 1])])
def test_a_lamella_narrower_than_windows_tell_goes(half, numbers):
    band = np.abs(COLUMNS - 150) < half
    assert kept(np.where(band, crystal(20), crystal()), band.astype(int)) == numbers


def test_what_vacuum_surrounds_stays():
    labels = np.where(np.abs(COLUMNS - 150) < 60, 1, -1)
    image = np.where(labels == 1, crystal(), 0.05 * np.random.default_rng(0).normal(size=(SIDE, SIDE)))
    assert kept(image.astype(np.float32), labels) == [1]


@pytest.mark.parametrize(
    ("half", "gains", "numbers"),
    [
        (30, (0.01, 0.03, 0.06), [0]),  # a band: much along its faults, little elsewhere
        (30, (0.03, 0.03, 0.06), [0, 1]),
        (70, (0.01, 0.03, 0.06), [0, 1]),  # no band is so broad
    ],
)
def test_a_narrow_area_must_differ_all_over(monkeypatch, half, gains, numbers):
    monkeypatch.setattr(amorphous, "_gain", lambda *arguments: gains)
    band = np.abs(COLUMNS - 144) < half
    assert kept(crystal(), band.astype(int)) == numbers
