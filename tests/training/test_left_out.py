import dataclasses

import numpy as np
import pytest

from stemlib.training.images import LabelledImage
from stemlib.training.left_out import Answers, accepted_boxes, best_threshold, calibrate, validation_scores


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
    boxes = accepted_boxes(answer, 1.0, 0.0, 0.0)
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


NOBODY = np.empty((0, 4))


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
