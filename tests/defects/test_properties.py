"""However an image was taken, the same defects are found; mixtures, faint columns and crowding are no defects."""

import cv2
import numpy as np
import pytest
from scipy.stats import chi2
from sklearn.metrics import average_precision_score

from reproduction.simulated_defects import judge_defects
from stemlib.agreement import match_columns
from stemlib.defects.find import find_defects
from stemlib.synthetic import (
    Crystal,
    DarkField,
    Imaging,
    PointDefects,
    Recording,
    crystal_image,
    material_image,
    named_crystal,
    record,
)
from stemlib.synthetic.crystals import lattice_points
from stemlib.synthetic.materials import mowte2_bilayer

SIDE = 256


def at(table):
    return table[["y", "x"]].to_numpy(float)


def scene_of(*, snr=20.0, **options):
    some = PointDefects(vacancies=0.015, displaced=0.015, relative_displacement=0.33)
    recording = Recording(snr=snr, jitter=0.1, drift=1.0)
    view = {"spacing": 10, "rotation_deg": 21} | options
    return crystal_image("honeycomb", (SIDE, SIDE), **view, defects=some, recording=recording, seed=5)


def f1(scene, defects, reach):
    """F1 of all drawn defects that are not at the image's edge."""
    displaced = scene.columns[scene.columns["displaced"] > 0]
    truth, found = np.vstack([at(scene.missing), at(displaced)]), at(defects.table)
    pairs = match_columns(truth, found, reach_px=reach).pairs
    inner = [((p > reach / 2) & (p < SIDE - 1 - reach / 2)).all(axis=1) for p in (truth, found)]
    missed = np.setdiff1d(np.flatnonzero(inner[0]), pairs[:, 0])
    false = np.setdiff1d(np.flatnonzero(inner[1]), pairs[:, 1])
    return 2 * len(pairs) / (2 * len(pairs) + len(missed) + len(false))


def shared(first, second, reach):
    """Share of defects that two tables have in common."""
    both = len(match_columns(at(first), at(second), reach_px=reach).pairs)
    return 2 * both / (len(first) + len(second))


@pytest.fixture(scope="module")
def scene():
    return scene_of()


@pytest.fixture(scope="module")
def defects(scene):
    return find_defects(scene.image)


@pytest.mark.parametrize(
    ("changed", "back"),
    [
        (lambda i: np.rot90(i), lambda p: np.column_stack([p[:, 1], SIDE - 1 - p[:, 0]])),
        (lambda i: i.T, lambda p: p[:, ::-1]),
        (lambda i: i[:, ::-1], lambda p: np.column_stack([p[:, 0], SIDE - 1 - p[:, 1]])),
        (lambda i: -3 + 250 * i, lambda p: p),
        (lambda i: np.clip(i, 0, None) ** 0.8, lambda p: p),
    ],
    ids=["turned", "transposed", "mirrored", "brighter", "of other contrast"],
)
def test_a_changed_image_shows_the_same_defects(defects, scene, changed, back):
    table = find_defects(np.ascontiguousarray(changed(scene.image))).table
    table = table.assign(**dict(zip("yx", back(at(table)).T, strict=True)))
    assert shared(defects.table, table, 3.0) >= 0.95


@pytest.mark.parametrize("factor", [0.7, 1.4])
def test_a_rescaled_image_shows_the_same_defects(defects, scene, factor):
    size = round(SIDE * factor)
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    table = find_defects(cv2.resize(scene.image, (size, size), interpolation=how)).table
    table = table.assign(y=(table["y"] + 0.5) * SIDE / size - 0.5, x=(table["x"] + 0.5) * SIDE / size - 0.5)
    assert shared(defects.table, table, 4.0) >= 0.9


@pytest.mark.parametrize(
    "options", [{"rotation_deg": 3.7}, {"rotation_deg": 48.2}, {"spacing": 6.5}, {"spacing": 16}, {"snr": 12}]
)
def test_drawn_anew_at_another_angle_scale_or_noise_defects_are_found_as_well(options):
    scene = scene_of(**options)
    assert f1(scene, find_defects(scene.image), scene.spacing) >= 0.92


@pytest.mark.parametrize("material", ["graphene", "WSe2 monolayer"])
def test_columns_displaced_onto_their_neighbours_are_one_defect_each(material):
    scene = material_image(
        material,
        (SIDE, SIDE),
        pixel_size_nm=0.018,
        rotation_deg=8,
        defects=PointDefects(vacancies=0.01, displaced=0.02, displacement_nm=0.1),
        recording=DarkField(dose_per_nm2=2e8 if material == "graphene" else 3e6),
        seed=2,
    )
    reach = np.linalg.norm(scene.translations, axis=1).min()
    assert f1(scene, find_defects(scene.image), reach) >= 0.92


def test_columns_too_faint_for_sites_are_not_additional_ones():
    # O columns of a tenth of the intensity of Sr: some are seen, all are as they should be.
    scene = material_image(
        "SrTiO3", (SIDE, SIDE), pixel_size_nm=0.016, recording=DarkField(dose_per_nm2=2e5), seed=4
    )
    assert len(find_defects(scene.image).table) <= 2


@pytest.mark.parametrize("tungsten", [0.2, 0.5])
def test_mixed_chemistry_is_no_defect(tungsten):
    scene = material_image(
        mowte2_bilayer(tungsten),
        (SIDE, SIDE),
        pixel_size_nm=0.018,
        rotation_deg=20,
        recording=DarkField(dose_per_nm2=3e6, contamination=0.03),
        seed=9,
    )
    for options in ({}, {"descriptor": "patterson", "source": "semantic"}):
        assert len(find_defects(scene.image, **options).table) <= 2


def crowded(seed, share, **conditions):
    """Columns that overlap, as in an image of few pixels, some of them dim: image, positions, and which are dim."""
    rng = np.random.default_rng(seed)
    cell = named_crystal("honeycomb")
    crystal = Crystal(cell.cell, cell.sites, np.array([1.0, 0.6]))
    positions, site, _ = lattice_points(crystal, (SIDE, SIDE), spacing=4.5, rotation_deg=17, margin=15)
    dim = (site == 0) & (rng.random(len(site)) < share)
    intensity = crystal.intensities[site] * np.where(dim, 0.5, 1.0)
    imaging = Imaging(sigma=1.26, tail=0.3, dose=60, jitter=0.3, **conditions)
    image, _ = record(positions, intensity, (SIDE, SIDE), imaging, rng)
    inner = ((positions > 8) & (positions < SIDE - 9)).all(axis=1) & (site == 0)
    return image, positions[inner], dim[inner]


def test_dim_columns_among_overlapping_ones_come_first():
    image, positions, dim = crowded(3, 0.04)
    columns = find_defects(image).columns
    pairs = match_columns(positions, at(columns), reach_px=2.25).pairs
    scores = np.full(len(positions), -1.0)
    scores[pairs[:, 0]] = columns["score"].to_numpy()[pairs[:, 1]]
    assert dim.sum() > 30
    assert average_precision_score(dim, scores) >= 0.95


def test_the_rim_of_the_semantic_image_where_columns_are_cut_off_is_not_judged(scene):
    reach = {}
    for source in ("image", "semantic"):
        segments = at(find_defects(scene.image, source=source).segments)
        reach[source] = np.minimum(segments, SIDE - 1 - segments).min()
    assert reach["semantic"] > reach["image"] + 0.5 * scene.spacing


def flown_back(image, amplitude, decay):
    """Scan lines that start late: columns along the left edge are shifted, ever less farther inside."""
    y, x = np.indices(image.shape).astype(np.float32)
    return cv2.remap(image, x + np.float32(amplitude) * np.exp(-x / np.float32(decay)), y, cv2.INTER_CUBIC)


@pytest.mark.parametrize("shift", range(0, 10, 2))
@pytest.mark.parametrize(("crystal", "flyback"), [("square", 0.0), ("square", 2.5), ("honeycomb", 2.5)])
def test_columns_that_the_edge_cuts_are_no_defects_wherever_it_cuts(shift, crystal, flyback):
    large = crystal_image(
        crystal, (180, 180), spacing=9, recording=Recording(snr=20, jitter=0.1), seed=6
    ).image
    image = flown_back(large[shift : shift + 160, shift : shift + 160], flyback, 8.0)
    table = find_defects(image, false_alarms=0.5).table
    assert (np.minimum(at(table), 159 - at(table)).min(axis=1) < 9).sum() <= 1


def test_vacancies_and_displaced_columns_of_the_outermost_rows_are_found():
    scene = crystal_image(
        "square",
        (SIDE, SIDE),
        spacing=10,
        rotation_deg=4,
        defects=PointDefects(vacancies=0.06, displaced=0.06, relative_displacement=0.45),
        seed=8,
    )
    moved = at(scene.columns[scene.columns["displaced"] > 0])
    found = at(find_defects(scene.image).table)
    for truth, most in ((at(scene.missing), 1), (moved, 2)):
        edge = np.minimum(truth, SIDE - 1 - truth).min(axis=1)
        outermost = truth[(edge > 1) & (edge < 10)]
        assert len(outermost) >= 3
        assert (np.linalg.norm(outermost[:, None] - found, axis=-1).min(axis=1) > 6).sum() <= most


@pytest.mark.parametrize("material", ["graphene", "WSe2 monolayer", "MoWTe2 bilayer"])
def test_defects_just_above_noise_are_found_and_few_others(material):
    usual = material_image(material, (64, 64), recording=DarkField(jitter_nm=0), seed=0)
    strongest = usual.columns["snr"].max()
    scene = material_image(
        material,
        (320, 320),
        pixel_size_nm=0.018,
        rotation_deg=8,
        defects=PointDefects(vacancies=0.02, displaced=0.02, displacement_nm=0.1),
        recording=DarkField(dose_per_nm2=1e7 * (9 / strongest) ** 2),
        seed=2,
    )
    found = find_defects(scene.image).table
    judged, is_true, is_false = judge_defects(scene, found)
    assert len(judged) >= 12
    assert judged["is_found"].mean() >= 0.9
    assert is_false.sum() <= 2


def test_false_alarms_in_perfect_crystals_are_as_many_as_asked_for():
    numbers = [len(find_defects(crowded(seed, 0.0)[0]).table) for seed in (11, 12)]
    for seed, crystal in enumerate(("hexagonal", "1T'", "perovskite", "dumbbell")):
        perfect = crystal_image(
            crystal,
            (SIDE, SIDE),
            spacing=9,
            rotation_deg=30 + seed,
            recording=Recording(snr=16, jitter=0.25),
            seed=20 + seed,
        )
        numbers.append(len(find_defects(perfect.image).table))
    assert chi2.ppf(0.05, 2 * sum(numbers)) / 2 / len(numbers) <= 1 or sum(numbers) == 0


def test_of_two_grains_the_larger_is_judged():
    left, right = (
        crystal_image(
            "square",
            (SIDE, SIDE),
            spacing=10,
            rotation_deg=angle,
            defects=PointDefects(vacancies=0.01),
            seed=seed,
        )
        for angle, seed in ((4, 1), (31, 2))
    )
    split = 110
    defects = find_defects(np.where(np.arange(SIDE) < split, left.image, right.image))
    assert 0.4 < defects.lattice.coverage < 0.75
    # Along the boundary the crystal is broken: that is told too.
    deep, found = (table[table["x"] > split + 15] for table in (right.missing, defects.table))
    assert len(deep) >= 2
    assert len(match_columns(at(deep), at(found), reach_px=5).pairs) == len(deep)
    assert len(found) <= len(deep) + 2
    assert (defects.table["x"] > split - 20).all()
