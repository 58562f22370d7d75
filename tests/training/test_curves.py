from types import SimpleNamespace

import numpy as np
import pytest

from stemlib.training.curves import calibration_bins, probability_curves

LOOPS = np.array([[10.0, 10, 40, 40], [60.0, 60, 90, 90]])
OTHER = np.array([[120.0, 10, 150, 40]])


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
