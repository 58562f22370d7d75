import numpy as np
import pytest

from stemlib.loops.blobs import LEAST, find_blobs


def discs(diameters, side=512, noise=6.0, seed=0):
    rng = np.random.default_rng(seed)
    image = rng.normal(150, noise, (side, side))
    y, x = np.mgrid[:side, :side]
    places = [(60 + 110 * (n // 4), 60 + 110 * (n % 4)) for n in range(len(diameters))]
    for (row, column), diameter in zip(places, diameters, strict=True):
        image[np.hypot(y - row, x - column) < diameter / 2] -= 40
    return np.clip(image, 0, 255).astype(np.uint8), np.array(places)


def test_dark_discs_are_found_where_and_as_large_as_they_are():
    diameters = [10, 14, 20, 28, 40, 56]
    image, places = discs(diameters)
    boxes, scores = find_blobs(image)
    boxes = boxes[scores >= LEAST]
    assert len(boxes) == len(places)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    for place, diameter in zip(places, diameters, strict=True):
        nearest = np.hypot(*(centre - place).T).argmin()
        assert np.hypot(*(centre[nearest] - place)) < 2
        assert boxes[nearest, 2] - boxes[nearest, 0] == pytest.approx(diameter, rel=0.3)


def test_noise_alone_gives_about_as_many_as_stated():
    found = [
        (
            find_blobs(np.random.default_rng(seed).normal(128, 12, (1000, 1000)).astype(np.uint8))[1] >= LEAST
        ).sum()
        for seed in range(4)
    ]
    assert np.mean(found) <= 3


def test_bright_discs_and_what_a_mask_hides_are_not_blobs():
    image, places = discs([20, 20])
    assert (find_blobs(np.roll(255 - discs([20])[0], (190, 190), axis=(0, 1)))[1] >= LEAST).sum() == 0
    mask = np.ones(image.shape, bool)
    mask[:, : places[0, 1] + 40] = False
    boxes, scores = find_blobs(image, mask)
    assert (scores >= LEAST).sum() == 1


def test_a_coarser_scale_finds_larger_blobs():
    image, places = discs([90], noise=3)
    boxes, scores = find_blobs(image, pixel=3.0)
    assert boxes[0, 2] - boxes[0, 0] == pytest.approx(90, rel=0.3)
    np.testing.assert_allclose((boxes[0, :2] + boxes[0, 2:]) / 2, places[0], atol=4)


def test_a_constant_image_has_none():
    assert len(find_blobs(np.full((100, 100), 9, np.uint8))[0]) == 0
