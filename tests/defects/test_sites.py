"""Columns are put on the sites of the cell they were simulated on, empty sites and interstitial columns are seen."""

import numpy as np
import pytest

from stemlib.defects.sites import assign_sites, surrounded
from stemlib.lattice.find import find_lattice
from stemlib.synthetic import PointDefects, Recording, crystal_image, render_columns


def assigned(scene, positions=None):
    positions = scene.columns[["y", "x"]].to_numpy() if positions is None else positions
    return positions, assign_sites(scene.image, positions, find_lattice(scene.image), scene.spacing)


@pytest.mark.parametrize(
    ("crystal", "n_sites"), [("hexagonal", 1), ("honeycomb", 2), ("1T'", 6), ("kagome", 3)]
)
def test_every_column_is_on_the_site_it_was_simulated_on(crystal, n_sites):
    scene = crystal_image(
        crystal, (220, 230), spacing=10, rotation_deg=17, recording=Recording(jitter=0.1, drift=1.0), seed=1
    )
    _, sites = assigned(scene)
    assert len(sites.fractions) == n_sites
    taken = sites.columns >= 0
    assert taken.mean() > 0.995
    assert not len(sites.interstitials)
    simulated = scene.columns["site"].to_numpy()[sites.columns[taken]]
    for kind in range(n_sites):
        assert len(np.unique(simulated[sites.kind[taken] == kind])) == 1
    assert np.nanmax(np.linalg.norm(sites.offsets, axis=1)) < 0.1 * scene.spacing


def test_vacancies_are_empty_sites_and_displaced_columns_keep_their_distance():
    scene = crystal_image(
        "perovskite", (260, 260), spacing=10, defects=PointDefects(vacancies=0.03, displaced=0.03), seed=2
    )
    _, sites = assigned(scene)
    empty = sites.positions[sites.columns < 0]
    missing = scene.missing[["y", "x"]].to_numpy()
    # A few are displaced to beyond the image.
    assert len(missing) <= len(empty) <= len(missing) + 3
    distance = np.linalg.norm(missing[:, None] - empty, axis=-1).min(axis=1)
    assert distance.max() < 0.5
    taken = sites.columns >= 0
    displaced = scene.columns["displaced"].to_numpy()[sites.columns[taken]]
    offset = np.linalg.norm(sites.offsets[taken], axis=1)
    assert np.abs(offset - displaced).max() < 0.8


def test_columns_between_sites_are_interstitials():
    scene = crystal_image("square", (200, 200), spacing=12, seed=3)
    lattice = find_lattice(scene.image)
    between = lattice.points()[1][40] + lattice.cell.sum(axis=0) / 2
    positions, sites = assigned(scene, np.vstack([scene.columns[["y", "x"]], between]))
    assert sites.interstitials.tolist() == [len(positions) - 1]


def test_columns_that_are_all_shifted_stay_on_their_sites():
    scene = crystal_image("square", (220, 220), spacing=10, seed=6)
    positions = scene.columns[["y", "x"]].to_numpy(copy=True)
    shifted = ((positions > 60) & (positions < 160)).all(axis=1)
    rng = np.random.default_rng(0)
    positions[shifted] += [0.0, 4.8] + rng.normal(0, 0.3, (shifted.sum(), 2))
    image = render_columns(positions, np.ones(len(positions)), (220, 220), 2.2)
    sites = assign_sites(image, positions, find_lattice(scene.image), scene.spacing)
    # About a third lies more than half a spacing from where the lattice has its site.
    assert np.isin(np.flatnonzero(shifted), sites.columns).mean() > 0.9


def test_sites_of_which_half_the_columns_are_lost_in_noise_are_in_the_crystal():
    scene = crystal_image("hexagonal", (220, 220), spacing=10, recording=Recording(snr=4), seed=2)
    columns = scene.columns[["y", "x"]].to_numpy()
    seen = columns[np.random.default_rng(0).random(len(columns)) < 0.5]
    sites = assign_sites(scene.image, seen, find_lattice(scene.image), scene.spacing)
    assert len(sites.positions) > 0.95 * len(columns)


def test_sites_go_on_beyond_the_edge_of_the_image_but_not_of_the_crystal():
    crystalline = np.zeros((220, 220), bool)
    crystalline[:, :140] = True
    scene = crystal_image("square", (220, 220), spacing=9, crystalline=crystalline, seed=4)
    _, sites = assigned(scene)
    outside = (sites.beyond < -0.5).any(axis=1) | (sites.beyond > 219.5).any(axis=1)
    assert outside.all()
    assert len(sites.beyond) == len(sites.beyond_kind) >= 35
    assert sites.beyond[:, 1].max() < 152
    assert sites.beyond.min() > -0.5 - 9


def test_sites_end_with_the_crystal():
    crystalline = np.zeros((220, 220), bool)
    crystalline[:, :140] = True
    scene = crystal_image("square", (220, 220), spacing=9, crystalline=crystalline, seed=4)
    _, sites = assigned(scene)
    assert sites.positions[:, 1].max() < 152
    assert abs((sites.columns >= 0).sum() - len(scene.columns)) <= 3
    empty = sites.positions[sites.columns < 0]
    occupied = sites.positions[sites.columns >= 0]
    assert not surrounded(empty, occupied, 9.0, (220, 220)).any()


def test_a_void_is_surrounded_and_the_image_edge_is_no_edge_of_the_crystal():
    grid = np.mgrid[0:20, 0:20].reshape(2, -1).T * 10.0
    void = np.abs(grid - 90).max(axis=1) <= 10
    points = np.array([[90.0, 90.0], [0.0, 50.0], [190.0, 190.0]])
    assert surrounded(points, grid[~void], 10.0, (195, 195)).all()
    assert not surrounded(points[1:], grid[~void], 10.0, (400, 400))[1]
    assert surrounded(np.zeros((0, 2)), grid, 10.0, (195, 195)).shape == (0,)


def test_no_columns_have_no_sites():
    scene = crystal_image("square", (128, 128), spacing=9, seed=5)
    _, sites = assigned(scene, np.zeros((0, 2)))
    assert len(sites.positions) == len(sites.interstitials) == 0
    random = np.random.default_rng(0).uniform(0, 128, (40, 2))
    _, sites = assigned(scene, random)
    assert (sites.columns >= 0).mean() < 0.3
