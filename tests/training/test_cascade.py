import cv2
import numpy as np
import pytest

from stemlib.loops.cascade import raw_windows
from stemlib.loops.cascade_xml import save_cascade
from stemlib.synthetic import loop_micrograph
from stemlib.training.cascade import all_features, train_cascade
from stemlib.training.mining import turned_boxes

EDGES = ["top", "left", "bottom", "right"]
SMALL = {"n_stages": 4, "n_positives": 400, "n_negatives": 800, "features_per_round": 400, "n_threads": 1}


@pytest.fixture(scope="module")
def trained():
    scenes = [loop_micrograph((384, 384), n_loops=12, seed=seed) for seed in range(4)]
    loops = [scene.loops[EDGES].to_numpy() for scene in scenes]
    return train_cascade([scene.image for scene in scenes], loops, **SMALL), scenes, loops


def test_it_finds_loops_that_it_has_not_seen(trained):
    cascade, _, _ = trained
    scene = loop_micrograph((384, 384), n_loops=12, seed=99)
    windows, _ = raw_windows(cascade, scene.image, scale_factor=1.2, step=2)
    centres = windows[:, :2] + windows[:, 2:] / 2 - 0.5
    loops = scene.loops[["y", "x"]].to_numpy()
    near = np.abs(loops[:, None] - centres[None]).max(axis=2).min(axis=1) < 10
    assert near.mean() >= 0.8
    # Far fewer windows pass than a cascade that knows nothing would let through.
    assert len(windows) < 0.15 * scene.image.size / 4 / (1 - 1.2**-2)


def test_the_same_seed_gives_the_same_cascade(trained):
    cascade, scenes, loops = trained
    again = train_cascade([scene.image for scene in scenes], loops, **SMALL)
    assert np.array_equal(cascade.stump_features, again.stump_features)
    assert np.array_equal(cascade.stage_thresholds, again.stage_thresholds)
    other = train_cascade([scene.image for scene in scenes], loops, **SMALL, seed=1)
    assert not np.array_equal(cascade.stump_features[:5], other.stump_features[:5])


def test_opencv_runs_it_with_the_same_windows(trained, tmp_path):
    cascade, scenes, _ = trained
    path = tmp_path / "trained.xml"
    save_cascade(cascade, path, hit_rate=0.997, false_alarm_rate=0.4)
    ours, _ = raw_windows(cascade, scenes[0].image)
    theirs = cv2.CascadeClassifier(str(path)).detectMultiScale(scenes[0].image, 1.1, 0)
    assert len(ours) > 20
    assert sorted(map(tuple, ours.tolist())) == sorted((y, x, h, w) for x, y, w, h in theirs.tolist())


@pytest.mark.parametrize("window", [6, 12, 24])
def test_features_fill_the_window_and_stay_inside(window):
    features = all_features(window)
    x, y, w, h = features.T
    assert (x + 3 * w).max() == (y + 3 * h).max() == window
    assert (
        len(np.unique(features, axis=0))
        == len(features)
        == sum(window - 3 * s + 1 for s in range(1, window // 3 + 1)) ** 2
    )


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirror", [False, True])
def test_boxes_turn_with_their_image(turns, mirror):
    image = np.zeros((40, 60), np.uint8)
    image[5:12, 30:50] = 1
    turned = np.rot90(image[:, ::-1] if mirror else image, turns)
    top, left, bottom, right = turned_boxes(np.array([[4.5, 29.5, 11.5, 49.5]]), image.shape, turns, mirror)[
        0
    ]
    rows, columns = np.nonzero(turned)
    assert (top, bottom) == (rows.min() - 0.5, rows.max() + 0.5)
    assert (left, right) == (columns.min() - 0.5, columns.max() + 0.5)


def test_negatives_keep_away_from_disputed_boxes():
    scene = loop_micrograph((96, 96), n_loops=1, seed=1)
    boxes = scene.loops[EDGES].to_numpy()
    sides = 24 * 1.2 ** np.arange(9) / 1.4
    everywhere = [
        [y - s / 2, x - s / 2, y + s / 2, x + s / 2]
        for s in sides
        for y in range(4, 96, 4)
        for x in range(4, 96, 4)
    ]
    settings = {"n_stages": 1, "n_positives": 50, "n_negatives": 50, "features_per_round": 50, "n_threads": 1}
    assert train_cascade([scene.image], [boxes], **settings).n_stages == 1
    # Where no window is free of doubt, there are no negatives and nothing to learn.
    assert train_cascade([scene.image], [boxes], disputed=[np.array(everywhere)], **settings).n_stages == 0


def test_nothing_to_learn_from_is_an_error():
    with pytest.raises(ValueError, match="one array of boxes per image"):
        train_cascade([np.zeros((64, 64), np.uint8)], [])
    with pytest.raises(ValueError, match="at least one image and one loop"):
        train_cascade([np.zeros((64, 64), np.uint8)], [np.empty((0, 4))])
    with pytest.raises(ValueError, match="disputed must hold one array of boxes per image"):
        train_cascade([np.zeros((64, 64), np.uint8)], [np.array([[9.0, 9, 30, 30]])], disputed=[])
