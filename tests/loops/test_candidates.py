import numpy as np

from stemlib.loops.candidates import CONTEXT, detection_squares, group


def test_squares_hold_the_loop_and_its_surroundings():
    squares = detection_squares(np.array([[100.0, 200, 140, 220]]), 24)
    assert squares.tolist() == [
        [120 - 20 * CONTEXT, 210 - 20 * CONTEXT, 120 + 20 * CONTEXT, 210 + 20 * CONTEXT]
    ]


def test_small_loops_get_the_smallest_window():
    top, left, bottom, right = detection_squares(np.array([[10.0, 10, 16, 18]]), 24)[0]
    assert (bottom - top, right - left) == (24, 24)


def test_windows_on_two_loops_make_two_candidates():
    rng = np.random.default_rng(0)
    windows = [
        [y + rng.integers(3), x + rng.integers(3), 30, 30] for y, x in [(10, 10), (10, 60)] for _ in range(8)
    ]
    boxes, strength = group(np.array(windows))
    assert sorted(strength) == [8, 8]
    assert np.allclose(np.sort(boxes[:, 1]), [10.5, 60.5], atol=1)


def test_groups_are_the_mean_of_their_windows_in_pixel_centre_coordinates():
    boxes, strength = group(np.array([[0, 0, 20, 20], [2, 0, 20, 20]]))
    assert strength.tolist() == [2]
    assert boxes.tolist() == [[0.5, -0.5, 20.5, 19.5]]


def test_a_lonely_window_is_a_group_of_its_own():
    windows = np.array([[0, 0, 20, 20], [1, 1, 20, 20], [100, 100, 20, 20]])
    assert group(windows)[1].tolist() == [2, 1]


def test_no_windows_make_no_candidates():
    boxes, strength = group(np.empty((0, 4), int))
    assert boxes.shape == (0, 4) and strength.shape == (0,)


def test_a_window_inside_a_much_larger_one_is_another_candidate():
    windows = np.array([[0, 0, 90, 90], [1, 1, 90, 90], [30, 30, 24, 24], [31, 31, 24, 24]])
    assert sorted(group(windows)[1]) == [2, 2]
