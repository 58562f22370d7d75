"""Structures, their projections and their images are those of the publications."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from scipy.spatial import cKDTree

from stemlib.synthetic import DarkField, Imaging, PointDefects, material_image, project, record
from stemlib.synthetic.materials import (
    MATERIALS,
    along_beam,
    bulk_crystal,
    mowte2_bilayer,
    tmd,
    wte2_1t_prime,
)
from stemlib.synthetic.projection import projected
from stemlib.synthetic.recording import SCATTERED_NM2


def bonds(atoms, first, second, n):
    """The n shortest distances from the first atom of a kind to atoms of another."""
    here = atoms.symbols.search(first)[0]
    there = atoms.positions[atoms.symbols.search(second)]
    steps = np.mgrid[-1:2, -1:2, -1:2].reshape(3, -1).T
    steps = steps[(steps[:, ~atoms.pbc] == 0).all(axis=1)] @ atoms.cell.array
    distances = np.linalg.norm(there[:, None] + steps - atoms.positions[here], axis=-1)
    return np.sort(distances.ravel())[:n]


@pytest.mark.parametrize(
    ("atoms", "pair", "expected"),
    [
        (tmd("MoTe2"), ("Mo", "Te"), [2.71] * 6),
        (tmd("WSe2"), ("W", "Se"), [2.53] * 6),
        (tmd("MoS2"), ("Mo", "S"), [2.41] * 6),
        (wte2_1t_prime(), ("W", "Te"), [2.71, 2.71, 2.71, 2.82, 2.82, 2.82]),
        (wte2_1t_prime(), ("W", "W"), [0, 2.85, 2.85]),
        (bulk_crystal("SrTiO3"), ("Ti", "O"), [1.95] * 6),
        (bulk_crystal("ZrO2"), ("Zr", "O"), [2.05, 2.06, 2.15, 2.16, 2.19, 2.22, 2.28]),
    ],
)
def test_bond_lengths_are_known_ones(atoms, pair, expected):
    np.testing.assert_allclose(bonds(atoms, *pair, len(expected)), expected, atol=0.03)


def test_layers_of_2h_are_turned_and_those_of_3r_are_not():
    assert sorted(map(sorted, project(tmd("MoS2", layers=2)).columns)) == [[16, 16, 42]] * 2
    columns = sorted(map(sorted, project(tmd("MoS2", layers=2, stacking="3R")).columns))
    assert columns == [[16, 16], [16, 16, 42], [42]]


def test_projected_zirconia_has_half_the_cell():
    crystal = project(bulk_crystal("ZrO2"))
    cell = crystal.crystal.cell * crystal.spacing_nm * 10
    assert sorted(np.linalg.norm(cell, axis=1)) == pytest.approx([5.3173 / 2, 5.1505], abs=1e-4)
    cosine = cell[0] @ cell[1] / np.prod(np.linalg.norm(cell, axis=1))
    assert abs(np.degrees(np.arccos(cosine)) - 90) == pytest.approx(9.23, abs=0.01)
    assert sorted(column for column in crystal.columns) == [(8,)] * 4 + [(40,)] * 2


@pytest.mark.parametrize(
    ("atoms", "edges", "angle"),
    [
        (bulk("Fe", cubic=True), (2.87 / np.sqrt(2),) * 2, 90),
        (bulk("Fe", cubic=True).repeat((3, 2, 1)), (2.87 / np.sqrt(2),) * 2, 90),
        (bulk("Cu", cubic=True), (3.61 / 2,) * 2, 90),
        (bulk_crystal("SrTiO3").repeat((2, 3, 1)), (3.9053, 3.9053), 90),
        (tmd("WSe2").repeat((1, 4, 1)), (3.282, 3.282), 60),
    ],
)
def test_the_projected_cell_is_primitive_and_not_oblique(atoms, edges, angle):
    crystal = project(atoms)
    cell = crystal.crystal.cell * crystal.spacing_nm * 10
    np.testing.assert_allclose(np.linalg.norm(cell, axis=1), edges, rtol=1e-6)
    cosine = cell[0] @ cell[1] / np.prod(np.linalg.norm(cell, axis=1))
    assert abs(cosine) == pytest.approx(np.cos(np.radians(angle)), abs=1e-9)
    assert (crystal.crystal.sites > -1e-6).all() and (crystal.crystal.sites < 1).all()


def test_every_structure_keeps_its_density_in_projection():
    for name, (build, _) in MATERIALS.items():
        atoms, crystal = build(), projected(name)
        area = abs(np.linalg.det(crystal.crystal.cell)) * (10 * crystal.spacing_nm) ** 2
        whole = abs(np.linalg.det(atoms.cell[:2, :2]))
        assert sum(map(len, crystal.columns)) / area == pytest.approx(len(atoms) / whole)


def test_a_body_diagonal_is_projected_along_itself():
    atoms = along_beam(bulk_crystal("SrTiO3"), (1, -1, 0), (0, 1, -1), (1, 1, 1))
    assert atoms.cell.lengths()[2] == pytest.approx(3.9053 * np.sqrt(3))
    # Sr and Ti lie on the same lines.
    assert (22, 38) in [tuple(sorted(column)) for column in project(atoms).columns]
    with pytest.raises(ValueError, match="right-handed"):
        along_beam(bulk_crystal("SrTiO3"), (1, 0, 0), (0, 1, 0), (0, 0, -1))


def test_intensity_goes_as_the_power_of_the_atomic_number():
    crystal = project(bulk_crystal("SrTiO3"), thickness_nm=10)
    expected = np.array([38**1.7, 22**1.7 + 8**1.7, 8**1.7, 8**1.7])
    np.testing.assert_allclose(crystal.crystal.intensities, expected / 38**1.7)
    assert crystal.strength == pytest.approx(26 * 38**1.7)


def test_atoms_on_one_another_are_one_column_across_the_edge_of_the_cell_too():
    places = [(0.05, 2, 0), (3.98, 2.05, 1), (2, 0.5, 0)]
    atoms = Atoms("W2C", places, cell=[4, 4, 2], pbc=True)
    crystal = project(atoms)
    assert crystal.columns == ((74, 74), (6,))
    at = crystal.crystal.sites[0] @ crystal.crystal.cell * crystal.spacing_nm * 10
    np.testing.assert_allclose(np.mod(at, 4), [1.975, 0.015], atol=1e-6)


def test_mixed_sites_hold_the_stated_share():
    crystal = project(mowte2_bilayer(0.3))
    sites = np.arange(20000) % 2
    intensities = crystal.intensities(sites, np.random.default_rng(0))
    low, high = np.unique(intensities.round(6))
    assert (low / high) == pytest.approx((42**1.7 + 2 * 52**1.7) / (74**1.7 + 2 * 52**1.7), rel=1e-4)
    assert (intensities > (low + high) / 2).mean() == pytest.approx(0.3, abs=0.01)
    assert intensities.mean() == pytest.approx(1, abs=0.002)


def test_images_have_the_pixel_size_that_is_stated():
    scene = material_image("MoWTe2 bilayer", (300, 300), pixel_size_nm=0.016, rotation_deg=20, seed=0)
    lengths = np.linalg.norm(scene.translations, axis=1)
    np.testing.assert_allclose(lengths, 0.3519 / 0.016)
    at = scene.columns[["y", "x"]].to_numpy()
    nearest = cKDTree(at).query(at, k=2)[0][:, 1]
    assert np.median(nearest) == pytest.approx(0.3519 / np.sqrt(3) / 0.016)
    assert scene.spacing == pytest.approx(np.median(nearest))


def test_defects_are_missing_and_misplaced_as_stated():
    scene = material_image(
        "SrTiO3",
        (400, 400),
        defects=PointDefects(vacancies=0.1, displaced=0.1, displacement_nm=0.12),
        recording=DarkField(jitter_nm=0),
        seed=3,
    )
    moved = scene.columns[scene.columns["displaced"] > 0]
    assert set(moved["displaced"].round(6)) == {6.0}
    # O columns, sites 2 and 3, stay whole.
    assert set(scene.missing["site"]) == {0, 1} == set(moved["site"])
    visible = (scene.columns["site"] < 2).sum() + len(scene.missing)
    assert len(scene.missing) / visible == pytest.approx(0.1, abs=0.035)


def test_counts_follow_from_the_dose():
    dose, pixel = 1e7, 0.02
    scene = material_image(
        "graphene",
        (200, 200),
        pixel_size_nm=pixel,
        recording=DarkField(dose_per_nm2=dose, background=0),
        seed=0,
    )
    strength = 6**1.7 * SCATTERED_NM2 / (2 * np.pi * DarkField().sigma_nm ** 2)
    electrons = scene.image.sum() * dose * pixel**2 * strength
    expected = dose * SCATTERED_NM2 * 6**1.7 * 38.1 * (200 * pixel) ** 2
    assert electrons == pytest.approx(expected, rel=0.06)


def test_more_dose_more_signal_to_noise():
    few, many = (
        material_image(shape=(96, 96), recording=DarkField(dose_per_nm2=dose), seed=0) for dose in (1e6, 4e6)
    )
    assert (many.columns["snr"] / few.columns["snr"]).median() == pytest.approx(2, rel=0.02)
    # The dose is per area: finer pixels see as much.
    fine = material_image(shape=(192, 192), pixel_size_nm=0.01, recording=DarkField(dose_per_nm2=1e6), seed=0)
    assert fine.columns["snr"].median() == pytest.approx(few.columns["snr"].median(), rel=0.03)


@pytest.mark.parametrize("tail", [0.0, 0.2, 0.5])
def test_the_signal_to_noise_ratio_is_that_of_a_filter_matched_to_the_whole_profile(tail):
    # One column on a background so bright that the noise is the same everywhere.
    lone = project(Atoms("W", cell=[40, 40, 3], pbc=True))
    recording = DarkField(tail=tail, background=1e4, jitter_nm=0)
    scene = material_image(lone, (81, 81), recording=recording, seed=0)
    imaging = recording.imaging(lone, 0.02)
    alone = Imaging(sigma=imaging.sigma, tail=tail, background=0.0)
    profile, _ = record(scene.columns[["y", "x"]], [1.0], (81, 81), alone, np.random.default_rng(0))
    # Of white noise: the length of the profile over the noise in a pixel.
    expected = np.linalg.norm(profile) / np.sqrt(1e4 / imaging.dose)
    assert scene.columns["snr"].item() == pytest.approx(expected, rel=0.01)


def test_contamination_and_vacuum():
    crystalline = np.zeros((128, 128), bool)
    crystalline[64:] = True
    scene = material_image(
        shape=(128, 128), crystalline=crystalline, recording=DarkField(contamination=0.3), seed=0
    )
    clean = material_image(shape=(128, 128), crystalline=crystalline, seed=0)
    assert scene.columns["y"].min() > 63
    assert scene.image[:56].mean() > clean.image[:56].mean() + 0.2


def test_same_seed_same_image():
    first, second = (
        material_image(shape=(64, 64), defects=PointDefects(vacancies=0.1), seed=4).image for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"material": "salt"}, ValueError, "material='salt' is not known.*SrTiO3"),
        ({"material": 3}, TypeError, "material=3"),
        ({"pixel_size_nm": 0}, ValueError, "pixel_size_nm=0"),
        ({"defects": PointDefects(mixed=0.1)}, ValueError, "mixed=0.1 must be 0"),
    ],
)
def test_bad_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        material_image(**({"shape": (32, 32), "seed": 0} | arguments))


@pytest.mark.parametrize("value", [{"dose_per_nm2": -1}, {"convergence_mrad": 0}, {"voltage_kv": np.nan}])
def test_a_recording_that_cannot_be_is_named(value):
    with pytest.raises(ValueError, match=f"{next(iter(value))}=.* must be positive"):
        DarkField(**value)


def test_bad_structures_are_named():
    with pytest.raises(ValueError, match="tungsten=2"):
        mowte2_bilayer(2)
    with pytest.raises(ValueError, match="formula='MoO2'"):
        tmd("MoO2")
    with pytest.raises(ValueError, match="stacking='AA'"):
        tmd(layers=2, stacking="AA")
    tilted = bulk_crystal("SrTiO3")
    tilted.rotate(10, "x", rotate_cell=True)
    with pytest.raises(ValueError, match="along z"):
        project(tilted)
