import numpy as np
import pytest

from stemlib.loops.boxes import areas, overlap, suppress


def test_overlap_of_boxes_shifted_by_a_known_amount():
    box = np.array([[0.0, 0, 10, 20]])
    for shift in (0, 1, 5, 9):
        shared = (10 - shift) * 20
        assert overlap(box, box + [shift, 0, shift, 0])[0, 0] == pytest.approx(shared / (400 - shared))
    assert overlap(box, box + [10, 0, 10, 0])[0, 0] == 0


def test_overlap_of_the_smaller():
    outer, inner = np.array([[0.0, 0, 10, 10]]), np.array([[2.0, 2, 4, 4]])
    assert overlap(outer, inner, of="smaller")[0, 0] == 1
    assert overlap(outer, inner)[0, 0] == pytest.approx(0.04)


def test_boxes_without_area_overlap_nothing():
    point = np.array([[3.0, 3, 3, 3]])
    assert areas(point)[0] == 0
    assert overlap(point, point)[0, 0] == 0


def test_of_two_boxes_on_one_loop_the_better_stays():
    boxes = np.array([[0.0, 0, 10, 10], [1, 0, 11, 10], [30, 30, 40, 40]])
    scores = np.array([0.5, 0.8, 0.3])
    assert suppress(boxes, scores, np.ones(3, bool)).tolist() == [1, 2]
    assert suppress(boxes, scores, np.array([True, False, True])).tolist() == [0, 2]
    assert suppress(boxes, scores, np.zeros(3, bool)).tolist() == []
