import time

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter

from stemlib.synthetic import OtherDefects, loop_micrograph

NOTHING = OtherDefects(n_black_dots=0, n_edge_on=0, n_lines=0, precipitate=False)


@pytest.fixture(scope="module")
def scene():
    return loop_micrograph((700, 900), n_loops=30, seed=4)


def test_same_seed_same_scene_and_other_seed_other_scene(scene):
    again = loop_micrograph((700, 900), n_loops=30, seed=np.random.default_rng(4))
    assert np.array_equal(again.image, scene.image)
    pd.testing.assert_frame_equal(again.loops, scene.loops)
    pd.testing.assert_frame_equal(again.other, scene.other)
    assert not np.array_equal(loop_micrograph((700, 900), n_loops=30, seed=5).image, scene.image)


def test_there_are_as_many_of_each_as_asked():
    scene = loop_micrograph(
        (400, 300), n_loops=5, others=OtherDefects(n_black_dots=7, n_edge_on=3, n_lines=2), seed=0
    )
    assert scene.image.shape == (400, 300) and scene.image.dtype == np.uint8
    assert len(scene.loops) == 5
    assert scene.other["kind"].value_counts().to_dict() == {
        "black dot": 7,
        "edge-on loop": 3,
        "line": 2,
        "precipitate": 1,
    }
    empty = loop_micrograph((100, 100), n_loops=0, others=NOTHING, seed=0)
    assert len(empty.loops) == 0 and len(empty.other) == 0
    assert {"y", "x", "major", "minor", "angle_deg", "top", "left", "bottom", "right"} <= set(empty.loops)


def test_truth_is_consistent(scene):
    loops = scene.loops
    angle = np.deg2rad(loops["angle_deg"])
    height = np.hypot(loops["major"] * np.sin(angle), loops["minor"] * np.cos(angle))
    whole = loops[~loops["touches_edge"]]
    assert np.allclose((whole["bottom"] - whole["top"]), height[whole.index])
    assert np.allclose((whole["bottom"] + whole["top"]) / 2, whole["y"])
    assert (loops["minor"] < loops["major"]).all() and loops["angle_deg"].between(0, 180).all()
    for table in (loops, scene.other):
        assert (table[["top", "left"]] >= -0.5).all(axis=None)
        assert (table["bottom"] <= 699.5).all() and (table["right"] <= 899.5).all()
        assert ((table["bottom"] > table["top"]) & (table["right"] > table["left"])).all()
    assert loops["major"].median() == pytest.approx(48, rel=0.2)


def test_rings_are_dark_where_the_truth_says():
    scene = loop_micrograph(n_loops=40, others=NOTHING, noise=0, seed=2)
    smooth = gaussian_filter(scene.image.astype(float), 1)
    darker = []
    for loop in scene.loops[~scene.loops["touches_edge"] & (scene.loops["contrast"] == "ring")].itertuples():
        around, angle = np.linspace(0, 2 * np.pi, 60), np.deg2rad(loop.angle_deg)

        def mean_at(factor, loop=loop, around=around, angle=angle):
            u = factor * loop.major / 2 * np.cos(around)
            v = factor * loop.minor / 2 * np.sin(around)
            y = loop.y - (u * np.sin(angle) + v * np.cos(angle))
            x = loop.x + u * np.cos(angle) - v * np.sin(angle)
            inside = (y > 0) & (y < 1023) & (x > 0) & (x < 1023)
            return smooth[np.rint(y[inside]).astype(int), np.rint(x[inside]).astype(int)].mean()

        darker.append((mean_at(0.95) < mean_at(0.4) - 10) and (mean_at(0.95) < mean_at(1.5) - 10))
    assert len(darker) > 10 and np.mean(darker) > 0.95


def test_loops_do_not_overlap(scene):
    loops = scene.loops
    distance = np.hypot(
        loops["y"].to_numpy()[:, None] - loops["y"].to_numpy(),
        loops["x"].to_numpy()[:, None] - loops["x"].to_numpy(),
    )
    reach = (loops["major"].to_numpy()[:, None] + loops["major"].to_numpy()) / 2
    assert (distance + 1e9 * np.eye(len(loops)) > reach).all()


def test_grey_levels_are_those_of_the_real_images(scene):
    assert 150 < np.median(scene.image) < 200
    assert 8 < scene.image.std() < 45
    low, high = np.percentile(scene.image, [0.1, 99.9])
    assert low > 5 and high < 255


def test_noise_can_be_left_out(scene):
    quiet = loop_micrograph((700, 900), n_loops=30, noise=0, seed=4)
    pd.testing.assert_frame_equal(quiet.loops, scene.loops)
    rough = [np.abs(np.diff(s.image.astype(float), axis=1)).mean() for s in (quiet, scene)]
    assert rough[0] < 0.3 * rough[1]


def test_is_quick():
    start = time.process_time()
    loop_micrograph(seed=0)
    assert time.process_time() - start < 1.0


def test_bad_counts_of_other_defects_are_named():
    with pytest.raises(TypeError, match="n_lines must be a whole number"):
        OtherDefects(n_lines=1.5)
    with pytest.raises(ValueError, match="n_black_dots=-1 must not be negative"):
        OtherDefects(n_black_dots=-1)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_loops": -1}, ValueError, "n_loops=-1 must not be negative"),
        ({"shape": (20, 200)}, ValueError, r"shape=\(20, 200\) must be at least 64 x 64"),
        ({"shape": 200}, TypeError, "shape must be two whole numbers"),
        ({"noise": -1}, ValueError, "noise=-1"),
        ({"noise": float("nan")}, ValueError, "noise=nan"),
        ({"median_size": 5}, ValueError, "median_size=5 must be at least 16"),
        ({"pixel_size_nm": 0}, ValueError, "pixel_size_nm=0 must be positive"),
        ({"shape": (128, 128), "n_loops": 200}, ValueError, "n_loops=200.*do not fit into 128 x 128 px"),
    ],
)
def test_bad_arguments_are_one_clear_error(arguments, error, message):
    with pytest.raises(error, match=message):
        loop_micrograph(**arguments, seed=0)
