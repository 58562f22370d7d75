import numpy as np
import pandas as pd
import pytest
from skimage.measure import label, regionprops
from skimage.segmentation import watershed

from stemlib.loops.measuring import measure_loops
from stemlib.loops.watershed import flood, region_moments
from stemlib.synthetic import loop_micrograph

EDGES = ["top", "left", "bottom", "right"]


def ring(shape, y, x, major, minor, angle_deg, width=3.0, depth=80.0):
    """Image of one dark ring whose darkest line is the given ellipse."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    angle = np.deg2rad(angle_deg)
    u = (columns - x) * np.cos(angle) + (y - rows) * np.sin(angle)
    v = (y - rows) * np.cos(angle) - (columns - x) * np.sin(angle)
    radius = np.maximum(np.hypot(u / (major / 2), v / (minor / 2)), 1e-9)
    distance = (radius - 1) * radius / np.maximum(np.hypot(u / (major / 2) ** 2, v / (minor / 2) ** 2), 1e-9)
    return 200 - depth * np.exp(-0.5 * (distance / width) ** 2)


def jittered(boxes, seed, shift=0.1, size=0.2, square=False):
    rng = np.random.default_rng(seed)
    sides = boxes[:, 2:] - boxes[:, :2]
    longest = sides.max(axis=1, keepdims=True)
    if square:
        sides = np.repeat(longest, 2, axis=1)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 + rng.uniform(-shift, shift, (len(boxes), 2)) * longest
    half = sides / 2 * np.exp(rng.uniform(np.log(1 - size), np.log(1 + size), (len(boxes), 1)))
    return np.hstack([centres - half, centres + half])


def angle_between(a, b):
    return np.abs((np.asarray(a) - np.asarray(b) + 90) % 180 - 90)


@pytest.fixture(scope="module")
def scenes():
    return [loop_micrograph(n_loops=40, seed=seed) for seed in range(4)]


@pytest.mark.parametrize("square", [False, True], ids=["tight boxes", "squares"])
def test_recovers_what_was_drawn_from_inexact_boxes(scenes, square):
    found, drawn, plain = [], [], []
    for n, scene in enumerate(scenes):
        truth = scene.loops[~scene.loops["touches_edge"]]
        boxes = jittered(truth[EDGES].to_numpy(), n, square=square)
        found.append(measure_loops(scene.image, boxes))
        drawn.append(truth)
        plain.append((boxes[:, 2:] - boxes[:, :2]).max(axis=1))
    found, drawn = pd.concat(found, ignore_index=True), pd.concat(drawn, ignore_index=True)
    major = found["major"] / drawn["major"] - 1
    minor = found["minor"] / drawn["minor"] - 1
    assert len(major) > 120
    assert major.abs().median() < 0.04 and major.abs().quantile(0.9) < 0.1
    assert abs(major.median()) < 0.03 and abs(minor.median()) < 0.05
    assert minor.abs().median() < 0.08
    assert major.abs().median() < 0.5 * (np.concatenate(plain) / drawn["major"] - 1).abs().median()
    elongated = drawn["minor"] < 0.75 * drawn["major"]
    assert np.median(angle_between(found["angle_deg"], drawn["angle_deg"])[elongated]) < 3
    assert np.median(np.hypot(found["y"] - drawn["y"], found["x"] - drawn["x"])) < 0.6
    assert (found[EDGES] - drawn[EDGES]).abs().median().max() < 2
    assert not found["touches_edge"].any()
    assert found["flood_failed"].mean() < 0.02


def test_angles_are_counter_clockwise_as_seen():
    for angle in (0, 30, 90, 150):
        image = ring((120, 140), 60, 70, 60, 32, angle)
        row = measure_loops(image, [[25, 35, 95, 105]]).iloc[0]
        assert angle_between(row["angle_deg"], angle) < 1.5, angle
        assert 0 <= row["angle_deg"] < 180
    # At 30 degrees the upper end lies to the right: small y, large x.
    image = ring((120, 140), 60, 70, 60, 32, 30)
    assert image[60 - 15, 70 + 26] < image[60 + 15, 70 + 26]


def test_area_and_axes_follow_imagej():
    row = measure_loops(ring((120, 140), 60.25, 70.5, 60, 36, 20), [[30, 35, 90, 105]]).iloc[0]
    assert row["area"] == pytest.approx(np.pi / 4 * row["major"] * row["minor"])
    assert row["y"] == pytest.approx(60.25, abs=0.3) and row["x"] == pytest.approx(70.5, abs=0.3)
    height = np.hypot(row["major"] * np.sin(np.deg2rad(20)), row["minor"] * np.cos(np.deg2rad(20)))
    assert row["bottom"] - row["top"] == pytest.approx(height, abs=1)


def test_does_not_depend_on_brightness_dtype_or_magnification():
    image = ring((120, 140), 60, 70, 60, 36, 20)
    boxes = np.array([[32.0, 38.0, 90.0, 101.0]])
    reference = measure_loops(image, boxes)
    as_8_bit = measure_loops(np.rint(image).astype(np.uint8), boxes)
    brighter = measure_loops(image * 300 + 7, boxes)
    pd.testing.assert_frame_equal(brighter, reference, rtol=1e-3)
    pd.testing.assert_frame_equal(as_8_bit, reference, rtol=0.02)
    twice = measure_loops(ring((240, 280), 120.5, 140.5, 120, 72, 20, width=6), boxes * 2 + 0.5)
    assert twice["major"][0] == pytest.approx(2 * reference["major"][0], rel=0.02)


def test_moves_with_the_loop():
    reference = measure_loops(ring((160, 160), 60, 70, 50, 30, 40), [[37, 45, 83, 95]])
    moved = measure_loops(ring((160, 160), 71, 57, 50, 30, 40), [[48, 32, 94, 82]])
    shift = (moved - reference.astype(float)).iloc[0]
    assert shift["y"] == pytest.approx(11, abs=0.2) and shift["x"] == pytest.approx(-13, abs=0.2)
    assert shift["major"] == pytest.approx(0, abs=0.3)


def test_an_open_arc_does_not_leak():
    image = ring((140, 140), 70, 70, 64, 44, 0)
    gap = np.arctan2(*np.mgrid[-70:70, -70:70])
    image[np.abs(gap - 0.8) < 0.6] = 200.0
    row = measure_loops(image, [[44, 36, 96, 104]]).iloc[0]
    assert not row["flood_failed"]
    assert row["major"] == pytest.approx(64, rel=0.08) and row["minor"] == pytest.approx(44, rel=0.12)


def test_a_loop_at_the_edge_is_cut_off_and_says_so():
    image = ring((120, 120), 60, 4, 60, 40, 90)
    inner = ring((120, 120), 60, 60, 60, 40, 90)
    cut = measure_loops(image, [[29, -16, 91, 25]]).iloc[0]
    assert cut["touches_edge"] and cut["left"] >= -0.5
    whole = measure_loops(inner, [[29, 40, 91, 80]]).iloc[0]
    assert not whole["touches_edge"]
    # 24 of the 40 px of the minor axis are inside.
    assert 0.5 < cut["area"] / whole["area"] < 0.75


def test_measures_something_plausible_where_there_is_no_ring():
    rng = np.random.default_rng(0)
    table = measure_loops(rng.normal(size=(200, 200)), rng.uniform(20, 80, (60, 1)) + [0, 0, 40, 40])
    seed_area = np.pi / 4 * table["major"] * table["minor"]
    assert np.allclose(table["area"], seed_area)
    assert (table["minor"] / table["major"] > 0.2).all()
    assert table["major"].between(40 * 0.4, 40 * 1.7).all()


def test_an_implausible_region_gives_the_seed_ellipse_and_a_mark(monkeypatch):
    image = ring((120, 140), 60, 70, 60, 36, 20)
    good = measure_loops(image, [[32, 38, 90, 101]]).iloc[0]

    def leak(levels, seeds):
        seeds[:] = 1
        return seeds

    monkeypatch.setattr("stemlib.loops.measuring.flood", leak)
    marked = measure_loops(image, [[32, 38, 90, 101]]).iloc[0]
    assert marked["flood_failed"] and not good["flood_failed"]
    assert marked["major"] == pytest.approx(good["major"], rel=0.1)


def test_measures_in_a_constant_a_tiny_and_a_small_image():
    for image in (np.full((64, 64), 7, np.uint8), np.zeros((20, 20)), np.arange(9.0).reshape(3, 3)):
        table = measure_loops(image, [[0, 0, image.shape[0] - 1, image.shape[1] - 1]])
        assert np.isfinite(table.drop(columns=["touches_edge", "flood_failed"]).to_numpy()).all()
        assert table["major"][0] > 0


def test_no_boxes_give_an_empty_table():
    for empty in ([], np.empty((0, 4)), pd.DataFrame(columns=EDGES)):
        table = measure_loops(np.zeros((30, 30), np.uint8), empty)
        assert len(table) == 0
        assert table["major"].dtype == float and table["touches_edge"].dtype == bool


@pytest.mark.parametrize(
    ("boxes", "error", "message"),
    [
        ([1, 2, 3, 4], ValueError, r"shape \(4,\); it must be \(N, 4\)"),
        ([[1, 2, 3]], ValueError, r"shape \(1, 3\)"),
        ([[0, 0, 9, 9], [0, np.nan, 9, 9]], ValueError, "row 1.*not finite"),
        ([[9, 0, 0, 9]], ValueError, "row 0.*no area"),
        ([[0, 0, 9, 9], [0, 40, 9, 50]], ValueError, r"row 1, \[0.0, 40.0, 9.0, 50.0\], lies wholly outside"),
        ([[-20, 0, -1, 9]], ValueError, "wholly outside the image of 30 x 40 px"),
        ([[-100, -100, 100, 100]], ValueError, "more than twice as large"),
        ([["a", 0, 9, 9]], TypeError, "must be numbers"),
    ],
)
def test_bad_boxes_are_one_clear_error(boxes, error, message):
    with pytest.raises(error, match=f"boxes.*{message}"):
        measure_loops(np.zeros((30, 40)), boxes)


def test_bad_images_are_one_clear_error():
    with pytest.raises(ValueError, match="image.*NaN"):
        measure_loops(np.full((30, 30), np.nan), [[1, 1, 9, 9]])
    with pytest.raises(ValueError, match="image is empty"):
        measure_loops(np.zeros((0, 5), np.uint8), [])


def test_the_flood_is_the_watershed():
    # All levels differ, so that there is one right answer.
    rng = np.random.default_rng(5)
    for _ in range(10):
        levels = rng.permutation(256).astype(np.uint8).reshape(16, 16)
        seeds = np.zeros(levels.shape, np.uint8)
        seeds[rng.permutation(16)[:3], rng.permutation(16)[:3]] = [1, 2, 3]
        assert np.array_equal(flood(levels, seeds.copy()), watershed(levels, seeds))


def test_moments_of_a_region():
    region = np.zeros((20, 30), np.uint8)
    region[4:9, 10:22] = 1
    region[9, 10:14] = 1
    region[15:, :] = 2
    area, y, x, yy, xx, xy = region_moments(region)
    expected = regionprops(label(region == 1))[0]
    assert area == expected.area
    assert (y, x) == pytest.approx(expected.centroid)
    # scikit-image takes pixels for points; ImageJ, as we do, for squares.
    mean, spread = (yy + xx) / 2 - 1 / 12, np.hypot((xx - yy) / 2, xy)
    assert 4 * np.sqrt(mean + spread) == pytest.approx(expected.axis_major_length)
    assert 4 * np.sqrt(mean - spread) == pytest.approx(expected.axis_minor_length)


def test_agrees_with_people_on_training_images(real_data):
    from stemlib import datasets, read

    images = datasets.loop_images()
    chosen = images[(images["role"] == "validation") & images["ellipse_sets"].fillna("").str.contains("B")]
    relative, plain = [], []
    for n, (name, row) in enumerate(chosen[chosen["available"]].iterrows()):
        labels = datasets.read_loop_labels(name, "B")
        labels = labels[(labels["class"] == 0) & ~labels["clipped"] & labels["major"].notna()]
        boxes = jittered(labels[EDGES].to_numpy(), n)
        found = measure_loops(read(real_data / row["path"]), boxes)
        relative.append(found["major"].to_numpy() / labels["major"].to_numpy() - 1)
        plain.append((boxes[:, 2:] - boxes[:, :2]).max(axis=1) / labels["major"].to_numpy() - 1)
    relative, plain = np.concatenate(relative), np.concatenate(plain)
    assert len(relative) > 100
    assert np.median(np.abs(relative)) < 0.07
    assert np.median(np.abs(relative)) < np.median(np.abs(plain))
    assert abs(np.median(relative)) < 0.04
