import numpy as np
import pytest

import stemlib
from stemlib.agreement import match
from stemlib.loops import read_imagej_csv
from stemlib.synthetic import loop_micrograph

EDGES = ["top", "left", "bottom", "right"]
METHODS = ["cascade", "fcn"]


@pytest.fixture(scope="module")
def scene():
    return loop_micrograph((512, 512), n_loops=14, seed=5)


@pytest.fixture(scope="module", params=METHODS)
def found(request, scene):
    return stemlib.find_loops(scene.image, method=request.param, pixel_size_nm=0.5)


def test_it_recovers_what_was_drawn(scene, found):
    matched = match(scene.loops[EDGES], found.table[EDGES])
    # The weights were trained on real micrographs alone.
    assert matched.is_found.mean() >= 0.5
    assert matched.is_true.mean() >= 0.5
    truth, machine = (t.iloc[i] for t, i in zip((scene.loops, found.table), matched.pairs.T, strict=True))
    error = np.abs(machine.major.to_numpy() / truth.major.to_numpy() - 1)
    assert np.median(error) < 0.1


def test_the_table_has_scores_in_order_and_lengths_in_nanometres(found):
    table = found.table
    assert table.score.is_monotonic_decreasing
    assert table.score.between(found.threshold, 1).all()
    assert np.allclose(table.major_nm, table.major * 0.5)
    assert table.touches_edge.dtype == bool


def test_candidates_keep_what_was_turned_down(found):
    candidates = found.candidates
    assert candidates.accepted.sum() == len(found.table)
    assert len(candidates) > len(found.table)
    assert candidates.probability[candidates.accepted].min() >= found.threshold


def test_brightness_contrast_and_dtype_change_nothing(scene):
    plain = stemlib.find_loops(scene.image).table
    grey = np.round(scene.image.astype(float)).astype(np.uint16)
    for other in (grey * 200 + 1000, grey.astype(np.float32) / 255, np.dstack([grey.astype(np.uint8)] * 3)):
        table = stemlib.find_loops(other).table
        assert abs(len(table) - len(plain)) <= 1
        assert match(plain[EDGES], table[EDGES]).is_found.mean() > 0.9


def test_every_kind_of_input_gives_the_same(scene, tmp_path):
    hyperspy = pytest.importorskip("hyperspy.api")
    array = np.asarray(scene.image, np.float32)
    signal = hyperspy.signals.Signal2D(array)
    for axis in signal.axes_manager.signal_axes:
        axis.units, axis.scale = "nm", 0.5
    path = tmp_path / "scene.npy"
    np.save(path, array)
    tables = [stemlib.find_loops(image).table for image in (array, signal, path, stemlib.read(path))]
    for table in tables[1:]:
        assert np.allclose(table[["y", "x", "score"]], tables[0][["y", "x", "score"]])
    assert "major_nm" in tables[1] and "major_nm" not in tables[0]


def test_the_mask_leaves_loops_out_and_shrinks_the_area(scene):
    mask = np.zeros(scene.image.shape, bool)
    mask[:, :256] = True
    everything, half = stemlib.find_loops(scene.image), stemlib.find_loops(scene.image, mask=mask)
    assert 0 < len(half.table) < len(everything.table)
    assert (half.table.x < 256 + 8).all()
    assert half.density.area == mask.sum()


def test_density_counts_the_table(found):
    density = found.density
    assert density.count == len(found.table)
    assert density.per_nm2 == pytest.approx(len(found.table) / (512 * 512 * 0.25))
    assert density.per_nm3 is None
    assert density.low < density.per_area < density.high


def test_a_higher_threshold_accepts_fewer(scene):
    low, high = (stemlib.find_loops(scene.image, threshold=t) for t in (0.05, 0.95))
    assert len(high.table) < len(low.table)


def test_a_noisy_constant_image_has_no_loops():
    noise = np.random.default_rng(0).normal(128, 5, (300, 300))
    for method in METHODS:
        assert len(stemlib.find_loops(noise, method=method).table) <= 1
        assert len(stemlib.find_loops(np.full((100, 100), 7), method=method).table) == 0


def test_files_carry_units_and_survive_a_round_trip(found, tmp_path):
    found.to_csv(tmp_path / "loops.csv")
    header = (tmp_path / "loops.csv").read_text(encoding="utf-8").splitlines()[0]
    assert "major (px)" in header and "major (nm)" in header
    found.to_imagej_csv(tmp_path / "Results.csv")
    back = read_imagej_csv(tmp_path / "Results.csv", pixel_size_nm=0.5)
    assert np.allclose(back[["y", "x", "major", "angle_deg"]], found.table[["y", "x", "major", "angle_deg"]])


@pytest.mark.parametrize(
    "image, words",
    [
        (np.zeros((20, 20)), "20 x 20"),
        (np.zeros(100), "1-D|shape"),
        (np.zeros((70, 70, 5)), "shape|select|stack"),
        (np.full((70, 70), np.nan), "NaN|finite"),
        (np.empty((0, 0)), "empty|0"),
    ],
)
def test_bad_images_give_one_clear_error(image, words):
    with pytest.raises(ValueError, match=words):
        stemlib.find_loops(image)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"method": "magic"}, "method='magic'"),
        ({"threshold": 2}, "threshold=2"),
        ({"threshold": "0.5"}, "threshold='0.5'"),
        ({"threshold": float("nan")}, "threshold=nan"),
        ({"threshold": -1}, "threshold=-1"),
        ({"threshold": True}, "threshold=True"),
        ({"diameter": 1}, "diameter=1"),
        ({"diameter": 300}, "diameter=300"),
        ({"diameter_nm": 20}, "pixel_size_nm"),
        ({"diameter_nm": 1, "pixel_size_nm": 1.0}, "diameter_nm=1"),
        ({"diameter_nm": 20, "diameter": 20, "pixel_size_nm": 1.0}, "both given"),
        ({"polarity": "grey"}, "polarity='grey'"),
        ({"kinds": "void"}, "kinds='void'"),
        ({"kinds": (), "method": "cascade"}, "kinds="),
        ({"kinds": ("loop",), "method": "log"}, "method='log'"),
        ({"thickness_nm": 100}, "pixel_size_nm"),
        ({"thickness_nm": -5}, "thickness_nm=-5"),
        ({"pixel_size_nm": 0}, "pixel_size_nm"),
        ({"weights": {"cnn": "x"}}, "cnn"),
        ({"mask": np.ones((3, 3), bool)}, "mask"),
        ({"device": "abacus"}, "abacus"),
    ],
)
def test_bad_arguments_are_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        stemlib.find_loops(np.zeros((100, 100)), **arguments)


def test_weights_must_be_named():
    with pytest.raises(TypeError, match="weights='folder'"):
        stemlib.find_loops(np.zeros((100, 100)), weights="folder")


@pytest.mark.parametrize("name", ["cascade", "screening", "fcn"])
def test_a_missing_weight_file_is_named(name):
    method = "fcn" if name == "fcn" else "cascade"
    with pytest.raises(FileNotFoundError, match="no-such-file"):
        stemlib.find_loops(np.zeros((100, 100)), method=method, weights={name: "no-such-file"})


@pytest.mark.parametrize("method", METHODS)
def test_a_montage_has_the_loops_of_its_tiles(scene, method):
    one = stemlib.find_loops(scene.image, method=method)
    four = stemlib.find_loops(np.tile(scene.image, (2, 2)), method=method)
    assert four.scale == pytest.approx(one.scale, rel=0.1)
    assert len(four.table) / 4 == pytest.approx(len(one.table), abs=1.5)
    whole = [table[~table.touches_edge].major.mean() for table in (one.table, four.table)]
    assert whole[1] == pytest.approx(whole[0], rel=0.06)


def test_an_enlarged_image_has_the_same_loops_enlarged(scene):
    plain = stemlib.find_loops(scene.image).table
    large = stemlib.find_loops(scene.image.repeat(3, axis=0).repeat(3, axis=1))
    matched = match(plain[EDGES] * 3 + 1, large.table[EDGES])
    assert matched.is_found.mean() > 0.7
    ratio = large.table.major.to_numpy()[matched.pairs[:, 1]] / plain.major.to_numpy()[matched.pairs[:, 0]]
    assert np.median(ratio) == pytest.approx(3, rel=0.05)


def test_a_diameter_that_is_told_sets_the_scale(scene):
    assert stemlib.find_loops(scene.image, diameter=64).scale == 2.0
    assert stemlib.find_loops(scene.image, diameter_nm=32, pixel_size_nm=0.5).scale == 2.0


@pytest.mark.parametrize("method", [*METHODS, "log"])
def test_bright_loops_are_the_dark_ones_of_the_negative(scene, method):
    dark = stemlib.find_loops(scene.image, method=method).table
    bright = stemlib.find_loops(255.0 - np.float32(scene.image), method=method, polarity="bright").table
    assert abs(len(dark) - len(bright)) <= 1
    assert match(dark[EDGES], bright[EDGES]).is_found.mean() > 0.9


@pytest.mark.parametrize("method", METHODS)
def test_what_a_mask_hides_changes_nothing_elsewhere(scene, method):
    mask = np.ones(scene.image.shape, bool)
    mask[300:, 300:] = False
    plain = stemlib.find_loops(scene.image, method=method, mask=mask).table
    holed = np.where(mask, scene.image, 5000.0)
    table = stemlib.find_loops(holed, method=method, mask=mask).table
    assert len(plain) == len(table) > 4
    assert match(plain[EDGES], table[EDGES]).is_found.all()


def test_blobs_have_no_name_and_all_are_returned(scene):
    found = stemlib.find_loops(scene.image, method="log")
    assert set(found.table.kind) == {"other"}
    assert list(found.densities) == ["other"]
    assert found.densities["other"].count == len(found.table)
    everything = stemlib.find_loops(scene.image, method="log", kinds="all")
    assert len(everything.table) == len(found.table)
