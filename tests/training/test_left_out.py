import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from stemlib.training.images import LabelledImage
from stemlib.training.left_out import (
    Answers,
    accepted,
    best_threshold,
    calibrate,
    calibration_bins,
    probability_curves,
    threshold_curve,
    validation_scores,
)

TRUTH = np.array([[10.0, 10, 40, 40], [100, 100, 140, 150], [200, 60, 230, 90]])
# Two loops found, one of them off by 25 px and so a false one; then a false one far away.
BOXES = np.array([[12.0, 12, 42, 42], [100, 105, 140, 155], [225, 60, 255, 90], [0, 200, 30, 230]])
SCORES = np.array([0.9, 0.62, 0.41, 0.2])
LOOPS = np.array([[10.0, 10, 40, 40], [60.0, 60, 90, 90]])
OTHER = np.array([[120.0, 10, 150, 40]])
NOBODY = np.empty((0, 4))


def known_answers(n=400, seed=0):
    """Candidates far apart whose probability is the logistic function of a third of the logit."""
    rng = np.random.default_rng(seed)
    corners = np.stack(np.meshgrid(np.arange(20) * 50.0, np.arange(20) * 50.0), -1).reshape(-1, 2)[:n]
    boxes = np.hstack([corners, corners + 30])
    logits = rng.normal(0, 6, n)
    is_loop = rng.random(n) < 1 / (1 + np.exp(-logits / 3))
    image = LabelledImage("one", "A", np.zeros((1024, 1024), np.uint8), 2, boxes[is_loop])
    return Answers(image, boxes, logits, boxes), is_loop


def test_calibration_recovers_known_probabilities():
    answers = [known_answers(seed=seed)[0] for seed in range(20)]
    slope, offset = calibrate(answers)
    assert slope == pytest.approx(1 / 3, rel=0.06)
    assert offset == pytest.approx(0, abs=0.08)


def test_boxes_come_back_in_pixels_of_the_unreduced_image():
    answer, _ = known_answers()
    boxes = accepted(answer, 1.0, 0.0, 0.0)[0]
    assert len(boxes) == len(answer.candidates)
    assert np.allclose(sorted(boxes[:, 3] - boxes[:, 1]), 60)
    assert boxes[:, 0].min() == pytest.approx(0.5)


def test_the_threshold_weighs_recall_against_precision():
    answer, is_loop = known_answers()
    threshold = best_threshold([answer], 1 / 3, 0.0)
    scores = validation_scores([answer], 1 / 3, 0.0, threshold)
    probability = 1 / (1 + np.exp(-answer.logits / 3))

    def f1(t):
        accepted = probability >= t
        return 2 * (accepted & is_loop).sum() / (accepted.sum() + is_loop.sum())

    assert scores["f1"] == pytest.approx(f1(threshold))
    assert scores["f1"] >= max(f1(t) for t in np.arange(0.1, 0.9, 0.02)) - 1e-9
    assert scores["one_to_one"]["recall"] == pytest.approx(
        (is_loop & (probability >= threshold)).sum() / is_loop.sum()
    )


def half_labelled(seed=0, **changes):
    """`known_answers` where the first team marked every second loop, and the second team all."""
    answer, is_loop = known_answers(seed=seed)
    loops = answer.candidates[is_loop]
    changes = {"loops": loops[::2], "disputed": loops[1::2], "second_opinion": True} | changes
    return dataclasses.replace(answer, image=dataclasses.replace(answer.image, **changes)), is_loop


def test_the_probability_is_that_of_either_team_marking_a_loop():
    slope, offset = calibrate([half_labelled(seed=seed)[0] for seed in range(20)])
    assert slope == pytest.approx(1 / 3, rel=0.06)
    assert offset == pytest.approx(0, abs=0.08)
    assert calibrate([half_labelled(seed=seed, disputed=NOBODY)[0] for seed in range(20)])[1] < -0.5


def test_the_threshold_takes_a_detection_on_a_loop_of_either_team_for_true():
    answer, is_loop = half_labelled()
    marked = np.zeros(len(is_loop), bool)
    marked[np.flatnonzero(is_loop)[::2]] = True
    probability = 1 / (1 + np.exp(-answer.logits / 3))

    def f1(t):
        accepted = probability >= t
        recall, precision = (accepted & marked).sum() / marked.sum(), is_loop[accepted].mean()
        return 2 * recall * precision / (recall + precision)

    threshold = best_threshold([answer], 1 / 3, 0.0)
    assert f1(threshold) >= max(f1(t) for t in np.arange(0.1, 0.9, 0.02)) - 1e-9
    assert threshold < best_threshold([half_labelled(disputed=NOBODY)[0]], 1 / 3, 0.0)
    scores = validation_scores([answer], 1 / 3, 0.0, threshold)
    assert scores["either_team"]["f1"] == pytest.approx(f1(threshold))
    # What is reported stays the first team's truth.
    assert scores["precision"] == pytest.approx(marked[probability >= threshold].mean())


def test_images_that_one_team_labelled_choose_nothing_where_two_did_others():
    both = [half_labelled(seed=seed)[0] for seed in range(4)]
    alone = half_labelled(seed=9, loops=NOBODY, disputed=NOBODY, second_opinion=False)[0]
    assert calibrate([*both, alone]) == calibrate(both)
    assert best_threshold([*both, alone], 1 / 3, 0.0) == best_threshold(both, 1 / 3, 0.0)
    scores = validation_scores([*both, alone], 1 / 3, 0.0, 0.5)
    assert scores["either_team"]["n_images"] == 4
    assert scores["either_team"]["precision"] > scores["precision"]


def test_curve_counts_what_is_above_each_threshold():
    curve = threshold_curve([TRUTH], [(BOXES, SCORES)]).set_index("threshold")
    assert curve.loc[0.05, ["n_found", "recall", "precision"]].tolist() == [4, 2 / 3, 0.5]
    assert curve.loc[0.41, ["n_found", "recall", "precision"]].tolist() == [3, 2 / 3, 2 / 3]
    assert curve.loc[0.62, ["recall", "precision", "f1"]].tolist() == pytest.approx([2 / 3, 1, 0.8])
    assert curve.loc[0.95, ["n_found", "recall", "precision", "f1"]].tolist() == [0, 0, 0, 0]


def test_curve_pools_counts_over_images():
    nothing = (np.zeros((0, 4)), np.zeros(0))
    curve = threshold_curve([TRUTH, TRUTH[:1]], [(BOXES, SCORES), nothing]).set_index("threshold")
    assert curve.loc[0.62, ["recall", "precision"]].tolist() == [0.5, 1]


def test_one_to_one_does_not_count_a_loop_twice():
    twice = (np.array([TRUTH[0], TRUTH[0] + 1]), np.array([0.9, 0.8]))
    assert threshold_curve([TRUTH[:1]], [twice]).loc[0, "precision"] == 1
    assert threshold_curve([TRUTH[:1]], [twice], rule="one-to-one").loc[0, "precision"] == 0.5


def test_detections_on_disputed_loops_count_as_true_and_nobody_misses_them():
    curve = threshold_curve([TRUTH], [(BOXES, SCORES)], disputed=[BOXES[3:]]).set_index("threshold")
    assert curve.loc[0.05, ["n_found", "recall", "precision"]].tolist() == [4, 2 / 3, 3 / 4]


def answer(boxes, probabilities, factor=1, disputed=OTHER[:0], second_opinion=False):
    logits = np.log(np.array(probabilities) / (1 - np.array(probabilities)))
    image = SimpleNamespace(loops=LOOPS, disputed=disputed, second_opinion=second_opinion, factor=factor)
    return SimpleNamespace(image=image, refined=np.asarray(boxes), logits=logits)


def test_recall_falls_and_precision_rises_with_the_threshold():
    curves = probability_curves([answer(np.vstack([LOOPS, OTHER]), [0.9, 0.4, 0.2])], 1.0, 0.0)
    by_threshold = {round(point["threshold"], 2): point for point in curves["curve_published"]}
    assert (by_threshold[0.1]["recall"], by_threshold[0.1]["precision"]) == (1.0, pytest.approx(2 / 3))
    assert (by_threshold[0.5]["recall"], by_threshold[0.5]["precision"]) == (0.5, 1.0)
    assert [bin_["n"] for bin_ in curves["calibration"]] == [1, 1, 1]
    assert [bin_["fraction"] for bin_ in curves["calibration"]] == [0.0, 1.0, 1.0]


def test_two_candidates_on_one_loop_count_once():
    curves = probability_curves([answer(np.vstack([LOOPS[:1], LOOPS[:1] + 1]), [0.9, 0.8])], 1.0, 0.0)
    assert curves["curve_published"][0]["n_found"] == 1
    assert sum(bin_["n"] for bin_ in curves["calibration"]) == 1


def test_the_calibration_looks_where_the_labels_can_be_trusted():
    boxes, alone = np.vstack([LOOPS, OTHER]), answer(OTHER, [0.9])
    both = answer(boxes, [0.9, 0.4, 0.2], disputed=OTHER, second_opinion=True)
    curves = probability_curves([alone, both], 1.0, 0.0)
    assert [(b["n"], b["fraction"]) for b in curves["calibration"]] == [(1, 1.0), (1, 1.0), (1, 1.0)]
    assert curves["curve_published"][0]["n_found"] == 4


def test_the_calibration_is_applied():
    curves = probability_curves([answer(OTHER, [0.5])], 1.0, -np.log(4))
    assert curves["calibration"][0]["probability"] == pytest.approx(0.2)


def test_centres_are_matched_in_pixels_of_the_unreduced_image():
    # 15 px off in the reduced image is 30 px off in the other.
    shifted = LOOPS + [15.0, 0, 15, 0]
    near, far = (probability_curves([answer(shifted, [0.9, 0.9], factor)], 1.0, 0.0) for factor in (1, 2))
    assert near["curve_published"][0]["recall"] == 1.0
    assert far["curve_published"][0]["recall"] == 0.0


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="answers is empty"):
        probability_curves([], 1.0, 0.0)
    with pytest.raises(ValueError, match="is_true"):
        calibration_bins([0.5, 1.5], [True, False])
