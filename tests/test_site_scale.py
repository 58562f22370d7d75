"""Width and distance of columns come from the sites, however wrong what they start from."""

import numpy as np
import pytest

from stemlib.lattice import find_lattice
from stemlib.site_scale import site_scale
from stemlib.sites import assign_sites
from stemlib.synthetic import PointDefects, Recording, crystal_image


@pytest.mark.parametrize("start", [1.4, 2.2, 3.2])
@pytest.mark.parametrize("snr", [7, 25])
def test_the_drawn_width_and_spacing_are_found_in_noise(start, snr):
    scene = crystal_image(
        "honeycomb",
        (220, 220),
        spacing=10,
        defects=PointDefects(vacancies=0.02),
        recording=Recording(relative_sigma=0.22, snr=snr),
        seed=3,
    )
    rng = np.random.default_rng(0)
    seen = scene.columns[["y", "x"]].to_numpy() + rng.normal(0, 0.5, (len(scene.columns), 2))
    sites = assign_sites(seen, find_lattice(scene.image), 9.0)
    sigma, spacing = site_scale(scene.image, sites, start, 9.0)
    assert sigma == pytest.approx(2.2, rel=0.06)
    assert spacing == pytest.approx(10, rel=0.02)


def test_without_sites_nothing_changes():
    scene = crystal_image("square", (96, 96), spacing=10, seed=0)
    sites = assign_sites(np.zeros((0, 2)), find_lattice(scene.image), 10.0)
    assert site_scale(scene.image, sites, 1.7, 8.0) == (1.7, 8.0)
