import dataclasses

import cv2
import numpy as np
import pytest

from stemlib.loops.cascade import Cascade, raw_windows
from stemlib.loops.cascade_xml import WEIGHTS, load_cascade, save_cascade


def random_cascade(seed, window=24, stages=4, stumps=5):
    """A cascade nobody trained: it passes about half of all windows at each stage."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, window // 3 + 1, (40, 2))
    corners = np.array(
        [[rng.integers(window - 3 * w + 1), rng.integers(window - 3 * h + 1)] for w, h in sizes]
    )
    n = stages * stumps
    return Cascade(
        window=window,
        stage_thresholds=rng.normal(-0.1, 0.1, stages).astype(np.float32),
        stage_ends=np.arange(1, stages + 1, dtype=np.int32) * stumps,
        features=np.hstack([corners, sizes]).astype(np.int32),
        stump_features=rng.integers(0, 40, n).astype(np.int32),
        subsets=rng.integers(-(2**31), 2**31, (n, 8)).astype(np.int32),
        votes=rng.normal(0, 1, (n, 2)).astype(np.float32),
    )


def textured_image(shape, seed=0):
    rng = np.random.default_rng(seed)
    return cv2.GaussianBlur(rng.integers(0, 256, shape, dtype=np.uint8), (5, 5), 1.5)


def opencv_windows(path, image, scale_factor, min_size):
    found = cv2.CascadeClassifier(str(path)).detectMultiScale(image, scale_factor, 0, 0, (min_size, min_size))
    return sorted((int(y), int(x), int(h), int(w)) for x, y, w, h in found)


def our_windows(path, image, scale_factor, min_size):
    windows = raw_windows(load_cascade(path), image, scale_factor=scale_factor, min_size=min_size)
    return sorted(tuple(int(v) for v in row) for row in windows)


@pytest.mark.parametrize("scale_factor, min_size", [(1.1, 24), (1.3, 40)])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_our_cascade_runs_in_opencv_with_the_same_windows(tmp_path, seed, scale_factor, min_size):
    path = tmp_path / "cascade.xml"
    save_cascade(random_cascade(seed), path, hit_rate=0.99, false_alarm_rate=0.5)
    image = textured_image((150, 190), seed)
    ours = our_windows(path, image, scale_factor, min_size)
    assert len(ours) > 100
    assert ours == opencv_windows(path, image, scale_factor, min_size)


def test_sums_beyond_31_bits_in_a_large_bright_image_do_no_harm(tmp_path):
    path = tmp_path / "cascade.xml"
    save_cascade(random_cascade(5), path, hit_rate=0.99, false_alarm_rate=0.5)
    image = np.full((3000, 3200), 250, np.uint8)
    image[-90:, -90:] -= textured_image((90, 90)) // 8
    ours = our_windows(path, image, 100, 24)
    assert len(ours) > 10
    assert ours == opencv_windows(path, image, 100, 24)


@pytest.mark.parametrize("seed", range(6))
def test_the_last_rows_and_columns_are_opencvs(tmp_path, seed):
    rng = np.random.default_rng(seed)
    path = tmp_path / "cascade.xml"
    save_cascade(random_cascade(1, stages=1), path, hit_rate=0.99, false_alarm_rate=0.5)
    for _ in range(12):
        image = textured_image(rng.integers(24, 420, 2), seed)
        scale_factor, min_size = rng.uniform(1.05, 2), int(rng.integers(0, 100))
        ours = our_windows(path, image, scale_factor, min_size)
        assert ours == opencv_windows(path, image, scale_factor, min_size), (
            image.shape,
            scale_factor,
            min_size,
        )


def test_the_authors_cascades_give_opencvs_windows(real_data):
    from stemlib import datasets

    rows = datasets.load_registry()
    cascades = [p for p in rows["path"] if "cascades_2018" in p]
    assert len(cascades) == 3
    names = ["K713_300kx_store4_grid1_0013.jpg", "0501_300kx_1nm_clhaadf3_0008.jpg"]
    for name in names:
        image = cv2.imread(str(datasets.fetch(f"fecral-loops/images/{name}")), cv2.IMREAD_GRAYSCALE)[
            :512, :700
        ]
        for path in map(datasets.fetch, cascades):
            ours = our_windows(path, image, 1.1, 32)
            assert len(ours) > 50
            assert ours == opencv_windows(path, image, 1.1, 32)


def test_saving_and_loading_keeps_every_window(tmp_path):
    cascade = random_cascade(5)
    path = tmp_path / "cascade.xml"
    save_cascade(cascade, path, hit_rate=0.99, false_alarm_rate=0.5)
    image = textured_image((120, 100))
    before, after = raw_windows(cascade, image), raw_windows(load_cascade(path), image)
    assert len(before) and np.array_equal(before, after)


def test_fewer_stages_pass_every_window_that_more_stages_pass():
    cascade, image = random_cascade(1), textured_image((150, 190), 1)
    cut = {"stage_thresholds": cascade.stage_thresholds[:2], "stage_ends": cascade.stage_ends[:2]}
    long = {tuple(w) for w in raw_windows(cascade, image, step=1)}
    short = {tuple(w) for w in raw_windows(dataclasses.replace(cascade, **cut), image, step=1)}
    assert long < short


def test_windows_do_not_depend_on_brightness_or_contrast():
    cascade, image = random_cascade(4), textured_image((100, 100)) // 2
    brighter = image * 2 + 1
    for step in (1, 2):
        one, other = (raw_windows(cascade, i, scale_factor=10, step=step) for i in (image, brighter))
        assert np.array_equal(one, other)


def test_an_image_smaller_than_the_window_has_no_windows():
    assert raw_windows(random_cascade(1), np.zeros((20, 20), np.uint8)).shape == (0, 4)


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (np.zeros((50, 50)), TypeError, "uint8.*not an array of float64"),
        (np.zeros((50, 50, 3), np.uint8), ValueError, r"shape \(50, 50, 3\).*2-D"),
        ([[1, 2], [3, 4]], TypeError, "uint8.*not list"),
    ],
)
def test_other_images_are_refused(image, error, message):
    with pytest.raises(error, match=message):
        raw_windows(random_cascade(1), image)


@pytest.mark.parametrize("scale_factor", [1.0, 0.5, np.nan])
def test_scale_factor_must_exceed_one(scale_factor):
    with pytest.raises(ValueError, match="scale_factor"):
        raw_windows(random_cascade(1), np.zeros((50, 50), np.uint8), scale_factor=scale_factor)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing.xml"):
        load_cascade(tmp_path / "nothing.xml")


@pytest.mark.parametrize(
    "content, reason",
    [
        ("<opencv_storage><cascade>", "not valid XML"),
        ("<opencv_storage/>", "not an OpenCV cascade"),
        ("<a><cascade><stageType>BOOST</stageType><featureType>HAAR</featureType></cascade></a>", "HAAR"),
    ],
)
def test_a_damaged_or_other_file_is_named(tmp_path, content, reason):
    path = tmp_path / "bad.xml"
    path.write_text(content)
    with pytest.raises(ValueError, match=reason) as error:
        load_cascade(path)
    assert "bad.xml" in str(error.value)


def test_a_feature_outside_the_window_is_refused(tmp_path):
    cascade = random_cascade(1)
    cascade.features[cascade.stump_features[0]] = [20, 20, 5, 5]
    path = tmp_path / "outside.xml"
    save_cascade(cascade, path, hit_rate=0.99, false_alarm_rate=0.5)
    with pytest.raises(ValueError, match="out of the window"):
        load_cascade(path)


@pytest.mark.parametrize(
    "there, instead",
    [
        ("<internalNodes>0 -1 0 ", "<internalNodes>0 -1 -1 "),
        ("<internalNodes>0 -1 0 ", "<internalNodes>0 -1 99999999999999999999 "),
        ("<rect>", "<rect>99999999999 "),
        ("<stageThreshold>", "<stageThreshold>nan</stageThreshold><stageThreshold>"),
    ],
)
def test_numbers_that_no_cascade_has_are_one_clear_error(tmp_path, there, instead):
    text = WEIGHTS.read_text()
    assert there in text
    path = tmp_path / "cascade.xml"
    path.write_text(text.replace(there, instead, 1))
    with pytest.raises(ValueError, match=r"cascade\.xml.*not an OpenCV cascade"):
        load_cascade(path)
