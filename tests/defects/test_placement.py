"""Columns are put where the image shows them: on their sites, off them, or overlooked until then."""

import numpy as np
import pytest

from stemlib.columns.find import Columns
from stemlib.defects.placement import complete_columns, place_columns, scale_at_sites
from stemlib.defects.sites import assign_sites
from stemlib.lattice.find import find_lattice
from stemlib.synthetic import PointDefects, Recording, crystal_image, render_columns

SIGMA, SPACING, SIDE = 2.2, 10.0, 200


def placed(scene, seen=None, mask=None):
    seen = scene.columns[["y", "x"]].to_numpy() if seen is None else seen
    mask = np.ones(scene.image.shape, bool) if mask is None else mask
    sites = assign_sites(scene.image, seen, find_lattice(scene.image), SPACING)
    return place_columns(scene.image, seen, sites, sigma=SIGMA, spacing=SPACING, mask=mask), sites


def scene_of(**options):
    return crystal_image("square", (SIDE, SIDE), spacing=SPACING, rotation_deg=7, **({"seed": 3} | options))


def test_places_that_noise_made_are_pulled_to_their_sites_and_sure_ones_are_not():
    pulled = {}
    for snr in (6, 60):
        scene = scene_of(
            recording=Recording(snr=snr),
            defects=PointDefects(displaced=0.03, relative_displacement=0.15),
            seed=5,
        )
        rng = np.random.default_rng(1)
        truth = scene.columns[["y", "x"]].to_numpy()
        seen = truth + rng.normal(0, np.sqrt(2) * SIGMA / snr, truth.shape)
        result, sites = placed(scene, seen)
        inner = (result.rim == 0) & (sites.columns >= 0)
        moved = inner & (scene.columns["displaced"].to_numpy()[sites.columns] > 0)
        usual = inner & ~moved
        away = np.linalg.norm(result.at - sites.positions, axis=1)
        kept = away / np.linalg.norm(sites.offsets, axis=1)
        pulled[snr] = np.median(kept[usual]), np.median(kept[moved])
    assert pulled[6][0] < 0.3
    assert pulled[60][1] > 0.85


def test_a_column_far_off_its_site_shows_beside_it():
    scene = scene_of(defects=PointDefects(displaced=0.03, relative_displacement=0.45))
    result, sites = placed(scene)
    moved = scene.columns["displaced"].to_numpy()[sites.columns] > 0
    assert (result.astray == (moved & (sites.columns >= 0) & (result.rim >= 0))).all()
    assert result.astray.sum() >= 4
    assert (result.at[result.astray] == sites.positions[result.astray]).all()
    assert np.linalg.norm(result.own - sites.positions, axis=1)[result.astray].min() > 3


def test_two_peaks_of_one_column_are_that_column_at_its_site():
    scene = scene_of()
    seen = scene.columns[["y", "x"]].to_numpy()
    inner = np.flatnonzero((np.abs(seen - SIDE / 2) < 40).all(axis=1))[[3, 17]]
    halves = seen.copy()
    halves[inner] += [2.6, 1.0]
    halves = np.vstack([halves, seen[inner] - [2.4, 1.2]])
    result, sites = placed(scene, halves)
    assert len(sites.interstitials) == 2
    assert len(result.extra) == 0
    own = np.isin(sites.columns, [*inner, len(seen), len(seen) + 1])
    assert own.sum() == 2
    assert np.isnan(result.offsets[own]).all()
    assert np.linalg.norm(result.at[own] - sites.positions[own], axis=1).max() == 0


@pytest.mark.parametrize("side", range(4))
def test_the_rim_says_which_edge_and_what_it_or_the_mask_cuts(side):
    mask = np.ones((SIDE, SIDE), bool)
    mask[90:110, 90:110] = False
    result, _ = placed(scene_of(), mask=mask)
    away = np.column_stack([result.own + 0.5, SIDE - 0.5 - result.own])
    inside = (away.argmin(axis=1) == side) & (np.abs(result.own - SIDE / 2).max(axis=1) > 20)
    nearest = away.min(axis=1)
    assert (result.rim == np.where(nearest < SPACING, side + 1, 0))[inside].all()
    assert (result.cut == (nearest < 1.65 * SIGMA))[inside].all()
    assert result.cut[inside].any()
    hidden = np.abs(result.own - 99.5).max(axis=1) < 10
    assert result.cut[hidden].all()
    assert hidden.any()


@pytest.mark.parametrize("start", [1.4, 2.2, 3.2])
@pytest.mark.parametrize("snr", [7, 25])
def test_the_simulated_width_and_spacing_are_found_in_noise(start, snr):
    scene = crystal_image(
        "honeycomb",
        (220, 220),
        spacing=10,
        recording=Recording(relative_sigma=0.22, snr=snr),
        defects=PointDefects(vacancies=0.02),
        seed=3,
    )
    rng = np.random.default_rng(0)
    seen = scene.columns[["y", "x"]].to_numpy() + rng.normal(0, 0.5, (len(scene.columns), 2))
    sites = assign_sites(scene.image, seen, find_lattice(scene.image), 9.0)
    sigma, spacing = scale_at_sites(scene.image, sites, start, 9.0)
    assert sigma == pytest.approx(2.2, rel=0.06)
    assert spacing == pytest.approx(10, rel=0.02)


def test_without_sites_nothing_changes():
    scene = crystal_image("square", (96, 96), spacing=10, seed=0)
    sites = assign_sites(scene.image, np.zeros((0, 2)), find_lattice(scene.image), 10.0)
    assert scale_at_sites(scene.image, sites, 1.7, 8.0) == (1.7, 8.0)


def completed(scene, overlooked):
    seen = scene.columns.drop(index=overlooked).assign(probability=0.9)
    columns = Columns(seen, scene.image, scene.spacing, 2.2, None)
    return complete_columns(scene.image, columns, find_lattice(scene.image))


def test_overlooked_columns_are_added_and_vacancies_stay_empty():
    scene = crystal_image("honeycomb", (220, 220), spacing=10, defects=PointDefects(vacancies=0.03), seed=1)
    inner = scene.columns[["y", "x"]].apply(lambda c: c.between(30, 190)).all(axis=1)
    overlooked = scene.columns.index[inner][::40]
    table, sites = completed(scene, overlooked)
    added = table[table["probability"] == 0]
    assert len(added) == len(overlooked) >= 5
    truth = scene.columns.loc[overlooked, ["y", "x"]].to_numpy()
    distance = np.linalg.norm(truth[:, None] - added[["y", "x"]].to_numpy(), axis=-1).min(axis=1)
    assert distance.max() < 0.8
    assert abs((sites.columns < 0).sum() - len(scene.missing)) <= 2
    assert (table["site"] >= 0).all()


def test_where_nothing_was_overlooked_the_columns_are_as_they_were():
    scene = crystal_image("square", (160, 160), spacing=10.7, seed=2)
    table, sites = completed(scene, [])
    np.testing.assert_array_equal(table[["y", "x"]], scene.columns[["y", "x"]])
    assert (sites.columns >= 0).all()


def test_faint_columns_are_added_where_they_stand_out_of_the_noise():
    scene = crystal_image("square", (220, 220), spacing=11, recording=Recording(snr=40), seed=5)
    inner = scene.columns[["y", "x"]].apply(lambda c: c.between(30, 190)).all(axis=1)
    faint = scene.columns.index[inner][::30]
    at = scene.columns.loc[faint, ["y", "x"]].to_numpy()
    change = render_columns(at, np.full(len(at), -0.65), scene.image.shape, 0.22 * 11)
    seen = scene.columns.drop(index=faint).assign(probability=0.9)
    columns = Columns(seen, scene.image, scene.spacing, 0.22 * 11, None)
    table, _ = complete_columns(scene.image + change, columns, find_lattice(scene.image))
    assert (table["probability"] == 0).sum() == len(faint) >= 5
