import json

import numpy as np
import pandas as pd
import pytest

import stemlib
from stemlib.agreement import match
from stemlib.loops.fcn import CentreNet
from stemlib.training import tuning

EDGES = ["top", "left", "bottom", "right"]


def squares(seed, n=16, side=320):
    """Bright squares with a dark core on noise, which no network has seen, and their boxes."""
    rng = np.random.default_rng(seed)
    image = rng.normal(120, 8, (side, side))
    cells = rng.permutation(25)[:n]
    boxes = []
    for cell in cells:
        y, x = (64 * np.array(divmod(cell, 5)) + 32 + rng.integers(-8, 9, 2)).tolist()
        image[y - 12 : y + 12, x - 12 : x + 12] += 50
        image[y - 4 : y + 4, x - 4 : x + 4] -= 100
        boxes.append([y - 12.5, x - 12.5, y + 11.5, x + 11.5])
    return np.clip(image, 0, 255).astype(np.uint8), pd.DataFrame(boxes, columns=EDGES)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    image, boxes = squares(1)
    everywhere = np.ones(image.shape, bool)
    return stemlib.tune_loops(
        image, boxes, regions=everywhere, output=tmp_path_factory.mktemp("tuned") / "mine.safetensors"
    )


def test_it_learns_what_the_shipped_network_does_not_know(tuned):
    image, boxes = squares(2)
    before = stemlib.find_loops(image, device="cpu").table
    after = stemlib.find_loops(image, weights={"fcn": tuned}, device="cpu").table
    assert match(boxes, after[EDGES]).is_found.mean() > 0.8
    assert match(boxes, after[EDGES]).is_true.mean() > 0.8
    assert match(boxes, before[EDGES]).is_found.mean() < 0.5
    card = json.loads(tuned.with_suffix(".json").read_text(encoding="utf-8"))
    assert card["kept"] == "tuned"
    assert card["labels"] == {"loop": 16}
    scores = card["cross_validation"]["loop"]
    assert scores["tuned"]["f1"] >= scores["base"]["f1"]
    assert card["diameter_px"] == pytest.approx(24)


def test_the_scale_of_the_labels_stays_with_the_weights(tuned):
    image, boxes = squares(3)
    large = image.repeat(3, axis=0).repeat(3, axis=1)
    assert stemlib.find_loops(large, weights={"fcn": tuned}).scale == 1.0
    found = stemlib.find_loops(large, weights={"fcn": tuned}, diameter=72)
    assert match(boxes * 3 + 1, found.table[EDGES]).is_found.mean() > 0.7


def test_where_nothing_is_gained_the_base_network_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(tuning, "STEPS", 2)
    image, boxes = squares(1)
    everywhere = np.ones(image.shape, bool)
    trained = tuning._trained

    def spoilt(base, *arguments):
        network = trained(base, *arguments)
        network.head[-1].bias.data[0] = -20.0
        return network

    monkeypatch.setattr(tuning, "_trained", spoilt)
    monkeypatch.setattr(tuning, "_renamed", lambda base, read, kinds, pixel: (_named(base), _PERFECT))
    path = stemlib.tune_loops(image, boxes, regions=everywhere, output=tmp_path / "mine.safetensors")
    assert json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["kept"] == "base"
    kept, shipped = CentreNet.load(path, "cpu"), CentreNet.load(device="cpu")
    assert np.array_equal(kept.stem[0][0].weight.detach(), shipped.stem[0][0].weight.detach())


_PERFECT = {"loop": {"kind": "loop", "f1": 1.0, "threshold": 0.3}}


def _named(base):
    network = CentreNet(base.widths, ("loop",))
    state = base.state_dict()
    for name in ("head.1.weight", "head.1.bias"):
        state[name] = state[name][[0, -4, -3, -2, -1]]
    network.load_state_dict(state)
    network.settings["threshold"] = {"loop": 0.3}
    return network.eval()


def test_the_seed_decides_the_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(tuning, "STEPS", 4)
    image, boxes = squares(1)
    options = {"regions": np.ones(image.shape, bool)}
    files = [
        stemlib.tune_loops(
            image, boxes, output=tmp_path / f"{n}.safetensors", seed=seed, **options
        ).read_bytes()
        for n, seed in enumerate((3, 3, 4))
    ]
    assert files[0] == files[1]


@pytest.mark.parametrize(
    "change, words",
    [
        ({"labels": squares(1)[1].iloc[:3]}, "at least 4"),
        ({"kinds": ["void"]}, "'void'"),
        ({"polarity": "grey"}, "polarity='grey'"),
        ({"images": [squares(1)[0]] * 2, "labels": [squares(1)[1]]}, "images holds 2"),
        ({"labels": squares(1)[1].iloc[:0]}, "none"),
    ],
)
def test_bad_arguments_are_named(change, words, tmp_path):
    image, boxes = squares(1)
    call = {"images": image, "labels": boxes, "output": tmp_path / "x.safetensors"} | change
    with pytest.raises(ValueError, match=words):
        stemlib.tune_loops(call.pop("images"), call.pop("labels"), **call)


def test_a_few_labels_draw_the_threshold_towards_the_base_networks():
    curve = [
        {"threshold": threshold, "f1": float(threshold > 0.65)} for threshold in np.linspace(0.1, 0.9, 9)
    ]
    base = {"f1": 1.0, "threshold": 0.2}
    few, many = tuning._threshold(curve, base, 4), tuning._threshold(curve, base, 400)
    assert 0.2 < few < many
    assert many == pytest.approx(0.82, abs=0.03)
    # One that finds none of the labels has no say.
    assert tuning._threshold(curve, {"f1": 0.0, "threshold": 0.2}, 4) == pytest.approx(0.82, abs=0.02)
