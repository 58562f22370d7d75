import numpy as np
import pytest

import stemlib
from stemlib import datasets
from stemlib.loops.fcn import CentreNet, standardise
from stemlib.loops.likeness import UNLIKE, distance, features, fit_of
from stemlib.training.likeness import remember_images


@pytest.fixture(scope="module")
def network():
    network = CentreNet.load(device="cpu")
    remember_images(network, [(texture(seed), []) for seed in range(60)])
    return network


def texture(seed, period=9.0):
    """Stripes of one period in any direction, with noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:128, :128]
    angle = rng.uniform(0, np.pi)
    stripes = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period)
    return np.clip(128 + 40 * stripes + rng.normal(0, 8, (128, 128)), 0, 255).astype(np.uint8)


def test_images_of_the_kind_trained_on_fit_and_others_do_not(network):
    alike = [fit_of(network, standardise(texture(seed))) for seed in range(100, 110)]
    others = [fit_of(network, standardise(texture(seed, period=40.0))) for seed in range(100, 110)]
    assert np.median(alike) > 0.1
    assert max(others) < UNLIKE


def test_it_survives_the_file(network, tmp_path):
    loaded = CentreNet.load(network.save(tmp_path / "w.safetensors"), "cpu")
    frame = standardise(texture(40))
    assert fit_of(loaded, frame) == pytest.approx(fit_of(network, frame), rel=1e-3)


def test_a_file_that_knows_nothing_of_its_images_says_nothing(tmp_path):
    loaded = CentreNet.load(CentreNet((8, 8)).save(tmp_path / "w.safetensors"), "cpu")
    assert fit_of(loaded, standardise(texture(1))) is None
    image = texture(1)
    assert stemlib.find_loops(image, weights={"fcn": tmp_path / "w.safetensors"}, threshold=0.9).fit is None


def test_distances_are_mahalanobis():
    rows = np.random.default_rng(0).normal(size=(2000, 3)) * [1, 10, 0.1]
    precision = np.linalg.inv(np.cov(rows.T))
    assert np.mean(distance(rows, rows.mean(axis=0), precision) ** 2) == pytest.approx(1, abs=0.01)


def test_what_is_filled_has_no_say(network):
    frame = standardise(np.tile(texture(41), (2, 2)))
    seen = np.arange(256) < np.full((256, 1), 180)
    filled = np.where(seen, frame, 0)
    left = frame[:, :128]
    assert fit_of(network, filled, seen) == pytest.approx(fit_of(network, left), abs=0.25)
    assert fit_of(network, filled) < 0.1 * fit_of(network, filled, seen)
    assert fit_of(network, filled, np.zeros_like(seen)) is None


def test_a_narrow_frame_has_features():
    assert np.isfinite(features(CentreNet((8, 8, 8)).eval(), np.zeros((70, 64), np.float32))).all()


def test_the_warning_says_what_to_do():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:256, :256]
    lattice = 128 + 60 * np.sin(x / 1.5) * np.sin(y / 1.5) + rng.normal(0, 5, (256, 256))
    with pytest.warns(UserWarning, match="^image is unlike those trained on.*tune_loops"):
        found = stemlib.find_loops(lattice)
    assert found.fit < UNLIKE


def test_series_not_trained_on_fit_and_foreign_images_do_not(real_data):
    names = datasets.image_set("validation")[::4]
    paths = datasets.loop_images()["path"]
    assert all(
        stemlib.find_loops(datasets.fetch(paths[name]), method="cascade").fit > UNLIKE for name in names
    )
    steel = datasets.steel_316l_images()
    for name in steel.index[:3]:
        with pytest.warns(UserWarning, match="unlike those trained on"):
            stemlib.find_loops(datasets.fetch(steel.loc[name, "path"]), method="cascade")
