"""The cell that an image's Patterson function shows, at whatever scale, and what shows none."""

import cv2
import numpy as np
import pytest

from stemlib.fourier.patterson import Patterson
from stemlib.fourier.unit_cell import reduce_cell
from stemlib.synthetic import Recording, crystal_image


def found_in(image, spacing):
    patterson = Patterson.of(image.astype(np.float32), np.ones(image.shape, np.float32), spacing)
    cell = patterson.find_cell()
    return cell, patterson.p_value(cell)


def is_same(cell, truth, tolerance=0.03):
    steps = cell @ np.linalg.inv(truth)
    whole = np.rint(steps)
    return abs(round(np.linalg.det(whole))) == 1 and np.abs(steps - whole).max() < tolerance


@pytest.mark.parametrize("name", ["square", "hexagonal", "graphene", "kagome", "perovskite", "1T'"])
def test_the_cell_is_found_and_no_chance(name):
    scene = crystal_image(name, (200, 200), spacing=8, rotation_deg=13, recording=Recording(snr=1e3), seed=2)
    cell, p_value = found_in(scene.image, 8.0)
    assert is_same(cell.vectors, scene.translations)
    # Sharp columns lie between pixels: read off less finely, the function would miss a tenth of it.
    assert 0.95 < cell.explained < 1.03 and p_value < 1e-9
    assert cell.vectors == pytest.approx(reduce_cell(cell.vectors))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("blur", [0, 1.5, 2, 3])
def test_noise_of_any_grain_is_chance(seed, blur):
    noise = np.random.default_rng([seed, 5]).normal(size=(200, 200))
    noise = cv2.GaussianBlur(noise, (0, 0), blur) if blur else noise
    assert found_in(noise, max(8.0, 5 * blur))[1] > 0.5


@pytest.mark.parametrize("slope", [0, 0.3, 1.7])
def test_stripes_do_not_repeat_in_two_directions(slope):
    y, x = np.mgrid[:200, :200]
    stripes = np.cos(2 * np.pi * (x + slope * y) / 10)
    noise = np.random.default_rng(0).normal(size=stripes.shape)
    assert found_in(stripes + 0.1 * noise, 10.0)[1] > 1e-5


def test_what_has_no_weight_changes_nothing():
    scene = crystal_image("hexagonal", (180, 180), spacing=8, seed=3)
    weights = np.ones(scene.image.shape, np.float32)
    weights[100:130, 20:150] = 0
    changed = np.where(weights > 0, scene.image, 50).astype(np.float32)
    first, second = (Patterson.of(image, weights, 8.0).find_cell() for image in (scene.image, changed))
    assert (first.vectors == second.vectors).all()


def test_waves_that_lie_on_a_lattice_show_it():
    truth = np.array([[0.0, 11.0], [17.0, 4.0]])
    reciprocal = np.linalg.inv(truth).T
    indices = np.array([[1, 0], [0, 1], [1, 1], [2, 0], [1, 2], [2, 1], [0, 3]])
    cell = Patterson.of_waves(indices @ reciprocal, np.linspace(2, 1, len(indices))).find_cell()
    assert is_same(cell.vectors, truth)


def test_waves_along_a_line_repeat_in_one_direction_only():
    patterson = Patterson.of_waves(np.array([[0.0, 0.1], [0.0, 0.2]]), np.ones(2))
    assert patterson.p_value(patterson.find_cell()) == 1


@pytest.mark.parametrize("seed", range(6))
def test_few_points_that_agree_by_accident_make_no_larger_cell(seed):
    scene = crystal_image(
        "square",
        (72, 72),
        spacing=8,
        rotation_deg=7 * seed,
        recording=Recording(snr=6, jitter=0.3),
        seed=seed,
    )
    cell, _ = found_in(scene.image, 8.0)
    assert is_same(cell.vectors, scene.translations, tolerance=0.06)
