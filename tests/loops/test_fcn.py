import numpy as np
import pytest
import torch

from stemlib.loops import fcn
from stemlib.loops.fcn import CELL, CentreNet, detect_fcn, load_network, reduction, to_frame
from stemlib.training.fcn import write_weights
from stemlib.training.fcn_crops import draw_targets

BOX = np.array([41.0, 62.0, 65.0, 100.0])  # frame px from the upper left edge


class Oracle(torch.nn.Module):
    """Answers with the right maps for the one bright rectangle it sees, however turned or scaled."""

    stride = 128

    def __init__(self):
        super().__init__()
        self.anything = torch.nn.Parameter(torch.zeros(1))

    def forward(self, seen):
        bright = seen[0, 0].numpy() > 2
        edges = [np.flatnonzero(bright.any(axis=axis))[[0, -1]] + [0, 1] for axis in (1, 0)]
        (top, bottom), (left, right) = edges
        targets = draw_targets(np.array([[top, left, bottom, right]]), True, seen.shape[-1])
        out = torch.from_numpy(targets[:5])
        out[0] = torch.where(out[0] == 1, 2.0, -8.0)
        return out[None]


def rectangle(side, top, left, bottom, right):
    image = np.zeros((side, side), np.uint8)
    image[int(top) : int(bottom), int(left) : int(right)] = 200
    return image


@pytest.mark.parametrize("view", range(8))
def test_each_view_is_turned_back(view, monkeypatch):
    monkeypatch.setattr(fcn, "_SCALES", {1.0: 1.0})
    frame = to_frame(rectangle(256, *BOX))
    heat, tall, wide, dy, dx = fcn._maps(Oracle(), frame, torch.device("cpu"), [view])
    row, column = np.unravel_index(np.argmax(heat), heat.shape)
    assert tall[row, column] == pytest.approx(24, rel=1e-4)
    assert wide[row, column] == pytest.approx(38, rel=1e-4)
    assert (row + dy[row, column] + 0.5) * CELL == pytest.approx(53, abs=1e-3)
    assert (column + dx[row, column] + 0.5) * CELL == pytest.approx(81, abs=1e-3)


@pytest.mark.parametrize("views", [1, 4, 8])
def test_boxes_come_back_in_image_pixels(views, monkeypatch):
    monkeypatch.setattr(fcn, "_SCALES", {1.0: 1.0})
    monkeypatch.setattr(fcn, "load_network", lambda weights, device: (Oracle(), 0.5))
    boxes, scores = detect_fcn(rectangle(256, *BOX), views=views)
    # Edges counted from the corner of the first pixel become edges counted from its centre.
    np.testing.assert_allclose(boxes, [BOX - 0.5], atol=1e-3)
    assert scores[0] == pytest.approx(1 / (1 + np.exp(-2)), abs=1e-4)


def test_large_images_are_reduced_and_boxes_scaled_back(monkeypatch):
    monkeypatch.setattr(fcn, "FRAME", 256)
    monkeypatch.setattr(fcn, "_SCALES", {1.0: 1.0})
    monkeypatch.setattr(fcn, "load_network", lambda weights, device: (Oracle(), 0.5))
    image = rectangle(512, *(2 * BOX))
    assert to_frame(image).shape == (256, 256)
    boxes, _ = detect_fcn(image, views=1)
    np.testing.assert_allclose(boxes, [2 * BOX - 0.5], atol=1e-3)


def test_answers_at_other_scales_fall_on_the_same_loop(monkeypatch):
    box = np.array([104.0, 60.0, 152.0, 140.0])
    monkeypatch.setattr(fcn, "load_network", lambda weights, device: (Oracle(), 0.01))
    boxes, scores = detect_fcn(rectangle(256, *box), views=1)
    # Whole pixels of the smaller frame make its box a little larger or smaller.
    np.testing.assert_allclose(boxes[0], box - 0.5, atol=1.5)
    monkeypatch.setattr(fcn, "_SCALES", {1.0: 1.0})
    alone, _ = detect_fcn(rectangle(256, *box), views=1)
    assert not np.array_equal(boxes[0], alone[0])


def test_frame_does_not_depend_on_brightness_and_contrast():
    image = np.random.default_rng(4).integers(60, 120, (128, 96), dtype=np.uint8)
    np.testing.assert_allclose(to_frame(image), to_frame(2 * image - 50), atol=1e-5)
    assert np.all(to_frame(np.full((64, 64), 7, np.uint8)) == 0)


@pytest.mark.parametrize(
    ("shape", "factor"), [((64, 64), 1), ((1024, 1024), 1), ((2048, 2048), 2), ((512, 8192), 2)]
)
def test_reduction(shape, factor):
    assert reduction(shape) == factor


def test_overlapping_boxes_leave_the_better_one_and_nested_ones_stay():
    boxes = np.array([[0.0, 0, 10, 10], [1, 1, 11, 11], [0, 0, 100, 100], [2, 2, 8, 8]])
    assert fcn._suppress(boxes, np.array([0.5, 0.9, 0.7, 0.6])).tolist() == [1, 2, 3]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    return write_weights(tmp_path_factory.mktemp("fcn") / "tiny.safetensors", CentreNet((8, 8, 8)), 0.25)


@pytest.mark.parametrize("shape", [(64, 64), (65, 130), (300, 77)])
def test_any_size_is_searched_and_boxes_stay_inside(shape, weights):
    image = np.random.default_rng(5).integers(0, 256, shape, dtype=np.uint8)
    boxes, scores = detect_fcn(image, weights=weights, threshold=0.001, device="cpu")
    assert len(boxes) == len(scores) > 0
    assert np.all(boxes >= 0)
    assert np.all(boxes[:, 2:] <= np.array(shape) - 1)
    assert np.all(np.diff(scores) <= 0)
    again, _ = detect_fcn(image, weights=weights, threshold=0.001, device="cpu")
    np.testing.assert_array_equal(boxes, again)


def test_threshold_of_the_file_is_the_default(weights):
    image = np.random.default_rng(6).integers(0, 256, (128, 128), dtype=np.uint8)
    assert load_network(weights)[1] == 0.25
    _, scores = detect_fcn(image, weights=weights, threshold=0.0, device="cpu")
    _, kept = detect_fcn(image, weights=weights, device="cpu")
    assert len(kept) == np.sum(scores >= 0.25) < len(scores)


def test_weights_are_read_once_but_a_new_file_is_noticed(weights, tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(weights.read_bytes())
    first, _ = load_network(path)
    assert load_network(path)[0] is first
    write_weights(path, CentreNet((8, 8)), 0.6)
    assert load_network(path)[1] == 0.6


def test_missing_and_damaged_weights_are_named(weights, tmp_path):
    image = np.zeros((64, 64), np.uint8)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.safetensors"):
        detect_fcn(image, weights=tmp_path / "nowhere.safetensors")
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"damaged\.safetensors.*damaged"):
        detect_fcn(image, weights=damaged)
    other = tmp_path / "other.safetensors"
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, other)
    with pytest.raises(ValueError, match=r"other\.safetensors"):
        detect_fcn(image, weights=other)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"image": np.zeros((20, 20), np.uint8)}, ValueError, "64 x 64"),
        ({"image": np.zeros((64, 64, 3), np.uint8)}, ValueError, r"\(64, 64, 3\)"),
        ({"image": np.zeros((64, 64))}, TypeError, "float64"),
        ({"image": [[0]]}, TypeError, "list"),
        ({"threshold": 1.5}, ValueError, "threshold=1.5"),
        ({"views": 0}, ValueError, "views=0"),
        ({"device": "abacus"}, ValueError, "abacus"),
    ],
)
def test_bad_arguments_are_named(arguments, error, message, weights):
    good = {"image": np.zeros((64, 64), np.uint8), "weights": weights, "device": "cpu"}
    call = {**good, **arguments}
    with pytest.raises(error, match=message):
        detect_fcn(call.pop("image"), **call)
