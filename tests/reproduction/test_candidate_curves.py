import numpy as np
import pandas as pd
import pytest

from reproduction.candidate_curves import candidate_curve, recall_at
from reproduction.loading import load_cases
from stemlib.datasets import fetch
from stemlib.loops.cascade_xml import load_cascade

CURVE = pd.DataFrame({"per_image": [10.0, 20.0, 40.0], "recall": [0.5, 0.7, 0.8]})


@pytest.mark.parametrize(("per_image", "recall"), [(10, 0.5), (15, 0.6), (40, 0.8), (100, None), (9, None)])
def test_recall_is_read_from_the_curve(per_image, recall):
    point = recall_at(CURVE, per_image)
    assert point["recall"] == (None if recall is None else pytest.approx(recall))
    assert point["per_image"] == per_image


def test_intervals_come_along():
    curve = CURVE.assign(recall_low=CURVE["recall"] - 0.1, recall_high=CURVE["recall"] + 0.1)
    assert recall_at(curve, 30.0)["recall_low"] == pytest.approx(0.65)


def test_the_authors_cascade_gives_what_opencv_gives(real_data):
    cv2 = pytest.importorskip("cv2")
    path = fetch("fecral-loops/cascades_2018/trained_Cascade_Object_Detector.xml")
    cases = [case for case in load_cases("loops", "six") if case.name.startswith("0501")]
    curve = candidate_curve(cases, load_cascade(path), published=True)
    image = cases[0].image().astype(np.uint8)
    opencv = cv2.CascadeClassifier(str(path)).detectMultiScale(image, 1.1, 4, 0, (32, 32))
    assert curve.loc[curve["min_neighbours"] == 4, "n_found"].tolist() == [len(opencv)]
    assert curve["n_found"].is_monotonic_increasing


def test_no_image_at_hand_is_an_error():
    with pytest.raises(ValueError, match="0 images"):
        candidate_curve([], None)


def test_more_candidates_never_lose_a_loop():
    cases = load_cases("loops", "synthetic", n_images=1, side_px=256)
    curve = candidate_curve(cases, load_cascade())
    assert (curve["recall"].diff().dropna() >= 0).all() and curve["n_found"].is_monotonic_increasing
    assert curve["recall"].iloc[-1] > 0.5
