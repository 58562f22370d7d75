"""Faults are lines that stand out along their length, in whatever direction; points and steps are none."""

import numpy as np
import pytest
from scipy import ndimage

from stemlib import find_domains
from stemlib.domains.faults import fault_lines, misfit_map
from stemlib.synthetic import domain_image

PERIOD = 10.0
Y, X = np.mgrid[:240, :240].astype(float) - 119.5


def share_of(added, noise=0.02):
    speckle = ndimage.gaussian_filter(np.random.default_rng(2).normal(size=Y.shape), 0.7 * PERIOD)
    return (0.3 + noise * speckle / speckle.std() + added).astype(np.float32)


def found(added, **options):
    return fault_lines(share_of(added, **options), np.zeros(Y.shape, int), PERIOD)


@pytest.mark.parametrize("angle_deg", [0, 20, 45, 77, 90, 150])
def test_a_faint_line_is_found_in_any_direction(angle_deg):
    angle = np.radians(angle_deg)
    across = X * np.sin(angle) + Y * np.cos(angle)
    (line,) = found(0.1 * np.exp(-0.5 * (across / 8) ** 2), noise=0.015)
    off = (line[:, 1] - 119.5) * np.sin(angle) + (line[:, 0] - 119.5) * np.cos(angle)
    assert np.abs(off).mean() < 0.3 * PERIOD
    assert np.linalg.norm(line[0] - line[-1]) > 150


def test_two_lines_near_each_other_are_two():
    lines = found(sum(0.2 * np.exp(-0.5 * ((X - at) / 7) ** 2) for at in (-18, 18)))
    assert sorted(round(float(line[:, 1].mean() - 119.5) / 9) for line in lines) == [-2, 2]


def test_noise_points_and_slow_change_are_no_lines():
    points = sum(0.5 * np.exp(-0.5 * ((X - a) ** 2 + (Y - a / 2) ** 2) / 36) for a in (-70, 0, 70))
    for added in (0.0, points, 0.2 * np.exp(-0.5 * (X / 60) ** 2)):
        assert found(added) == []


def test_what_leaves_next_to_nothing_is_no_line():
    line = np.exp(-0.5 * (X / 8) ** 2)
    assert fault_lines((0.01 * share_of(0.2 * line)), np.zeros(Y.shape, int), PERIOD) == []
    assert len(found(0.2 * line)) == 1


def test_nothing_is_told_at_a_domains_outline():
    labels = (X > 0).astype(int)
    share = share_of(0.2 * np.exp(-0.5 * (X / 8) ** 2))
    assert fault_lines(share, labels, PERIOD) == []
    assert fault_lines(np.full(Y.shape, np.nan, np.float32), np.full(Y.shape, -1), PERIOD) == []


def test_misfit_is_the_share_over_the_domains_median():
    labels = (X > 0).astype(int)
    share = np.where(labels, 0.4, 0.1).astype(np.float32)
    labels[0, :3], share[0, :3], share[1, 1] = -1, np.nan, 0.3
    misfit = misfit_map(share, labels)
    assert np.isnan(misfit[0, :3]).all()
    assert misfit[5, 5] == misfit[5, 200] == pytest.approx(1)
    assert misfit[1, 1] == pytest.approx(3)


@pytest.mark.parametrize("seed", [50, 51])
def test_stacking_faults_of_cadmium_telluride_are_lines_and_no_domains(seed):
    scene = domain_image(
        "stacking-faults", (384, 384), pixel_size_nm=0.027, dose_per_nm2=1e5, source_fwhm_nm=0.12, seed=seed
    )
    domains = find_domains(scene.image)
    assert domains.n_domains == 1
    assert (domains.labels == 0).mean() > 0.99
    points = np.concatenate(domains.faults)
    for fault in scene.faults:
        middle = fault[len(fault) // 4 : -len(fault) // 4]
        near = np.linalg.norm(middle[:, None] - points, axis=-1).min(axis=1) < scene.cell_edge
        assert near.mean() > 0.9


@pytest.mark.parametrize("seed", [51, 52])
def test_a_twin_of_cadmium_telluride_is_a_domain(seed):
    scene = domain_image(
        "sphalerite-twin", (384, 384), pixel_size_nm=0.027, dose_per_nm2=1e5, source_fwhm_nm=0.12, seed=seed
    )
    for method in ("mixture", "one-class"):
        domains = find_domains(scene.image, method=method)
        assert domains.n_domains == 2
        smaller = scene.labels == 1
        twin = domains.labels == np.bincount(domains.labels[smaller]).argmax()
        assert (twin == smaller).mean() > 0.985
