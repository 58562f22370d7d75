"""Offsets are unlikely when they are larger than those of like columns, however these are distributed."""

import numpy as np
import pytest

from stemlib.column_offsets import offset_chances

COUNT = 3000


def judged(offsets, kind=None, relative=None, rim=None):
    kind = np.zeros(len(offsets), int) if kind is None else kind
    relative = np.ones(len(offsets)) if relative is None else relative
    rim = np.zeros(len(offsets), int) if rim is None else rim
    return offset_chances(offsets, kind, relative, rim, 10.0)


@pytest.mark.parametrize("freedom", [6, 1000])
def test_normal_offsets_are_as_rare_as_their_chances_say_long_tails_too(freedom):
    rng = np.random.default_rng(0)
    found = [judged(0.2 * rng.standard_t(freedom, (COUNT, 2))) for _ in range(6)]
    assert (np.concatenate(found) < np.log(1e-2)).mean() < 0.02
    assert (np.concatenate(found) < np.log(0.5 / COUNT)).sum() <= 12


def test_displaced_columns_are_unlikely_each_among_its_own_kind():
    rng = np.random.default_rng(2)
    kind = np.arange(COUNT) % 2
    offsets = rng.normal(0, np.where(kind, 0.6, 0.15)[:, None], (COUNT, 2))
    offsets[[10, 11]] = 0.0, 1.5
    chances = judged(offsets, kind)
    assert chances[10] < np.log(1e-5)
    assert chances[11] > np.log(1e-3)


def test_a_faint_column_may_lie_farther_off():
    rng = np.random.default_rng(3)
    offsets, relative = rng.normal(0, 0.2, (COUNT, 2)), np.ones(COUNT)
    offsets[[4, 5]] = 0.0, 1.4
    relative[5] = 0.25
    chances = judged(offsets, relative=relative)
    assert chances[4] < np.log(1e-4)
    assert chances[5] > np.log(1e-2)


def test_the_outermost_columns_are_judged_among_themselves():
    rng = np.random.default_rng(4)
    offsets, rim = rng.normal(0, 0.2, (COUNT, 2)), np.zeros(COUNT, int)
    # Flyback shifts those along one edge; those along another lie less exactly.
    rim[:100], rim[100:200] = 1, 2
    offsets[:100] += [0.0, 2.0]
    offsets[100:200] *= 5
    offsets[7] += [2.0, 0.0]
    chances = judged(offsets, rim=rim)
    assert chances[7] < np.log(1e-4)
    assert (np.delete(chances[:200], 7) < np.log(1e-3)).sum() <= 2


def test_empty_sites_and_edges_of_a_few_are_not_judged():
    rng = np.random.default_rng(5)
    offsets, rim = rng.normal(0, 0.2, (COUNT, 2)), np.zeros(COUNT, int)
    offsets[:5], offsets[5:40] = 5.0, np.nan
    rim[:5] = 3
    chances = judged(offsets, rim=rim)
    assert (chances[:40] == 0).all()
    assert (chances[40:] < 0).any()
    assert (judged(offsets[40:44]) == 0).all()
