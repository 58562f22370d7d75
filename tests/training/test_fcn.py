import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from stemlib.loops.fcn import CentreNet, detect_fcn
from stemlib.training import fcn, fcn_crops
from stemlib.training.cards import Origin
from stemlib.training.fcn import balanced_threshold, loss, release_fcn, train_fcn, write_weights
from stemlib.training.optimisation import Run

TRUTH = np.array([[10.0, 10, 40, 40], [100, 100, 140, 150], [200, 60, 230, 90]])
# Two loops found, one of them off by 25 px and so a false one; then a false one far away.
BOXES = np.array([[12.0, 12, 42, 42], [100, 105, 140, 155], [225, 60, 255, 90], [0, 200, 30, 230]])
SCORES = np.array([0.9, 0.62, 0.41, 0.2])

TINY = {"widths": (8, 16, 16), "run": Run(device="cpu")}


def scene(seed, side=256, n_loops=5):
    """Dark ellipses on noise, far enough apart to count, and their boxes."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    image = rng.normal(150, 8, (side, side))
    boxes = []
    while len(boxes) < n_loops:
        half = rng.uniform(7, 18, 2)
        centre = rng.uniform(25, side - 25, 2)
        if all(np.hypot(*(centre - (box[:2] + box[2:]) / 2)) > 45 for box in boxes):
            image[((y - centre[0]) / half[0]) ** 2 + ((x - centre[1]) / half[1]) ** 2 < 1] -= 80
            boxes.append(np.concatenate([centre - half, centre + half]))
    return np.clip(image, 0, 255).astype(np.uint8), np.array(boxes)


@pytest.fixture(autouse=True)
def small_crops(monkeypatch):
    monkeypatch.setattr(fcn_crops, "CROP", 128)


def test_a_short_training_finds_loops_it_has_not_seen(tmp_path):
    weights = train_fcn([scene(seed) for seed in range(8)], out_folder=tmp_path, epochs=30, **TINY)
    hits = false = 0
    errors = []
    for seed in (100, 101, 102):
        image, truth = scene(seed)
        boxes, _ = detect_fcn(image, CentreNet.load(weights, "cpu"), threshold=0.3)
        centres, wanted = boxes[:, :2] + boxes[:, 2:], truth[:, :2] + truth[:, 2:]
        off = np.abs(centres[:, None] - wanted[None]).max(axis=2) / 2
        near = off < 5
        hits += near.any(axis=0).sum()
        false += (~near.any(axis=1)).sum()
        found, true = np.nonzero(near)
        size = (boxes[:, 2:] - boxes[:, :2])[found] / (truth[:, 2:] - truth[:, :2])[true]
        errors.extend(np.abs(np.log(size)).ravel())
    assert hits >= 13
    assert false <= 3
    assert np.median(errors) < 0.2
    log = (tmp_path / "log.csv").read_text().splitlines()
    assert log[0] == "epoch,loss,seconds"
    assert len(log) == 31


def test_a_training_cut_off_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    images = [scene(1), scene(2)]
    whole = train_fcn(images, out_folder=tmp_path / "whole", epochs=3, **TINY)
    written = []

    def stop(*arguments):
        written.append(arguments)
        if len(written) == 3:
            raise KeyboardInterrupt
        return write_weights(*arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(fcn, "write_weights", stop)
        train_fcn(images, out_folder=tmp_path / "cut", epochs=3, **TINY)
    assert len((tmp_path / "cut" / "log.csv").read_text().splitlines()) == 3
    resumed = train_fcn(images, out_folder=tmp_path / "cut", epochs=3, **TINY)
    assert resumed.read_bytes() == whole.read_bytes()
    with pytest.raises(ValueError, match="other settings"):
        train_fcn(images, out_folder=tmp_path / "cut", epochs=4, **TINY)


def test_seed_decides_the_weights(tmp_path):
    files = [
        train_fcn(
            [scene(1)],
            out_folder=tmp_path / str(n),
            epochs=1,
            widths=(8, 16, 16),
            run=Run(seed=seed, device="cpu"),
        ).read_bytes()
        for n, seed in enumerate((5, 5, 6))
    ]
    assert files[0] == files[1] != files[2]


def test_training_goes_on_from_given_weights(tmp_path):
    first = train_fcn([scene(1)], out_folder=tmp_path / "first", epochs=1, **TINY)
    tiny = {"epochs": 3, "widths": (8, 16, 16), "run": Run(seed=9, device="cpu")}
    begun, adapted, other = (
        CentreNet.load(path, "cpu").head[-1].weight
        for path in (
            first,
            train_fcn([scene(1)], out_folder=tmp_path / "next", start=first, **tiny),
            train_fcn([scene(1)], out_folder=tmp_path / "other", **tiny),
        )
    )
    assert 0 < torch.norm(adapted - begun) < 0.5 * torch.norm(other - begun)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        train_fcn([scene(1)], out_folder=tmp_path / "x", start=tmp_path / "nowhere", **TINY)


def test_bfloat16_trains_too(tmp_path):
    run = Run(precision="bfloat16", device="cpu")
    path = train_fcn([scene(1)], out_folder=tmp_path, epochs=1, widths=(8, 16, 16), run=run)
    network = CentreNet.load(path, "cpu")
    assert all(torch.isfinite(tensor).all() for tensor in network.state_dict().values())


def test_loss_is_lowest_at_the_truth_and_ignores_what_is_not_asked():
    targets = torch.from_numpy(fcn_crops.draw_targets(np.array([[20.0, 30, 60, 90]]), True, 128))[None]
    right = targets[:, :5].clone()
    right[:, 0] = torch.where(targets[:, 0] == 1, 8.0, -12.0)
    assert loss(right, targets) < 1e-3
    for channel in range(1, 5):
        wrong = right.clone()
        wrong[:, channel] += 0.5
        assert loss(wrong, targets) > loss(right, targets) + 0.1
    false = right.clone()
    false[:, 0, 2:4, 2:4] = 5.0
    assert loss(false, targets) > 1
    targets[:, 6, 2:4, 2:4] = 0
    assert loss(false, targets) < 1e-3


@pytest.mark.parametrize(
    ("images", "arguments", "message"),
    [
        ([], {}, "images is empty"),
        ([scene(1)], {"epochs": 0}, "epochs=0"),
    ],
)
def test_bad_arguments_are_named(images, arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        train_fcn(images, **{**TINY, "out_folder": tmp_path, **arguments})


def test_default_network_is_small():
    assert sum(tensor.numel() for tensor in CentreNet().parameters()) < 1.5e6


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
    trained = write_weights(tmp_path / "trained.safetensors", CentreNet((8, 8)), 0.3)
    monkeypatch.setattr(fcn, "detect_fcn", lambda image, network, **options: (BOXES, SCORES))
    images = [(np.zeros((256, 256), np.uint8), TRUTH)]
    out = tmp_path / "out"
    path = release_fcn(trained, images, out_folder=out, origin=Origin("c", split="s", seed=3, minutes=1.26))
    card = json.loads(path.read_text(encoding="utf-8"))
    # F1 is the same from 0.42 to 0.62: the highest of them stands.
    assert card["threshold"] == 0.62
    assert card["validation"]["f1"] == pytest.approx(0.8)
    assert card["validation"]["one_to_one"]["recall"] == pytest.approx(2 / 3)
    assert card["validation"]["n_loops"] == 3
    assert (card["seed"], card["split"], card["command"], card["minutes"]) == (3, "s", "c", 1.3)
    weights = out / card["file"]
    assert card["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    network = CentreNet.load(weights)
    assert network.settings["threshold"] == 0.62
    for name, tensor in CentreNet.load(trained).state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name])


def test_the_threshold_is_chosen_on_images_that_two_teams_labelled(tmp_path, monkeypatch):
    trained = write_weights(tmp_path / "trained.safetensors", CentreNet((8, 8)), 0.3)
    blank = np.zeros((256, 256), np.uint8)
    examples = {
        # The first two detections are true for the first team, the others for the second alone.
        "both": (blank, np.vstack([TRUTH[:2], BOXES[3:] + 300]), np.vstack([BOXES[2:], BOXES[2:]])),
        "alone": (blank, TRUTH[:1], None),
    }
    monkeypatch.setattr(fcn, "read_example", examples.get)
    monkeypatch.setattr(fcn, "detect_fcn", lambda image, network, **options: (BOXES, SCORES))
    options = {"out_folder": tmp_path, "origin": Origin("none")}
    card = json.loads(release_fcn(trained, ["both", "alone"], **options).read_text())
    # F1 is the same up to 0.62; three loops are marked, and up to 0.41 three are found.
    assert card["threshold"] == 0.41
    assert card["validation"]["either_team"]["precision"] == 1
    assert card["validation"]["either_team"]["n_images"] == 1
    assert card["validation"]["precision"] == 1 / 2
    card = json.loads(release_fcn(trained, ["alone"], **options).read_text())
    assert card["threshold"] == 0.9


def test_release_needs_loops(tmp_path):
    trained = write_weights(tmp_path / "trained.safetensors", CentreNet((8, 8)), 0.3)
    images = [(np.zeros((64, 64), np.uint8), [])]
    with pytest.raises(ValueError, match="no loop"):
        release_fcn(trained, images, out_folder=tmp_path, origin=Origin("none"))


def test_shipped_card_belongs_to_the_shipped_weights():
    weights = Path(fcn.__file__).parents[1] / "weights" / "loop_fcn.safetensors"
    card = json.loads(weights.with_suffix(".json").read_text(encoding="utf-8"))
    assert card["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert card["threshold"] == CentreNet.load().settings["threshold"]
