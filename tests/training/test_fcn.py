import numpy as np
import pytest
import torch

from stemlib.loops.fcn import CentreNet, detect_fcn
from stemlib.training import fcn, fcn_crops
from stemlib.training.fcn import loss, train_fcn, write_weights
from stemlib.training.fcn_examples import NO, YES, Example
from stemlib.training.optimisation import Run

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
        boxes, _ = detect_fcn(image, CentreNet.load(weights, "cpu"), thresholds={"loop": 0.3})
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
    targets = torch.from_numpy(
        fcn_crops.draw_targets(np.array([[20.0, 30, 60, 90]]), np.ones((1, 1), int), np.ones(1, bool), 128)
    )[None]
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


def test_unlabelled_kinds_are_learnt_from_the_images_that_label_them(tmp_path):
    image, boxes = scene(1)
    kinds = np.tile(np.int8([NO, NO, YES, YES]), (len(boxes), 1))
    both = Example(image, boxes, kinds, np.ones(4, bool))
    loops = Example(
        image,
        boxes,
        np.tile(np.int8([YES, NO, NO, YES]), (len(boxes), 1)),
        np.array([True, False, False, False]),
    )
    network = CentreNet.load(train_fcn([both, loops], out_folder=tmp_path, epochs=1, **TINY), "cpu")
    assert network.settings["kinds"] == ["loop", "edge-on", "dot", "other"]
    assert list(fcn._crops([both, loops])).count(0) == 2 * list(fcn._crops([both, loops])).count(1)
