"""Local strain tells lattices apart that differ only slightly, and drift is none of it."""

from dataclasses import replace

import numpy as np
import pytest

import stemlib
from stemlib.domains.windows import cut_segments, working_image
from stemlib.fourier.strain import local_strain, strain_features

SIDE = 192
Y, X = np.mgrid[:SIDE, :SIDE].astype(float)
RIGHT = X > 95.5


def crystal(displacement, noise=0.05):
    """A square crystal of 6.5 px, each of its points displaced by (2, H, W) px."""
    places = np.array([Y, X]) - displacement
    waves = [
        np.cos(2 * np.pi * (h * places[0] + k * places[1]) / 6.5)
        for h, k in ((0, 1), (1, 0), (1, 1), (1, -1))
    ]
    return (np.sum(waves, axis=0) + np.random.default_rng(0).normal(0, noise, X.shape)).astype(np.float32)


def halves(gradient):
    """Displacements that grow by a gradient (2, 2), beyond a vertical boundary."""
    return np.where(RIGHT, np.einsum("ij,jyx->iyx", gradient, np.array([Y, X - 95.5])), 0.0)


def segments_of(image):
    return cut_segments(working_image(image, np.ones(image.shape, bool)))


def on_grid(segments, values):
    full = np.full((*segments.usable.shape, *values.shape[1:]), np.nan)
    full[segments.usable] = values
    return full


@pytest.mark.parametrize(
    "gradient", [[[0, 0], [0, 0.02]], [[0.015, 0], [0, 0]], [[0, 0.02], [-0.02, 0]], [[0, 0.01], [0.02, 0]]]
)
def test_gradients_of_two_halves_differ_by_what_one_is_strained(gradient):
    segments = segments_of(crystal(halves(np.array(gradient))))
    found = on_grid(segments, local_strain(segments))
    # Beside edges windows see the inner half of what they would.
    rows, columns = np.array(segments.waves.rows()), np.array(segments.waves.columns())
    middle = np.abs(rows - 95.5) < 70
    parts = (np.abs(columns - 45) < 20, np.abs(columns - 147) < 20)
    left, right = (np.nanmean(found[np.ix_(middle, part)], axis=(0, 1)) for part in parts)
    assert np.abs(right - left - gradient).max() < 0.0015


def test_scatter_in_a_noisy_perfect_crystal_is_about_one():
    for noise in (0.1, 1.5):
        features = strain_features(segments_of(crystal(np.zeros((2, SIDE, SIDE)), noise)))
        assert np.isfinite(features).all()
        assert features.std(axis=0).max() < 1.6
    assert features.std(axis=0).min() > 0.4


def test_no_strain_is_found_where_no_reflection_is():
    segments = segments_of(crystal(halves(np.array([[0, 0], [0, 0.02]]))))
    rng = np.random.default_rng(0)
    waves = rng.normal(size=(2, *segments.amplitudes.shape)) * np.sqrt(segments.noise / 2)
    noise = waves[0] + 1j * waves[1]
    faint = segments.amplitudes.copy()
    faint[:, 4:9, 4:9] = noise[:, 4:9, 4:9]
    gradients = local_strain(replace(segments, amplitudes=faint))
    assert np.abs(on_grid(segments, gradients)[5:8, 5:8]).max() < 0.01
    assert (local_strain(replace(segments, amplitudes=0 * faint)) == 0).all()


def test_what_only_rows_change_counts_as_scatter_as_drift_may_have_done_it():
    kink = 0.02 * np.maximum(Y - 95.5, 0)
    drift = strain_features(segments_of(crystal(np.array([np.zeros_like(kink), kink]))))
    assert drift[:, 2].std() < 0.6
    kink = 0.02 * np.maximum(X - 95.5, 0)
    shear = strain_features(segments_of(crystal(np.array([kink, np.zeros_like(kink)]))))
    assert shear[:, 1].std() > 2


def test_what_changes_everywhere_counts_as_scatter():
    wave = 0.7 * np.sin(2 * np.pi * 1.5 * (Y + X) / SIDE)
    gradients = local_strain(segments_of(crystal(np.array([wave, wave]))))
    features = strain_features(segments_of(crystal(np.array([wave, wave]))))
    assert gradients.std(axis=0).min() > 0.01
    assert features.std(axis=0).max() < 1.2


def test_domains_whose_cells_differ_by_three_percent_are_found_and_a_bent_crystal_is_one():
    domains = stemlib.find_domains(crystal(halves(np.array([[-0.015, 0], [0, 0.015]]))))
    assert domains.n_domains == 2
    agreement = (domains.labels == RIGHT).mean()
    assert max(agreement, 1 - agreement) > 0.96
    bent = np.array([np.zeros_like(X), 3.0 * np.sin(2 * np.pi * 0.4 * Y / SIDE)])
    assert stemlib.find_domains(crystal(bent)).n_domains == 1


def test_a_coherent_boundary_is_where_the_two_lattices_meet():
    """Along it the lattices agree, so that only their continuation with their own reflections tells them apart."""
    domains = stemlib.find_domains(crystal(halves(np.array([[0, 0.05], [0, 0]]))))
    assert domains.n_domains == 2
    assert np.abs(domains.boundaries[0][:, 1] - 95.5).mean() < 4
