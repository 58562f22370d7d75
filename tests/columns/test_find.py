"""Columns are found where they were simulated, at any scale, and vacancies stay vacancies."""

from dataclasses import replace

import cv2
import hyperspy.api as hs
import numpy as np
import pandas as pd
import pytest
from scipy.spatial import cKDTree

import stemlib
from stemlib.columns.find import find_columns
from stemlib.columns.network import ColumnNetwork
from stemlib.columns.spacing import find_spacing
from stemlib.synthetic import PointDefects, Recording, crystal_image, named_crystal


def positions(table):
    return table[["y", "x"]].to_numpy()


def found_share(truth, table, tolerance):
    return float((cKDTree(positions(table)).query(positions(truth))[0] <= tolerance).mean())


@pytest.mark.parametrize("spacing", [4.5, 7.0, 13.0, 30.0, 75.0])
def test_columns_are_found_at_any_scale(spacing):
    side = int(np.clip(18 * spacing, 128, 900))
    scene = crystal_image("honeycomb", (side, side), spacing=spacing, rotation_deg=17, seed=1)
    columns = find_columns(scene.image)
    assert columns.spacing == pytest.approx(spacing, rel=0.04)
    inner = scene.columns[
        scene.columns[["y", "x"]].apply(lambda c: c.between(spacing, side - spacing)).all(axis=1)
    ]
    assert found_share(inner, columns.table, 0.15 * spacing) > 0.99
    assert found_share(columns.table, scene.columns, 0.15 * spacing) > 0.97


@pytest.mark.parametrize("crystal", ["square", "perovskite", "kagome", "1T'", "dumbbell"])
def test_columns_of_many_crystals_are_found(crystal):
    scene = crystal_image(
        crystal,
        (200, 200),
        spacing=9,
        rotation_deg=31,
        recording=Recording(relative_sigma=0.2, jitter=0.2),
        seed=2,
    )
    columns = find_columns(scene.image)
    assert found_share(scene.columns, columns.table, 2.25) > 0.97
    assert found_share(columns.table, scene.columns, 2.25) > 0.97


def test_vacancies_stay_vacancies():
    scene = crystal_image(
        "hexagonal",
        (400, 400),
        spacing=9,
        defects=PointDefects(vacancies=0.05),
        recording=Recording(snr=9),
        seed=4,
    )
    columns = find_columns(scene.image)
    assert len(scene.missing) > 80
    assert found_share(scene.missing, columns.table, 2.25) < 0.01


def test_vacancies_of_a_faint_sublattice_stay_vacancies():
    crystal = replace(named_crystal("honeycomb"), intensities=np.array([1.0, 0.3]))
    scene = crystal_image(
        crystal,
        (400, 400),
        spacing=9,
        defects=PointDefects(vacancies=0.05),
        recording=Recording(snr=30),
        seed=5,
    )
    columns = find_columns(scene.image)
    inner = scene.columns[scene.columns[["y", "x"]].apply(lambda c: c.between(5, 394)).all(axis=1)]
    assert found_share(inner, columns.table, 2.25) > 0.99
    assert found_share(scene.missing, columns.table, 2.25) < 0.01


def noisy_scene(snr, defects):
    """White noise, in which a matched filter sees each column at `snr`: the same everywhere, unlike counting noise."""
    scene = crystal_image(
        "hexagonal",
        (420, 420),
        spacing=12,
        defects=defects,
        recording=Recording(relative_sigma=0.2, snr=1e4),
        seed=6,
    )
    noise = np.sqrt(np.pi) * 0.2 * 12 / snr
    return scene, scene.image + np.random.default_rng(7).normal(0, noise, scene.image.shape)


def test_vacancies_stay_vacancies_in_white_noise():
    scene, image = noisy_scene(5.5, PointDefects(vacancies=0.15))
    columns = find_columns(image)
    inner = scene.columns[scene.columns[["y", "x"]].apply(lambda c: c.between(7, 412)).all(axis=1)]
    assert len(scene.missing) > 150
    # About 1 in 200; by chance it may be three of these 230.
    assert found_share(scene.missing, columns.table, 3) <= 0.015
    assert found_share(inner, columns.table, 3) > 0.98
    assert found_share(columns.table, scene.columns, 3) > 0.98


def test_blurred_columns_are_found_in_strong_noise():
    # All columns are as faint as can be seen, and so wide that they touch.
    scene = crystal_image(
        "hexagonal", (300, 300), spacing=15, recording=Recording(relative_sigma=0.27, snr=1e4), seed=3
    )
    noise = np.random.default_rng(4).normal(0, np.sqrt(np.pi) * 0.27 * 15 / 5.5, scene.image.shape)
    columns = find_columns(scene.image + noise)
    inner = scene.columns[scene.columns[["y", "x"]].apply(lambda c: c.between(8, 291)).all(axis=1)]
    found = columns.table[columns.table[["y", "x"]].apply(lambda c: c.between(8, 291)).all(axis=1)]
    assert found_share(inner, columns.table, 3.75) > 0.8
    assert found_share(found, scene.columns, 3.75) > 0.93
    assert columns.semantic_image.shape == (300, 300)


def test_displaced_columns_are_kept_in_white_noise():
    scene, image = noisy_scene(7.0, PointDefects(displaced=0.05, relative_displacement=0.35))
    columns = find_columns(image)
    moved = scene.columns[scene.columns["displaced"] > 0]
    assert len(moved) > 40
    assert found_share(moved, columns.table, 3) > 0.94


def test_displaced_columns_are_reported_where_they_are():
    scene = crystal_image(
        "hexagonal",
        (400, 400),
        spacing=9,
        defects=PointDefects(displaced=0.05, relative_displacement=0.35),
        recording=Recording(snr=25),
        seed=4,
    )
    columns = find_columns(scene.image)
    moved = scene.columns[scene.columns["displaced"] > 0]
    assert len(moved) > 80
    distance = cKDTree(positions(columns.table)).query(positions(moved))[0]
    # 1 angstrom is about a third of the spacing of neighbours; a fifth of that is asked for.
    assert np.quantile(distance, 0.95) < 0.07 * 9


def test_intensity_is_the_height_of_the_peak():
    scene = crystal_image("perovskite", (200, 200), spacing=10, recording=Recording(snr=60), seed=5)
    columns = find_columns(100 * scene.image + 300)
    distance, nearest = cKDTree(positions(scene.columns)).query(positions(columns.table))
    inner = columns.table[["y", "x"]].apply(lambda c: c.between(10, 190)).all(axis=1) & (distance < 2)
    ratio = (
        columns.table["intensity"][inner].to_numpy() / scene.columns["intensity"].to_numpy()[nearest[inner]]
    )
    assert np.median(ratio) == pytest.approx(100, rel=0.05)
    assert ratio.std() < 8


@pytest.mark.parametrize(
    ("crystal", "spacing", "snr"), [("hexagonal", 7.5, 6), ("square", 16, 5), ("1T'", 13, 12)]
)
def test_width_and_spacing_in_strong_noise(crystal, spacing, snr):
    sigma = 0.22 * spacing
    scene = crystal_image(
        crystal,
        (int(22 * spacing),) * 2,
        spacing=spacing,
        rotation_deg=25,
        recording=Recording(snr=1e4),
        seed=3,
    )
    noise = np.random.default_rng(3).normal(0, np.sqrt(np.pi) * sigma / snr, scene.image.shape)
    columns = find_columns(scene.image + noise)
    assert columns.sigma == pytest.approx(sigma, rel=0.08)
    assert columns.spacing == pytest.approx(spacing, rel=0.03)


@pytest.mark.parametrize("spacing", [6.0, 11.0, 40.0])
def test_resampling_takes_nothing_from_width_and_intensity(spacing):
    scene = crystal_image(
        "square",
        (int(14 * spacing),) * 2,
        spacing=spacing,
        recording=Recording(relative_sigma=0.2, snr=200),
        seed=3,
    )
    columns = find_columns(scene.image)
    assert columns.sigma == pytest.approx(0.2 * spacing, rel=0.015)
    assert columns.table["intensity"].median() == pytest.approx(1, abs=0.03)


def test_brightness_and_contrast_do_not_matter():
    scene = crystal_image("square", (128, 128), spacing=8, seed=6)
    plain = find_columns(scene.image).table
    brighter = find_columns((scene.image * 3000 + 500).astype(np.uint16)).table
    # Columns beyond the edge, of which a part shows, may be found or not.
    plain, brighter = (table[table[["y", "x"]].max(axis=1) < 126] for table in (plain, brighter))
    assert len(plain) == len(brighter)
    distance, nearest = cKDTree(positions(brighter)).query(positions(plain))
    assert distance.max() < 0.05
    assert len(np.unique(nearest)) == len(plain)


def test_dark_columns_are_found_when_asked_for():
    scene = crystal_image("square", (128, 128), spacing=8, seed=6)
    bright = find_columns(scene.image).table
    dark = find_columns(1 - scene.image, dark_columns=True).table
    assert len(dark) == len(bright)
    np.testing.assert_allclose(positions(dark), positions(bright), atol=0.01)
    np.testing.assert_allclose(dark["intensity"], bright["intensity"], rtol=0.01)


def test_semantic_image_peaks_at_the_columns_and_hides_chemistry():
    scene = crystal_image("honeycomb", (160, 160), spacing=14, seed=7)
    columns = find_columns(scene.image)
    assert columns.semantic_image.shape == (160, 160)
    assert columns.semantic_image.dtype == np.float32
    assert 0 <= columns.semantic_image.min() <= columns.semantic_image.max() <= 1
    inner = scene.columns[scene.columns[["y", "x"]].apply(lambda c: c.between(10, 150)).all(axis=1)]
    row, column = np.rint(positions(inner)).astype(int).T
    heights = columns.semantic_image[row, column]
    weak, strong = (heights[inner["site"] == site].mean() for site in (1, 0))
    assert weak > 0.7 * strong > 0.5


def test_mask_leaves_out_what_it_hides():
    scene = crystal_image("square", (160, 160), spacing=8, seed=8)
    image = scene.image.copy()
    image[120:, :] = 50.0  # a scale bar
    mask = np.ones(image.shape, bool)
    mask[118:, :] = False
    columns = find_columns(image, mask=mask)
    assert columns.table["y"].max() < 118
    inner = scene.columns[scene.columns["y"].between(4, 110) & scene.columns["x"].between(4, 155)]
    assert found_share(inner, columns.table, 1.5) > 0.99
    assert not columns.semantic_image[~mask].any()


def test_half_the_image_may_be_vacuum():
    crystalline = np.zeros((300, 300), bool)
    crystalline[:, :110] = True
    scene = crystal_image("hexagonal", (300, 300), spacing=8, crystalline=crystalline, seed=9)
    columns = find_columns(scene.image)
    assert found_share(scene.columns, columns.table, 2) > 0.97
    assert found_share(columns.table, scene.columns, 2) > 0.97


@pytest.mark.parametrize(
    "image",
    [
        np.random.default_rng(0).normal(size=(200, 200)),
        np.random.default_rng(1).poisson(3, size=(16, 16)),
        np.full((64, 64), 3, np.uint8),
        np.zeros((16, 16)),
    ],
    ids=["noise", "small noise", "constant", "small constant"],
)
def test_no_columns_are_no_error_but_said(image):
    with pytest.warns(UserWarning, match="no columns"):
        columns = find_columns(image)
    assert columns.table.empty
    assert list(columns.table) == ["y", "x", "probability", "intensity"]
    assert columns.spacing is None
    assert not columns.semantic_image.any()
    assert columns.semantic_image.shape == image.shape


def test_sixteen_pixels_are_enough_for_a_few_columns():
    scene = crystal_image("square", (16, 16), spacing=5, recording=Recording(snr=30), seed=3)
    columns = find_columns(scene.image, spacing=5)
    inner = scene.columns[scene.columns[["y", "x"]].apply(lambda c: c.between(2, 13)).all(axis=1)]
    assert found_share(inner, columns.table, 1.3) == 1


def test_a_threshold_that_is_asked_for_holds_where_few_columns_are_likely():
    image = crystal_image("square", (42, 42), spacing=10, recording=Recording(snr=1e4), seed=2).image
    image = image + np.random.default_rng(2).normal(0, 1.3, image.shape)
    usual, more, fewer = (find_columns(image, spacing=10, threshold=t).table for t in (None, 0.2, 0.9))
    assert usual["probability"].min() >= 0.5
    assert len(more) > len(usual) > len(fewer)
    assert more["probability"].min() < 0.5


def test_tiles_give_what_one_piece_gives(monkeypatch):
    image = crystal_image("kagome", (200, 230), spacing=7, seed=10).image
    whole = find_columns(image)
    monkeypatch.setattr("stemlib.columns.network.TILE", 64)
    tiled = find_columns(image)
    np.testing.assert_allclose(tiled.semantic_image, whole.semantic_image, atol=2e-4)
    np.testing.assert_allclose(positions(tiled.table), positions(whole.table), atol=1e-2)


def test_path_signal_micrograph_and_array_give_the_same(tmp_path):
    image = crystal_image("square", (64, 64), spacing=8, seed=1).image
    np.save(tmp_path / "image.npy", image)
    signal = hs.signals.Signal2D(image)
    for axis in signal.axes_manager.signal_axes:
        axis.scale, axis.units = 0.25, "Å"
    expected = positions(find_columns(image).table)
    for given in (tmp_path / "image.npy", str(tmp_path / "image.npy"), stemlib.Micrograph(image), signal):
        np.testing.assert_allclose(positions(find_columns(given).table), expected, atol=1e-6)
    in_nm = find_columns(signal).table
    np.testing.assert_allclose(in_nm["y_nm"], in_nm["y"] * 0.025)
    np.testing.assert_allclose(find_columns(signal, pixel_size_nm=1.0).table["x_nm"], expected[:, 1])


def test_csv_has_units(tmp_path):
    image = crystal_image("square", (64, 64), spacing=8, seed=1).image
    columns = stemlib.find_columns(image, pixel_size_nm=0.02)
    columns.to_csv(tmp_path / "columns.csv")
    table = pd.read_csv(tmp_path / "columns.csv")
    assert list(table) == ["y (px)", "x (px)", "probability", "intensity", "y (nm)", "x (nm)"]
    assert len(table) == len(columns.table)


def test_large_offset_does_not_drown_the_columns():
    scene = crystal_image("square", (96, 96), spacing=8, seed=1)
    plain = find_columns(scene.image).table
    shifted = find_columns((scene.image * 100 + 60000).astype(np.float32)).table
    np.testing.assert_allclose(positions(shifted), positions(plain), atol=0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold": 0}, r"threshold=0 must be positive and at most 1"),
        ({"threshold": 1.5}, r"threshold=1\.5 must be positive and at most 1"),
        ({"spacing": -3}, r"spacing=-3 must be positive"),
        ({"mask": np.zeros((64, 64), bool)}, r"mask is False everywhere"),
        ({"device": "abacus"}, r"device='abacus' cannot be used"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        find_columns(np.eye(64), **arguments)


def test_bad_images_are_named():
    with pytest.raises(ValueError, match="NaN or infinite"):
        find_columns(np.full((32, 32), np.nan))
    with pytest.raises(ValueError, match="unequal colour channels"):
        find_columns(np.random.default_rng(0).random((32, 32, 3)))
    with pytest.raises(FileNotFoundError, match=r"weights='none\.safetensors' does not exist"):
        find_columns(np.eye(32), weights="none.safetensors")


def test_damaged_weights_are_refused(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"not weights")
    with pytest.raises(ValueError, match="is damaged, or not from stemlib.training.columns"):
        ColumnNetwork.load(tmp_path / "w.safetensors")


def test_spacing_is_found_from_the_image_alone():
    network = ColumnNetwork.load(device="cpu")
    rng = np.random.default_rng(11)
    ratios = []
    for crystal in ("square", "honeycomb", "perovskite", "graphene", "hexagonal", "kagome") * 2:
        spacing = float(np.exp(rng.uniform(np.log(4.2), np.log(60))))
        side = int(np.clip(15 * spacing, 100, 700))
        image = crystal_image(
            crystal, (side, side), spacing=spacing, rotation_deg=rng.uniform(0, 90), seed=rng
        ).image
        ratios.append(find_spacing(image, network) / spacing)
    np.testing.assert_allclose(ratios, 1, atol=0.08)


@pytest.mark.parametrize("value", [0.0, 5.0, 10.0, 20.0, 40.0, 1e6])
@pytest.mark.parametrize("spacing", [None, 9.0])
def test_a_constant_image_has_no_columns_and_says_so(value, spacing):
    with pytest.warns(UserWarning, match="constant"):
        columns = find_columns(np.full((150, 150), value), spacing=spacing)
    assert len(columns.table) == 0
    assert not columns.semantic_image.any()


@pytest.mark.parametrize("hot", [30.0, 1000.0, 1e5])
def test_one_hot_pixel_changes_at_most_two_columns(hot):
    scene = crystal_image("square", (130, 130), spacing=10, recording=Recording(snr=25), seed=1)
    image = scene.image.copy()
    image[61, 67] += hot * np.ptp(image)
    places, usual = (find_columns(one).table[["y", "x"]].to_numpy() for one in (image, scene.image))
    apart = np.linalg.norm(usual[:, None] - places, axis=-1)
    assert (apart.min(axis=1) > 0.5).sum() <= 2
    assert (apart.min(axis=0) > 0.5).sum() <= 2


@pytest.mark.parametrize("blur", [1.5, 2, 3])
def test_the_grain_of_noise_is_no_crystal_and_said_to_be_none(blur):
    noise = cv2.GaussianBlur(np.random.default_rng(4).normal(size=(256, 256)), (0, 0), blur)
    with pytest.warns(UserWarning, match="nothing in image repeats"):
        assert not find_columns(noise).table.empty


def test_a_crystal_and_two_grains_warn_of_nothing(recwarn):
    first = crystal_image("square", (200, 200), spacing=9, rotation_deg=5, seed=1).image
    second = crystal_image("square", (200, 200), spacing=9, rotation_deg=31, seed=2).image
    find_columns(first)
    find_columns(np.where(np.arange(200) < 100, first, second))
    assert not recwarn.list
