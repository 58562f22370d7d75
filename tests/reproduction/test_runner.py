import json
import os
import sys

import nbformat
import pytest
from filelock import FileLock

from reproduction import runner as reproduce
from reproduction import runs
from reproduction.repository import ROOT
from reproduction.runs import Run

PARAMETERS = 'image_set: str = "synthetic"  # the images\noutput_folder: str = "build"  # for the figure\n'
FIGURE = """
import json, os, sys
from pathlib import Path
from matplotlib.figure import Figure
from reproduction.figures import FigureWriter
from reproduction.results import result

seen = {"python": sys.executable, "cwd": os.getcwd(), "backend": os.environ["MPLBACKEND"]}
Path(output_folder, "seen.txt").write_text(json.dumps(seen))
FigureWriter(Path(output_folder), {"image_set": image_set}, 0, image_set == "synthetic").write(
    Figure(figsize=(1, 1)), f"loops-{image_set}", [result("loops-all.recall", "recall", 0.5, published=0.851)]
)
"""


def write_notebook(path, code=FIGURE):
    cells = [
        nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(code),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return path


def write_content(folder, name, synthetic=False, **more):
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.png").write_bytes(b"new")
    content = {
        "name": name,
        "synthetic": synthetic,
        "seed": 0,
        "parameters": {},
        "data": {},
        "weights": {},
        "results": [{"id": f"{name.split('-')[0]}-all.recall", "name": "recall", "value": 0.25, "unit": ""}],
    } | more
    (folder / f"{name}.json").write_text(json.dumps(content))
    return content


@pytest.fixture
def environment():
    """Let a test set environment variables, as the runner does, and put them back."""
    before = dict(os.environ)
    # Kernels of notebooks that lie elsewhere.
    paths = [str(ROOT / "notebooks"), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    yield os.environ
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def repository(tmp_path, monkeypatch, environment):
    """A repository with two notebooks, an older figure of one of them, and all its images at hand."""
    for name in ("first", "second"):
        write_notebook(tmp_path / "notebooks" / f"{name}.ipynb", FIGURE.replace("loops-", f"{name}-"))
    write_content(tmp_path / "figures", "first-six")
    (tmp_path / "README.md").write_text(
        "<!-- table\nrecall | first-all.recall\n-->\n(the table of before)\n<!-- end of table -->\n"
    )
    monkeypatch.setattr(reproduce, "ROOT", tmp_path)
    monkeypatch.setattr(reproduce, "NOTEBOOKS", tmp_path / "notebooks")
    monkeypatch.setattr(reproduce, "BUILD", tmp_path / "build")
    monkeypatch.setattr(reproduce, "RUNS", (Run("first", "six"), Run("second", "six")))
    monkeypatch.setattr(reproduce, "images_at_hand", lambda sets: dict.fromkeys(sets, (6, 6)))
    monkeypatch.setattr(reproduce.accept, "ROOT", tmp_path)
    return tmp_path


def test_a_notebook_runs_in_this_python_without_a_window(tmp_path, environment):
    # A kernel of the same name among the user's own must not be taken.
    spec = {"argv": ["false", "{connection_file}"], "display_name": "mine", "language": "python"}
    (tmp_path / "jupyter" / "kernels" / "python3").mkdir(parents=True)
    (tmp_path / "jupyter" / "kernels" / "python3" / "kernel.json").write_text(json.dumps(spec))
    environment["JUPYTER_PATH"] = environment["JUPYTER_DATA_DIR"] = str(tmp_path / "jupyter")
    reproduce.prepare_environment()
    notebook = write_notebook(tmp_path / "notebooks" / "loops.ipynb")
    (content,) = reproduce.run_notebook(notebook, {"image_set": "six"}, tmp_path / "out", tmp_path / "log")
    assert content["parameters"] == {"image_set": "six"}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "loops-six.json",
        "loops-six.png",
        "seen.txt",
    ]
    assert (tmp_path / "log" / "loops.ipynb").is_file()
    seen = json.loads((tmp_path / "out" / "seen.txt").read_text())
    assert seen["python"] == sys.executable
    assert seen["cwd"] == str(tmp_path / "notebooks")
    assert seen["backend"] == "Agg"


def test_threads_are_the_cores_unless_the_user_says_otherwise(environment):
    environment.pop("OMP_NUM_THREADS", None)
    environment["NUMBA_NUM_THREADS"] = "1"
    reproduce.prepare_environment()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert environment["OMP_NUM_THREADS"] == str(cores)
    assert environment["NUMBA_NUM_THREADS"] == "1"


def test_the_data_folder_is_found_from_the_notebooks_too(environment, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    environment["STEMLIB_DATA"] = "data"
    reproduce.prepare_environment()
    assert environment["STEMLIB_DATA"] == str(tmp_path / "data")


def test_unknown_parameters_are_an_error_that_names_the_known_ones(tmp_path):
    notebook = write_notebook(tmp_path / "loops.ipynb")
    with pytest.raises(reproduce.ReproductionError, match="'treshold'; it has image_set, output_folder"):
        reproduce.run_notebook(notebook, {"treshold": 0.5}, tmp_path / "out", tmp_path / "log")
    assert not (tmp_path / "out").exists()


def committed(repository):
    """What git would see: figures and README."""
    return {
        path: path.read_bytes() for path in [*(repository / "figures").rglob("*"), repository / "README.md"]
    }


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_reproducing_writes_below_build_alone_and_prints_the_drift(repository, capsys):
    before = committed(repository)
    reproduce.main(["--offline"])
    assert committed(repository) == before
    assert names(repository / "build" / "figures") == [
        f"{name}-six.{suffix}" for name in ("first", "second") for suffix in ("json", "png")
    ]
    printed = capsys.readouterr().out
    assert "[1/2] first-six done in" in printed
    assert printed.split("first-six: changed\n")[1].split("\n")[0].split() == [
        "recall",
        "0.5",
        "0.851",
        "0.25",
        "+0.25",
        "outside",
    ]
    assert "0 of 2 figures within" in printed and "second-six: new" in printed


def test_build_holds_the_figures_of_the_last_run_only(repository):
    reproduce.main(["--offline"])
    reproduce.main(["--offline", "second"])
    assert names(repository / "build" / "figures") == ["second-six.json", "second-six.png"]


def test_committed_figures_and_the_readme_change_where_asked_for_only(repository, capsys):
    reproduce.main(["--offline", "--accept"])
    assert names(repository / "figures") == names(repository / "build" / "figures")
    assert "| recall | 0.500 | 0.851 |" in (repository / "README.md").read_text()
    assert "first-six: changed, replaced" in capsys.readouterr().out
    before = committed(repository)
    reproduce.main(["--offline", "--accept"])
    assert committed(repository) == before
    assert "2 of 2 figures within" in capsys.readouterr().out


def test_figures_of_other_parameters_go_apart_and_cannot_be_accepted(repository, capsys):
    before = committed(repository)
    reproduce.main(["--offline", "first", "--parameter", "image_set=six"])
    assert names(repository / "build" / "trials") == ["first-six.json", "first-six.png"]
    assert not (repository / "build" / "figures").exists()
    with pytest.raises(SystemExit):
        reproduce.main(["--offline", "--accept", "--parameter", "image_set=six"])
    assert "--accept takes what" in capsys.readouterr().err
    assert committed(repository) == before


def test_figures_of_new_weights_do_not_replace_those_of_the_shipped_ones(repository, monkeypatch):
    seen = []

    def run_notebook(notebook, parameters, output_folder, log_folder):
        seen.append(parameters["weights"])
        output_folder.mkdir(parents=True)
        return [write_content(output_folder, f"{notebook.stem}-six")]

    monkeypatch.setattr(reproduce, "train", lambda: seen.append("trained"))
    monkeypatch.setattr(reproduce, "run_notebook", run_notebook)
    before = committed(repository)
    reproduce.main(["--offline", "--train"])
    assert seen == ["trained", "build/weights", "build/weights"]
    assert (repository / "build" / "trials" / "second-six.png").is_file()
    assert committed(repository) == before


def test_a_run_may_differ_from_the_notebooks_own_parameters(repository, monkeypatch):
    seen = []

    def run_notebook(notebook, parameters, output_folder, log_folder):
        seen.append(parameters)
        output_folder.mkdir(parents=True)
        return [write_content(output_folder, "first-six")]

    monkeypatch.setattr(reproduce, "run_notebook", run_notebook)
    monkeypatch.setattr(reproduce, "RUNS", (Run("first", "six", parameters={"people": False}),))
    reproduce.main(["--offline"])
    assert seen == [{"image_set": "six", "people": False}]


def test_a_failing_notebook_shows_its_traceback_and_leaves_all_figures(repository, capsys):
    reproduce.main(["--offline", "first"])
    write_notebook(
        repository / "notebooks" / "second.ipynb", FIGURE + "\nraise RuntimeError('no loops today')"
    )
    made = {path: path.read_bytes() for path in (repository / "build" / "figures").rglob("*")}
    before = committed(repository)
    with pytest.raises(SystemExit, match="a notebook failed"):
        reproduce.main(["--offline"])
    assert "RuntimeError: no loops today" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in (repository / "build" / "figures").rglob("*")} == made
    assert committed(repository) == before


def test_a_second_run_in_one_folder_is_refused_and_spoils_nothing(repository):
    scratch = repository / "build" / "reproduce" / "first-six"
    scratch.mkdir(parents=True)
    with (
        FileLock(repository / "build" / ".lock"),
        pytest.raises(SystemExit, match="another make reproduce is running here"),
    ):
        reproduce.main(["--offline"])
    assert scratch.is_dir()
    assert not (repository / "build" / "figures").exists()


def test_without_data_stand_ins_run_and_are_never_accepted(repository, monkeypatch, capsys):
    monkeypatch.setattr(reproduce, "images_at_hand", lambda sets: dict.fromkeys(sets, (0, 6)))
    (repository / "README.md").write_text("no table\n")
    before = committed(repository)
    reproduce.main(["first", "--offline", "--accept"])
    assert names(repository / "build" / "figures") == ["first-synthetic.json", "first-synthetic.png"]
    assert committed(repository) == before
    assert "first-synthetic: stand-in, kept" in capsys.readouterr().out


def test_a_parameter_that_no_notebook_has_stops_before_anything_runs(repository, monkeypatch):
    monkeypatch.setattr(reproduce, "run_notebook", lambda *_: pytest.fail("it ran"))
    with pytest.raises(SystemExit, match="no parameter 'treshold'"):
        reproduce.main(["--offline", "--parameter", "treshold=0.5"])


def test_training_without_the_micrographs_is_an_error(repository, monkeypatch):
    monkeypatch.setattr(reproduce, "images_at_hand", lambda sets: dict.fromkeys(sets, (5, 6)))
    monkeypatch.setattr(reproduce.subprocess, "run", lambda *_, **__: pytest.fail("it trained"))
    with pytest.raises(
        SystemExit, match="2 training and validation images are not at hand; set STEMLIB_DATA"
    ):
        reproduce.main(["--offline", "--train"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"synthetic": True}, "says synthetic: True, but its images were real"),
        ({"parameters": {"weights": str(reproduce.ROOT / "build")}}, "path of this machine"),
    ],
)
def test_figures_that_say_what_is_not_so_are_refused(tmp_path, content, message):
    write_content(tmp_path / "out", "loops-six", **content)
    with pytest.raises(reproduce.ReproductionError, match=message):
        reproduce.read_figures(tmp_path / "out", synthetic=False)


def test_numbers_without_their_picture_are_refused(tmp_path):
    write_content(tmp_path / "out", "loops-six")
    (tmp_path / "out" / "loops-six.png").unlink()
    with pytest.raises(reproduce.ReproductionError, match="loops-six.json needs its picture"):
        reproduce.read_figures(tmp_path / "out", synthetic=False)


def test_a_notebook_that_wrote_nothing_is_refused(tmp_path):
    with pytest.raises(reproduce.ReproductionError, match="no figure"):
        reproduce.read_figures(tmp_path, synthetic=False)


def test_every_result_notebook_exists():
    assert {run.notebook for run in runs.RUNS} <= {path.stem for path in reproduce.NOTEBOOKS.glob("*.ipynb")}


def test_parameters_are_literals_or_words():
    assert reproduce.parse_assignment("threshold=0.5") == ("threshold", 0.5)
    assert reproduce.parse_assignment("image_set=six") == ("image_set", "six")
    with pytest.raises(reproduce.ReproductionError, match="NAME=VALUE"):
        reproduce.parse_assignment("six")


def test_training_time_comes_from_the_cards_and_what_is_trained_together_counts_once(tmp_path, monkeypatch):
    (tmp_path / "stemlib" / "weights").mkdir(parents=True)
    for name, minutes in (("columns", 0), ("loop_cascade", 12.5), ("loop_screening", 12.5), ("loop_fcn", 3)):
        (tmp_path / "stemlib" / "weights" / f"{name}.json").write_text(json.dumps({"minutes": minutes}))
    monkeypatch.setattr(reproduce, "ROOT", tmp_path)
    assert reproduce.training_minutes() == 15.5


def test_only_known_notebooks_can_be_asked_for(capsys):
    with pytest.raises(SystemExit):
        reproduce.parse_arguments(["loop-colours"])
    assert "no result notebook loop-colours" in capsys.readouterr().err


def test_data_that_do_not_match_their_checksum_stop_it(repository, monkeypatch):
    def download(subsets):
        raise ValueError("a.jpg does not match its checksum")

    monkeypatch.setattr(reproduce, "download", download)
    with pytest.raises(SystemExit, match="a.jpg does not match"):
        reproduce.main([])
