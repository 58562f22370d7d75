"""Gaps are searched where they are broad, and for reflections that no domain has."""

import numpy as np

from stemlib.domains.distances import depth_in
from stemlib.domains.unexplained_regions import _deepest, with_reflections_of_gaps
from stemlib.domains.windows import working_image
from stemlib.synthetic import crystal_image

SHAPE = 200, 240
Y, X = np.mgrid[: SHAPE[0], : SHAPE[1]]


def crystal(turn):
    return crystal_image("square", SHAPE, spacing=9, rotation_deg=turn, snr=25, seed=1).image


def work_with_a_grain(grain):
    """An image whose reflections are known but for those of one grain."""
    work = working_image(crystal(10), np.ones(SHAPE, bool))
    with_grain = working_image(np.where(grain, crystal(40), crystal(10)), np.ones(SHAPE, bool))
    work.flat[:] = with_grain.flat
    return work


def test_the_deepest_square_lies_in_the_gap_and_in_the_image():
    for centre in ((80, 100), (10, 230)):
        gap = np.hypot(Y - centre[0], X - centre[1]) < 40
        square = _deepest(depth_in(gap))
        sides = [part.stop - part.start for part in square]
        assert min(sides) > (50 if centre == (80, 100) else 20)
        assert gap[square].mean() > 0.9


def test_reflections_of_a_grain_come_first_and_are_its_own():
    grain = np.hypot(Y - 100, X - 120) < 45
    work = work_with_a_grain(grain)
    more = with_reflections_of_gaps(work, grain)
    new = len(more.vectors) - len(work.vectors)
    assert new >= 2
    np.testing.assert_array_equal(more.vectors[new:], work.vectors)
    lengths = np.linalg.norm(more.vectors[:2], axis=1)
    np.testing.assert_allclose(lengths, np.linalg.norm(work.vectors[:2], axis=1), rtol=0.06)


def test_seams_and_gaps_that_show_a_known_crystal_have_no_more_reflections():
    work = work_with_a_grain(np.zeros(SHAPE, bool))
    assert with_reflections_of_gaps(work, np.hypot(Y - 100, X - 120) < 45) is None
    grain = np.abs(X - 120) < 15
    assert with_reflections_of_gaps(work_with_a_grain(grain), grain) is None
    assert with_reflections_of_gaps(work, np.zeros(SHAPE, bool)) is None
