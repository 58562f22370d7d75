"""Defects that were simulated are found, none where none is, and wrong or hopeless input is told clearly."""

import cv2
import numpy as np
import pandas as pd
import pytest
from scipy.spatial import cKDTree

import stemlib
from stemlib.defects.find import find_defects
from stemlib.synthetic import PointDefects, Recording, crystal_image, render_columns
from stemlib.synthetic.crystals import Crystal


def at(table):
    return table[["y", "x"]].to_numpy(float)


def simulated(scene):
    return np.vstack([at(scene.missing), at(scene.columns[scene.columns["displaced"] > 0])])


def agreement(scene, defects):
    truth, found = simulated(scene), at(defects.table)
    distance = np.linalg.norm(truth[:, None] - found, axis=-1)
    reach = 0.5 * scene.spacing
    return (distance.min(axis=1) < reach).mean(), (distance.min(axis=0) < reach).mean()


def scene_of(crystal="perovskite", side=256, **options):
    some = PointDefects(vacancies=0.015, displaced=0.015, relative_displacement=0.33)
    recording = Recording(jitter=0.1, drift=1.0)
    options = {"defects": some, "recording": recording, "seed": 5} | options
    return crystal_image(crystal, (side, side), spacing=10, rotation_deg=21, **options)


@pytest.fixture(scope="module")
def scene():
    return scene_of()


@pytest.fixture(scope="module")
def defects(scene):
    return find_defects(scene.image, pixel_size_nm=0.02)


def test_missing_and_displaced_columns_are_found_and_named(scene, defects):
    recall, precision = agreement(scene, defects)
    assert recall >= 0.95
    assert precision >= 0.9
    kinds = defects.table["kind"].value_counts()
    assert kinds["missing"] == len(scene.missing)
    assert {"both", "contrast"} >= set(defects.table["flagged_by"]) - {"patterson"}


@pytest.mark.parametrize("scheme", ["unit-cell", "columns"])
def test_a_perfect_crystal_has_no_defects(scheme):
    perfect = scene_of("honeycomb", defects=None)
    assert len(find_defects(perfect.image, scheme=scheme, false_alarms=0.1).table) <= 1


@pytest.mark.parametrize("descriptor", ["patterson", "contrast"])
def test_each_part_finds_defects_by_itself_and_says_so(descriptor):
    scene = scene_of(
        "hexagonal", 300, defects=PointDefects(vacancies=0.006, displaced=0.006, relative_displacement=0.33)
    )
    defects = find_defects(scene.image, descriptor=descriptor)
    recall, _ = agreement(scene, defects)
    assert recall >= (0.9 if descriptor == "contrast" else 0.3)
    assert set(defects.table["flagged_by"]) == {descriptor}


def test_tables_are_complete(scene, defects, tmp_path):
    table, columns = defects.table, defects.columns
    assert table["score"].is_monotonic_decreasing
    np.testing.assert_allclose(table["y_nm"], 0.02 * table["y"])
    np.testing.assert_allclose(
        -np.log10(table["p_value"][table["score"] < 300]), table["score"][table["score"] < 300]
    )
    assert (~columns["is_empty"]).sum() >= 0.97 * len(scene.columns)
    empty = columns[columns["is_empty"]]
    assert abs(len(empty) - len(scene.missing)) <= 5
    assert (empty["score"] > 4).sum() >= 0.9 * len(scene.missing)
    assert columns[["y", "x", "score"]].notna().all(axis=None)
    assert columns.sort_values("score").iloc[-1]["score"] > 3
    assert defects.n_tried > len(columns)
    defects.to_csv(tmp_path / "defects.csv")
    written = pd.read_csv(tmp_path / "defects.csv")
    assert {"y (px)", "x (nm)", "offset (px)", "offset (nm)", "score", "flagged_by"} <= set(written)
    assert len(written) == len(table)


def test_the_map_is_high_at_defects(scene, defects):
    shown = defects.score_map
    assert shown.shape == scene.image.shape
    assert shown.dtype == np.float32
    rows = np.clip(np.rint(at(defects.table)).astype(int), 0, 255)
    assert (shown[rows[:, 0], rows[:, 1]] > 2).mean() > 0.9
    assert np.nanmedian(shown) < 1.3


def test_the_same_seed_gives_the_same_and_brightness_does_not_matter(scene, defects):
    again = find_defects(scene.image, pixel_size_nm=0.02)
    pd.testing.assert_frame_equal(again.table, defects.table)
    pd.testing.assert_frame_equal(again.columns, defects.columns)
    # Noise is learnt at other places between columns.
    other = find_defects(scene.image, seed=1)
    assert (other.table["score"].iloc[:5].to_numpy() != defects.table["score"].iloc[:5].to_numpy()).any()
    assert len(other.table) == pytest.approx(len(defects.table), abs=2)
    brighter = find_defects((scene.image * 4000 + 700).astype(np.uint16))
    recall, precision = agreement(scene, brighter)
    assert recall >= 0.95
    assert precision >= 0.9


def test_turned_and_dark_images_show_the_same_defects(scene, defects):
    for image, options, back in (
        (np.rot90(scene.image), {}, lambda p: np.column_stack([p[:, 1], 255 - p[:, 0]])),
        (5 - scene.image, {"dark_columns": True}, lambda p: p),
    ):
        found = back(at(find_defects(image, **options).table))
        distance = np.linalg.norm(simulated(scene)[:, None] - found, axis=-1)
        assert (distance.min(axis=1) < 5).mean() >= 0.95


def test_the_mask_hides_defects(scene, defects):
    mask = np.ones(scene.image.shape, bool)
    mask[:, :128] = False
    hidden = find_defects(scene.image, mask=mask)
    assert (hidden.table["x"] > 126).all()
    expected = (simulated(scene)[:, 1] > 140).sum()
    assert len(hidden.table) >= 0.9 * expected


@pytest.mark.parametrize("how", [cv2.INTER_NEAREST, cv2.INTER_CUBIC])
def test_an_enlarged_image_has_the_same_defects_and_lattice(how):
    defects = PointDefects(vacancies=0.02, displaced=0.01)
    scene = crystal_image("perovskite", (192, 192), spacing=10, rotation_deg=20, defects=defects, seed=5)
    usual = find_defects(scene.image, pixel_size_nm=0.03)
    large = find_defects(cv2.resize(scene.image, None, fx=3, fy=3, interpolation=how), pixel_size_nm=0.01)
    assert len(usual.table) >= 5
    one, other = (r.table.sort_values(["y", "x"], ignore_index=True) for r in (usual, large))
    assert other["kind"].tolist() == one["kind"].tolist()
    np.testing.assert_allclose(other[["y", "x"]], 3 * one[["y", "x"]] + 1, atol=0.5)
    np.testing.assert_allclose(other[["y_nm", "offset_nm"]], 0.01 * other[["y", "offset"]])
    np.testing.assert_allclose(large.lattice.lengths_nm, usual.lattice.lengths_nm, rtol=1e-3)
    assert large.lattice.shape == large.shape == (576, 576)
    assert large.score_map.shape == (576, 576)
    # The lattice's points lie on columns, in the image's own pixels.
    assert np.median(cKDTree(large.columns[["y", "x"]]).query(large.lattice.points()[1])[0]) < 2


def test_a_slip_of_the_scan_is_left_out_and_no_fault():
    image = crystal_image("honeycomb", (256, 300), spacing=10, rotation_deg=17, seed=3).image
    image = np.vstack([image[:140, :256], image[140:, 5:261]])
    with pytest.warns(UserWarning, match="the scan slipped at row 140: the rows within 17 px are left out"):
        found = find_defects(image)
    assert len(found.table) <= 1
    assert found.lattice.slips == (140,)
    assert found.ignored[125:155].all() and not found.ignored[:120].any() and not found.ignored[160:].any()


def test_a_row_of_vacancies_is_a_chain():
    scene = crystal_image("square", (240, 240), spacing=12, seed=1)
    y, x = np.indices(scene.image.shape)
    line = scene.columns[(np.abs(scene.columns["y"] - 120) < 7) & scene.columns["x"].between(60, 180)]
    image = scene.image.copy()
    for row in line.itertuples():
        image -= row.intensity * np.exp(
            -((y - row.y) ** 2 + (x - row.x) ** 2) / (2 * (0.22 * 12) ** 2)
        ).astype("f4")
    table = find_defects(image).table
    chained = table[table["chain"] >= 0]
    assert len(line) >= 8
    assert (chained["kind"] == "missing").sum() >= len(line) - 1
    assert chained["chain"].nunique() == 1


@pytest.mark.parametrize("kind", ["displaced", "dim", "bright", "interstitial"])
def test_a_line_of_any_kind_of_defect_is_a_chain(kind):
    scene = crystal_image("square", (240, 240), spacing=12, rotation_deg=20, seed=1)
    y, x = scene.columns[["y", "x"]].to_numpy().T
    across = (y - 120) * np.cos(np.deg2rad(20)) + (x - 120) * np.sin(np.deg2rad(20))
    along = (x - 120) * np.cos(np.deg2rad(20)) - (y - 120) * np.sin(np.deg2rad(20))
    line = at(scene.columns)[(np.abs(across - np.abs(across).min()) < 6) & (np.abs(along) < 55)]
    moved = line + {"displaced": [0.0, 4.5], "interstitial": [6.0, 6.0]}.get(kind, [0.0, 0.0])
    old, new = {"displaced": (-1.0, 1.0), "dim": (-0.5, 0.0), "bright": (0.7, 0.0), "interstitial": (0, 0.8)}[
        kind
    ]
    change = render_columns(np.vstack([line, moved]), np.repeat([old, new], len(line)), (240, 240), 0.22 * 12)
    table = find_defects(scene.image + change).table
    chained = table[table["chain"] >= 0]
    assert len(line) >= 8
    assert chained["chain"].nunique() == 1
    distance = np.linalg.norm(moved[:, None] - at(chained), axis=-1).min(axis=1)
    assert (distance < 6).sum() >= len(line) - 2
    assert (table["chain"] == -1).sum() <= 3


def test_lone_defects_are_no_chains(defects):
    assert len(defects.table) > 15
    assert (defects.table["chain"] == -1).all()


def test_nothing_but_vacuum_and_a_flat_image_say_so():
    for image in (np.full((128, 128), 3.0), np.random.default_rng(1).poisson(0.2, (200, 200)).astype(float)):
        with pytest.raises(ValueError, match="atomic column|constant|periodic"):
            find_defects(image)


def test_an_image_without_lattice_or_columns_says_so():
    noise = np.random.default_rng(0).normal(size=(128, 128))
    with pytest.raises(ValueError, match="atomic column|periodic"):
        find_defects(noise)
    random = np.random.default_rng(1).uniform(5, 187, (220, 2))
    kept = [random[0]]
    for point in random[1:]:
        if np.linalg.norm(np.array(kept) - point, axis=1).min() > 9:
            kept.append(point)
    y, x = np.indices((192, 192))
    glass = sum(np.exp(-((y - p[0]) ** 2 + (x - p[1]) ** 2) / 8) for p in kept)
    with pytest.raises(ValueError, match=r"periodic in two directions.*scheme=\"columns\""):
        find_defects(glass)
    assert find_defects(glass, scheme="columns", descriptor="patterson").lattice is None
    with pytest.warns(UserWarning, match="only Patterson functions"):
        assert find_defects(glass, scheme="columns").lattice is None


def test_mostly_vacuum_is_told_and_small_images_work():
    crystalline = np.zeros((256, 256), bool)
    crystalline[:, :90] = True
    part = scene_of("square", crystalline=crystalline, defects=None)
    with pytest.warns(UserWarning, match="lattice covers"):
        assert len(find_defects(part.image).table) <= 3
    small = crystal_image("square", (64, 64), spacing=8, seed=2)
    assert len(find_defects(small.image).table) <= 1


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"scheme": "cells"}, ValueError, "scheme='cells' is not known; one of 'unit-cell', 'columns'"),
        ({"descriptor": "svm"}, ValueError, "descriptor='svm' is not known"),
        ({"source": "raw"}, ValueError, "source='raw' is not known"),
        ({"false_alarms": 0}, ValueError, "false_alarms=0 must be positive"),
        ({"false_alarms": "many"}, TypeError, "false_alarms must be a number"),
        ({"mask": np.ones((3, 3), bool)}, ValueError, "mask"),
        ({"weights": "none.safetensors"}, FileNotFoundError, "none.safetensors"),
    ],
)
def test_wrong_arguments_are_told(wrong, error, message):
    with pytest.raises(error, match=message):
        find_defects(np.zeros((64, 64)), **wrong)


def test_the_name_is_public():
    assert stemlib.find_defects is find_defects
    assert "find_defects" in stemlib.__all__


def test_sites_that_hardly_differ_are_not_each_others_kin():
    crystal = Crystal(np.eye(2) * np.sqrt(2), np.array([[0, 0], [0.5, 0.5]]), np.array([1.0, 0.9]))
    scene = crystal_image(
        crystal, (220, 220), spacing=9, rotation_deg=12, recording=Recording(snr=15), seed=1
    )
    defects = find_defects(scene.image)
    assert set(defects.columns["site"]) - {-1} == {0, 1}
    assert defects.table.empty
