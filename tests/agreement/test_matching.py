"""Matching and scores on boxes whose agreement is known beforehand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from stemlib import agreement, datasets

RULES = ["published", "one-to-one"]
SQUARE = np.array([[100.0, 100, 140, 140]])


def squares(centres, side=30.0):
    centres = np.asarray(centres, dtype=float).reshape(-1, 2)
    return np.hstack([centres - side / 2, centres + side / 2])


@pytest.mark.parametrize(
    ("rule", "shift", "expected"),
    [
        ("published", (20, 20), True),
        ("published", (20.01, 0), False),
        ("published", (0, -20.01), False),
        ("published", (-20, 20), True),
        # A reach of half the side of 40 px, as a distance and not per axis.
        ("one-to-one", (20, 0), True),
        ("one-to-one", (0, 20.01), False),
        ("one-to-one", (14, 14), True),
        ("one-to-one", (15, 15), False),
    ],
)
def test_an_object_shifted_by_a_known_amount(rule, shift, expected):
    result = agreement.match(SQUARE, SQUARE + [*shift, *shift], rule=rule)
    assert result.is_found.tolist() == [expected]
    assert result.is_true.tolist() == [expected]
    assert result.distance.tolist() == pytest.approx([np.hypot(*shift)] if expected else [])


@pytest.mark.parametrize("scale", [0.25, 1, 8])
def test_one_to_one_scales_with_the_object_and_published_does_not(scale):
    truth, found = SQUARE * scale, (SQUARE + 12) * scale
    assert agreement.match(truth, found).is_found.all()
    assert agreement.match(truth, found, rule="published").is_found.all() == (12 * scale <= 20)


def test_one_to_one_reach_uses_the_geometric_mean_side_of_the_truth():
    truth = [[0, 0, 10, 90]]  # geometric mean side 30 px, reach 15 px
    assert agreement.match(truth, [[0, 14.9, 10, 104.9]]).is_found.all()
    assert not agreement.match(truth, [[0, 15.1, 10, 105.1]]).is_found.any()
    assert agreement.match(truth, [[0, 20, 10, 110]], reach_relative=0.7).is_found.all()


def test_duplicates_are_all_true_by_the_published_rule_and_one_is_by_the_other():
    found = np.vstack([SQUARE + 5, SQUARE - 3, SQUARE + 1])
    published = agreement.score(agreement.match(SQUARE, found, rule="published"))
    assert (published["recall"], published["precision"]) == (1, 1)
    single = agreement.match(SQUARE, found)
    assert single.is_true.tolist() == [False, False, True]
    assert agreement.score(single)["precision"] == pytest.approx(1 / 3)


def test_one_box_between_two_loops_finds_both_only_by_the_published_rule():
    truth = squares([[50, 50], [50, 76]])
    found = squares([[50, 63]])
    assert agreement.match(truth, found, rule="published").is_found.all()
    assert agreement.match(truth, found).is_found.sum() == 1


def test_most_pairs_come_before_short_distances():
    # The nearest pair (0.2 px) would leave the other two out of each other's reach.
    truth = squares([[50, 50], [50, 62]])
    found = squares([[50, 61.8], [50, 74]])
    result = agreement.match(truth, found)
    assert result.pairs.tolist() == [[0, 0], [1, 1]]
    assert result.distance.tolist() == pytest.approx([11.8, 12.0])


def test_among_full_assignments_the_shortest_is_taken():
    centres = np.random.default_rng(0).uniform(0, 60, (6, 2))
    truth, found = squares(centres, 100), squares(centres[::-1] + 1, 100)
    assert agreement.match(truth, found).pairs.tolist() == [[i, 5 - i] for i in range(6)]


@pytest.mark.parametrize("rule", RULES)
def test_empty_sides(rule):
    none = np.empty((0, 4))
    nothing_found = agreement.score(agreement.match(SQUARE, [], rule=rule))
    assert (nothing_found["recall"], nothing_found["f1"]) == (0, 0)
    assert np.isnan(nothing_found["precision"])
    nothing_there = agreement.score(agreement.match(none, SQUARE, rule=rule))
    assert (nothing_there["precision"], nothing_there["f1"]) == (0, 0)
    assert np.isnan(nothing_there["recall"])
    neither = agreement.score(agreement.match(none, none, rule=rule))
    assert neither["n_truth"] == neither["n_found"] == 0
    assert all(np.isnan(neither[name]) for name in ("recall", "precision", "f1", "recall_low", "f1_high"))


@pytest.mark.parametrize("rule", RULES)
def test_what_lies_on_another_class_is_false_and_told_apart(rule):
    truth = squares([[50, 50]])
    other = squares([[150, 150], [250, 250], [52, 52]])
    found = squares([[51, 51], [153, 150], [250, 249], [400, 400]])
    result = agreement.match(truth, found, rule=rule, other=other, other_class=[1, 2, 1])
    assert result.is_true.tolist() == [True, False, False, False]
    # What is true stays true although a black dot lies on it too.
    assert result.on_class.tolist() == [-1, 1, 2, -1]
    scores = agreement.score(result)
    assert scores["precision"] == 0.25
    assert scores["false_on_class"] == {1: 1, 2: 1}


def test_tables_and_arrays_are_read_alike():
    table = pd.DataFrame(SQUARE, columns=["top", "left", "bottom", "right"])[
        ["left", "right", "bottom", "top"]
    ]
    assert agreement.match(table, SQUARE).is_found.all()
    assert agreement.longer_side(
        pd.DataFrame([[0, 5, 10, 25]], columns=["top", "left", "bottom", "right"])
    ) == [20]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"truth": [[1, 2, 3]]}, r"truth has shape \(1, 3\)"),
        ({"found": [[0, 0, np.nan, 5]]}, "found, row 0"),
        ({"found": [[0, 0, 5, 5], [9, 0, 5, 5]]}, "found, row 1"),
        ({"truth": pd.DataFrame({"top": [1]})}, r"truth lacks the column\(s\) left, bottom, right"),
        ({"rule": "nearest"}, "rule='nearest' must be one of 'published', 'one-to-one'"),
        ({"reach_px": 0}, "reach_px=0"),
        ({"reach_relative": -1}, "reach_relative=-1"),
        ({"other": SQUARE, "other_class": [1, 2]}, "other_class has shape"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        agreement.match(**{"truth": SQUARE, "found": SQUARE, **arguments})


@pytest.mark.parametrize("rule", RULES)
def test_pooled_counts_are_sums_not_means_of_ratios(rule):
    many = squares([[50 * i, 50] for i in range(1, 10)])
    matches = {
        "many": agreement.match(many, many[:6], rule=rule),
        "one": agreement.match(SQUARE, np.vstack([SQUARE, SQUARE + 200]), rule=rule),
        "none": agreement.match([], [], rule=rule),
    }
    table = agreement.score_images(matches, n_resamples=200)
    assert table.index.tolist() == ["many", "one", "none", "pooled"]
    assert table.loc["pooled", "recall"] == pytest.approx(7 / 10)
    assert table.loc["pooled", "precision"] == pytest.approx(7 / 8)
    assert table.loc["pooled", "f1"] == pytest.approx(2 * 0.7 * 0.875 / 1.575)
    assert table.loc["pooled", "recall_images_low"] == pytest.approx(6 / 9)
    assert table.loc["pooled", "recall_images_high"] == 1
    pooled = agreement.pool(matches.values())
    assert pooled.is_found.sum() == 7
    assert pooled.pairs[-1].tolist() == [9, 6]


def test_pooling_two_rules_is_an_error():
    with pytest.raises(ValueError, match="all by one rule"):
        agreement.pool([agreement.match(SQUARE, SQUARE, rule=rule) for rule in RULES])
    with pytest.raises(ValueError, match="at least one match"):
        agreement.pool([])


def test_wilson_interval_agrees_with_its_formula():
    z, k, n = stats.norm.ppf(0.975), 206, 242
    centre = (k + z**2 / 2) / (n + z**2)
    half = z / (n + z**2) * np.sqrt(k * (n - k) / n + z**2 / 4)
    assert agreement.wilson_interval(k, n) == pytest.approx((centre - half, centre + half))
    assert agreement.wilson_interval(5, 5)[1] == pytest.approx(1)
    assert np.isnan(agreement.wilson_interval(0, 0)).all()
    with pytest.raises(ValueError, match="successes=3"):
        agreement.wilson_interval(3, 2)


def test_intervals_over_loops_cover_the_true_f1():
    # 60 loops, each found with probability 0.8, and as many false ones as make precision 0.8 on average.
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(60):
        truth = squares([[100 * i, 50] for i in range(60)])
        found = np.vstack(
            [truth[rng.random(60) < 0.8], squares([[100 * i, 500] for i in range(rng.poisson(12))])]
        )
        scores = agreement.score(agreement.match(truth, found), n_resamples=300, seed=rng)
        covered += scores["f1_low"] <= 0.8 <= scores["f1_high"]
    assert 50 <= covered <= 60


def test_same_seed_same_interval():
    found = agreement.match(squares([[50, 50], [150, 150], [250, 250]]), squares([[50, 50], [150, 150]]))
    assert agreement.score(found, seed=3) == agreement.score(found, seed=3)


def test_two_systems_loop_by_loop():
    truth = squares([[60 * i, 50] for i in range(20)])
    one, other = agreement.match(truth, truth[:15]), agreement.match(truth, truth[10:18])
    result = agreement.compare_systems(one, other)
    assert [result[name] for name in ("both", "only_one", "only_other", "neither")] == [5, 10, 3, 2]
    # Exact two-sided binomial of 3 or fewer of 13: 2 * (1 + 13 + 78 + 286) / 2**13.
    assert result["p_value"] == pytest.approx(2 * 378 / 8192)
    assert result["difference"] == pytest.approx(15 / 20 - 8 / 20)
    assert result["difference_low"] < 0.35 < result["difference_high"]
    back = agreement.compare_systems(other, one)
    assert back["difference_low"] == pytest.approx(-result["difference_high"])
    same = agreement.compare_systems(one, one)
    assert (same["p_value"], same["difference"]) == (1, 0)
    with pytest.raises(ValueError, match="20 and 1 loops"):
        agreement.compare_systems(one, agreement.match(SQUARE, SQUARE))


def test_published_detector_on_the_six_images_gives_the_measured_scores(real_data):
    cv2 = pytest.importorskip("cv2")
    path = "fecral-loops/cascades_2018/trained_Cascade_Object_Detector.xml"
    detector = cv2.CascadeClassifier(str(datasets.fetch(path)))
    matches = {}
    for name in datasets.image_set("six"):
        image = cv2.imread(str(datasets.fetch(f"fecral-loops/images/{name}")), cv2.IMREAD_GRAYSCALE)
        x, y, width, height = np.reshape(detector.detectMultiScale(image, 1.1, 4, 0, (32, 32)), (-1, 4)).T
        found = np.column_stack([y, x, y + height, x + width]) - 0.5
        matches[name] = agreement.match(datasets.read_loop_labels(name, "A"), found, rule="published")
    pooled = agreement.score_images(matches, n_resamples=10).loc["pooled"]
    assert (pooled["truth_found"], pooled["n_truth"]) == (212, 242)
    assert (pooled["found_true"], pooled["n_found"]) == (213, 321)
