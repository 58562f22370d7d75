"""A column on no site is an interstitial where it stands alone, not where every cell has one or nothing is at all."""

import numpy as np

from stemlib.columns.heights import fit_heights, matched_filter
from stemlib.defects.interstitials import judge_interstitials, places_between
from stemlib.defects.sites import assign_sites
from stemlib.lattice.find import find_lattice
from stemlib.synthetic import Crystal, Recording, crystal_image, named_crystal, render_columns

SIGMA, SPACING = 2.64, 12.0


def judged(scene, image, extra_positions):
    """Rows of columns at `extra_positions`, the others on their sites."""
    bright = scene.columns[scene.columns["intensity"] > 0.5]
    columns = bright[["y", "x"]].to_numpy()
    sites = assign_sites(scene.image, columns, find_lattice(scene.image), SPACING)
    positions = np.vstack([columns, extra_positions])
    taken = sites.columns >= 0
    at = sites.positions.copy()
    at[taken] = columns[sites.columns[taken]]
    between = places_between(np.vstack([at, positions]), SPACING, image.shape, 0)
    heights, _ = fit_heights(image, np.vstack([at, extra_positions, between]), SIGMA, SPACING)
    at_sites, at_extra, background = np.split(heights, [len(at), len(at) + len(extra_positions)])
    seen = matched_filter(image, at, at_sites, SIGMA, SPACING, SIGMA)
    return judge_interstitials(
        seen, extra_positions, at_extra, background, sites, sigma=SIGMA, spacing=SPACING
    )


def faint_in_every_cell():
    crystal = Crystal(named_crystal("square").cell, np.array([(0.0, 0.0), (0.5, 0.5)]), np.array([1.0, 0.15]))
    return crystal_image(
        crystal, (240, 240), spacing=SPACING, rotation_deg=9, recording=Recording(snr=60), seed=1
    )


def test_a_faint_column_of_every_cell_is_none_and_a_stronger_one_is():
    scene = faint_in_every_cell()
    weak = scene.columns[scene.columns["intensity"] < 0.5]
    places = weak[weak["y"].between(60, 180) & weak["x"].between(60, 180)][["y", "x"]].to_numpy()[[3, 20]]
    image = scene.image + render_columns(places[1:], [0.5], scene.image.shape, SIGMA)
    table, n_tried = judged(scene, image, places)
    assert table["kind"].tolist() == ["interstitial"] * 2
    assert table["log_p"][0] > np.log(1e-3)
    assert table["log_p"][1] < np.log(1e-8)
    assert n_tried > 4 * 0.8 * (240 / SPACING) ** 2


def test_nothing_is_judged_without_sites():
    scene = crystal_image("square", (60, 60), spacing=SPACING, seed=2)
    sites = assign_sites(scene.image, np.zeros((0, 2)), find_lattice(scene.image), SPACING)
    table, n_tried = judge_interstitials(
        scene.image,
        np.zeros((0, 2)),
        np.zeros(0),
        np.zeros(20),
        sites,
        sigma=SIGMA,
        spacing=SPACING,
    )
    assert len(table) == n_tried == 0


def test_places_between_are_apart_from_columns_and_each_other():
    scene = crystal_image("square", (200, 200), spacing=SPACING, seed=3)
    columns = scene.columns[["y", "x"]].to_numpy()
    places = places_between(columns, SPACING, scene.image.shape, 0)
    again, others = (places_between(columns, SPACING, scene.image.shape, seed) for seed in (0, 1))
    assert np.array_equal(places, again)
    assert not np.array_equal(places, others)
    assert len(places) > 30
    assert np.linalg.norm(places[:, None] - columns, axis=-1).min() > 0.45 * SPACING
