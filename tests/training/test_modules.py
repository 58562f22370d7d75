import json

import numpy as np
import pytest

from stemlib import find_loops
from stemlib.cascade_xml import load_cascade
from stemlib.synthetic import loop_micrograph
from stemlib.training.images import LabelledImage, labelled_image
from stemlib.training.modules import (
    Answers,
    Settings,
    accepted_boxes,
    best_threshold,
    calibrate,
    train_modules,
    validation_scores,
)

EDGES = ["top", "left", "bottom", "right"]
SMALL = Settings(n_stages=3, n_positives=300, n_negatives=600, features_per_round=300, epochs=8, n_threads=1)


@pytest.fixture(scope="module")
def images():
    scenes = [loop_micrograph((256, 256), n_loops=6, seed=seed) for seed in range(6)]
    return [
        labelled_image(
            f"{i}.png", "AB"[i % 2], np.asarray(scene.image, np.uint8), scene.loops[EDGES].to_numpy()
        )
        for i, scene in enumerate(scenes)
    ]


@pytest.fixture(scope="module")
def trained(images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    return folder, train_modules(images, folder, settings=SMALL, data="six synthetic scenes")


def test_weights_work_and_their_cards_describe_them(trained, images):
    folder, validation = trained
    weights = {"cascade": folder / "loop_cascade.xml", "screening": folder / "loop_screening.safetensors"}
    loops = find_loops(images[0].image, method="cascade", weights=weights)
    assert loops.threshold == validation["threshold"]
    assert load_cascade(weights["cascade"]).n_stages == 3
    for path in weights.values():
        card = json.loads(path.with_suffix(".json").read_text())
        assert card["file"] == path.name
        assert card["series"] == {"A": 3, "B": 3}
        assert card["loops"] == sum(len(image.loops) for image in images)
        assert card["validation"] == json.loads(json.dumps(validation))
        assert 0 <= card["validation"]["f1"] <= 1 and card["minutes"] >= 0


def test_every_series_is_scored_by_models_that_did_not_see_it(trained):
    folder, validation = trained
    assert set(validation["by_series"]) == {"A", "B"}
    turns = {path.name for path in (folder / "turns").iterdir()} - {"minutes.json", "training.txt"}
    assert turns == {f"cascade without {t}.xml" for t in ("A", "B", "nothing")} | {
        f"screening without {t}.safetensors" for t in ("A", "B", "nothing")
    }


def test_a_training_cut_off_goes_on_where_it_stopped(trained, images, monkeypatch):
    folder, validation = trained
    (folder / "loop_cascade.xml").unlink()
    missing = folder / "turns" / "screening without A.safetensors"
    before = missing.read_bytes()
    missing.unlink()

    def not_again(*_, **__):
        raise AssertionError("Module I is trained again")

    monkeypatch.setattr("stemlib.training.modules.train_cascade", not_again)
    assert train_modules(images, folder, settings=SMALL) == validation
    assert (folder / "loop_cascade.xml").is_file()
    assert missing.read_bytes() == before


def test_turns_of_another_training_are_refused(trained, images):
    folder, _ = trained
    with pytest.raises(ValueError, match="other images, settings or seed"):
        train_modules(images, folder, settings=SMALL, seed=1)
    with pytest.raises(ValueError, match="other images, settings or seed"):
        train_modules(images[:4], folder, settings=SMALL)


@pytest.mark.parametrize("turns", [[("A", "B")], [("A",), ("A", "B")], [("A",), ("C",)]])
def test_turns_must_hold_every_series_once(images, tmp_path, turns):
    with pytest.raises(ValueError, match="turns="):
        train_modules(images, tmp_path, settings=SMALL, turns=turns)


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
