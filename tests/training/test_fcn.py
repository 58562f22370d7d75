import numpy as np
import pytest
import torch

from stemlib.loops.fcn import CentreNet, detect_fcn, load_network
from stemlib.training import fcn_crops
from stemlib.training.fcn import loss, train_fcn

TINY = {"widths": (8, 16, 16), "device": "cpu", "progress": False}


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
        boxes, _ = detect_fcn(image, weights=weights, threshold=0.3, device="cpu", views=1)
        centres, wanted = boxes[:, :2] + boxes[:, 2:], truth[:, :2] + truth[:, 2:]
        off = np.abs(centres[:, None] - wanted[None]).max(axis=2) / 2
        near = off < 5
        hits += near.any(axis=0).sum()
        false += (~near.any(axis=1)).sum()
        found, drawn = np.nonzero(near)
        size = (boxes[:, 2:] - boxes[:, :2])[found] / (truth[:, 2:] - truth[:, :2])[drawn]
        errors.extend(np.abs(np.log(size)).ravel())
    assert hits >= 13
    assert false <= 3
    assert np.median(errors) < 0.2
    log = (tmp_path / "log.csv").read_text().splitlines()
    assert log[0] == "epoch,loss,seconds"
    assert len(log) == 31


def test_a_training_cut_off_goes_on_to_the_same_weights(tmp_path):
    images = [scene(1), scene(2)]
    whole = train_fcn(images, out_folder=tmp_path / "whole", epochs=3, **TINY)

    def stop(epoch, path):
        assert path.exists()
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_fcn(images, out_folder=tmp_path / "cut", epochs=3, after_epoch=stop, **TINY)
    resumed = train_fcn(images, out_folder=tmp_path / "cut", epochs=3, **TINY)
    assert resumed.read_bytes() == whole.read_bytes()
    with pytest.raises(ValueError, match="other settings"):
        train_fcn(images, out_folder=tmp_path / "cut", epochs=4, **TINY)


def test_seed_decides_the_weights(tmp_path):
    files = [
        train_fcn([scene(1)], out_folder=tmp_path / str(n), epochs=1, seed=seed, **TINY).read_bytes()
        for n, seed in enumerate((5, 5, 6))
    ]
    assert files[0] == files[1] != files[2]


def test_training_goes_on_from_given_weights(tmp_path):
    first = train_fcn([scene(1)], out_folder=tmp_path / "first", epochs=1, **TINY)
    steps = []

    def keep(epoch, path):
        steps.append(load_network(path)[0].head[-1].weight.clone())

    train_fcn(
        [scene(1)], out_folder=tmp_path / "next", epochs=2, seed=9, start=first, after_epoch=keep, **TINY
    )
    begun = load_network(first)[0].head[-1].weight
    other = load_network(train_fcn([scene(1)], out_folder=tmp_path / "other", epochs=1, seed=9, **TINY))[0]
    assert torch.norm(steps[0] - begun) < 0.5 * torch.norm(other.head[-1].weight - begun)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        train_fcn([scene(1)], out_folder=tmp_path / "x", start=tmp_path / "nowhere", **TINY)


def test_bfloat16_trains_too(tmp_path):
    path = train_fcn([scene(1)], out_folder=tmp_path, epochs=1, precision="bfloat16", **TINY)
    network, _ = load_network(path)
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
        ([scene(1)], {"precision": "float8"}, "precision='float8'"),
        ([scene(1)], {"device": "abacus"}, "abacus"),
    ],
)
def test_bad_arguments_are_named(images, arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        train_fcn(images, **{**TINY, "out_folder": tmp_path, **arguments})


def test_default_network_is_small():
    assert sum(tensor.numel() for tensor in CentreNet().parameters()) < 1.5e6
