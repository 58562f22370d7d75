"""Reflections of a lattice are kept, one of those that are close, and none far out."""

import numpy as np

from stemlib.fourier.reflections import close_together, have_multiples, not_far_out, spread_out


def test_a_superlattice_has_multiples_and_slow_contrast_has_none():
    lattice = np.array([[0.0, 0.1], [0.1, 0.0], [0.1, 0.1], [0.0, 0.2]])
    extra = np.array([[0.0, 0.05], [0.033, 0.033], [0.012, 0.031], [-0.07, 0.04]])
    kept = have_multiples(np.vstack([lattice, extra]), 0.004)
    assert kept.tolist() == [True, False, False, False, True, True, False, False]


def test_vectors_are_left_out_only_beside_one_that_is_kept():
    vectors = np.random.default_rng(0).uniform(-0.3, 0.3, (80, 2))
    gaps = np.min([np.linalg.norm(vectors[:, None] - sign * vectors, axis=-1) for sign in (1, -1)], axis=0)
    kept = spread_out(vectors, 0.08, 100)
    assert 10 < len(kept) < 60
    for index in range(len(vectors)):
        assert (index in kept) == (gaps[index, kept[kept < index]] > 0.08).all()
    assert spread_out(vectors, 0.08, 5).tolist() == kept[:5].tolist()


def test_close_reflections_are_together_with_the_first_one():
    vectors = np.array([[0.1, 0.0], [0.0, 0.1], [0.102, 0.0], [-0.099, 0.001], [0.03, 0.1]])
    assert [group.tolist() for group in close_together(vectors, 0.01)] == [[0, 2, 3], [1], [4]]


def test_what_lies_beyond_nearly_all_power_is_left_out():
    vectors = np.array([[0.0, 0.1], [0.1, 0.0], [0.0, 0.2], [0.0, 0.4], [0.4, 0.1]])
    assert not_far_out(vectors, np.array([60, 30, 9, 0.5, 0.4])).tolist() == [True, True, True, True, True]
    assert not_far_out(vectors, np.array([60, 38, 1, 0.5, 0.4])).tolist() == [True, True, True, False, False]
