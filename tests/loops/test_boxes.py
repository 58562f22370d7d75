import numpy as np
import pytest

from stemlib.loops.boxes import areas, overlap, suppress


def test_overlap_of_boxes_shifted_by_a_known_amount():
    box = np.array([[0.0, 0, 10, 20]])
    for shift in (0, 1, 5, 9):
        shared = (10 - shift) * 20
        assert overlap(box, box + [shift, 0, shift, 0])[0, 0] == pytest.approx(shared / (400 - shared))
    assert overlap(box, box + [10, 0, 10, 0])[0, 0] == 0


def test_boxes_without_area_overlap_nothing():
    point = np.array([[3.0, 3, 3, 3]])
    assert areas(point)[0] == 0
    assert overlap(point, point)[0, 0] == 0


def test_of_two_boxes_on_one_loop_the_better_stays():
    boxes = np.array([[0.0, 0, 10, 10], [1, 0, 11, 10], [30, 30, 40, 40]])
    scores = np.array([0.5, 0.8, 0.3])
    assert suppress(boxes, scores).tolist() == [1, 2]
    assert suppress(boxes, scores, np.array([True, False, True])).tolist() == [0, 2]
    assert suppress(boxes, scores, np.zeros(3, bool)).tolist() == []


def test_nested_boxes_stay_and_so_does_the_first_of_equal_scores():
    boxes = np.array([[0.0, 0, 10, 10], [1, 1, 11, 11], [0, 0, 100, 100], [2, 2, 8, 8]])
    assert suppress(boxes, np.array([0.5, 0.9, 0.7, 0.6])).tolist() == [1, 2, 3]
    assert suppress(boxes, np.array([0.0, 0.0, 0.0, -1.0])).tolist() == [0, 2, 3]


def test_suppression_is_greedy_by_intersection_over_union():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 200, (300, 2))
    boxes, scores = np.hstack([corners, corners + rng.uniform(5, 60, (300, 2))]), rng.uniform(size=300)
    left, kept = list(np.argsort(-scores)), []
    while left:
        kept.append(left[0])
        left = [i for i in left[1:] if overlap(boxes[[kept[-1]]], boxes[[i]])[0, 0] <= 0.3]
    assert suppress(boxes, scores, most_overlap=0.3).tolist() == kept
