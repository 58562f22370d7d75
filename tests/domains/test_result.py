"""Boundaries run where two domains meet, wherever in an image that is."""

import numpy as np
import pytest

from stemlib.domains.result import boundary_lines


def disk(shape, centre, radius):
    y, x = np.indices(shape)
    return np.hypot(y - centre[0], x - centre[1]) <= radius


def test_a_disk_in_a_wide_image_has_one_closed_line():
    labels = disk((150, 210), (60, 130), 25).astype(int)
    (line,), pairs = boundary_lines(labels, 2.0)
    assert pairs == [(0, 1)]
    assert (line[0] == line[-1]).all()
    # Smoothing draws a curved line a little inward.
    assert np.hypot(*(line - [60, 130]).T) == pytest.approx(25, abs=0.5)


@pytest.mark.parametrize("margin", [1, 7, 60])
def test_lines_do_not_depend_on_what_is_far_from_them(margin):
    labels = np.where(np.indices((60, 70))[1] < 30, 0, 1)
    labels[disk(labels.shape, (30, 30), 6)] = -1
    lines, pairs = boundary_lines(labels, 1.5)
    assert pairs == [(0, 1), (0, 1)]
    framed, _ = boundary_lines(np.pad(labels, margin, constant_values=-1), 1.5)
    widened, _ = boundary_lines(np.pad(labels, ((0, 0), (margin, margin)), mode="edge"), 1.5)
    for line, first, second in zip(lines, framed, widened, strict=True):
        np.testing.assert_allclose(first, line + margin, atol=1e-3)
        np.testing.assert_allclose(second, line + [0, margin], atol=1e-3)


def test_three_domains_meet_in_pairs():
    labels = np.zeros((60, 90), np.int8)
    labels[:, 30:] = 1
    labels[30:, 60:] = 2
    lines, pairs = boundary_lines(labels, 1.0)
    assert pairs == [(0, 1), (1, 2)]
    np.testing.assert_allclose(lines[0][:, 1], 29.5, atol=1e-3)


def test_one_domain_has_no_lines():
    assert boundary_lines(np.zeros((30, 30), int), 1.0) == ([], [])
    assert boundary_lines(np.full((30, 30), -1), 1.0) == ([], [])
