"""The average cell shows every column of the crystal, and what it would look like where it is hidden."""

import numpy as np
import pytest

from stemlib.defects.average_cell import AverageCell
from stemlib.lattice.find import find_lattice
from stemlib.synthetic import PointDefects, Recording, crystal_image, render_columns

EVERYWHERE = np.ones((200, 200), bool)


def simulated_sites(scene, lattice):
    """Fractions of the sites that columns were simulated on, one row each."""
    fractions = lattice.fractions(scene.columns[["y", "x"]].to_numpy()) % 1
    kinds = scene.columns["site"].to_numpy()
    turns = np.exp(2j * np.pi * fractions)
    return np.array([np.angle(turns[kinds == k].mean(axis=0)) / (2 * np.pi) for k in np.unique(kinds)]) % 1


@pytest.mark.parametrize("crystal", ["hexagonal", "honeycomb", "1T'", "kagome", "perovskite", "dumbbell"])
def test_its_maxima_are_the_sites_of_the_crystal(crystal):
    scene = crystal_image(crystal, EVERYWHERE.shape, spacing=10, rotation_deg=11, seed=1)
    lattice = find_lattice(scene.image)
    found, truth = (
        AverageCell.of(scene.image, EVERYWHERE, lattice, 10.0).sites(),
        simulated_sites(scene, lattice),
    )
    apart = np.linalg.norm(((found[:, None] - truth + 0.5) % 1 - 0.5) @ lattice.cell, axis=-1)
    assert apart.min(axis=0).max() < 0.8
    assert apart.min(axis=1).max() < 0.8
    assert len(found) == len(np.unique(apart.argmin(axis=0)))


def test_columns_too_faint_to_be_seen_one_by_one_are_sites():
    scene = crystal_image("square", EVERYWHERE.shape, spacing=14, recording=Recording(snr=15), seed=2)
    lattice = find_lattice(scene.image)
    between = scene.columns[["y", "x"]].to_numpy() + lattice.cell.sum(axis=0) / 2
    strength = np.ptp(scene.image)
    faint = render_columns(between, np.full(len(between), 0.2 * strength), EVERYWHERE.shape, 0.2 * 14)
    assert len(AverageCell.of(scene.image, EVERYWHERE, lattice, 14.0).sites()) == 1
    assert len(AverageCell.of(scene.image + faint, EVERYWHERE, lattice, 14.0).sites()) == 2


def test_bright_dopants_and_vacancies_make_no_sites():
    scene = crystal_image(
        "honeycomb", EVERYWHERE.shape, spacing=10, defects=PointDefects(vacancies=0.05), seed=3
    )
    dopants = scene.columns[["y", "x"]].to_numpy()[::60]
    bright = render_columns(dopants, np.full(len(dopants), 20 * np.ptp(scene.image)), EVERYWHERE.shape, 2.2)
    lattice = find_lattice(scene.image)
    assert len(AverageCell.of(scene.image + bright, EVERYWHERE, lattice, 10.0).sites()) == 2


def test_what_is_hidden_becomes_the_crystal_and_what_is_seen_stays():
    image = crystal_image("honeycomb", EVERYWHERE.shape, spacing=10, seed=0).image
    mask = EVERYWHERE.copy()
    mask[80:100, 40:160] = False
    blank = np.where(mask, image, np.float32(image.mean()))
    filled = AverageCell.of(blank, mask, find_lattice(image), 10.0).continued(blank, mask)
    assert np.array_equal(filled[mask], image[mask])
    assert np.corrcoef(filled[~mask], image[~mask])[0, 1] > 0.85
    assert AverageCell.of(image, EVERYWHERE, find_lattice(image), 10.0).continued(image, EVERYWHERE) is image
