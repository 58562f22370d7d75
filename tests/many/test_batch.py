import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

import stemlib
from stemlib.many import workers
from stemlib.synthetic import crystal_image, domain_image


@pytest.fixture(scope="module")
def crystals():
    """Small images of crystals, all different; domains are found in them within milliseconds."""
    return [
        crystal_image("square", (96, 96), spacing=8, rotation_deg=5 * seed, seed=seed).image
        for seed in range(4)
    ]


@pytest.fixture
def folder(tmp_path, crystals):
    """Four images, a movie of two and a damaged file."""
    path = tmp_path / "day"
    path.mkdir()
    for number, image in enumerate(crystals):
        np.save(path / f"map{number}.npy", image)
    np.save(path / "movie.npy", np.stack(crystals[:2]))
    (path / "broken.tif").write_bytes(b"II*\0 but no more")
    (path / "notes.txt").write_text("1 2 3\n")
    return path


def run(source, output, **options):
    with pytest.warns(UserWarning, match="failed"):
        return stemlib.batch(source, "domains", output=output, **{"workers": 1, **options})


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_gives_one_table_one_summary_and_files_named_after_each_image(folder, tmp_path):
    found = run(folder, tmp_path / "out")
    names = ["broken.tif", *(f"map{number}.npy" for number in range(4)), "movie.npy", "movie.npy"]
    assert found.summary["image"].tolist() == names
    assert found.summary["frame"].tolist()[1:] == [0, 0, 0, 0, 0, 1]
    assert found.errors["image"].tolist() == ["broken.tif"]
    assert found.errors["frame"].isna().all()
    alone = stemlib.find_domains(np.load(folder / "map3.npy"))
    mine = found.table[found.table["image"] == "map3.npy"].drop(columns=["image", "frame"])
    pd.testing.assert_frame_equal(mine.reset_index(drop=True), alone.table, check_dtype=False)
    # The second image of the movie is that of another file.
    twice = found.table.query("image == 'map1.npy' or (image == 'movie.npy' and frame == 1)")
    assert twice["a"].nunique() == 1
    assert {path.name for path in (tmp_path / "out" / "images" / "map3.npy").iterdir()} == {
        "map3.csv",
        "map3.json",
        "map3.png",
    }
    assert (tmp_path / "out" / "images" / "movie.npy" / "0001" / "movie-0001.png").is_file()
    assert (tmp_path / "out" / "domains.csv").read_text().startswith("image,frame,domain,area (px²)")
    assert "domains of 6 images, 1 failed, in" in repr(found)


def test_tables_are_the_same_to_the_byte_with_other_workers_and_in_any_order(folder, tmp_path, monkeypatch):
    run(folder, tmp_path / "one", pictures=False)
    # Answers come back in the opposite order.
    from stemlib.many import find

    monkeypatch.setattr(find, "wait", lambda pending, **_: ([list(pending)[-1]], None))
    run(folder, tmp_path / "two", workers=2, pictures=False)
    for name in ("domains.csv", "images.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_what_is_finished_is_not_done_again_and_what_changed_is(folder, tmp_path):
    output = tmp_path / "out"
    run(folder, output)
    images = output / "images"
    kept, changed = images / "map0.npy" / "map0.json", images / "map1.npy" / "map1.json"
    before = kept.stat().st_mtime_ns, changed.stat().st_mtime_ns
    np.save(folder / "map1.npy", np.load(folder / "map2.npy"))
    np.save(folder / "map9.npy", np.load(folder / "map3.npy"))
    found = run(folder, output)
    assert kept.stat().st_mtime_ns == before[0]
    assert changed.stat().st_mtime_ns > before[1]
    assert "map9.npy" in set(found.table["image"])
    by_image = found.table.set_index("image")["a"]
    assert by_image["map1.npy"] == by_image["map2.npy"]


SCRIPT = """
import sys
import stemlib
stemlib.batch(sys.argv[1], "domains", output=sys.argv[2], workers=2, pictures=True)
"""


def test_a_batch_killed_twice_goes_on_to_the_same_tables(folder, tmp_path, crystals):
    for number in range(4, 12):
        np.save(folder / f"map{number:02}.npy", np.roll(crystals[number % 4], number, axis=1))
    run(folder, tmp_path / "undisturbed", workers=2)
    script, output = tmp_path / "script.py", tmp_path / "killed"
    script.write_text(SCRIPT)
    finished = []
    for least in (2, 6):
        process = subprocess.Popen([sys.executable, script, folder, output], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while len(list(output.rglob("images/**/*.json"))) < least and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        finished.append(len(list(output.rglob("images/**/*.json"))))
        assert not (output / "domains.csv").exists()
    assert least <= finished[1] < 14
    run(folder, output, workers=2)

    assert files_of(output) == files_of(tmp_path / "undisturbed")


def test_a_script_needs_no_guard_against_being_run_by_its_workers(folder, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, script, folder, tmp_path / "out"], capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert (tmp_path / "out" / "domains.csv").is_file()


def test_other_settings_are_refused_where_results_of_some_lie(folder, tmp_path):
    source, output = folder / "map0.npy", tmp_path / "out"
    stemlib.batch(source, "domains", output=output, workers=1, descriptor="triplet")
    before = files_of(output)
    with pytest.raises(ValueError, match=r"descriptor='triplet', not None"):
        stemlib.batch(source, "domains", output=output, workers=1)
    with pytest.raises(ValueError, match=r"what 'domains', not 'lattice'"):
        stemlib.batch(source, "lattice", output=output, workers=1)
    mask = np.ones((96, 96), bool)
    with pytest.raises(ValueError, match=r"mask=None, not 'array \(96, 96\) bool"):
        stemlib.batch(source, "domains", output=output, workers=1, descriptor="triplet", mask=mask)
    assert files_of(output) == before


def test_a_folder_with_other_things_and_one_in_use_are_refused(folder, tmp_path):
    with pytest.raises(ValueError, match="holds other things"):
        stemlib.batch(folder, "domains", output=folder)
    from stemlib.many.store import Store, described

    with (
        Store(tmp_path / "out", described("domains", {})),
        pytest.raises(ValueError, match="written by another batch"),
        Store(tmp_path / "out", described("domains", {})),
    ):
        pass


def test_names_are_checked_before_anything_runs(folder, tmp_path):
    cases = [
        (
            TypeError,
            "thresold is no setting of find_loops; threshold would do",
            ("loops",),
            {"thresold": 0.5},
        ),
        (ValueError, "what='loop' is not known", ("loop",), {}),
        (ValueError, "workers=0 must be", ("loops",), {"workers": 0}),
        (TypeError, "seed must be a whole number", ("domains",), {"seed": np.random.default_rng(0)}),
        (ValueError, "reading_limit_s=0 must be positive", ("domains",), {"reading_limit_s": 0}),
        (TypeError, "image is no setting", ("loops",), {"image": 3}),
    ]
    for source, text in (
        (np.zeros((0, 64, 64)), "no image"),
        ([], "empty list"),
        (None, "source is ndarray of object"),
    ):
        with pytest.raises((TypeError, ValueError), match=text):
            stemlib.batch(source, "loops", output=tmp_path / "out")
    for error, text, arguments, settings in cases:
        with pytest.raises(error, match=text):
            stemlib.batch(folder, *arguments, output=tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_arrays_signals_and_lists_give_what_each_image_alone_gives(crystals, tmp_path):
    hs = pytest.importorskip("hyperspy.api")
    alone = [stemlib.find_domains(image, pixel_size_nm=0.02).table for image in crystals[:2]]
    signal_ = hs.signals.Signal2D(np.stack(crystals[:2]))
    for axis in signal_.axes_manager.signal_axes:
        axis.scale, axis.units, axis.offset = 0.02, "nm", 5.0
    sources = {
        "stack": (np.stack(crystals[:2]), {"pixel_size_nm": 0.02}),
        "signal": (signal_, {}),
        "lazy": (signal_.as_lazy(), {}),
        "list": ([crystals[0], stemlib.Micrograph(crystals[1])], {"pixel_size_nm": 0.02}),
    }
    for name, (source, settings) in sources.items():
        found = stemlib.batch(
            source, "domains", output=tmp_path / name, workers=1, pictures=False, **settings
        )
        expected = pd.concat(alone, ignore_index=True)
        assert np.array_equal(found.table["a_nm"], expected["a_nm"]), name
        shift = 5.0 if name in ("signal", "lazy") else 0.0
        assert np.allclose(found.table["y_nm"], expected["y_nm"] + shift, rtol=1e-12), name
        assert found.summary["pixel_size_nm"].tolist() == [0.02, 0.02], name


def test_a_missing_file_of_a_list_is_one_line_of_the_errors(folder, tmp_path):
    paths = [folder / name for name in ("map0.npy", "gone.dm4", "map1.npy", "map0.npy")]
    found = run(paths, tmp_path / "out")
    assert found.summary["image"].tolist() == ["map0.npy", "gone.dm4", "map1.npy"]
    (error,) = found.errors["error"]
    assert "there is no file" in error
    assert len(found.table) == 2
    with pytest.raises(FileNotFoundError, match="no file or folder"):
        stemlib.batch(tmp_path / "nowhere", "domains", output=tmp_path / "other")


def test_patterns_go_into_folders_and_keep_equal_names_apart(folder, tmp_path):
    for day in ("mon", "tue"):
        (tmp_path / day).mkdir()
        (folder / "map0.npy").rename(tmp_path / day / "map0.npy") if day == "mon" else np.save(
            tmp_path / day / "map0.npy", np.load(folder / "map1.npy")
        )
    found = stemlib.batch(str(tmp_path / "[mt]*" / "*.npy"), "domains", output=tmp_path / "out", workers=1)
    assert found.table["image"].tolist() == ["mon/map0.npy", "tue/map0.npy"]
    assert (tmp_path / "out" / "images" / "tue" / "map0.npy" / "map0.csv").is_file()
    with pytest.raises(FileNotFoundError, match="holds no image"):
        stemlib.batch(str(tmp_path / "*.dm9"), "domains", output=tmp_path / "none")


def test_select_takes_one_image_of_each_file(folder, tmp_path):
    found = stemlib.batch(folder / "movie.npy", "domains", output=tmp_path / "out", workers=1, select=1)
    assert found.summary["frame"].tolist() == [1]
    alone = stemlib.find_domains(stemlib.read(folder / "movie.npy", select=1)).table
    assert found.table["a"].tolist() == alone["a"].tolist()


def test_warnings_and_errors_of_finders_stand_in_the_line_of_their_image(tmp_path):
    noise = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    image = domain_image("two-phases", (160, 160), seed=0).image
    image[:40] = np.nan
    found = run([image, noise[:20]], tmp_path / "out")
    assert "left out" in found.summary["warnings"][0]
    assert "domains need 32 px" in found.errors["error"][0]
    record = json.loads((tmp_path / "out" / "images" / "image-0" / "image-0.json").read_text())
    assert record["numbers"]["domains"] == found.summary["domains"][0]


def _hang(_path, _select):
    time.sleep(1000)


def _crash(*_):
    os._exit(9)


def test_a_file_that_never_opens_stops_nothing(folder, tmp_path, monkeypatch):
    from stemlib.many import find

    opened = find.frames_of
    submit = workers.Workers.submit

    def hanging(self, function, path, *arguments, **limit):
        damaged = function is opened and path.name == "map1.npy"
        return submit(self, _hang if damaged else function, path, *arguments, **limit)

    monkeypatch.setattr(workers.Workers, "submit", hanging)
    start = time.monotonic()
    found = run(folder, tmp_path / "out", reading_limit_s=8)
    assert time.monotonic() - start < 120
    errors = found.errors.set_index("image")["error"]
    assert "cannot be opened within reading_limit_s=8" in errors["map1.npy"]
    assert set(found.table["image"]) == {"map0.npy", "map2.npy", "map3.npy", "movie.npy"}


def test_a_process_that_dies_costs_its_image_alone(folder, tmp_path, monkeypatch):
    from stemlib.many.examine import examine

    submit = workers.Workers.submit

    def crashing(self, function, *arguments, **limit):
        fatal = function is examine and arguments[0].name == "map1.npy"
        return submit(self, _crash if fatal else function, *arguments, **limit)

    monkeypatch.setattr(workers.Workers, "submit", crashing)
    errors = run(folder, tmp_path / "out").errors.set_index("image")["error"]
    assert "its process ended with exit code 9" in errors["map1.npy"]
    assert set(errors.index) == {"broken.tif", "map1.npy"}
