"""Descriptors stay the same under circular shifts, brightness, contrast and slow background, and see structure."""

import numpy as np
import pytest

from stemlib.defects.patterson import patterson_descriptors


@pytest.mark.parametrize("shape", [(8, 8), (9, 12), (7, 5)])
def test_any_circular_shift_gives_the_same_descriptor(shape):
    window = np.random.default_rng(0).normal(size=shape)
    shifted = np.array(
        [np.roll(window, (dy, dx), (0, 1)) for dy in range(shape[0]) for dx in range(shape[1])]
    )
    descriptors = patterson_descriptors(shifted)
    np.testing.assert_allclose(descriptors, np.repeat(descriptors[:1], len(shifted), axis=0), atol=2e-6)


def test_brightness_and_contrast_drop_out():
    windows = np.random.default_rng(1).normal(size=(5, 10, 10))
    expected = patterson_descriptors(windows)
    np.testing.assert_allclose(patterson_descriptors(1000 + 37 * windows), expected, atol=1e-4)
    np.testing.assert_allclose(patterson_descriptors(-0.02 * windows), expected, atol=1e-5)


def test_slow_waves_drop_out_where_they_are_background():
    rng = np.random.default_rng(2)
    windows = rng.normal(size=(4, 12, 16))
    phase = 2 * np.pi * (np.arange(12)[:, None] / 12 + np.arange(16) / 16)
    slow = windows + 3 * np.sin(phase) + 2 * np.cos(2 * np.pi * np.arange(16) / 16)
    np.testing.assert_allclose(
        patterson_descriptors(slow, background=(2, 2)),
        patterson_descriptors(windows, background=(2, 2)),
        atol=1e-5,
    )
    assert np.abs(patterson_descriptors(slow) - patterson_descriptors(windows)).max() > 0.1


def test_the_descriptor_is_the_autocorrelation():
    window = np.random.default_rng(3).normal(size=(6, 7))
    flat = window - window.mean()
    shifts = [(dy, dx) for dy in range(6) for dx in range(7)]
    whole = {s: (flat * np.roll(flat, s, (0, 1))).sum() / (flat**2).sum() for s in shifts}
    found = patterson_descriptors(window[None])[0]
    pairs = {min(s, (-s[0] % 6, -s[1] % 7)) for s in shifts if s != (0, 0)}
    assert len(found) == len(pairs)
    np.testing.assert_allclose(np.sort(found), np.sort([whole[p] for p in pairs]), atol=1e-5)


def test_inversion_gives_the_same_descriptor_and_another_structure_does_not():
    window = np.random.default_rng(4).normal(size=(1, 9, 9))
    inverted = window[:, ::-1, ::-1]
    np.testing.assert_allclose(patterson_descriptors(window), patterson_descriptors(inverted), atol=1e-5)
    other = window.copy()
    other[0, 4, 4] += 3
    assert np.abs(patterson_descriptors(window) - patterson_descriptors(other)).max() > 0.05


def test_windows_without_contrast_have_a_descriptor_of_zero():
    windows = np.concatenate([np.full((1, 8, 8), 7.3), np.zeros((1, 8, 8))])
    assert not patterson_descriptors(windows).any()
    assert len(patterson_descriptors(np.zeros((0, 8, 8)))) == 0


def test_many_windows_give_what_few_give():
    windows = np.random.default_rng(5).normal(size=(9000, 24, 24)).astype(np.float32)
    few = patterson_descriptors(windows[-3:])
    np.testing.assert_allclose(patterson_descriptors(windows)[-3:], few, atol=1e-6)


@pytest.mark.parametrize("windows", [np.zeros((8, 8)), np.zeros((1, 1, 1)), np.zeros((1, 4, 4), complex)])
def test_what_is_no_stack_of_windows_is_refused(windows):
    with pytest.raises(ValueError, match="windows is .*descriptors need numbers"):
        patterson_descriptors(windows)


def test_a_background_that_leaves_nothing_is_refused():
    with pytest.raises(ValueError, match="background=.*leaves no wave"):
        patterson_descriptors(np.ones((1, 6, 6)), background=(9, 9))
