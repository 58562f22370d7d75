import cv2
import numpy as np
import pytest

import stemlib
from stemlib.fourier.unit_cell import reduce_cell
from stemlib.lattice.cell_samples import fit_gradient
from stemlib.synthetic import PointDefects, Recording, crystal_image, random_crystal, render_columns
from stemlib.synthetic.crystals import Crystal, lattice_points, named_crystal


def steps_between(lattice, truth):
    """The translations of all that is seen, in units of the true ones: whole numbers of determinant 1."""
    steps = lattice.with_superstructure().cell @ np.linalg.inv(truth)
    whole = np.round(steps)
    assert abs(round(np.linalg.det(whole))) == 1, f"{np.linalg.det(steps):.3g} times the area"
    assert np.abs(steps - whole).max() < 0.05
    return whole


def assert_same(lattice, truth, *, length=0.002, angle=0.2):
    same = steps_between(lattice, truth) @ truth
    lattice = lattice.with_superstructure()
    lengths = np.linalg.norm(same, axis=1)
    assert lattice.lengths == pytest.approx(lengths, rel=length)
    assert lattice.angle_deg == pytest.approx(
        np.degrees(np.arccos(same[0] @ same[1] / lengths.prod())), abs=angle
    )


def perovskite(share, *, seed, shape=(256, 256), vacancies=0.0):
    """SrTiO3 [001], whose second column has this share of the first one's intensity."""
    crystal = Crystal(np.eye(2) * np.sqrt(2), np.array([[0, 0], [0.5, 0.5]]), np.array([1.0, share]))
    return crystal_image(
        crystal,
        shape,
        spacing=8,
        rotation_deg=12,
        defects=PointDefects(vacancies=vacancies),
        recording=Recording(snr=10),
        seed=seed,
    )


@pytest.mark.parametrize("seed", range(15))
def test_the_cells_of_random_crystals_are_found(seed):
    rng = np.random.default_rng([7, seed])
    crystal = random_crystal(rng)
    spacing = rng.uniform(5, 18)
    side = int(max(96, 6.5 * spacing * np.linalg.norm(reduce_cell(crystal.cell), axis=1).max()))
    scene = crystal_image(
        crystal,
        (side, side),
        spacing=spacing,
        rotation_deg=rng.uniform(0, 360),
        defects=PointDefects(vacancies=0.03),
        recording=Recording(snr=rng.uniform(8, 40), jitter=0.02 * spacing),
        seed=rng,
    )
    assert_same(stemlib.find_lattice(scene.image), scene.translations, length=0.006, angle=0.5)


@pytest.mark.parametrize(
    "name", ["square", "hexagonal", "honeycomb", "graphene", "kagome", "perovskite", "1T'"]
)
def test_sheared_and_jittered_images_are_measured_exactly(name):
    scene = crystal_image(
        name,
        (384, 384),
        spacing=9,
        rotation_deg=21,
        defects=PointDefects(vacancies=0.02),
        recording=Recording(shear=((0, 0.01), (0, 0)), jitter=0.3),
        seed=2,
    )
    assert_same(stemlib.find_lattice(scene.image), scene.translations)


@pytest.mark.parametrize("spacing, side", [(4, 64), (4, 300), (10, 64), (80, 520)])
@pytest.mark.parametrize("name", ["square", "honeycomb"])
def test_columns_may_be_close_or_far_apart(name, spacing, side):
    scene = crystal_image(name, (side, side), spacing=spacing, rotation_deg=13, seed=3)
    assert_same(stemlib.find_lattice(scene.image), scene.translations, length=0.005, angle=0.4)


def test_the_half_diagonal_of_a_perovskite_is_no_translation_where_columns_differ():
    for seed in range(3):
        scene = perovskite(0.94, seed=seed)
        assert_same(stemlib.find_lattice(scene.image), scene.translations)


def test_equal_columns_make_the_cell_half_as_large():
    for seed in range(6):
        scene = perovskite(1.0, seed=seed, vacancies=0.02)
        half = np.array([[0.5, 0.5], [0.5, -0.5]]) @ scene.translations
        assert_same(stemlib.find_lattice(scene.image), half)


def test_a_difference_of_five_standard_errors_is_seen():
    # Differences between the two columns in units of the standard error of the difference of the averaged ones,
    # as a matched filter measures them.
    found = []
    for seed in range(6):
        scene = perovskite(0.9, seed=seed)
        cells = scene.columns.site.value_counts().min()
        error = np.sqrt(2 / cells) / scene.columns.snr.median()
        scene = perovskite(1 - 7 * error, seed=seed)
        lattice = stemlib.find_lattice(scene.image)
        found.append(
            round(lattice.with_superstructure().area / abs(np.linalg.det(scene.translations)), 1) == 1
        )
    assert sum(found) >= 5


@pytest.mark.parametrize("mixed", [0.3, 0.8])
def test_random_occupation_is_no_superstructure(mixed):
    for seed in range(3):
        scene = crystal_image(
            "honeycomb", (320, 320), spacing=8, rotation_deg=8, defects=PointDefects(mixed=mixed), seed=seed
        )
        assert_same(stemlib.find_lattice(scene.image), scene.translations)


def test_a_weak_displacement_superstructure_is_found():
    at, site, translations = lattice_points(named_crystal("square"), (300, 300), spacing=10, margin=20)
    row = np.round((at[:, 0] - at[0, 0]) / 10).astype(int)
    moved = at + np.outer(np.where(row % 2, 0.5, -0.5), [0, 1])
    image = render_columns(moved, np.ones(len(at)), (300, 300), 2.2)
    image += np.random.default_rng(0).normal(0, 0.1, image.shape)
    assert_same(stemlib.find_lattice(image), np.array([[1, 0], [0, 2]]) @ translations)


def test_the_stated_errors_are_those_made():
    pulls = []
    for seed in range(8):
        scene = crystal_image(
            "honeycomb",
            (200, 200),
            spacing=8,
            rotation_deg=11 * seed,
            recording=Recording(jitter=0.3, snr=12),
            seed=seed,
        )
        lattice = stemlib.find_lattice(scene.image)
        truth = steps_between(lattice, scene.translations) @ scene.translations
        pulls.append((lattice.with_superstructure().cell - truth) / [lattice.a_error, lattice.b_error])
    assert 0.5 < np.sqrt(np.mean(np.square(pulls))) < 2


def test_displacements_by_drift_are_measured():
    still, drifted = (
        stemlib.find_lattice(
            crystal_image("square", (300, 300), spacing=9, recording=Recording(drift=drift), seed=4).image
        ).distortion
        for drift in (0.0, 1.5)
    )
    assert still.displacement_rms < 0.12 and still.strain_rms < 0.005
    assert 0.3 < drifted.displacement_rms < 1.5
    assert drifted.displacement_max > 2 * still.displacement_max


def test_lattice_points_follow_the_columns_of_a_drifted_image():
    scene = crystal_image(
        "square",
        (300, 300),
        spacing=9,
        defects=PointDefects(vacancies=0.02),
        recording=Recording(drift=1.5),
        seed=4,
    )
    lattice = stemlib.find_lattice(scene.image)
    columns = scene.columns[["y", "x"]].to_numpy()
    errors = {}
    for distorted in (True, False):
        _, points = lattice.points(distorted=distorted)
        apart = np.linalg.norm(columns[:, None] - points[None], axis=-1).min(axis=1)
        errors[distorted] = np.median(apart)
    assert errors[True] < 0.3 < errors[False]


def test_the_origin_is_the_strongest_column():
    scene = crystal_image("honeycomb", (256, 256), spacing=9, rotation_deg=30, seed=6)
    origin = stemlib.find_lattice(scene.image).origin
    strong = scene.columns[scene.columns.site == 0][["y", "x"]].to_numpy()
    assert np.linalg.norm(strong - origin, axis=1).min() < 0.4
    assert np.linalg.norm(origin - 127.5) < 20
    dark = stemlib.find_lattice(1 - scene.image, dark_columns=True).origin
    assert np.linalg.norm(strong - dark, axis=1).min() < 0.4


def test_the_largest_grain_is_measured():
    first = crystal_image("perovskite", (320, 320), spacing=10, rotation_deg=5, seed=3)
    second = crystal_image("perovskite", (320, 320), spacing=10, rotation_deg=27, seed=4)
    image = first.image.copy()
    image[:, 210:] = second.image[:, 210:]
    lattice = stemlib.find_lattice(image)
    assert_same(lattice, first.translations, length=0.003)
    assert 0.5 < lattice.coverage < 0.75


def test_mirror_twins_are_told_apart():
    crystal = Crystal(np.array([[0, 1.0], [1.1, 0.3]]), np.zeros((1, 2)), np.ones(1))
    scene = crystal_image(crystal, (320, 320), spacing=11, seed=3)
    image = scene.image.copy()
    image[200:] = image[80:200][::-1]
    assert_same(stemlib.find_lattice(image), scene.translations, length=0.003, angle=0.3)


def test_vacuum_contamination_and_background_do_no_harm():
    y, x = np.mgrid[:320, :320]
    film = 3 * np.exp(-((y - 200) ** 2 + (x - 220) ** 2) / 3000) + 0.003 * x
    scene = crystal_image(
        "perovskite",
        (320, 320),
        spacing=9,
        rotation_deg=17,
        crystalline=x + 0.5 * y > 150,
        recording=Recording(film=film),
        seed=8,
    )
    assert_same(stemlib.find_lattice(scene.image), scene.translations, length=0.003)


def test_the_mask_says_where_to_look():
    first = crystal_image("square", (320, 320), spacing=10, rotation_deg=5, seed=3)
    second = crystal_image("hexagonal", (320, 320), spacing=12, rotation_deg=2, seed=4)
    image, mask = first.image.copy(), np.zeros((320, 320), bool)
    image[:, 200:] = second.image[:, 200:]
    mask[:, 200:] = True
    assert_same(stemlib.find_lattice(image, mask=mask), second.translations, length=0.004, angle=0.3)


def test_brightness_scale_and_kind_of_input_change_nothing(tmp_path):
    hyperspy = pytest.importorskip("hyperspy.api")
    image = crystal_image("honeycomb", (128, 160), spacing=8, rotation_deg=7, seed=1).image
    signal = hyperspy.signals.Signal2D(image)
    for axis in signal.axes_manager.signal_axes:
        axis.units, axis.scale = "nm", 0.02
    np.save(tmp_path / "image.npy", image)
    whole = np.round(image * 10000).astype(np.uint16)
    cell = stemlib.find_lattice(image).cell
    for other in (
        signal,
        tmp_path / "image.npy",
        stemlib.read(tmp_path / "image.npy"),
        whole,
        image * 1e6 - 3e6,
    ):
        assert stemlib.find_lattice(other).cell == pytest.approx(cell, abs=2e-3)
    lattice = stemlib.find_lattice(signal)
    assert lattice.lengths_nm == pytest.approx(lattice.lengths * 0.02)
    assert lattice.length_errors_nm == pytest.approx(lattice.length_errors * 0.02)
    assert stemlib.find_lattice(image).lengths_nm is None
    assert stemlib.find_lattice(signal, pixel_size_nm=0.1).pixel_size_nm == 0.1


def test_the_cell_is_reduced():
    for name, rotation in (("1T'", 70), ("hexagonal", 200), ("perovskite", 300)):
        lattice = stemlib.find_lattice(
            crystal_image(name, (200, 200), spacing=8, rotation_deg=rotation, seed=0).image
        )
        assert lattice.lengths[0] <= lattice.lengths[1]
        assert 90 <= lattice.angle_deg <= 120.001
        assert lattice.a[1] > 0
        turn = lattice.a[0] * lattice.b[1] - lattice.a[1] * lattice.b[0]
        assert lattice.handedness == np.sign(turn)


def test_reduction_finds_the_shortest_translations_of_any_cell():
    rng = np.random.default_rng(0)
    for _ in range(50):
        cell = rng.normal(size=(2, 2))
        reduced = reduce_cell(np.array([[3, 7], [2, 5]]) @ cell)
        points = np.mgrid[-9:10, -9:10].reshape(2, -1).T @ reduce_cell(cell)
        lengths = np.sort(np.linalg.norm(points, axis=1))
        assert np.linalg.norm(reduced[0]) == pytest.approx(lengths[1])
        assert abs(np.linalg.det(reduced)) == pytest.approx(abs(np.linalg.det(cell)))
        assert reduced[0] @ reduced[1] <= 1e-12


def test_the_seed_chooses_among_very_many_cells():
    image = crystal_image(
        "square", (520, 520), spacing=5, rotation_deg=12, recording=Recording(snr=4, jitter=0.2), seed=1
    ).image
    first, again, other = (stemlib.find_lattice(image, seed=seed).lengths for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()
    assert other == pytest.approx(first, abs=1e-3)
    given = [stemlib.find_lattice(image, seed=np.random.default_rng(1)).lengths for _ in range(2)]
    assert (given[0] == given[1]).all()


def test_a_gradient_is_fitted_past_outliers():
    rng = np.random.default_rng(1)
    positions = rng.uniform(0, 100, (200, 2))
    gradient = np.array([[0.01, -0.004], [0.002, 0.003]])
    displacements = positions @ gradient.T + rng.normal(0, 0.05, (200, 2))
    displacements[:15] += 4
    _, found, variance, _ = fit_gradient(positions, displacements)
    errors = np.sqrt([np.diag(v) for v in variance])
    assert (np.abs(found - gradient) < 4 * errors).all()
    assert errors.max() < 5e-4


def test_real_images_have_the_cells_of_their_crystals(real_data):
    tungsten = stemlib.find_lattice(real_data / "wse2-cr" / "Cr_Cr_ADF2_9.npy")
    # The neighbours drawn by hand lie 7 px apart: sqrt(3) times that, sheared by a few percent in the image.
    assert tungsten.lengths == pytest.approx([12.4, 12.4], rel=0.06)
    assert tungsten.angle_deg == pytest.approx(120, abs=5)
    iron = stemlib.find_lattice(real_data / "fe-boundary" / "Fe_bcc_100.npy")
    assert iron.lengths == pytest.approx([16.6, 16.6], rel=0.02)
    assert iron.angle_deg == pytest.approx(90, abs=2)
    assert 0.3 < iron.coverage < 0.6


def test_hot_pixels_and_rows_do_not_decide_about_the_cell():
    scene = crystal_image("square", (160, 160), spacing=12, rotation_deg=8, seed=3)
    image = scene.image.copy()
    image[[40, 101]] = 20 * image.max()
    image[77, 31] = 1e4 * image.max()
    assert_same(stemlib.find_lattice(image), scene.translations)


FIELD_CELLS = [
    "acq18.emd",
    "ben01.tif",
    "ben13.tif",
    "hopg.png",
    "mos2_exp2.npy",
    "pto_sro.hspy",
    "sto.ser",
    "zj1.jpg",
]


@pytest.mark.parametrize("name", FIELD_CELLS)
def test_images_of_other_groups_have_the_cells_of_their_crystals(real_data, name):
    rows = (real_data / "field-atomic" / "cells.csv").read_text().splitlines()[1:]
    cells = {row.split(",")[0]: np.array(row.split(",")[1:5], float).reshape(2, 2) for row in rows}
    lattice = stemlib.find_lattice(real_data / "field-atomic" / name)
    steps = lattice.cell @ np.linalg.inv(cells[name])
    assert abs(round(np.linalg.det(np.rint(steps)))) == 1
    # The cells were read off by eye, to a few percent.
    assert np.abs(steps - np.rint(steps)).max() < 0.06


def test_an_image_without_a_crystal_is_refused(real_data):
    with pytest.raises(ValueError, match="nothing repeats in two directions"):
        stemlib.find_lattice(real_data / "field-atomic" / "kine.dm3")


def test_columns_three_hundred_px_apart_are_found(real_data):
    lattice = stemlib.find_lattice(real_data / "field-atomic" / "mos2_prism.mrc")
    assert lattice.angle_deg == pytest.approx(120, abs=1)
    assert lattice.lengths[0] == pytest.approx(lattice.lengths[1], rel=0.02)


def test_most_frames_of_silicon_in_graphene_at_low_dose_have_their_cell(real_data):
    h5py = pytest.importorskip("h5py")
    right, refused = 0, 0
    frames = sorted((real_data / "labelled-atomic" / "graphene-si").glob("*.hdf5"))
    for path in frames:
        with h5py.File(path) as file:
            image = np.squeeze(file["nn_input"][()])
        try:
            lattice = stemlib.find_lattice(image)
        except ValueError:
            refused += 1
            continue
        right += lattice.lengths[1] / lattice.lengths[0] < 1.12 and 108 < lattice.angle_deg < 130
    assert right + refused == len(frames)
    assert right >= 0.8 * len(frames)


@pytest.mark.parametrize(
    "factor, how",
    [(0.5, cv2.INTER_AREA), (1.6, cv2.INTER_CUBIC), (2, cv2.INTER_LINEAR), (3, cv2.INTER_NEAREST)],
)
@pytest.mark.parametrize("name", ["hexagonal", "graphene", "1T'"])
def test_enlarging_and_binning_change_no_cell(name, factor, how):
    scene = crystal_image(name, (256, 256), spacing=9, rotation_deg=17, seed=5)
    size = tuple(round(factor * side) for side in scene.image.shape)
    other = cv2.resize(scene.image, size, interpolation=how)
    assert_same(stemlib.find_lattice(other), scene.translations * size[0] / 256, length=0.004)


def test_stripes_a_rim_a_bar_and_vacancies_change_no_cell():
    scene = crystal_image(
        "honeycomb", (256, 256), spacing=9, rotation_deg=17, defects=PointDefects(vacancies=0.25), seed=5
    )
    y, x = np.mgrid[:256, :256]
    image = scene.image + 0.7 * scene.image.std() * np.sin(2 * np.pi * (0.41 * y + 0.13 * x))
    image[:24] = image[:, -30:] = 0
    image[220:232, 30:130] = 3 * image.max()
    assert_same(stemlib.find_lattice(image), scene.translations, length=0.004)


def test_a_superstructure_in_one_corner_is_none():
    scene = perovskite(1.0, seed=2, shape=(320, 320))
    ordered = perovskite(0.8, seed=2, shape=(320, 320))
    everywhere = stemlib.find_lattice(ordered.image)
    assert abs(round(np.linalg.det(everywhere.superstructure))) == 2
    image = scene.image.copy()
    image[:140, :140] = ordered.image[:140, :140]
    assert stemlib.find_lattice(image).superstructure is None


@pytest.mark.parametrize("name", ["am_graphene_d150", "am_hbn_d150", "am_mos2_d200", "am_oxide_d250"])
def test_very_bright_atoms_hide_no_lattice(real_data, name):
    lattice = stemlib.find_lattice(real_data / "labelled-atomic" / f"{name}.npz")
    assert lattice.lengths[0] == pytest.approx(lattice.lengths[1], rel=0.01)
    assert lattice.angle_deg == pytest.approx(90 if "oxide" in name else 120, abs=0.5)


def test_a_field_has_one_cell_raw_and_denoised(real_data):
    raw, denoised = (
        stemlib.find_lattice(real_data / path)
        for path in ("wse2-cr/Cr_Cr_ADF2_9.npy", "labelled-atomic/cr9_imgf.npy")
    )
    assert denoised.cell == pytest.approx(raw.cell, abs=0.05)


def test_soot_is_no_crystal(real_data):
    soot = stemlib.read(real_data / "field-atomic" / "soot.tif", channel="red")
    with pytest.raises(ValueError, match="nothing repeats in two directions"):
        stemlib.find_lattice(soot)


def test_atoms_many_times_as_bright_as_others_hide_nothing_around_them():
    scene = crystal_image("honeycomb", (200, 200), spacing=10, seed=4)
    bright = scene.columns[["y", "x"]].to_numpy()[::50]
    strength = 40 * np.ptp(scene.image)
    image = scene.image + render_columns(bright, np.full(len(bright), strength), scene.image.shape, 2.2)
    assert len(bright) >= 6
    assert stemlib.find_lattice(scene.image).coverage > 0.97
    assert stemlib.find_lattice(image).coverage > 0.9
