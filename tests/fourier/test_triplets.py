"""Triplet phases do not change when a crystal is shifted, and change sign when it is inverted."""

import itertools
from dataclasses import replace

import numpy as np

from stemlib.domains.windows import cut_segments, patterson_features, working_image
from stemlib.fourier.triplets import find_triplets, triplet_features
from stemlib.synthetic import Crystal, crystal_image, named_crystal


def working(crystal, roll=(0, 0)):
    image = crystal_image(crystal, (200, 200), spacing=10, rotation_deg=13, snr=200, seed=1).image
    image = np.roll(image, roll, axis=(0, 1))[:160, :160]
    return working_image(image, np.ones(image.shape, bool))


def products(crystal, like, **options):
    """Mean products of the triplets of the reflections of another image."""
    work = replace(working(crystal, **options), vectors=like.vectors)
    features = np.median(triplet_features(cut_segments(work)), axis=0)
    return features[::2] + 1j * features[1::2]


def nearest(first, second):
    """Distances of complex numbers to the nearest among others, over the largest: their order may differ."""
    return np.abs(first[:, None] - second).min(axis=1) / np.abs(first).max()


def honeycomb(sign):
    crystal = named_crystal("honeycomb")
    return Crystal(crystal.cell, sign * crystal.sites % 1, crystal.intensities)


def test_triplets_are_those_whose_sum_is_zero_each_once():
    hexagon = np.array([(np.sin(a), np.cos(a)) for a in np.radians([10, 70, 130])]) / 10
    vectors = np.vstack([hexagon, 2 * hexagon[:1]])
    indices, signs = find_triplets(vectors, np.array([4.0, 3.0, 2.0, 1.0]), 1e-3)
    sums = (vectors[indices] * signs[..., None]).sum(axis=1)
    assert np.abs(sums).max() < 1e-9
    assert sorted(map(tuple, np.sort(indices, axis=1).tolist())) == [(0, 0, 3), (0, 1, 2)]
    # The largest product of amplitudes comes first.
    assert sorted(indices[0].tolist()) == [0, 1, 2]
    assert len(find_triplets(vectors, np.ones(4), 1e-3, most=1)[0]) == 1


def test_triplets_are_all_that_a_search_one_by_one_finds_the_strongest_first():
    rng = np.random.default_rng(3)
    indices = np.array([(h, k) for h in range(-2, 3) for k in range(3) if (k, h) > (0, 0)])
    vectors = indices @ [[0.01, 0.08], [0.09, 0.02]] + rng.normal(scale=1e-4, size=(len(indices), 2))
    strengths = rng.uniform(1, 2, len(vectors))
    expected = set()
    for triplet in itertools.combinations_with_replacement(range(len(vectors)), 3):
        for signs in itertools.product((1, -1), repeat=2):
            if np.linalg.norm(np.array([1, *signs]) @ vectors[list(triplet)]) < 1e-3:
                expected.add((triplet, (1, *signs)))
    found, signs = find_triplets(vectors, strengths, 1e-3, most=None)
    assert len(found) == len(expected) > 20
    assert set(zip(map(tuple, found.tolist()), map(tuple, signs.tolist()), strict=True)) == expected
    assert (np.diff(strengths[found].prod(axis=1)) <= 0).all()


def test_a_shift_changes_nothing():
    like = working(honeycomb(1))
    first, shifted = products(honeycomb(1), like), products(honeycomb(1), like, roll=(-13, -22))
    assert nearest(first, shifted).max() < 0.1


def test_inversion_changes_the_sign_of_the_phases_and_no_power():
    like = working(honeycomb(1))
    first, second = (products(honeycomb(sign), like) for sign in (1, -1))
    assert nearest(first.conj(), second).max() < 0.1
    # The strongest triplet, that of the shortest reflections.
    assert abs(first[0].imag) > 5
    assert abs(first[0] - second[0].conj()) < 0.1 * abs(first[0])
    powers = [
        np.median(
            patterson_features(cut_segments(replace(working(honeycomb(s)), vectors=like.vectors))), axis=0
        )
        for s in (1, -1)
    ]
    assert np.abs(powers[0] - powers[1]).max() < 3


def test_reflections_without_triplets_give_no_features():
    y, x = np.mgrid[:128, :128]
    image = np.cos(2 * np.pi * 0.1 * x) + np.cos(2 * np.pi * (0.13 * y + 0.02 * x))
    image += np.random.default_rng(0).normal(scale=0.3, size=image.shape)
    segments = cut_segments(working_image(image.astype(np.float32), np.ones(image.shape, bool)))
    assert triplet_features(segments).shape == (segments.usable.sum(), 0)
