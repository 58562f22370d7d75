"""The distance of neighbours is that of the crystal, however noisy the columns' places are."""

import cv2
import numpy as np
import pytest
from scipy.spatial import cKDTree

from stemlib.columns.network import ColumnNetwork
from stemlib.columns.spacing import find_spacing, nearest_distance, resample, resampling_blur
from stemlib.synthetic import PointDefects, Recording, crystal_image, named_crystal, render_columns
from stemlib.synthetic.crystals import lattice_points


def points(name, noise, seed=0):
    """A crystal with neighbours 10 px apart, in places that are off by `noise` px."""
    crystal = named_crystal(name)
    at, *_ = lattice_points(crystal, (400, 400), spacing=10, rotation_deg=20, offset=(200, 200), margin=0)
    return at + np.random.default_rng(seed).normal(0, noise, at.shape)


@pytest.mark.parametrize("name", ["square", "hexagonal", "graphene", "perovskite", "kagome"])
def test_noise_does_not_bring_neighbours_nearer(name):
    noisy = points(name, 0.9)
    plain = np.median(cKDTree(noisy).query(noisy, k=2)[0][:, 1])
    assert plain < 9.5
    assert nearest_distance([noisy]) == pytest.approx(10, rel=0.02)


def test_groups_are_not_neighbours_of_each_other():
    group = points("square", 0.5)
    assert nearest_distance([group, group + 3.0]) == pytest.approx(10, rel=0.02)


def test_crystals_of_two_spacings_have_the_median_one():
    wide = points("square", 0.3)
    narrow = [points("square", 0.3, seed) * 0.8 for seed in (1, 2)]
    assert nearest_distance([wide, *narrow]) == pytest.approx(8, rel=0.03)


def test_the_grain_of_an_enlarged_image_is_no_crystal():
    scene = crystal_image(
        "honeycomb",
        (256, 256),
        spacing=12.5,
        rotation_deg=36,
        defects=PointDefects(vacancies=0.02),
        recording=Recording(snr=15),
        seed=3,
    )
    large = cv2.resize(scene.image, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    assert find_spacing(large, ColumnNetwork.load(device="cpu")) == pytest.approx(37.5, rel=0.03)


def test_very_many_columns():
    grid = np.mgrid[0:1200:10, 0:1200:10].reshape(2, -1).T
    noisy = grid + np.random.default_rng(0).normal(0, 0.5, grid.shape)
    assert nearest_distance([noisy]) == pytest.approx(10, rel=0.02)


def test_few_columns():
    assert nearest_distance([np.array([[0.0, 0.0], [3.0, 4.0]])]) == pytest.approx(5)
    assert np.isnan(nearest_distance([np.array([[1.0, 2.0]]), np.zeros((0, 2))]))


@pytest.mark.parametrize("factor", [0.25, 0.5, 0.8])
def test_resampling_blurs_as_it_says(factor):
    sigma = 1.6 / factor
    image = render_columns([(100.2, 99.7)], [1.0], (200, 200), sigma)
    small = resample(image.astype(np.float32), factor).astype(float)
    away = np.arange(len(small)) - (100.7 * factor - 0.5)
    variance = (small.sum(axis=1) * away**2).sum() / small.sum() / factor**2
    assert variance == pytest.approx(sigma**2 + resampling_blur(factor) ** 2, rel=0.04)
