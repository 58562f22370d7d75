import contextlib

import numpy as np
import pytest
from scipy.spatial import cKDTree
from threadpoolctl import threadpool_info, threadpool_limits

from stemlib import find_domains
from stemlib.domains import clustering
from stemlib.domains import find as domains
from stemlib.domains.clustering import SegmentGrid
from stemlib.domains.search import Division, _without_amorphous, one_blas_thread
from stemlib.domains.windows import cut_segments, working_image
from stemlib.synthetic import crystal_image
from stemlib.synthetic.imaging import speckle

SIDE = 256


def crystal(turn):
    return crystal_image("square", (SIDE, SIDE), spacing=9, rotation_deg=turn, snr=15, seed=2).image


def number_of_domains(image, monkeypatch, ratio):
    """How many there are found if the widest division were so far apart, over what it must be."""
    found = []
    halves, least = SegmentGrid.halves, clustering._LEAST_APART

    def recorded(grid, members):
        result = halves(grid, members)
        found.append(0 if result is None else result.apart / grid.least_apart(members))
        return result

    with monkeypatch.context() as patch:
        patch.setattr(SegmentGrid, "halves", recorded)
        find_domains(image)
    monkeypatch.setattr(clustering, "_LEAST_APART", least * max(found) / ratio)
    return find_domains(image).n_domains


@pytest.mark.parametrize(("ratio", "number"), [(1.05, 2), (0.85, 2), (0.7, 1)])
def test_grains_in_doubt_are_two_as_their_crystals_explain_them_better(monkeypatch, ratio, number):
    image = np.where(np.arange(SIDE) < 120, crystal(10), crystal(35))
    assert number_of_domains(image, monkeypatch, ratio) == number


def test_halves_of_a_crystal_in_doubt_are_one(monkeypatch):
    assert number_of_domains(crystal(10), monkeypatch, 0.85) == 1


@pytest.mark.parametrize(("crystal_name", "number", "seed"), [("honeycomb", 5, 2), ("dumbbell", 4, 1)])
def test_grains_whose_reflections_are_hardly_seen_at_first_are_searched_for(
    monkeypatch, crystal_name, number, seed
):
    side = 384
    y, x = np.mgrid[:side, :side]
    rng = np.random.default_rng(seed)
    sizes = np.zeros(number)
    while sizes.min() < 0.6 * side**2 / number:
        centres = rng.uniform(0, side, (number, 2))
        grain = cKDTree(centres).query(np.stack([y, x], axis=-1))[1]
        sizes = np.bincount(grain.ravel(), minlength=number)
    symmetry = 180 if crystal_name == "dumbbell" else 60
    turned = [
        crystal_image(
            crystal_name, (side, side), spacing=10, rotation_deg=k * symmetry / number, seed=seed
        ).image
        for k in range(number)
    ]
    image = np.choose(grain, turned)
    assert find_domains(image).n_domains == number
    monkeypatch.setattr(domains, "_SEARCHES", 0)
    assert find_domains(image).n_domains < number


@pytest.mark.parametrize("has_waves", [True, False])
@pytest.mark.parametrize("is_amorphous", [True, False])
def test_what_is_amorphous_is_no_domain_however_bright(is_amorphous, has_waves):
    beside = crystal(35)
    if is_amorphous:
        beside = beside.mean() + beside.std() * speckle(beside.shape, 1.6, np.random.default_rng(0))
    drawn = (np.arange(SIDE) > 150) & np.ones((SIDE, 1), bool)
    work = working_image(np.where(drawn, beside, crystal(10)).astype(np.float32), np.ones(drawn.shape, bool))
    segments, fine = cut_segments(work), cut_segments(work, finer=0.56)
    groups = np.where(segments.usable, segments.waves.columns() > 150, -1).astype(int)
    division = Division(work, segments, None, groups, drawn.astype(int))
    if not has_waves:
        division.waves[1] = division.waves[1][:0]
    expected = np.where(drawn, -1 if is_amorphous else 1, 0)
    np.testing.assert_array_equal(_without_amorphous(division, fine).labels, expected)


def threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_callers_that_overlap_leave_no_limit_behind():
    with threadpool_limits(2, user_api="blas"):
        before = threads()
        first, second = contextlib.ExitStack(), contextlib.ExitStack()
        first.enter_context(one_blas_thread())
        second.enter_context(one_blas_thread())
        assert threads() == {1}
        first.close()
        assert threads() == {1}
        second.close()
        assert threads() == before != {1}


def test_an_error_leaves_no_limit_behind():
    with threadpool_limits(2, user_api="blas"):
        before = threads()
        with pytest.raises(ZeroDivisionError), one_blas_thread():
            raise ZeroDivisionError
        assert threads() == before
