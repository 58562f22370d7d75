"""Domains that were drawn are found, to the column; a single crystal is one; hopeless input is told clearly."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

import stemlib
from stemlib.domains.find import find_domains
from stemlib.synthetic import Crystal, crystal_image, named_crystal


def beside(first, second, edge, *, side=256, **options):
    """Two crystals on the two sides of a wavy line, the second to its right; the labels and the image."""
    rows = np.arange(side)
    line = edge + 12 * np.sin(rows / 40)
    labels = (rows[None] > line[:, None]).astype(int)
    options = {"spacing": 9.5, "snr": 18, "drift": 1.0, "seed": 4} | options
    images = [crystal_image(c, (side, side), rotation_deg=r, **options).image for c, r in (first, second)]
    return labels, np.where(labels == 0, *images)


def accuracy(truth, found, band):
    """Share of pixels with the right label, the best permutation, farther than a band from the true boundary."""
    edge = ndimage.morphological_gradient(truth, 3) > 0
    far = (ndimage.distance_transform_edt(~edge) > band) & (truth >= 0)
    size = max(truth.max(), found.max()) + 1
    table = np.zeros((size, size))
    ok = far & (found >= 0)
    np.add.at(table, (truth[ok], found[ok]), 1)
    return table[linear_sum_assignment(-table)].sum() / far.sum()


def boundary_error(truth, domains):
    edge = ndimage.morphological_gradient(truth, (2, 2)) > 0
    points = np.rint(np.concatenate(domains.boundaries)).astype(int)
    return ndimage.distance_transform_edt(~edge)[tuple(points.T)].mean()


def inverted(name):
    crystal = named_crystal(name)
    return Crystal(crystal.cell, -crystal.sites % 1, crystal.intensities)


PAIRS = {
    "grains": (("honeycomb", 10), ("honeycomb", 33)),
    "phases": (("perovskite", 5), ("hexagonal", 5)),
    "turned by 90 degrees": (("1T'", 12), ("1T'", 102)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_two_domains_are_found_to_less_than_a_cell(name):
    labels, image = beside(*PAIRS[name], edge=120)
    domains = find_domains(image)
    cell = domains.table[["a", "b"]].to_numpy().max()
    assert domains.n_domains == 2
    assert accuracy(labels, domains.labels, cell) >= 0.99
    assert boundary_error(labels, domains) < 0.5 * cell
    assert domains.table["phase"].nunique() == (2 if name == "phases" else 1)


@pytest.mark.parametrize("crystal", ["square", "hexagonal"])
def test_grains_a_few_degrees_apart_are_two(crystal):
    labels, image = beside((crystal, 10), (crystal, 15), edge=160, side=320, spacing=12)
    domains = find_domains(image)
    assert domains.n_domains == 2
    assert accuracy(labels, domains.labels, 12) >= 0.99


def test_phases_that_differ_in_the_height_of_one_column_are_two():
    crystal = named_crystal("perovskite")
    other = Crystal(crystal.cell, crystal.sites, crystal.intensities * [0.75, 1])
    labels, image = beside((crystal, 10), (other, 10), edge=128)
    domains = find_domains(image)
    assert domains.n_domains == 2
    assert accuracy(labels, domains.labels, 9.5) >= 0.99


@pytest.mark.parametrize("crystal", ["square", "honeycomb", "perovskite", "dumbbell"])
@pytest.mark.parametrize("descriptor", ["patterson", "triplet"])
def test_a_single_crystal_is_one_domain(crystal, descriptor):
    rows, columns = np.mgrid[:256, :256] / 256
    film = 0.5 * np.exp(-((rows - 0.3) ** 2 + (columns - 0.6) ** 2) / 0.03) + 0.8 * rows
    image = crystal_image(crystal, (256, 256), rotation_deg=17, drift=4, jitter=0.2, film=film, seed=8).image
    domains = find_domains(image * (1 + columns), descriptor=descriptor)
    assert domains.n_domains == 1
    assert (domains.labels == 0).mean() > 0.99
    assert domains.boundaries == []


def test_only_triplets_tell_a_crystal_from_its_inverse():
    labels, image = beside(("honeycomb", 20), (inverted("honeycomb"), 20), edge=128)
    triplet = find_domains(image, descriptor="triplet", n_domains=2)
    patterson = find_domains(image, descriptor="patterson", n_domains=2)
    assert accuracy(labels, triplet.labels, 17) >= 0.98
    assert accuracy(labels, patterson.labels, 17) <= 0.6
    assert find_domains(image).n_domains == 1
    assert find_domains(image, descriptor="triplet").n_domains == 2
    assert triplet.table["phase"].tolist() == [0, 0]


def test_vacuum_and_film_are_no_domain():
    crystalline = np.ones((256, 256), bool)
    crystalline[:, :100] = False
    rng = np.random.default_rng(1)
    speckle = ndimage.gaussian_filter(rng.normal(size=(256, 256)), 2.5)
    film = 0.3 + 0.3 * speckle / speckle.std() * (np.arange(256) < 100)
    image = crystal_image(
        "honeycomb", (256, 256), film=np.maximum(film, 0), crystalline=crystalline, seed=2
    ).image
    domains = find_domains(image)
    assert domains.n_domains == 1
    assert (domains.labels[:, :75] == -1).mean() > 0.97
    assert (domains.labels[:, 118:] == 0).mean() > 0.99


def test_a_fault_is_a_line_inside_a_domain():
    side, step = 256, 9.5
    labels = (np.arange(side)[None] > 100 + 0.25 * np.arange(side)[:, None]).astype(int)
    crystal = named_crystal("honeycomb")
    third = Crystal(crystal.cell, crystal.sites + [1 / 3, 1 / 3], crystal.intensities)
    images = [
        crystal_image(c, (side, side), spacing=step, rotation_deg=7, seed=6).image for c in (crystal, third)
    ]
    domains = find_domains(np.where(labels == 0, *images))
    assert domains.n_domains == 1
    assert domains.boundaries == []
    [line] = domains.faults
    assert np.ptp(line[:, 0]) > 0.6 * side
    edge = ndimage.morphological_gradient(labels, (2, 2)) > 0
    assert ndimage.distance_transform_edt(~edge)[tuple(np.rint(line).astype(int).T)].mean() < step
    assert np.nanmedian(domains.misfit[edge]) > 1.5
    assert find_domains(images[0]).faults == []


def test_misfit_is_known_where_a_domain_is():
    _, image = beside(*PAIRS["phases"], edge=120)
    mask = np.ones(image.shape, bool)
    mask[:50] = False
    domains = find_domains(image, mask=mask)
    np.testing.assert_array_equal(np.isnan(domains.misfit), domains.labels < 0)
    assert domains.faults == []


def test_a_small_domain_in_a_corner_is_found():
    rows, columns = np.mgrid[:400, :400]
    labels = ((rows - 290) / 110 > columns / 130).astype(int)
    images = [
        crystal_image("perovskite", (400, 400), spacing=8, rotation_deg=r, snr=25, seed=3).image
        for r in (10, 41)
    ]
    domains = find_domains(np.where(labels == 0, *images))
    assert labels.mean() < 0.05
    assert domains.n_domains == 2
    assert accuracy(labels, domains.labels, 12) >= 0.99


def test_labels_do_not_depend_on_contrast_or_brightness():
    _, image = beside(*PAIRS["grains"], edge=120)
    first = find_domains(image)
    second = find_domains(-300 * image + 7, dark_columns=True)
    assert (first.labels == second.labels).mean() > 0.999


def test_masked_pixels_are_undecided():
    _, image = beside(*PAIRS["grains"], edge=120)
    mask = np.ones(image.shape, bool)
    mask[:40] = False
    domains = find_domains(np.where(mask, image, 100.0), mask=mask)
    assert domains.n_domains == 2
    assert (domains.labels[:40] == -1).all()
    assert (domains.labels[40:] >= 0).mean() > 0.99


def test_one_class_finds_the_second_domain_and_no_second_in_a_single_crystal():
    labels, image = beside(*PAIRS["phases"], edge=150)
    domains = find_domains(image, method="one-class")
    assert domains.n_domains == 2
    assert accuracy(labels, domains.labels, 15) >= 0.98
    single = crystal_image("honeycomb", (256, 256), rotation_deg=17, drift=3, seed=8).image
    assert find_domains(single, method="one-class").n_domains == 1


def test_orientations_of_one_phase_are_merged_on_demand():
    _, image = beside(*PAIRS["grains"], edge=120)
    merged = find_domains(image, merge_orientations=True)
    assert merged.n_domains == 1
    assert merged.boundaries == []
    assert find_domains(beside(*PAIRS["phases"], edge=120)[1], merge_orientations=True).n_domains == 2


def test_merged_domains_are_numbered_by_their_size():
    y, x = np.mgrid[:300, :300]
    labels = np.where(x < 120, 0, np.where(y < 150, 1, 2))
    crystals = [
        crystal_image(crystal, (300, 300), spacing=9, rotation_deg=turn, snr=20, seed=4).image
        for crystal, turn in (("perovskite", 5), ("hexagonal", 3), ("hexagonal", 31))
    ]
    image = np.choose(labels, crystals)
    assert find_domains(image).n_domains == 3
    merged = find_domains(image, merge_orientations=True)
    assert merged.labels[150, [20, 280]].tolist() == [1, 0]
    assert merged.table["area"].is_monotonic_decreasing
    assert abs(merged.crystals[0].angle_deg - 120) < 1


def test_the_table_tells_cell_and_area_in_px_and_nm(tmp_path):
    labels, image = beside(*PAIRS["grains"], edge=120)
    domains = find_domains(image, pixel_size_nm=0.02)
    table = domains.table
    assert table["area"].sum() == (domains.labels >= 0).sum()
    assert table["a"].to_numpy() == pytest.approx(9.5 * np.sqrt(3), rel=0.01)
    turn = abs(np.subtract(*table["orientation_deg"])) % 60
    assert min(turn, 60 - turn) == pytest.approx(23, abs=0.5)
    assert table["a_nm"].to_numpy() == pytest.approx(0.02 * table["a"].to_numpy())
    assert table["area_nm2"].to_numpy() == pytest.approx(0.0004 * table["area"].to_numpy())
    domains.to_csv(tmp_path / "domains.csv")
    header = (tmp_path / "domains.csv").read_text(encoding="utf-8").splitlines()[0]
    assert "a (px)" in header
    assert "area (nm²)" in header
    assert "orientation (deg)" in header


def test_the_same_seed_gives_the_same():
    image = crystal_image("square", (192, 192), seed=3).image
    first, second = (find_domains(image, n_domains=3, seed=5).labels for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_domains": 0}, ValueError, "n_domains=0 must be at least 1"),
        ({"n_domains": 2.0}, TypeError, "n_domains must be a whole number"),
        ({"n_domains": True}, TypeError, "n_domains must be a whole number"),
        ({"n_domains": 500}, ValueError, "n_domains=500 is more than the image can hold"),
        ({"n_domains": 3, "method": "one-class"}, ValueError, "one domain and its outliers"),
        ({"descriptor": "fourier"}, ValueError, "descriptor='fourier' is not known"),
        ({"method": "kmeans"}, ValueError, "method='kmeans' is not known"),
        ({"mask": np.zeros((128, 128), bool)}, ValueError, "mask"),
    ],
)
def test_bad_arguments_are_named(options, error, message):
    image = crystal_image("square", (128, 128), seed=3).image
    with pytest.raises(error, match=message):
        find_domains(image, **options)


def test_images_without_crystals_are_told_clearly():
    noise = np.random.default_rng(0).normal(size=(256, 256))
    for image in (noise, ndimage.gaussian_filter(noise, 3)):
        with pytest.raises(ValueError, match="image shows nothing periodic"):
            find_domains(image)
    with pytest.raises(ValueError, match="image is constant"):
        find_domains(np.ones((128, 128)))
    with pytest.raises(ValueError, match="image is 20 x 200 px; domains need 32 px"):
        find_domains(noise[:20, :200])
    with pytest.raises(ValueError, match="smaller than a window"):
        find_domains(crystal_image("square", (64, 64), spacing=13.5, seed=0).image)


def test_columns_of_one_pixel_are_told_clearly():
    with pytest.raises(ValueError, match="image shows nothing periodic"):
        find_domains(np.indices((64, 64)).sum(axis=0) % 2)


@pytest.mark.filterwarnings("error")
def test_a_mask_full_of_holes_is_told_clearly():
    image = crystal_image("square", (128, 128), seed=3).image
    mask = np.random.default_rng(0).random(image.shape) < 0.5
    with pytest.raises(ValueError, match="image shows nothing periodic"):
        find_domains(image, mask=mask)


@pytest.mark.filterwarnings("error")
def test_bright_images_with_a_mask_cause_no_overflow():
    labels, image = beside(*PAIRS["phases"], edge=80)
    mask = np.arange(256) < 150
    domains = find_domains(1e6 * image, mask=np.broadcast_to(mask, image.shape))
    assert domains.n_domains == 2
    assert np.isfinite(domains.misfit[domains.labels >= 0]).all()


def test_a_search_that_leaves_no_segments_is_the_last(monkeypatch):
    monkeypatch.setattr(
        "stemlib.domains.find.with_reflections_of_gaps",
        lambda work, gap: replace(work, flat=np.zeros_like(work.flat)),
    )
    image = crystal_image("square", (128, 128), seed=3).image
    assert find_domains(image).n_domains == 1


def test_it_is_public():
    assert stemlib.find_domains is find_domains


def turned_inside(inside):
    """A square crystal, spacing 9 px, and another, turned by 30 degrees, where `inside` is true."""
    images = [
        crystal_image("square", inside.shape, spacing=9, rotation_deg=angle, seed=seed).image
        for seed, angle in enumerate((0, 30))
    ]
    return np.where(inside, images[1], images[0])


def test_a_band_too_narrow_for_the_usual_windows_is_a_domain():
    across = np.arange(320) - 160
    inside = np.broadcast_to(np.abs(across) < 25, (320, 320))
    domains = find_domains(turned_inside(inside))
    assert domains.n_domains == 2
    assert accuracy(inside.astype(int), domains.labels, 9) > 0.99


def test_a_small_crystal_that_no_domain_explains_is_a_domain():
    y, x = np.mgrid[:320, :320] - 160
    inside = np.hypot(y, x) < 25
    domains = find_domains(turned_inside(inside))
    assert domains.n_domains == 2
    assert accuracy(inside.astype(int), domains.labels, 9) > 0.99
