import numpy as np
import pytest
from scipy.stats import spearmanr

from stemlib.defects.one_class import one_class_scores, score_segments
from stemlib.lattice.find import find_lattice
from stemlib.synthetic import PointDefects, Recording, crystal_image


def crowd(n, rng, outliers=0, distance=8.0):
    values = rng.normal(size=(n, 30)) * np.geomspace(1, 0.05, 30)
    values[:outliers, 0] += distance
    values[:outliers, 1] -= distance
    return values.astype(np.float32)


@pytest.mark.parametrize("outliers", [1, 20, 80])
def test_outliers_have_the_largest_scores_even_when_they_are_many(outliers):
    scores = one_class_scores(crowd(1000, np.random.default_rng(0), outliers))
    assert scores[:outliers].min() > scores[outliers:].max()
    assert scores.min() == 0


def test_the_score_grows_far_outside():
    values = crowd(500, np.random.default_rng(1))
    values[0, 0], values[1, 0] = 12, 30
    scores = one_class_scores(values)
    assert scores[1] > scores[0] > np.sort(scores)[-3]


def test_the_linear_method_agrees_with_the_exact_one():
    values = crowd(3000, np.random.default_rng(2), 60, 7.0)
    exact, linear = (one_class_scores(values, method=m) for m in ("exact", "linear"))
    assert spearmanr(exact, linear)[0] > 0.98
    assert set(np.argsort(-exact)[:60]) == set(np.argsort(-linear)[:60]) == set(range(60))


def test_the_same_seed_gives_the_same_scores_and_many_are_scored_linearly():
    values = crowd(6000, np.random.default_rng(3))
    np.testing.assert_array_equal(one_class_scores(values, seed=4), one_class_scores(values, seed=4))
    assert (one_class_scores(values, seed=4) != one_class_scores(values, seed=5)).any()


def test_scale_does_not_matter():
    values = crowd(400, np.random.default_rng(4), 3)
    np.testing.assert_allclose(one_class_scores(values), one_class_scores(50 * values), rtol=1e-3, atol=1e-4)


def test_identical_descriptors_are_all_usual():
    assert one_class_scores(np.ones((50, 10))).max() == pytest.approx(0, abs=1e-9)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="method='svm' is not known"):
        one_class_scores(np.ones((9, 9)), method="svm")
    with pytest.raises(ValueError, match="holds 2 rows"):
        one_class_scores(np.ones((2, 9)))


def scored(scene, scheme, **options):
    at = scene.columns[["y", "x"]].to_numpy()
    lattice = find_lattice(scene.image) if scheme == "unit-cell" else None
    mask = options.pop("mask", np.ones(scene.image.shape, bool))
    return score_segments(scene.image, lattice, at, spacing=scene.spacing, mask=mask, **options)


@pytest.mark.parametrize("scheme", ["unit-cell", "columns"])
@pytest.mark.parametrize("crystal", ["hexagonal", "perovskite"])
def test_segments_that_show_a_vacancy_are_unlikely(scheme, crystal):
    scene = crystal_image(
        crystal, (360, 360), spacing=10, rotation_deg=11, defects=PointDefects(vacancies=0.006), seed=3
    )
    scores = scored(scene, scheme)
    inner = scene.missing[["y", "x"]].apply(lambda c: c.between(45, 315)).all(axis=1)
    assert inner.sum() >= 2
    threshold = np.log(1 / len(scores.log_p))
    shown = scores.showing(scene.missing[["y", "x"]].to_numpy())
    found = [(scores.log_p[shown[k]] < threshold).any() for k in np.flatnonzero(inner)]
    assert np.mean(found) >= 0.75
    others = np.delete(scores.log_p, np.concatenate(shown).astype(int))
    assert (others < threshold).sum() <= 6


@pytest.mark.parametrize("scheme", ["unit-cell", "columns"])
def test_a_perfect_crystal_has_no_unlikely_segment(scheme):
    scene = crystal_image(
        "honeycomb", (240, 240), spacing=10, rotation_deg=11, recording=Recording(jitter=0.1), seed=4
    )
    scores = scored(scene, scheme)
    assert len(scores.log_p) > 200
    assert (scores.log_p < np.log(0.1 / len(scores.log_p))).sum() <= 1
    assert (scores.log_p < np.log(0.1)).mean() < 0.2


def test_brightness_contrast_and_slow_background_do_not_matter():
    scene = crystal_image("perovskite", (200, 200), spacing=10, defects=PointDefects(vacancies=0.01), seed=5)
    plain = scored(scene, "unit-cell").log_p
    slope = np.linspace(0, 300, 200)[:, None]
    changed = 100 * scene.image + slope.astype(np.float32)
    at = scene.columns[["y", "x"]].to_numpy()
    mask = np.ones(scene.image.shape, bool)
    again = score_segments(changed, find_lattice(scene.image), at, spacing=10.0, mask=mask).log_p
    strong = plain < np.log(1 / len(plain))
    assert strong.any()
    # The local mean knows less at the edge of the image.
    assert (again[strong] < np.log(10 / len(plain))).mean() > 0.8


def test_where_most_segments_show_a_known_defect_all_are_learnt_from():
    scene = crystal_image("square", (200, 200), spacing=10, defects=PointDefects(vacancies=0.01), seed=8)
    doubtful = np.mgrid[10:200:20, 10:200:20].reshape(2, -1).T.astype(float)
    scores = scored(scene, "unit-cell", doubtful=doubtful)
    np.testing.assert_array_equal(scores.log_p, scored(scene, "unit-cell").log_p)
    assert scores.log_p.min() < -2


def test_known_defects_that_are_few_are_not_learnt_from():
    scene = crystal_image("square", (200, 200), spacing=10, defects=PointDefects(vacancies=0.03), seed=8)
    missing = scene.missing[["y", "x"]].to_numpy()
    scores, few = scored(scene, "unit-cell"), scored(scene, "unit-cell", doubtful=missing)
    shown = np.unique(np.concatenate(scores.showing(missing))).astype(int)
    assert few.log_p[shown].mean() < scores.log_p[shown].mean() - 1


def test_the_mask_leaves_segments_out_and_few_segments_say_nothing():
    scene = crystal_image("square", (160, 160), spacing=10, seed=6)
    mask = np.ones((160, 160), bool)
    mask[:, :60] = False
    assert scored(scene, "unit-cell", mask=mask).positions[:, 1].min() > 70
    tiny = np.zeros((160, 160), bool)
    tiny[60:90, 60:90] = True
    scores = scored(scene, "unit-cell", mask=tiny)
    assert len(scores.log_p) == 0
    assert scores.showing(np.zeros((2, 2))) == [[], []]
