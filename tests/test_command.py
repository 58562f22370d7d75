import json
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import stemlib
from stemlib.command import main
from stemlib.synthetic import crystal_image

EXAMPLE = {
    "loops": "--pixel-size 0.48",
    "columns": "haadf.dm4",
    "lattice": "--select HAADF",
    "defects": "--false-alarms 0.1",
    "domains": "--mask",
    "batch": "--workers 4",
    "tune": "--labels",
}


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "crystal.npy"
    np.save(path, crystal_image("square", (96, 96), spacing=8, seed=0).image)
    return path


def run(capsys, *arguments):
    code = main([str(one) for one in arguments])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_the_wheel_has_the_command():
    project = tomllib.loads((Path(__file__).resolve().parent.parent / "pyproject.toml").read_text())
    assert project["project"]["scripts"]["stemlib"] == "stemlib.command:main"
    (point,) = entry_points(group="console_scripts", name="stemlib")
    assert point.load() is main


def test_one_image_gets_its_picture_table_and_numbers_as_in_python(image, tmp_path, capsys):
    code, out, err = run(
        capsys, "lattice", image, "-o", tmp_path / "out", "--pixel-size", "0.02", "--seed", "3"
    )
    assert (code, err) == (0, "")
    folder = tmp_path / "out" / "crystal.npy"
    assert {path.name for path in folder.iterdir()} == {"crystal.png", "crystal.csv", "crystal.json"}
    assert str(folder) in out
    alone = stemlib.find_lattice(image, pixel_size_nm=0.02, seed=3)
    record = json.loads((folder / "crystal.json").read_text())
    assert record["numbers"]["a"] == alone.lengths[0]
    assert record["settings"] == {"pixel_size_nm": 0.02, "seed": 3}
    table = pd.read_csv(folder / "crystal.csv")
    assert {"a (px)", "a (nm)", "angle (deg)"} <= set(table)
    with Image.open(folder / "crystal.png") as picture:
        assert min(picture.size) > 300


def test_mask_select_and_switches_reach_the_finder(image, tmp_path, capsys):
    crystal = np.load(image)
    movie, mask = tmp_path / "movie.npy", tmp_path / "mask.png"
    np.save(movie, np.stack([np.zeros_like(crystal), -crystal]))
    seen = np.zeros(crystal.shape, np.uint8)
    seen[:, :64] = 255
    Image.fromarray(seen).save(mask)
    options = ["--select", 1, "--mask", mask, "--dark-columns"]
    code, _, err = run(capsys, "columns", movie, "-o", tmp_path / "out", *options)
    assert (code, err) == (0, "")
    found = pd.read_csv(tmp_path / "out" / "movie.npy" / "movie.csv")
    alone = stemlib.find_columns(-crystal, mask=seen > 0, dark_columns=True).table
    assert np.allclose(found["x (px)"], alone["x"])
    assert found["x (px)"].max() < 64


def test_an_error_is_one_line_and_leaves_nothing(image, tmp_path, capsys):
    stack, broken = tmp_path / "stack.npy", tmp_path / "broken.dm4"
    np.save(stack, np.zeros((3, 64, 64)))
    broken.write_bytes(b"no microscope wrote this")
    out = tmp_path / "out"
    for arguments, text in (
        ([tmp_path / "gone.tif"], "there is no file"),
        ([broken], "cannot be read"),
        ([stack], "holds 3 images; choose one with --select NUMBER, or take all with: stemlib batch domains"),
        ([image, "--n-domains", 0], "n_domains=0"),
        ([image, "--select", "BF"], "select='BF' does not name one image"),
    ):
        code, shown, err = run(capsys, "domains", *arguments, "-o", out)
        assert (code, shown) == (1, "")
        assert err.startswith("stemlib: error: ") and err.count("\n") == 1
        assert text in err
    assert not out.exists()
    code, shown, err = run(capsys, "domains", image, broken, "-o", out)
    assert code == 1
    assert len(err.splitlines()) == 1
    assert [path.name for path in out.iterdir()] == ["crystal.npy"]


def test_many_images_are_a_batch(image, tmp_path, capsys):
    (tmp_path / "broken.tif").write_bytes(b"II*\0 but no more")
    options = ["--workers", 1, "--no-pictures", "--descriptor", "triplet"]
    code, out, err = run(capsys, "batch", "domains", tmp_path, "-o", tmp_path / "out", *options)
    assert code == 1
    assert [line for line in err.splitlines() if line.startswith("stemlib: error: broken.tif: ")]
    assert str(tmp_path / "out" / "domains.csv") in out
    assert json.loads((tmp_path / "out" / "batch.json").read_text())["settings"] == {"descriptor": "triplet"}
    assert len(pd.read_csv(tmp_path / "out" / "domains.csv")) == 1


def test_tuning_hands_over_what_is_given(image, tmp_path, capsys, monkeypatch):
    arguments = ["tune", image, "--labels", "a.csv", "b.csv", "-o", "mine", "--kinds", "loop", "--seed", "1"]
    calls = []
    monkeypatch.setattr(stemlib, "tune_loops", lambda *a, **k: calls.append((a, k)) or "mine", raising=False)
    code, out, _ = run(capsys, *arguments)
    assert code == 0
    assert "--weights \"{'fcn': 'mine'}\"" in out
    assert calls == [(([str(image)], ["a.csv", "b.csv"]), {"output": "mine", "kinds": ["loop"], "seed": 1})]


@pytest.mark.parametrize("command", EXAMPLE)
def test_help_shows_an_example(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    example = capsys.readouterr().out.partition("example:")[2]
    assert f"stemlib {command}" in example
    assert EXAMPLE[command] in example


def test_settings_are_those_of_the_finder(capsys):
    for arguments in (["defects", "--help"], ["batch", "defects", "--help"]):
        with pytest.raises(SystemExit):
            main(arguments)
        shown = capsys.readouterr().out
        assert "--false-alarms VALUE" in shown
        assert "--no-dark-columns" in shown
        assert "Greatest expected number of false defects" in " ".join(shown.split())


def test_help_and_wrong_words_load_no_finder():
    code = (
        "import sys\nfrom stemlib.command import main\ntry: main(sys.argv[1:])\n"
        "except SystemExit as end: print(end.code, 'torch' in sys.modules)"
    )
    for arguments, expected in ((["--help"], "0 False"), (["lops", "a", "-o", "b"], "2 False")):
        shown = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
        assert shown.stdout.splitlines()[-1] == expected
