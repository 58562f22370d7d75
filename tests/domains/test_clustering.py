import numpy as np
import pytest
from scipy import ndimage
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from stemlib.domains.clustering import SegmentGrid, _scores, find_groups
from stemlib.domains.statistics import Moments, distance_apart, inner, otsu_threshold, otsu_thresholds, shrunk

SHAPE = (24, 24)
EVERYWHERE = np.ones(SHAPE, bool)


def grid_of(means, *, usable=EVERYWHERE, trusted=None, seed=0, noise=1.0):
    """Segments whose noise is correlated as that of overlapping windows; means are (M, N, K)."""
    rng = np.random.default_rng(seed)
    values = ndimage.gaussian_filter(rng.normal(size=means.shape), (1, 1, 0))
    values = means + noise * values / values.std()
    return SegmentGrid(values[usable], usable, usable if trusted is None else trusted, 0.9)


def field(change, n_numbers=12, seed=1):
    """Numbers that change by `change` (M, N) along a random direction."""
    direction = np.random.default_rng(seed).normal(size=n_numbers)
    return change[..., None] * direction / np.linalg.norm(direction)


def number(grid):
    return int(find_groups(grid).max()) + 1


@pytest.mark.parametrize("seed", range(6))
def test_noise_and_smooth_change_are_one_group(seed):
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]] / SHAPE[0]
    assert number(grid_of(field(np.zeros(SHAPE)), seed=seed)) == 1
    assert number(grid_of(field(25 * rows), seed=seed)) == 1
    assert number(grid_of(field(20 * (rows - 0.4) ** 2 + 15 * columns), seed=seed)) == 1


def test_several_groups_are_told_apart_and_counted():
    truth = np.zeros(SHAPE, int)
    truth[:, 9:] = 1
    truth[14:, 9:] = 2
    means = sum(field(25.0 * (truth == k), seed=k) for k in range(3))
    found = find_groups(grid_of(means))
    assert found.max() == 2
    pairs = {(t, f) for t, f in zip(truth.ravel().tolist(), found.ravel().tolist(), strict=True)}
    assert len(pairs) == 3


def test_a_seam_is_no_group():
    seam = np.zeros(SHAPE)
    seam[:, 10:13] = 25
    assert number(grid_of(field(seam))) == 1


def test_only_usable_segments_get_a_group():
    usable = EVERYWHERE.copy()
    usable[:5] = False
    found = find_groups(grid_of(field(30.0 * (np.arange(24) > 11) * np.ones((24, 1))), usable=usable))
    assert (found[:5] == -1).all()
    assert set(np.unique(found[5:])) == {0, 1}


def test_the_number_that_is_asked_for_is_made():
    truth = 20.0 * (np.arange(24) > 11) * np.ones((24, 1))
    for count in (1, 2, 3, 4):
        assert len(np.unique(find_groups(grid_of(field(truth)), count))) == count
    with pytest.raises(ValueError, match="make no 5 groups"):
        find_groups(grid_of(field(truth), trusted=np.arange(576).reshape(SHAPE) < 3), 5)


def test_segments_between_the_groups_go_to_the_likelier_one():
    truth = (np.arange(24) > 11) * np.ones((24, 1))
    # The nearest trusted segments of the second group's first two columns are of the first group.
    trusted = EVERYWHERE.copy()
    trusted[:, 9:19] = False
    found = find_groups(grid_of(field(30.0 * truth), trusted=trusted))
    np.testing.assert_array_equal(found == found[0, 0], truth == 0)


def test_components_are_those_that_stand_out_of_noise():
    values = np.random.default_rng(0).normal(size=(*SHAPE, 6))
    values[..., [1, 4]] *= [3, 4]
    grid = SegmentGrid(5 + values[EVERYWHERE], EVERYWHERE, EVERYWHERE, 3.0)
    components = grid.components(EVERYWHERE)
    np.testing.assert_allclose(components.mean(axis=0), [0, 0], atol=1e-9)
    np.testing.assert_allclose(components.std(axis=0), [4, 3], rtol=0.1)


def test_scores_are_those_of_a_linear_discriminant():
    rng = np.random.default_rng(0)
    target = rng.integers(0, 3, 300)
    taught = rng.random(300) < 0.7
    features = rng.normal(size=(300, 5)) @ rng.normal(size=(5, 5)) + 0.7 * rng.normal(size=(3, 5))[target]
    machine = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.5, priors=np.full(3, 1 / 3))
    expected = machine.fit(features[taught], target[taught]).decision_function(features)
    scores = _scores(features, taught, target, 3)
    np.testing.assert_allclose(scores - scores[:, :1], expected - expected[:, :1], rtol=1e-6, atol=1e-6)


@pytest.fixture
def divisions():
    """Correlated numbers (N, K), and three divisions of them into groups of equal size."""
    rng = np.random.default_rng(2)
    values = rng.normal(size=(120, 4)) @ rng.normal(size=(4, 4))
    order = np.array([rng.permutation(120) for _ in range(3)])
    return values, order < 30, (order >= 30) & (order < 60)


def test_inner_places_have_no_neighbour_of_another_label():
    labels = np.zeros((5, 6), int)
    labels[:, 3:] = 1
    labels[0] = -1
    expected = np.zeros((5, 6), bool)
    expected[1:, [0, 1, 4, 5]] = True
    np.testing.assert_array_equal(inner(labels), expected)


def test_inner_takes_other_labels_than_the_first_two():
    labels = np.full((3, 7), 4)
    labels[:, 3:] = 7
    np.testing.assert_array_equal(inner(labels), [[True, True, False, False, True, True, True]] * 3)


def test_discriminants_are_those_of_each_division(divisions):
    values, first, second = divisions
    found = Moments(values).discriminants(first, second)
    for direction, one, other in zip(found, first, second, strict=True):
        used = one | other
        machine = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1)
        expected = machine.fit(values[used], other[used]).coef_[0]
        cosine = direction @ expected / np.linalg.norm(direction) / np.linalg.norm(expected)
        assert cosine == pytest.approx(1, abs=1e-9)
        np.testing.assert_allclose(Moments(values).discriminants(one, other), direction, rtol=1e-9)


def test_discriminants_do_not_depend_on_numbers_of_no_group(divisions):
    values, first, second = divisions
    changed = values.copy()
    unused = ~(first[0] | second[0])
    changed[unused] += 100
    directions = [Moments(v).discriminants(first[0], second[0]) for v in (values, changed)]
    np.testing.assert_allclose(*directions, rtol=1e-9)


def test_distances_apart_are_those_of_each_division(divisions):
    values, first, second = divisions
    found = distance_apart(values[:, 0], first, second)
    for distance, one, other in zip(found, first, second, strict=True):
        a, b = values[one, 0], values[other, 0]
        assert distance == pytest.approx(abs(a.mean() - b.mean()) / np.sqrt((a.var() + b.var()) / 2))


def test_threshold_leaves_the_least_scatter():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0, 1, 60), rng.normal(4, 1, 40)])
    rng.shuffle(values)

    def scatter(threshold):
        return sum(
            part.var() * len(part) for part in (values[values <= threshold], values[values > threshold])
        )

    found = otsu_threshold(values)
    ordered = np.sort(values)
    assert found in (ordered[:-1] + ordered[1:]) / 2
    assert scatter(found) == pytest.approx(min(scatter(t) for t in ordered[1:-2]))


def test_neither_part_is_smaller_than_two_percent():
    values = np.append(np.linspace(0, 1, 199), 1e6)
    assert (values > otsu_threshold(values)).sum() == 4


def test_thresholds_do_not_depend_on_what_is_not_used():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(5, 80)) ** 3
    used = rng.random((5, 80)) < [[0.3], [0.5], [0.7], [0.9], [1.0]]
    expected = [otsu_threshold(row[use]) for row, use in zip(values, used, strict=True)]
    np.testing.assert_allclose(otsu_thresholds(values, used), expected, rtol=1e-12)
    np.testing.assert_allclose(otsu_thresholds(np.where(used, values, -50), used), expected, rtol=1e-12)


def test_a_scatter_shrinks_towards_a_round_one():
    scatter = np.array([[[4.0, 1.0], [1.0, 2.0]], [[0.0, 0.0], [0.0, 0.0]]])
    found = shrunk(scatter, 0.5)
    np.testing.assert_allclose(found[0], [[3.5, 0.5], [0.5, 2.5]], atol=1e-8)
    assert np.isfinite(np.linalg.inv(found[1])).all()
