import numpy as np
import pandas as pd
import pytest
from scipy import stats

import stemlib
from stemlib.defects.densities import densities
from stemlib.synthetic import PointDefects, crystal_image


@pytest.fixture(scope="module")
def scene():
    return crystal_image("perovskite", (192, 192), spacing=10, defects=PointDefects(vacancies=0.02), seed=3)


@pytest.fixture(scope="module")
def found(scene):
    return stemlib.find_defects(scene.image, pixel_size_nm=0.02)


def test_each_kind_has_a_density_with_a_poisson_interval(found):
    table = found.densities
    assert table.loc["all", "count"] == len(found.table) > 1
    assert table.loc["missing", "count"] == (found.table["kind"] == "missing").sum()
    area = table.loc["all", "area"]
    count = table.loc["all", "count"]
    assert stats.poisson.cdf(count, table.loc["all", "high"] * area) == pytest.approx(0.025)
    assert table.loc["all", "per_nm2"] == pytest.approx(count / (area * 0.02**2))


def test_only_what_was_judged_counts_as_area(scene, found):
    assert 0.9 < found.judged.mean() <= 1
    mask = np.zeros(scene.image.shape, bool)
    mask[:, :120] = True
    half = stemlib.find_defects(scene.image, pixel_size_nm=0.02, mask=mask)
    assert not half.judged[:, 120:].any() and half.judged[:, :100].mean() > 0.9
    assert half.densities.loc["all", "area"] == half.judged.sum()


def test_beside_a_crystal_nothing_is_judged():
    scene = crystal_image("square", (160, 200), spacing=10, seed=1)
    image = scene.image.astype(float)
    image[:, 120:] = np.random.default_rng(0).normal(image.mean(), image.std() / 8, (160, 80))
    found = stemlib.find_defects(image, descriptor="contrast")
    assert found.judged[:, :100].mean() > 0.9
    assert found.judged[:, 150:].mean() < 0.1


def test_without_a_pixel_size_or_anything_judged():
    table = pd.DataFrame({"kind": ["dim"]})
    assert "per_nm2" not in densities(table, np.ones((5, 5), bool), None)
    assert densities(table, np.zeros((5, 5), bool), None).empty
