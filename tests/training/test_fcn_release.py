import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from stemlib.loops.fcn import CentreNet
from stemlib.training import fcn_release
from stemlib.training.cards import Origin
from stemlib.training.fcn import write_weights
from stemlib.training.fcn_release import balanced_threshold, release_fcn

TRUTH = np.array([[10.0, 10, 40, 40], [100, 100, 140, 150], [200, 60, 230, 90]])
# Two loops found, one of them off by 25 px and so a false one; then a false one far away.
BOXES = np.array([[12.0, 12, 42, 42], [100, 105, 140, 155], [225, 60, 255, 90], [0, 200, 30, 230]])
SCORES = np.array([0.9, 0.62, 0.41, 0.2])


@pytest.mark.parametrize(
    "f1, n_found, n_marked, row",
    [
        ([0.70, 0.81, 0.80, 0.60], [90, 60, 45, 20], 20, 2),  # the nearest number has too low an F1
        ([0.70, 0.81, 0.80, 0.60], [90, 60, 45, 20], 70, 1),
        ([0.70, 0.80, 0.80, 0.60], [90, 60, 40, 20], 50, 2),  # a tie: the higher threshold
        ([0.70, 0.75, 0.80, 0.60], [90, 60, 40, 20], 60, 2),  # nothing else is as good
    ],
)
def test_the_number_found_decides_between_thresholds_equally_good(f1, n_found, n_marked, row):
    assert balanced_threshold(pd.DataFrame({"f1": f1, "n_found": n_found}), n_marked) == row
    with pytest.raises(ValueError, match="curve has no rows"):
        balanced_threshold(pd.DataFrame({"f1": [], "n_found": []}), n_marked)


def test_release_writes_the_best_threshold_and_a_true_card(tmp_path, monkeypatch):
    torch.manual_seed(1)
    trained = write_weights(tmp_path / "trained.safetensors", CentreNet((8, 8)), {"loop": 0.3})
    monkeypatch.setattr(fcn_release, "detect_fcn", lambda image, network, **options: (BOXES, SCORES[:, None]))
    images = [(np.zeros((256, 256), np.uint8), TRUTH)]
    out = tmp_path / "out"
    path = release_fcn(trained, images, out_folder=out, origin=Origin("c", split="s", seed=3, minutes=1.26))
    card = json.loads(path.read_text(encoding="utf-8"))
    # F1 is the same from 0.42 to 0.62: the highest of them stands.
    assert card["threshold"] == {"loop": 0.62}
    assert card["validation"]["f1"] == pytest.approx(0.8)
    assert card["validation"]["one_to_one"]["recall"] == pytest.approx(2 / 3)
    assert card["validation"]["n_loops"] == 3
    assert (card["seed"], card["split"], card["command"], card["minutes"]) == (3, "s", "c", 1.3)
    weights = out / card["file"]
    assert card["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    network = CentreNet.load(weights)
    assert network.thresholds == {"loop": 0.62}
    for name, tensor in CentreNet.load(trained).state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name])


def test_the_threshold_is_chosen_on_images_that_two_teams_labelled(tmp_path, monkeypatch):
    trained = write_weights(tmp_path / "trained.safetensors", CentreNet((8, 8)), {"loop": 0.3})
    blank = np.zeros((256, 256), np.uint8)
    examples = {
        # The first two detections are true for the first team, the others for the second alone.
        "both": (blank, np.vstack([TRUTH[:2], BOXES[3:] + 300]), np.vstack([BOXES[2:], BOXES[2:]])),
        "alone": (blank, TRUTH[:1], None),
    }
    monkeypatch.setattr(fcn_release, "read_example", examples.get)
    monkeypatch.setattr(fcn_release, "detect_fcn", lambda image, network, **options: (BOXES, SCORES[:, None]))
    options = {"out_folder": tmp_path, "origin": Origin("none")}
    card = json.loads(release_fcn(trained, ["both", "alone"], **options).read_text())
    # F1 is the same up to 0.62; three loops are marked, and up to 0.41 three are found.
    assert card["threshold"] == {"loop": 0.41}
    assert card["validation"]["either_team"]["precision"] == 1
    assert card["validation"]["either_team"]["n_images"] == 1
    assert card["validation"]["precision"] == 1 / 2
    card = json.loads(release_fcn(trained, ["alone"], **options).read_text())
    assert card["threshold"] == {"loop": 0.9}


def test_release_needs_loops(tmp_path):
    trained = write_weights(tmp_path / "trained.safetensors", CentreNet((8, 8)), {"loop": 0.3})
    images = [(np.zeros((64, 64), np.uint8), [])]
    with pytest.raises(ValueError, match="no loop"):
        release_fcn(trained, images, out_folder=tmp_path, origin=Origin("none"))


def test_shipped_card_belongs_to_the_shipped_weights():
    weights = Path(fcn_release.__file__).parents[1] / "weights" / "loop_fcn.safetensors"
    card = json.loads(weights.with_suffix(".json").read_text(encoding="utf-8"))
    assert card["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert card["threshold"] == CentreNet.load().settings["threshold"]
