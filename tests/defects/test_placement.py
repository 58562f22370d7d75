"""Heights are compared where the image shows columns: on their sites, off them, or cut by an edge."""

import numpy as np
import pytest

from stemlib.defects.placement import place_columns
from stemlib.defects.sites import assign_sites
from stemlib.lattice.find import find_lattice
from stemlib.synthetic import PointDefects, crystal_image

SIGMA, SPACING, SIDE = 2.2, 10.0, 200


def placed(scene, seen=None, mask=None):
    seen = scene.columns[["y", "x"]].to_numpy() if seen is None else seen
    mask = np.ones(scene.image.shape, bool) if mask is None else mask
    sites = assign_sites(scene.image, seen, find_lattice(scene.image), SPACING)
    return place_columns(scene.image, seen, sites, sigma=SIGMA, spacing=SPACING, mask=mask), sites


def scene_of(**options):
    return crystal_image("square", (SIDE, SIDE), spacing=SPACING, rotation_deg=7, **({"seed": 3} | options))


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
