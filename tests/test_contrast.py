"""Vacancies, dim, bright, displaced and additional columns are unlikely; normal ones, mixtures too, are not."""

import numpy as np
import pytest

from stemlib.contrast import compare_columns
from stemlib.lattice import find_lattice
from stemlib.sites import assign_sites
from stemlib.synthetic import Crystal, PointDefects, Recording, crystal_image, named_crystal, render_columns

SIGMA = 2.2


def compared(scene, image=None, positions=None, mask=None):
    image = scene.image if image is None else image
    positions = scene.columns[["y", "x"]].to_numpy() if positions is None else positions
    sites = assign_sites(positions, find_lattice(scene.image), scene.spacing)
    mask = np.ones(image.shape, bool) if mask is None else mask
    return compare_columns(image, positions, sites, sigma=SIGMA, spacing=scene.spacing, mask=mask)


def flagged(table, n_tried, rate=0.5):
    return table[table["log_p"] <= np.log(rate / n_tried)]


def scene_of(crystal="honeycomb", **options):
    return crystal_image(crystal, (240, 240), spacing=10, rotation_deg=11, seed=7, **options)


@pytest.mark.parametrize("crystal", ["honeycomb", "perovskite", "hexagonal"])
def test_vacancies_and_displaced_columns_are_flagged_and_nothing_else(crystal):
    scene = scene_of(crystal, defects=PointDefects(vacancies=0.02, displaced=0.02))
    found = flagged(*compared(scene))
    truth = np.vstack(
        [scene.missing[["y", "x"]], scene.columns.loc[scene.columns["displaced"] > 0, ["y", "x"]]]
    )
    distance = np.linalg.norm(truth[:, None] - found[["y", "x"]].to_numpy(), axis=-1)
    # The place of a column that the edge cuts is its site, here 3 px away.
    cut = np.minimum(truth, 239 - truth).min(axis=1) < 4
    assert distance.min(axis=1)[~cut].max() < 1.5
    assert (distance.min(axis=1)[cut] > 3.5).sum() <= 1
    assert (distance.min(axis=0) > 5).sum() <= 1
    assert (found["kind"] == "missing").sum() == len(scene.missing)


def test_brighter_and_dimmer_columns_are_told_from_their_sublattice():
    scene = scene_of("honeycomb")
    weak = scene.columns[scene.columns["intensity"] < 0.6].iloc[[60, 100]][["y", "x"]].to_numpy()
    strong = scene.columns[scene.columns["intensity"] > 0.6].iloc[[50, 90]][["y", "x"]].to_numpy()
    # Each becomes like the other sublattice: nothing that intensity alone would tell.
    change = render_columns(np.vstack([weak, strong]), [0.5, 0.5, -0.5, -0.5], scene.image.shape, SIGMA)
    found = flagged(*compared(scene, scene.image + change))
    assert sorted(found["kind"]) == ["bright", "bright", "dim", "dim"]
    ratio = found.set_index("kind")["intensity_ratio"]
    assert (ratio["bright"] > 1.6).all()
    assert (ratio["dim"] < 0.7).all()


def test_slow_changes_of_thickness_are_normal():
    scene = scene_of("perovskite")
    thicker = scene.image * np.linspace(1, 1.8, 240)[:, None] + np.linspace(0, 3, 240)
    table, n_tried = compared(scene, thicker.astype(np.float32))
    assert len(flagged(table, n_tried, 2.0)) <= 3


def test_an_additional_column_is_flagged_and_a_noise_peak_is_not():
    scene = scene_of("square")
    columns = scene.columns[["y", "x"]].to_numpy()
    lattice = find_lattice(scene.image)
    inner = lattice.points()[1]
    inner = inner[((inner > 60) & (inner < 170)).all(axis=1)]
    places = inner[[5, 40]] + lattice.cell.sum(axis=0) / 2
    image = scene.image + render_columns(places[:1], [0.7], scene.image.shape, SIGMA)
    found = flagged(*compared(scene, image, np.vstack([columns, places])))
    assert found["kind"].tolist() == ["additional"]
    np.testing.assert_allclose(found[["y", "x"]].to_numpy(), places[:1])


def test_a_mixture_of_two_metals_is_normal_and_a_third_one_is_not():
    scene = scene_of("square")
    rng = np.random.default_rng(0)
    at = scene.columns[["y", "x"]].to_numpy()
    light = rng.random(len(at)) < 0.45
    inner = np.flatnonzero(((at > 30) & (at < 210)).all(axis=1) & light)[12]
    change = np.where(light, -0.45, 0.0)
    change[inner] = 0.8
    table, n_tried = compared(scene, scene.image + render_columns(at, change, scene.image.shape, SIGMA))
    found = flagged(table, n_tried)
    assert found["kind"].tolist() == ["bright"]
    assert found["column"].tolist() == [inner]


def test_a_site_that_one_of_two_phases_leaves_empty_is_no_row_of_vacancies():
    scene = scene_of("perovskite")
    weak = (
        scene.columns["site"].to_numpy()
        == scene.columns["site"].to_numpy()[scene.columns["intensity"].argmin()]
    )
    gone = weak & (scene.columns["x"].to_numpy() > 130)
    at = scene.columns[["y", "x"]].to_numpy()
    change = -scene.columns["intensity"].to_numpy()[gone]
    image = scene.image + render_columns(at[gone], change, scene.image.shape, SIGMA)
    table, n_tried = compared(scene, image, at[~gone])
    assert gone.sum() > 80
    assert len(flagged(table, n_tried)) <= 4


def test_the_edge_of_the_crystal_is_not_a_row_of_vacancies_and_the_mask_hides():
    crystalline = np.zeros((240, 240), bool)
    crystalline[:150] = True
    scene = scene_of("hexagonal", crystalline=crystalline, defects=PointDefects(vacancies=0.02))
    found = flagged(*compared(scene))
    deep = scene.missing[scene.missing["y"] < 135]
    assert len(deep) >= 3
    assert (found["kind"] == "missing").sum() <= len(scene.missing) + 1
    mask = np.ones((240, 240), bool)
    mask[:100] = False
    table, _ = compared(scene, mask=mask)
    assert table["y"].min() > 99


def test_columns_beyond_the_edge_do_not_change_those_at_it():
    # Faint columns between strong ones: of the strong ones beyond the edge, only the tails are on the image.
    crystal = Crystal(named_crystal("square").cell, np.array([(0.0, 0.0), (0.5, 0.5)]), np.array([1.0, 0.25]))
    scene = crystal_image(
        crystal,
        (300, 300),
        spacing=11,
        rotation_deg=11,
        recording=Recording(relative_sigma=0.27, snr=80),
        seed=7,
    )
    positions = scene.columns[["y", "x"]].to_numpy()
    sites = assign_sites(positions, find_lattice(scene.image), scene.spacing)
    mask = np.ones(scene.image.shape, bool)
    table, _ = compare_columns(
        scene.image, positions, sites, sigma=0.27 * 11, spacing=scene.spacing, mask=mask
    )
    faint = table[table["intensity"] < 0.6]
    edge = np.minimum(faint[["y", "x"]], 299 - faint[["y", "x"]]).min(axis=1)
    assert (edge < 5).sum() > 10
    assert abs(faint["intensity_ratio"][edge < 5].median() - 1) < 0.05
    assert len(sites.beyond) > 50


def test_a_faint_column_is_looked_for_at_its_site_and_a_bright_one_where_it_is():
    scene = scene_of("square", defects=PointDefects(displaced=0.01))
    positions = scene.columns[["y", "x"]].to_numpy()
    inner = ((positions > 40) & (positions < 200)).all(axis=1) & (scene.columns["displaced"] == 0).to_numpy()
    dim = np.flatnonzero(inner)[[20, 90]]
    image = scene.image + render_columns(positions[dim], [-0.8, -0.8], scene.image.shape, SIGMA)
    strayed = positions.copy()
    strayed[dim] += 2.0
    table, n_tried = compared(scene, image, strayed)
    own = table.set_index("column").loc[dim]
    assert (own["kind"] == "dim").all()
    assert np.linalg.norm(own[["y", "x"]].to_numpy() - positions[dim], axis=1).max() < 1.0
    moved = np.flatnonzero(scene.columns["displaced"] > 0)
    moved = np.intersect1d(moved, table["column"])
    at = table.set_index("column").loc[moved, ["y", "x"]].to_numpy()
    np.testing.assert_allclose(at, positions[moved], atol=0.3)


def test_the_shoulder_of_a_column_is_no_additional_one():
    scene = scene_of("square")
    positions = scene.columns[["y", "x"]].to_numpy()
    inner = np.flatnonzero(((positions > 40) & (positions < 200)).all(axis=1))[[30, 80]]
    shoulders = positions[inner] + [3.2, 0.0]
    image = scene.image + render_columns(shoulders, [0.2, 0.2], scene.image.shape, SIGMA)
    table, _ = compared(scene, image, np.vstack([positions, shoulders]))
    assert not (table["kind"] == "additional").any()


def test_more_columns_of_one_direction_make_it_likelier(monkeypatch):
    scene = scene_of("square", recording=Recording(snr=14))
    positions = scene.columns[["y", "x"]].to_numpy()
    dim = np.arange(len(positions)) % 12 == 0
    image = scene.image + render_columns(positions[dim], np.full(dim.sum(), -0.35), scene.image.shape, SIGMA)
    weighted = compared(scene, image)[0].set_index("column")["log_p"]
    monkeypatch.setattr("stemlib.contrast.weighted_chances", lambda log_p, *_: log_p)
    plain = compared(scene, image)[0].set_index("column")["log_p"]
    judged = np.intersect1d(np.flatnonzero(dim), plain[plain < -3].index)
    assert len(judged) > 20
    assert (weighted[judged] < plain[judged] - np.log(2)).all()


def test_too_few_columns_cannot_be_judged():
    scene = scene_of("square")
    table, n_tried = compared(scene, positions=np.zeros((0, 2)))
    assert len(table) == 0
    assert n_tried == 0
