import numpy as np
import pytest

from stemlib.workbench.marks import Mark, Outline, State, region_mask


def test_a_step_changes_no_earlier_state():
    start = State({0: Mark(1.0, 2.0, "loop", score=0.5)}, 0.4)
    after = start.with_mark(1, Mark(3.0, 4.0, "loop", verdict=True))
    gone = after.with_mark(0, None)
    assert list(start.marks) == [0] and list(after.marks) == [0, 1] and list(gone.marks) == [1]
    assert after.free_number() == 2 and State({}, 0.0).free_number() == 0


def test_a_verdict_goes_before_the_threshold():
    state = State({}, 0.5)
    assert state.counts(Mark(0, 0, "loop", score=0.5)) and not state.counts(Mark(0, 0, "loop", score=0.49))
    assert state.counts(Mark(0, 0, "loop", score=0.1, verdict=True))
    assert not state.counts(Mark(0, 0, "loop", score=0.9, verdict=False))
    assert state.counts(Mark(0, 0, "loop")) and not state.counts(Mark(0, 0, "loop", verdict=False))


def test_an_ellipse_is_hit_along_its_own_axes():
    mark = Mark(50, 50, "loop", (40, 10, 90))
    assert mark.holds(31, 50, 0) and not mark.holds(50, 56, 0) and mark.holds(50, 56, 2)


@pytest.mark.parametrize("first", [True, False])
def test_outlines_add_and_take_away_in_their_order(first):
    square = ((10, 10), (10, 20), (20, 20), (20, 10))
    small = ((12, 12), (12, 18), (18, 18), (18, 12))
    looked = np.ones((40, 40), bool)
    looked[:, 19:] = False
    mask = region_mask((Outline(square, first), Outline(small, not first)), looked)
    assert mask[11, 11] == first and mask[15, 15] != first and mask[30, 5] != first
    assert not mask[:, 19:].any()
