"""Windows measure powers, whatever their width, and count only where a crystal is, or one of two."""

from dataclasses import replace

import numpy as np
from scipy import ndimage

from stemlib.domains.windows import _averaging, cut_segments, window_sigma, working_image
from stemlib.synthetic import crystal_image


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


def test_reflections_beside_those_of_a_crystal_leave_its_windows_usable():
    image = crystal_image("square", (256, 256), spacing=9, snr=30, seed=0).image
    work = working_image(image, np.ones(image.shape, bool))
    beside = 0.8 / (2 * np.pi * window_sigma(work)) * np.array([[1, 0], [0, 1], [-1, 0]])
    doubled = np.vstack([work.vectors, *(work.vectors + step for step in beside)])
    segments = cut_segments(replace(work, vectors=doubled))
    assert len(segments.vectors) > 2 * len(work.vectors)
    assert segments.usable[1:-1, 1:-1].all()


def test_reflections_far_out_do_not_count():
    image = crystal_image("honeycomb", (256, 256), spacing=12, snr=40, seed=0).image
    y, x = np.mgrid[:256, :256]
    scan = 0.1 * image.std() * np.cos(2 * np.pi * (0.46 * y + 0.06 * x))
    segments = cut_segments(working_image((image + scan).astype(np.float32), np.ones(image.shape, bool)))
    assert len(segments.vectors) > 3
    assert np.linalg.norm(segments.vectors, axis=1).max() < 0.4


def test_scan_lines_of_alternate_directions_make_no_reflections_even_in_an_image_that_was_turned():
    image = crystal_image("hexagonal", (256, 256), spacing=11, rotation_deg=13, snr=40, seed=0).image
    image[1::2] = np.roll(image[1::2], 1, axis=1)
    for turned in (image, image.T):
        vectors = working_image(turned.astype(np.float32), np.ones(image.shape, bool)).vectors
        assert len(vectors) > 3
        assert np.linalg.norm(vectors, axis=1).max() < 0.35
