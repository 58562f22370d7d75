"""The longest period is that of a lattice, not of what only adds up with reflections by chance."""

import numpy as np
from scipy import ndimage

from stemlib.domain_segments import (
    _averaging,
    _have_multiples,
    cut_segments,
    spread_out,
    window_sigma,
    working_image,
)
from stemlib.synthetic import crystal_image


def test_a_superlattice_has_multiples_and_slow_contrast_has_none():
    lattice = np.array([[0.0, 0.1], [0.1, 0.0], [0.1, 0.1], [0.0, 0.2]])
    extra = np.array([[0.0, 0.05], [0.033, 0.033], [0.012, 0.031], [-0.07, 0.04]])
    kept = _have_multiples(np.vstack([lattice, extra]), 0.004)
    assert kept.tolist() == [True, False, False, False, True, True, False, False]


def test_vectors_are_left_out_only_beside_one_that_is_kept():
    vectors = np.random.default_rng(0).uniform(-0.3, 0.3, (80, 2))
    gaps = np.min([np.linalg.norm(vectors[:, None] - sign * vectors, axis=-1) for sign in (1, -1)], axis=0)
    kept = spread_out(vectors, 0.08, 100)
    assert 10 < len(kept) < 60
    for index in range(len(vectors)):
        assert (index in kept) == (gaps[index, kept[kept < index]] > 0.08).all()
    assert spread_out(vectors, 0.08, 5).tolist() == kept[:5].tolist()


def test_averaging_is_a_gaussian_filter():
    values = np.random.default_rng(0).normal(size=(12, 30))
    averaged = _averaging(12, 2.7) @ values @ _averaging(30, 1.8).T
    np.testing.assert_allclose(
        averaged, ndimage.gaussian_filter(values, (2.7, 1.8), mode="constant"), atol=1e-6
    )


def test_narrow_windows_are_narrower_and_measure_the_same_powers():
    work = working_image(
        crystal_image("perovskite", (256, 256), spacing=9, snr=40, seed=0).image, np.ones((256, 256), bool)
    )
    wide, narrow = cut_segments(work), cut_segments(work, finer=0.4)
    assert wide.waves.sigma == window_sigma(work)
    assert 0.5 * work.period < narrow.waves.sigma < 0.75 * wide.waves.sigma
    middle = [s.powers[:4, s.powers.shape[1] // 2, s.powers.shape[2] // 2] for s in (wide, narrow)]
    np.testing.assert_allclose(middle[0], middle[1], rtol=0.25)
