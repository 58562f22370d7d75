import numpy as np
import pytest
import torch

from stemlib.loops.screening import (
    CROP,
    CROP_CONTEXT,
    ScreeningNetwork,
    apply_refinement,
    crops,
    is_mirrored,
    load_screening,
    network_answers,
    refinement_targets,
    save_screening,
    screen,
)


def blob(shape, y, x, sigma):
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    return (200 - 150 * np.exp(-((yy - y) ** 2 + (xx - x) ** 2) / 2 / sigma**2)).astype(np.uint8)


@pytest.mark.parametrize("size", [20, 48, 150, 400])
def test_a_crop_is_centred_on_its_box_at_every_scale(size):
    image = blob((1000, 1000), 430.0, 520.0, size / 5)
    box = np.array([[430 - size / 2, 520 - size / 2, 430 + size / 2, 520 + size / 2]])
    darkness = -crops(image, box)[0]
    weights = np.clip(darkness - 0.5 * darkness.max(), 0, None)
    centre = (weights * np.mgrid[:CROP, :CROP]).sum(axis=(1, 2)) / weights.sum()
    assert np.allclose(centre, (CROP - 1) / 2, atol=0.3)
    width = np.sqrt((darkness > darkness.max() - 0.5 * np.ptp(darkness)).sum() / np.pi)
    assert width == pytest.approx(np.sqrt(2 * np.log(2)) * CROP / 5 / CROP_CONTEXT, rel=0.1)


def test_crops_do_not_depend_on_brightness_and_contrast():
    image = blob((200, 200), 90, 110, 8)
    image[:, :60] //= 2
    box = np.array([[70.0, 90, 110, 130]])
    assert np.allclose(crops(image // 2, box), crops(image // 2 + 100, box), atol=1e-3)


def test_crops_reach_over_the_edge():
    image = blob((100, 100), 0, 0, 8)
    assert np.isfinite(crops(image, np.array([[-20.0, -20, 20, 20]]))).all()


def test_refinement_and_its_inverse():
    boxes = np.array([[10.0, 10, 50, 50], [100, 100, 124, 124]])
    loops = np.array([[14.0, 18, 40, 44], [103, 101, 118, 124]])
    assert np.allclose(apply_refinement(boxes, refinement_targets(boxes, loops)), loops)


def test_no_refinement_is_the_middle_of_the_candidate():
    assert np.allclose(apply_refinement(np.array([[0.0, 0, 28, 28]]), np.zeros((1, 4))), [[4, 4, 24, 24]])


def test_weights_and_settings_survive_the_file(tmp_path):
    torch.manual_seed(0)
    network = ScreeningNetwork((4, 4, 4, 4, 4, 4)).eval()
    network.settings.update(slope=2.0, offset=-1.0, threshold=0.42)
    path = tmp_path / "screening.safetensors"
    save_screening(network, path)
    loaded = load_screening(path, "cpu")
    assert loaded.settings == network.settings
    image, boxes = blob((80, 80), 40, 40, 6), np.array([[20.0, 20, 60, 60], [0, 0, 30, 30]])
    for one, other in zip(screen(image, boxes, network), screen(image, boxes, loaded), strict=True):
        assert np.allclose(one, other, atol=1e-6)


def test_calibration_changes_probabilities_only(tmp_path):
    network = ScreeningNetwork((4, 4, 4, 4, 4, 4)).eval()
    image, boxes = blob((80, 80), 40, 40, 6), np.array([[20.0, 20, 60, 60]])
    before, box_before = screen(image, boxes, network)
    network.settings.update(slope=2.0, offset=0.5)
    after, box_after = screen(image, boxes, network)
    logit = np.log(before / (1 - before))
    assert np.allclose(after, 1 / (1 + np.exp(-(2 * logit + 0.5))), atol=1e-5)
    assert np.array_equal(box_before, box_after)


def test_no_candidates_need_no_network_run():
    probability, refined = screen(np.zeros((64, 64), np.uint8), np.empty((0, 4)), ScreeningNetwork().eval())
    assert probability.shape == (0,) and refined.shape == (0, 4)


def test_missing_and_damaged_weights_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing.safetensors"):
        load_screening(tmp_path / "nothing.safetensors")
    path = tmp_path / "half.safetensors"
    save_screening(ScreeningNetwork((4, 4, 4, 4, 4, 4)), path)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ValueError, match="half.safetensors"):
        load_screening(path)
    with pytest.raises(ValueError, match="no_such_device"):
        load_screening(tmp_path / "half.safetensors", "no_such_device")


def test_the_second_look_is_the_first_turned_by_180_degrees():
    torch.manual_seed(1)
    network = ScreeningNetwork((4, 4, 4, 4, 4, 4)).eval()
    patches = np.random.default_rng(0).normal(size=(6, CROP, CROP)).astype(np.float32)
    answers, turned = (
        network_answers(network, p) for p in (patches, np.ascontiguousarray(patches[:, ::-1, ::-1]))
    )
    assert np.allclose(answers[:, [0, 3, 4]], turned[:, [0, 3, 4]], atol=1e-5)
    assert np.allclose(answers[:, 1:3], -turned[:, 1:3], atol=1e-5)


def test_what_lies_more_than_a_third_beyond_any_edge_is_mirrored():
    whole = np.array([[30.0, 60, 42, 84]])  # 12 x 24 px
    shape = (100, 200)
    for shift, mirrored in (
        ([-30.5 - 3.9, 0], False),
        ([-30.5 - 4.1, 0], True),
        ([99.5 - 42 + 3.9, 0], False),
        ([99.5 - 42 + 4.1, 0], True),
        ([0, -60.5 - 7.9], False),
        ([0, -60.5 - 8.1], True),
        ([0, 199.5 - 84 + 7.9], False),
        ([0, 199.5 - 84 + 8.1], True),
    ):
        assert is_mirrored(whole + [*shift, *shift], shape).tolist() == [mirrored]
    assert is_mirrored(np.empty((0, 4)), shape).shape == (0,)


def test_the_mirror_at_the_edge_makes_no_loop():
    network = ScreeningNetwork((4, 4, 4, 4, 4, 4)).eval()
    network.head.weight.data.zero_()
    network.head.bias.data = torch.tensor([3.0, 0, 0, 0, 0])
    boxes = np.array([[-14.0, 30, 14, 58], [0, 30, 28, 58]])
    probability, refined = screen(np.full((100, 100), 128, np.uint8), boxes, network)
    assert probability == pytest.approx([0, 1 / (1 + np.exp(-3.0))])
    assert np.allclose(refined[0], [-10, 34, 10, 54])
