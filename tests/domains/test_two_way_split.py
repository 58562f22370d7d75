"""Division of segments in two: found, measured on other segments, and refused to seams and to very few."""

import numpy as np
import pytest
from scipy import ndimage

from stemlib.domains.clustering import SegmentGrid
from stemlib.domains.statistics import inner, otsu_threshold
from stemlib.domains.two_way_split import _Part, _settled, halve

SHAPE = (20, 24)
EVERYWHERE = np.ones(SHAPE, bool)


def grid_of(change, *, n_numbers=8, noise=1.0, seed=0, trusted=EVERYWHERE):
    """Segments that change along all numbers alike."""
    values = noise * np.random.default_rng(seed).normal(size=(*SHAPE, n_numbers))
    values += change[..., None] / np.sqrt(n_numbers)
    return SegmentGrid(values[EVERYWHERE], EVERYWHERE, trusted, 0.9)


def ordered(halves):
    """Both halves, the one at the first segment first."""
    return sorted(halves.inside, key=lambda half: -int(half[0, 0]))


def test_halves_are_found_without_their_rims():
    right = np.broadcast_to(np.arange(24) > 8, SHAPE)
    halves = halve(grid_of(20.0 * right), EVERYWHERE, held_out=True)
    first, second = ordered(halves)
    np.testing.assert_array_equal(first, np.broadcast_to(np.arange(24) < 8, SHAPE))
    np.testing.assert_array_equal(second, np.broadcast_to(np.arange(24) > 9, SHAPE))
    assert halves.apart > 10


def test_a_lonely_segment_is_outvoted():
    change = 20.0 * np.broadcast_to(np.arange(24) > 8, SHAPE)
    change[5, 3] = 20
    with np.errstate(all="raise"):
        first, _ = ordered(halve(grid_of(change, noise=0.1), EVERYWHERE, held_out=True))
    assert first[5, 3]


def test_where_only_one_segment_differs_nothing_is_divided():
    change = np.zeros(SHAPE)
    change[5, 3] = 90
    with np.errstate(all="raise"):
        assert halve(grid_of(change, n_numbers=1, noise=0.01), EVERYWHERE, held_out=True) is None


def test_only_members_are_divided_and_looked_at():
    members = np.zeros(SHAPE, bool)
    members[4:16, 5:20] = True
    members[4, 5] = False
    change = 20.0 * np.broadcast_to(np.arange(24) > 11, SHAPE)
    other = np.where(members, change, 70 * np.random.default_rng(1).random(SHAPE))
    halves, expected = (halve(grid_of(c), members, held_out=True) for c in (other, change))
    assert not (np.any(halves.inside, axis=0) & ~members).any()
    # Places beside others that are no members are inside all the same.
    assert halves.inside[0][4:16, 5].sum() + halves.inside[1][4:16, 5].sum() == 11
    np.testing.assert_array_equal(halves.inside, expected.inside)
    assert halves.apart == pytest.approx(expected.apart)


def test_the_widest_division_is_taken():
    rows, columns = np.indices(SHAPE)
    grid = grid_of(np.zeros(SHAPE), n_numbers=4)
    grid.features[..., 0] += 9 * (columns > 11)
    grid.features[..., 2] += 15 * (rows > 9)
    first, second = ordered(halve(grid, EVERYWHERE, held_out=False))
    np.testing.assert_array_equal(first, rows < 9)
    np.testing.assert_array_equal(second, rows > 10)


def test_directions_turn_until_they_divide_the_same():
    right = np.broadcast_to(np.arange(24) > 11, SHAPE)
    grid = grid_of(np.zeros(SHAPE), n_numbers=6)
    grid.features[..., 0] += 9 * right
    grid.features = 4 * grid.features @ np.random.default_rng(0).normal(size=(6, 6))
    labels, _ = _settled(_Part(grid, EVERYWHERE))
    same = (labels == right.ravel()).mean(axis=1)
    assert len(same) > 2
    assert np.maximum(same, 1 - same).min() > 0.98


def test_a_direction_counts_for_what_other_segments_show_of_it():
    change = np.where(np.arange(24) > 11, 10.0, -10.0) * np.ones((20, 1))
    grid = grid_of(np.zeros(SHAPE), n_numbers=3)
    for fold in (0, 1):
        grid.features[..., fold] += change * (grid.fold == fold)
    learnt, tried = (halve(grid, EVERYWHERE, held_out=held_out) for held_out in (False, True))
    np.testing.assert_array_equal(learnt.inside, tried.inside)
    assert learnt.apart > 12
    assert tried.apart < 4


def test_smooth_change_counts_less_where_the_halves_meet():
    columns = np.arange(24) * np.ones((20, 1))
    # Two steady ends with an edge between them, or a slope.
    changes = [20.0 * (columns > 11), 20 * np.clip((columns - 5) / 13, 0, 1)]
    ratios = []
    for change in changes:
        learnt, tried = (halve(grid_of(change), EVERYWHERE, held_out=held_out) for held_out in (False, True))
        ratios.append(tried.apart / learnt.apart)
    assert ratios[0] > 0.9
    assert ratios[1] < 0.8


def test_many_divisions_are_those_of_each_direction():
    rng = np.random.default_rng(3)
    members = rng.random(SHAPE) < 0.8
    members[:, :2] = members[:3] = False
    part = _Part(grid_of(np.zeros(SHAPE), noise=9.0), members)
    used = (rng.random((40, part.members.size)) < 0.7) & part.members
    directions = rng.normal(size=(40, part.values.shape[1]))
    labels = part.divided(directions, used)
    for found, direction, use in zip(labels, directions, used, strict=True):
        projected = part.values @ direction
        expected = part.members & (projected > otsu_threshold(projected[use]))
        np.testing.assert_array_equal(found, expected)


def test_labels_are_smoothed_by_the_majority_of_members():
    rng = np.random.default_rng(3)
    members = rng.random(SHAPE) < 0.8
    part = _Part(grid_of(np.zeros(SHAPE)), members)
    labels = members & (rng.random((3, *SHAPE)) < 0.5)
    smoothed, inside = part.smoothed(labels.reshape(3, -1))
    for before, after, alike in zip(labels, *(m.reshape(3, *SHAPE) for m in (smoothed, inside)), strict=True):
        ones = ndimage.convolve(before.astype(int), np.ones((3, 3), int), mode="constant")
        around = ndimage.convolve(members.astype(int), np.ones((3, 3), int), mode="constant")
        np.testing.assert_array_equal(after, members & (ones > around - ones))
        np.testing.assert_array_equal(alike, inner(np.where(members, after.astype(int), -1)))


@pytest.mark.parametrize(("width", "stands"), [(3, False), (4, False), (5, True)])
def test_a_seam_is_no_half(width, stands):
    columns = np.arange(24)
    seam = 25.0 * np.broadcast_to((columns >= 8) & (columns < 8 + width), SHAPE)
    assert (halve(grid_of(seam, n_numbers=1), EVERYWHERE, held_out=False) is not None) == stands


def test_what_is_not_trusted_may_be_the_rest_of_a_narrow_half():
    members = np.broadcast_to(np.arange(24) > 1, SHAPE)
    strip = 25.0 * np.broadcast_to(np.arange(24) < 5, SHAPE)
    assert halve(grid_of(strip, n_numbers=1), members, held_out=False) is None
    halves = halve(grid_of(strip, n_numbers=1, trusted=members), members, held_out=False)
    assert {tuple(half[0, 2:5].tolist()) for half in halves.inside} == {(True, True, False), (False,) * 3}


def test_very_few_segments_are_not_divided():
    grid = grid_of(20.0 * np.broadcast_to(np.arange(24) > 2, SHAPE))
    members = np.zeros(SHAPE, bool)
    members[0, :7] = True
    assert halve(grid, members, held_out=False) is None
    # Four on either side are needed all of whose neighbours are alike.
    members[:3, :5] = True
    assert halve(grid, members, held_out=False) is None
