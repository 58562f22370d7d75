"""Crystals and their images show what they say."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from stemlib.synthetic import (
    Imaging,
    PointDefects,
    Recording,
    crystal_image,
    named_crystal,
    random_crystal,
    record,
    render_columns,
)
from stemlib.synthetic.crystals import NAMES, lattice_points


@pytest.mark.parametrize("name", NAMES)
def test_named_crystals_have_nearest_neighbours_at_the_spacing(name):
    positions, _, _ = lattice_points(named_crystal(name), (200, 200), spacing=10, margin=30)
    inner = ((positions > 0) & (positions < 199)).all(axis=1)
    nearest = cKDTree(positions).query(positions[inner], k=2)[0][:, 1]
    assert np.median(nearest) == pytest.approx(10, rel=1e-6)


def test_random_crystals_keep_their_columns_apart():
    for seed in range(30):
        crystal = random_crystal(np.random.default_rng(seed))
        positions, _, translations = lattice_points(crystal, (60, 60), spacing=5, rotation_deg=33, margin=20)
        nearest = cKDTree(positions).query(positions, k=2)[0][:, 1]
        assert nearest.min() > 0.59 * 5
        density = len(crystal.sites) / abs(np.linalg.det(translations))
        assert len(positions) == pytest.approx(density * 100**2, rel=0.15)


def test_rotation_is_counter_clockwise_as_seen():
    _, _, translations = lattice_points(named_crystal("square"), (20, 20), spacing=10, rotation_deg=30)
    # Upwards on the screen is negative y.
    np.testing.assert_allclose(translations[0], [-5, 10 * np.cos(np.pi / 6)])


def test_unknown_crystal_is_refused():
    with pytest.raises(ValueError, match=r"name='salt'.*perovskite"):
        named_crystal("salt")


def test_a_column_has_its_centre_height_and_width():
    image = render_columns([(20.3, 14.6)], [3.0], (41, 31), sigma=2.5)
    y, x = np.mgrid[:41, :31]
    expected = 3 * np.exp(-((y - 20.3) ** 2 + (x - 14.6) ** 2) / (2 * 2.5**2))
    np.testing.assert_allclose(image, expected, atol=2e-3)


def test_astigmatism_stretches_along_its_angle():
    image = render_columns([(30, 30)], [1.0], (61, 61), sigma=4, astigmatism=(2.0, 30.0))
    y, x = np.mgrid[:61, :61] - 30.0
    along, across = (
        x * np.cos(np.pi / 6) - y * np.sin(np.pi / 6),
        x * np.sin(np.pi / 6) + y * np.cos(np.pi / 6),
    )
    spread = [np.sqrt((image * d**2).sum() / image.sum()) for d in (along, across)]
    np.testing.assert_allclose(spread, [4 * np.sqrt(2), 4 / np.sqrt(2)], rtol=5e-3)


def test_scan_lines_shift_to_the_right():
    shifts = np.zeros(21)
    shifts[10] = 2.0
    image = render_columns([(10, 10)], [1.0], (21, 21), sigma=1.5, row_shifts=shifts)
    assert image[10].argmax() == 12
    assert image[9].argmax() == 10


def test_stated_noise_is_that_of_a_matched_filter():
    imaging = Imaging(sigma=2.0, dose=20, background=0.3, readout=0.05)
    template = render_columns([(12, 12)], [1.0], (25, 25), 2.0)
    rng = np.random.default_rng(0)
    answers, noises = [], []
    for _ in range(800):
        image, noise = record([(12, 12)], [1.0], (25, 25), imaging, rng)
        answers.append(((image - 0.3) * template).sum() / (template**2).sum())
        noises.append(noise[0])
    assert np.mean(answers) == pytest.approx(1, abs=0.01)
    assert np.std(answers) == pytest.approx(np.mean(noises), rel=0.08)


def test_crystal_image_states_what_is_in_it():
    scene = crystal_image(
        "perovskite",
        (200, 200),
        spacing=10,
        defects=PointDefects(vacancies=0.1, displaced=0.1),
        recording=Recording(snr=40),
        seed=1,
    )
    total = len(scene.columns) + len(scene.missing)
    assert len(scene.missing) / total == pytest.approx(0.1, abs=0.03)
    assert (scene.columns["displaced"] > 0).mean() == pytest.approx(0.1, abs=0.035)

    def heights(table):
        return scene.image[
            table["y"].round().astype(int).clip(0, 199), table["x"].round().astype(int).clip(0, 199)
        ]

    strong = scene.columns[scene.columns["site"] == 0]
    assert heights(strong).mean() > 0.8
    assert heights(scene.missing).mean() < 0.35
    assert strong["snr"].median() == pytest.approx(40, rel=0.15)


def test_shear_moves_translations_and_columns_alike():
    shear = ((0.0, 0.0), (0.05, 0.01))
    scene = crystal_image("square", (100, 100), spacing=10, recording=Recording(shear=shear), seed=2)
    np.testing.assert_allclose(scene.translations, [[0, 10.1], [10, 0.5]])
    steps = np.linalg.solve(
        scene.translations.T, (scene.columns[["y", "x"]] - scene.columns[["y", "x"]].iloc[0]).T
    )
    np.testing.assert_allclose(steps, steps.round(), atol=1e-6)


def test_vacuum_holds_no_columns():
    crystalline = np.zeros((100, 100), bool)
    crystalline[:, :50] = True
    scene = crystal_image("hexagonal", (100, 100), crystalline=crystalline, seed=0)
    assert scene.columns["x"].max() < 50.5
    assert scene.columns["x"].max() > 40


def test_a_displacement_in_nm_needs_a_scale():
    with pytest.raises(ValueError, match="displacement_nm=0.1 needs an image with a scale"):
        crystal_image("square", (40, 40), defects=PointDefects(displaced=0.1, displacement_nm=0.1), seed=0)


def test_same_seed_same_image():
    first, second = (
        crystal_image("kagome", (40, 40), defects=PointDefects(vacancies=0.1), seed=5).image for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
