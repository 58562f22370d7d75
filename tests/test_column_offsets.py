"""Offsets are unlikely when they are larger than those of like columns, however these are distributed."""

import numpy as np
import pytest

from stemlib.column_offsets import offset_chances

COUNT = 3000


def judged(offsets, kind=None, relative=None, positions=None):
    rng = np.random.default_rng(1)
    kind = np.zeros(len(offsets), int) if kind is None else kind
    relative = np.ones(len(offsets)) if relative is None else relative
    positions = rng.uniform(20, 480, (len(offsets), 2)) if positions is None else positions
    return offset_chances(offsets, kind, relative, positions, 10.0, (500, 500))


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


def test_columns_cut_by_the_edge_are_judged_among_themselves_and_empty_sites_not_at_all():
    rng = np.random.default_rng(4)
    positions = rng.uniform(20, 480, (COUNT, 2))
    positions[:200, 0] = 1.0
    offsets = rng.normal(0, 0.2, (COUNT, 2))
    offsets[:200] *= 5
    offsets[300:310] = np.nan
    chances = judged(offsets, positions=positions)
    assert (chances[:200] < np.log(1e-3)).sum() <= 3
    assert (chances[300:310] == 0).all()
    assert (judged(offsets[:4]) == 0).all()
