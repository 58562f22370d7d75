import numpy as np
import pytest

from stemlib.loops import tiling
from stemlib.loops.tiling import MARGIN, count_tiles, middle, resampled, tiles


@pytest.mark.parametrize("shape", [(1024, 1024), (1100, 64), (3000, 2500)])
@pytest.mark.parametrize("pixel", [1.0, 2.0, 2.7])
def test_every_place_is_one_tiles(shape, pixel):
    rng = np.random.default_rng(0)
    y, x = rng.uniform(-1, shape[0] + 1, 400), rng.uniform(-1, shape[1] + 1, 400)
    image = np.zeros(shape, np.uint8)
    parts = list(tiles(image, pixel))
    assert len(parts) == count_tiles(shape, pixel)
    assert (sum(part.answers_for(y, x).astype(int) for part in parts) == 1).all()
    assert max(max(part.frame.shape) for part in parts) <= tiling.CORE + 2 * MARGIN + 2


def test_a_tile_shows_the_image_where_it_says():
    image = np.add.outer(np.arange(3000), np.zeros(200)).astype(np.float32)
    for part in tiles(image, 2.0):
        rows = (np.arange(len(part.frame)) + 0.5) * part.pixel[0] + part.origin[0] - 0.5
        np.testing.assert_allclose(part.frame[:, 5], rows, atol=0.51)
        assert part.seen.all()


def test_where_the_mask_shows_nothing_there_is_no_tile():
    mask = np.zeros((1024, 4096), bool)
    mask[:, :300] = True
    parts = list(tiles(np.zeros(mask.shape, np.uint8), 1.0, mask))
    assert len(parts) == 1
    assert parts[0].seen.mean() == pytest.approx(300 / parts[0].frame.shape[1], abs=0.01)


def test_a_mirror_image_is_cut_alike():
    image = np.random.default_rng(1).integers(0, 256, (1400, 2600), dtype=np.uint8)
    there = sorted(part.frame.sum() for part in tiles(image, 1.0))
    mirrored = sorted(part.frame.sum() for part in tiles(np.ascontiguousarray(image[:, ::-1]), 1.0))
    np.testing.assert_allclose(there, mirrored, rtol=1e-6)


def test_reduction_averages():
    image = np.tile(np.array([[0, 100], [100, 200]], np.uint8), (10, 10))
    assert (resampled(image, 2.0) == 100).all()
    assert resampled(image, 1.0) is image


def test_the_middle_is_all_of_a_small_image():
    assert middle((900, 1000), 1.0) == (slice(0, 900), slice(0, 1000))
    rows, columns = middle((4000, 3000), 2.0)
    assert rows.start == 4000 - rows.stop
    assert columns.start == 3000 - columns.stop
