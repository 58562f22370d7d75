import numpy as np
import pytest
import torch

from stemlib.loops import fcn, tiling
from stemlib.loops.fcn import CELL, CentreNet, detect_fcn, standardise
from stemlib.training.fcn_crops import draw_targets

BOX = np.array([41.0, 62.0, 65.0, 100.0])  # frame px from the upper left edge


class Oracle(torch.nn.Module):
    """Answers with the right maps for the one bright rectangle it sees, however turned or scaled."""

    stride = 128

    def __init__(self, threshold=0.5):
        super().__init__()
        self.anything = torch.nn.Parameter(torch.zeros(1))
        self.settings = {"kinds": ["loop"]}
        self.thresholds = {"loop": threshold}

    def forward(self, seen):
        bright = seen[0, 0].numpy() > 2
        if not bright.any():
            return torch.full((1, 5, seen.shape[-2] // CELL, seen.shape[-1] // CELL), -8.0)
        edges = [np.flatnonzero(bright.any(axis=axis))[[0, -1]] + [0, 1] for axis in (1, 0)]
        (top, bottom), (left, right) = edges
        box = np.array([[top, left, bottom, right]])
        targets = draw_targets(box, np.ones((1, 1), int), np.ones(1, bool), max(seen.shape))
        out = torch.from_numpy(targets[:5, : seen.shape[-2] // CELL, : seen.shape[-1] // CELL].copy())
        out[0] = torch.where(out[0] == 1, 2.0, -8.0)
        return out[None]


def rectangle(side, top, left, bottom, right):
    image = np.zeros((side, side), np.uint8)
    image[int(top) : int(bottom), int(left) : int(right)] = 200
    return image


@pytest.mark.parametrize("view", range(8))
def test_each_view_is_turned_back(view):
    heat, size, offset = fcn._maps(Oracle(), standardise(rectangle(256, *BOX)), [view])
    at = np.unravel_index(np.argmax(heat[0]), heat[0].shape)
    assert size[(0, *at)] == pytest.approx(24, rel=1e-4)
    assert size[(1, *at)] == pytest.approx(38, rel=1e-4)
    assert (at[0] + offset[(0, *at)] + 0.5) * CELL == pytest.approx(53, abs=1e-3)
    assert (at[1] + offset[(1, *at)] + 0.5) * CELL == pytest.approx(81, abs=1e-3)


@pytest.mark.parametrize("side", [256, 252, 280])
def test_boxes_come_back_in_image_pixels(side):
    boxes, scores = detect_fcn(rectangle(side, *BOX), Oracle())
    # Edges counted from the corner of the first pixel become edges counted from its centre.
    np.testing.assert_allclose(boxes, [BOX - 0.5], atol=1e-3)
    assert scores[0] == pytest.approx(1 / (1 + np.exp(-2)), abs=1e-4)


@pytest.mark.parametrize("pixel", [0.5, 2.0])
def test_boxes_found_at_another_scale_are_scaled_back(pixel):
    image = rectangle(512, *(2 * BOX + 1))
    boxes, _ = detect_fcn(image, Oracle(), pixel=pixel)
    np.testing.assert_allclose(boxes, [2 * BOX + 0.5], atol=2.0)


def test_answers_of_two_octaves_fall_on_the_same_loop():
    frame = standardise(rectangle(256, 104, 60, 152, 140))
    heat, size, _ = fcn._maps(Oracle(), frame, [0], 0.4)
    at = np.unravel_index(np.argmax(heat[0]), heat[0].shape)
    np.testing.assert_allclose(at, [128 // CELL, 100 // CELL], atol=1)
    np.testing.assert_allclose([size[(0, *at)], size[(1, *at)]], [48, 80], atol=3)
    assert not np.array_equal(fcn._maps(Oracle(), frame, [0])[0], heat)


def test_a_loop_on_the_seam_of_tiles_is_found_once(monkeypatch):
    monkeypatch.setattr(tiling, "CORE", 256)
    monkeypatch.setattr(tiling, "_WHOLE", 256)
    image = np.zeros((256, 768), np.uint8)
    for centre in (130, 258, 502, 514):
        image[:] = 0
        image[102:126, centre - 19 : centre + 19] = 200
        found, _ = detect_fcn(image, Oracle())
        np.testing.assert_allclose(found, [[101.5, centre - 19.5, 125.5, centre + 18.5]], atol=1.0)


def test_frame_does_not_depend_on_brightness_contrast_or_a_masked_hole():
    image = np.random.default_rng(4).integers(60, 120, (128, 96), dtype=np.uint8)
    np.testing.assert_allclose(standardise(image), standardise(2 * image - 50), atol=1e-5)
    assert np.all(standardise(np.full((64, 64), 7, np.uint8)) == 0)
    holed, seen = image.copy(), np.ones(image.shape, bool)
    holed[:90], seen[:90] = 255, False
    np.testing.assert_allclose(standardise(holed, seen)[90:], standardise(image[90:]), atol=1e-5)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = CentreNet((8, 8, 8)).eval()
    network.settings["threshold"] = 0.25
    return network


@pytest.mark.parametrize("shape", [(64, 64), (65, 130), (300, 77)])
def test_any_size_is_searched_and_boxes_stay_inside(shape, network):
    image = np.random.default_rng(5).integers(0, 256, shape, dtype=np.uint8)
    boxes, scores = detect_fcn(image, network, thresholds={"loop": 0.001})
    assert len(boxes) == len(scores) > 0
    assert np.all(boxes >= 0)
    assert np.all(boxes[:, 2:] <= np.array(shape) - 1)
    assert np.all(np.diff(scores[:, 0]) <= 0)
    again, _ = detect_fcn(image, network, thresholds={"loop": 0.001})
    np.testing.assert_array_equal(boxes, again)


def test_the_networks_threshold_is_the_default(network):
    image = np.random.default_rng(6).integers(0, 256, (128, 128), dtype=np.uint8)
    _, scores = detect_fcn(image, network, thresholds={"loop": 0.0})
    _, kept = detect_fcn(image, network)
    assert len(kept) == np.sum(scores >= 0.25) < len(scores)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"image": np.zeros((20, 20), np.uint8)}, ValueError, "20 x 20 px; at least 64 px"),
        ({"image": np.zeros((64, 64, 3), np.uint8)}, ValueError, r"\(64, 64, 3\)"),
        ({"image": np.zeros((64, 64))}, TypeError, "float64"),
        ({"image": [[0]]}, TypeError, "list"),
        ({"thresholds": {"loop": 1.5}}, ValueError, "thresholds=.*1.5"),
        ({"thresholds": {"loop": float("nan")}}, ValueError, "thresholds=.*nan"),
        ({"thresholds": {"void": 0.5}}, ValueError, "'void'"),
    ],
)
def test_bad_arguments_are_named(arguments, error, message, network):
    good = {"image": np.zeros((64, 64), np.uint8), "network": network}
    call = {**good, **arguments}
    with pytest.raises(error, match=message):
        detect_fcn(call.pop("image"), **call)


@pytest.mark.parametrize("turn", [np.flipud, np.fliplr, np.transpose, np.rot90])
@pytest.mark.parametrize("shape", [(300, 200), (256, 384)])
def test_a_turned_image_has_the_same_answer_turned(turn, shape, network):
    image = np.random.default_rng(7).integers(0, 256, shape, dtype=np.uint8)
    maps = []
    for seen in (image, np.ascontiguousarray(turn(image))):
        frame, _ = fcn.padded(standardise(seen), network.stride)
        maps.append(fcn._maps(network, frame, range(8), 0.4)[0][0])
    np.testing.assert_allclose(turn(maps[0]), maps[1], rtol=1e-4)


def test_each_kind_keeps_its_own_peaks():
    torch.manual_seed(0)
    two = CentreNet((8, 8, 8), ("loop", "dot")).eval()
    image = np.random.default_rng(5).integers(0, 256, (128, 128), dtype=np.uint8)
    _, both = detect_fcn(image, two, thresholds={"loop": 0.001, "dot": 0.001})
    _, dots = detect_fcn(image, two, thresholds={"dot": 0.001})
    assert both.shape[1] == dots.shape[1] == 2
    assert {round(score, 6) for score in dots[:, 1]} <= {round(score, 6) for score in both[:, 1]}


def test_one_threshold_in_a_file_holds_for_all_kinds():
    network = CentreNet((8, 8), ("loop", "dot"))
    network.settings["threshold"] = 0.3
    assert network.thresholds == {"loop": 0.3, "dot": 0.3}
    network.settings["threshold"] = {"loop": 0.3, "dot": 0.4}
    assert network.thresholds["dot"] == 0.4
