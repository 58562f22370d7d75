import numpy as np
import pytest

from stemlib.loops.candidates import CONTEXT, default_min_diameter, detection_squares, group, working_image


@pytest.mark.parametrize(
    "shape, factor", [((1024, 1024), 1), ((2048, 2048), 2), ((64, 300), 1), ((4096, 500), 4)]
)
def test_large_images_are_reduced_by_a_whole_factor(shape, factor):
    reduced, by = working_image(np.zeros(shape, np.uint8), default_min_diameter(shape))
    assert by == factor
    assert reduced.shape == (shape[0] // factor, shape[1] // factor)


@pytest.mark.parametrize("min_diameter", [2000, np.inf])
def test_nothing_left_of_the_image_is_an_error(min_diameter):
    with pytest.raises(ValueError, match="min_diameter=.*100 x 300 px"):
        working_image(np.zeros((100, 300), np.uint8), min_diameter)


def test_reduction_averages():
    image = np.tile(np.array([[0, 100], [100, 200]], np.uint8), (10, 10))
    reduced, _ = working_image(image, 24)
    assert (reduced == 100).all()


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
    boxes, strength = group(np.array([[0, 0, 20, 20], [2, 0, 20, 20]]), shift=-16)
    assert strength.tolist() == [2]
    assert boxes.tolist() == [[1 - 16.5, -16.5, 21 - 16.5, 20 - 16.5]]


def test_lonely_windows_are_dropped():
    windows = np.array([[0, 0, 20, 20], [1, 1, 20, 20], [100, 100, 20, 20]])
    assert len(group(windows, min_neighbours=1)[0]) == 2
    assert len(group(windows, min_neighbours=2)[0]) == 1


def test_no_windows_make_no_candidates():
    boxes, strength = group(np.empty((0, 4), int))
    assert boxes.shape == (0, 4) and strength.shape == (0,)


def test_a_window_inside_a_much_larger_one_is_another_candidate():
    windows = np.array([[0, 0, 90, 90], [1, 1, 90, 90], [30, 30, 24, 24], [31, 31, 24, 24]])
    assert sorted(group(windows)[1]) == [2, 2]
