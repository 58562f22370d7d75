import numpy as np
import pytest

from stemlib.loops.fcn import CELL, SIZE_UNIT
from stemlib.training import fcn_crops
from stemlib.training.fcn_crops import CROP, draw_crop, draw_targets
from stemlib.training.fcn_examples import NO, UNSURE, YES, Example, plain_example

ASKED = np.array([True])


def targets_of(boxes, side=128, kinds=None, asked=ASKED, **options):
    boxes = np.asarray(boxes, float).reshape(-1, 4)
    kinds = np.full((len(boxes), len(asked)), YES) if kinds is None else np.asarray(kinds)
    return draw_targets(boxes, kinds, asked, side, **options)


@pytest.fixture(autouse=True)
def no_artefacts(monkeypatch):
    monkeypatch.setattr(fcn_crops, "_WITH_ARTEFACTS", 0.0)


def test_targets_say_where_and_how_large():
    box = np.array([33.0, 50.0, 61.0, 94.0])
    targets = targets_of(box)
    (at,) = np.argwhere(targets[0] == 1)
    row, column = at
    centre = (at + targets[3:5, row, column] + 0.5) * CELL
    size = np.exp(targets[1:3, row, column]) * SIZE_UNIT
    np.testing.assert_allclose(np.concatenate([centre - size / 2, centre + size / 2]), box, rtol=1e-5)
    # Cells around the peak point to the same centre.
    rows, columns = np.nonzero(targets[5] > 0)
    assert len(rows) > 1
    np.testing.assert_allclose((rows + targets[3][rows, columns] + 0.5) * CELL, centre[0], rtol=1e-5)
    assert np.all(targets[6] == 1)


def test_loops_cut_by_the_edge_are_cut_boxes_or_not_asked_for():
    whole, most, sliver, outside = [20, 20, 60, 60], [-10, 70, 30, 100], [100, 20, 200, 60], [200, 0, 220, 20]
    targets = targets_of([whole, most, sliver, outside])
    assert np.sum(targets[0] == 1) == 2
    # The second loop is asked for with what is seen of it.
    row, column = np.argwhere((targets[0] == 1) & (np.arange(32) > 15))[0]
    assert np.exp(targets[1, row, column]) * SIZE_UNIT == pytest.approx(30, rel=1e-5)
    ignored = np.argwhere(targets[6] == 0) * CELL
    assert ignored.min(axis=0).tolist() == [100, 20]
    assert ignored.max(axis=0).tolist() == [124, 60]


def test_nothing_is_asked_where_a_kind_is_unsure():
    boxes = [[20.0, 20, 60, 60], [80.0, 20, 104, 44], [200, 0, 220, 20]]
    asked = targets_of(boxes, kinds=[[YES], [UNSURE], [UNSURE]])[6]
    ignored = np.argwhere(asked == 0) * CELL
    assert ignored.min(axis=0).tolist() == [80, 20]
    assert ignored.max(axis=0).tolist() == [104, 44]
    # A loop that the first team marked is asked for, whatever the other team says beside it.
    loop = np.array(boxes[:1])
    targets = targets_of(np.vstack([loop, loop + 4]), kinds=[[YES], [UNSURE]])
    assert (targets[6][targets[0] == 1] == 1).all()
    assert (targets[6] == 0).any()


def test_kinds_that_nobody_looked_for_are_no_negatives():
    asked = np.array([True, False])
    targets = targets_of([[20.0, 20, 60, 60], [80, 80, 100, 100]], kinds=[[YES, NO], [NO, YES]], asked=asked)
    loops, dots, counts_loops, counts_dots = targets[0], targets[1], targets[7], targets[8]
    assert (loops == 1).sum() == (dots == 1).sum() == 1
    assert (counts_loops == 1).all()
    # Of dots only what is marked is known: the dot itself, and that the loop is none.
    assert counts_dots[dots == 1] == 1
    assert counts_dots[loops == 1] == 1
    assert counts_dots[:4].max() == 0


def test_what_is_smaller_than_can_be_seen_is_not_asked_for():
    targets = targets_of([[40.0, 40, 44, 44]])
    assert targets[0].max() == 0
    assert targets[6, 10, 10] == 0


def test_unsure_boxes_follow_the_image_as_loops_do():
    box = np.array([[200.0, 300, 260, 330]], dtype=np.float32)
    frame = np.zeros((700, 640), np.float32)
    both = np.vstack([box, box])
    seen = 0
    for seed in range(20):
        loop = draw_crop(plain_example(frame, box), np.random.default_rng(seed))[1]
        doubt = Example(frame, both, np.array([[YES], [UNSURE]]), ASKED)
        rng = np.random.default_rng(seed)
        doubt = draw_crop(doubt, rng)[1]
        if not np.array_equal(doubt[0], loop[0]):
            continue  # another box was drawn to stand in the middle
        if (centres := loop[0] == 1).any():
            rows, columns = np.nonzero(doubt[6] == 0)
            row, column = np.argwhere(centres)[0]
            assert rows.min() <= row <= rows.max() and columns.min() <= column <= columns.max()
            seen += 1
    assert seen > 5


def test_where_nobody_looked_nothing_is_asked():
    frame = np.zeros((512, 512), np.float32)
    looked = np.zeros(frame.shape, bool)
    looked[:, :256] = True
    example = Example(frame, np.empty((0, 4)), np.empty((0, 1), int), ASKED, looked)
    shares = [draw_crop(example, np.random.default_rng(seed))[1][6].mean() for seed in range(20)]
    assert 0.2 < np.mean(shares) < 0.6


def test_artefacts_are_drawn_beside_the_objects_and_are_none(monkeypatch):
    monkeypatch.setattr(fcn_crops, "_WITH_ARTEFACTS", 1.0)
    box = np.array([[200.0, 200, 300, 300]], np.float32)
    example = Example(np.zeros((512, 512), np.float32), box, np.array([[NO, YES]]), np.array([False, False]))
    changed = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        crop, targets = draw_crop(example, rng)
        counts = targets[7:]
        # Beyond what is marked only the artefacts are known, to be of no kind.
        assert ((targets[:2] == 1) <= (counts == 1)).all()
        changed += (counts[0] == 1).sum() > (targets[1] > 0.5).sum()
    assert changed >= 8


def test_sizes_that_a_tilt_makes_unsure_are_not_learned():
    assert not targets_of([[20.0, 20, 60, 60]], sure_size=False)[5].any()


def test_boxes_follow_the_image_through_every_crop():
    boxes = np.array([[200.0, 300.0, 260.0, 330.0], [500.0, 120.0, 540.0, 220.0]], dtype=np.float32)
    frame = np.zeros((700, 640), np.float32)
    for top, left, bottom, right in boxes.astype(int):
        frame[top:bottom, left:right] = 4
    rng = np.random.default_rng(7)
    seen = 0
    for _ in range(40):
        crop, targets = draw_crop(plain_example(frame, boxes), rng)
        exact = targets[5] == 1
        for row, column in np.argwhere(exact):
            half = np.exp(targets[1:3, row, column]) * SIZE_UNIT / 2
            y, x = (np.array([row, column]) + targets[3:5, row, column] + 0.5) * CELL
            inner = crop[_span(y, 0.8 * half[0]), _span(x, 0.8 * half[1])]
            above = crop[_span(y - 1.6 * half[0], 0.4 * half[0]), _span(x, 0.8 * half[1])]
            beside = crop[_span(y, 0.8 * half[0]), _span(x - 1.6 * half[1], 0.4 * half[1])]
            assert inner.std() < 1.2
            for outside in (above, beside):
                if outside.size:
                    assert inner.mean() - outside.mean() > 1.5
            seen += 1
    assert seen > 20


def _span(centre, half):
    return slice(max(round(centre - half), 0), max(min(round(centre + half), CROP), 0))


def test_same_generator_same_crop():
    frame = np.random.default_rng(1).normal(size=(600, 600)).astype(np.float32)
    boxes = np.array([[100.0, 100, 150, 160]], dtype=np.float32)
    first = draw_crop(plain_example(frame, boxes), np.random.default_rng(3))
    second = draw_crop(plain_example(frame, boxes), np.random.default_rng(3))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_no_boxes():
    assert targets_of([], 64)[0].max() == 0
