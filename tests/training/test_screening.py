import numpy as np
import pytest
import torch

from stemlib.loops.screening import CROP, CROP_CONTEXT, apply_refinement, crops, network_answers
from stemlib.training.screening import Samples, augment, candidate_samples, train_screening


def ring_image(boxes, shape=(240, 240), seed=0):
    """Rings in the first half of the boxes, discs in the second."""
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    image = 180 + np.random.default_rng(seed).normal(0, 6, shape)
    for i, (top, left, bottom, right) in enumerate(boxes):
        radius = np.hypot(
            (yy - (top + bottom) / 2) / (bottom - top) * 2, (xx - (left + right) / 2) / (right - left) * 2
        )
        image -= 70 * (np.exp(-(((radius - 0.9) / 0.2) ** 2)) if i < len(boxes) // 2 else (radius < 0.8))
    return np.clip(image, 0, 255).astype(np.uint8)


def scattered_boxes(seed):
    rng = np.random.default_rng(seed)
    corners = np.array([(y, x) for y in range(15, 200, 55) for x in range(15, 200, 55)])
    sizes = rng.uniform(18, 30, (len(corners), 2))
    return rng.permutation(np.hstack([corners, corners + sizes]))


def candidates_of(boxes, rng):
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 + rng.uniform(-4, 4, (len(boxes), 2))
    side = (
        1.4
        * (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True)
        * rng.uniform(0.9, 1.1, (len(boxes), 1))
    )
    return np.hstack([centre - side / 2, centre + side / 2])


def samples_of(seed):
    boxes = scattered_boxes(seed)
    image = ring_image(boxes, seed=seed)
    found = candidates_of(boxes, np.random.default_rng(seed))
    return candidate_samples(image, found, boxes[: len(boxes) // 2], 24), image, found, boxes


def test_it_learns_rings_from_discs_and_where_they_lie():
    network = train_screening(Samples.join([samples_of(seed)[0] for seed in range(24)]), epochs=10, batch=32)
    samples, image, found, boxes = samples_of(1000)
    answers = network_answers(network, crops(image, found))
    assert ((answers[:, 0] > 0) == samples.labels).mean() >= 0.9
    loops = samples.labels == 1
    refined = apply_refinement(found, answers[:, 1:])[loops]
    before = np.abs((found[loops, :2] + found[loops, 2:] - boxes[loops, :2] - boxes[loops, 2:]) / 2).mean()
    after = np.abs((refined[:, :2] + refined[:, 2:] - boxes[loops, :2] - boxes[loops, 2:]) / 2).mean()
    assert after < 0.8 * before


def test_the_same_seed_gives_the_same_network():
    samples = samples_of(0)[0]
    one, same, other = (train_screening(samples, epochs=1, seed=seed) for seed in (0, 0, 1))
    assert all(
        torch.equal(a, b) for a, b in zip(one.state_dict().values(), same.state_dict().values(), strict=True)
    )
    assert not torch.equal(one.head.weight, other.head.weight)


def test_candidates_between_right_and_wrong_teach_nothing():
    loop = np.array([[100.0, 100, 130, 130]])
    square = np.array([[94.0, 94, 136, 136]])
    shifts = np.array([0, 5, 22, 60])[:, None] * [0, 1, 0, 1]
    samples = candidate_samples(np.full((240, 240), 128, np.uint8), square + shifts, loop, 24)
    assert samples.labels.tolist() == [1, 1, 0]


def test_candidates_on_disputed_loops_teach_nothing():
    loop = np.array([[100.0, 100, 130, 130]])
    square = np.array([[94.0, 94, 136, 136]])
    found = np.vstack([square, square + 60, square - 70])
    image = np.full((240, 240), 128, np.uint8)
    assert candidate_samples(image, found, loop, 24).labels.tolist() == [1, 0, 0]
    assert candidate_samples(image, found, loop, 24, loop + 62).labels.tolist() == [1, 0]
    # What one team marked is a loop, whatever the other says beside it.
    assert candidate_samples(image, found, loop, 24, loop + 8).labels.tolist() == [1, 0, 0]


@pytest.mark.parametrize("seed", range(8))
def test_augmented_targets_still_point_at_the_loop(seed):
    rng = np.random.default_rng(seed)
    boxes = np.array([[100.0, 90, 130, 112]])
    image = ring_image(np.vstack([boxes, boxes + 500]), (240, 240))
    found = candidates_of(boxes, rng)
    sample = candidate_samples(image, found, boxes, 24)
    for _ in range(6):
        patches, targets = augment(sample.patches, sample.refinements, rng)
        # Candidate and loop in the crop's own pixels.
        side = CROP / CROP_CONTEXT
        square = np.array([[(CROP - 1 - side) / 2] * 2 + [(CROP - 1 + side) / 2] * 2])
        top, left, bottom, right = apply_refinement(square, targets)[0]
        yy, xx = np.mgrid[:CROP, :CROP]
        radius = np.hypot(
            (yy - (top + bottom) / 2) / (bottom - top) * 2, (xx - (left + right) / 2) / (right - left) * 2
        )
        ring, inside = np.abs(radius - 0.9) < 0.12, radius < 0.4
        outside = (radius > 1.5) & (radius < 1.8)
        assert patches[0][ring].mean() < min(patches[0][inside].mean(), patches[0][outside].mean()) - 0.3


def test_loops_alone_cannot_be_learnt():
    with pytest.raises(ValueError, match="0 others"):
        train_screening(Samples(np.zeros((4, 72, 72), "f4"), np.ones(4, "f4"), np.zeros((4, 4), "f4")))


def test_precision_must_be_known():
    with pytest.raises(ValueError, match="precision='half'"):
        train_screening(samples_of(0)[0], precision="half")
