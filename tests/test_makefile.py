import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


@pytest.fixture
def make(tmp_path):
    """Run make on a copy of the files that it goes by; only messages and plans, nothing is installed."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    # Variables of a make that runs these tests would reach this one too.
    environment = {
        key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")
    }
    for name in (
        "OFFLINE",
        "TRAIN",
        "PYTHON",
        "TORCH_INDEX",
        "PIP_EXTRA",
        "NOTEBOOKS",
        "ACCEPT",
        "FIGURES",
        "LAB_ROOT",
    ):
        environment.pop(name, None)

    def run(*arguments):
        return subprocess.run(
            ["make", *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
        )

    return run


def python_that(folder, script):
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return f"PYTHON={path}"


def test_an_old_or_missing_python_is_one_line_with_the_remedy(make, tmp_path):
    old = python_that(tmp_path, 'case "$2" in *version_info*) exit 1;; esac')
    for python in (old, "PYTHON=no-such-python"):
        done = make("test", python)
        assert done.returncode != 0
        message = [line for line in done.stderr.splitlines() if not line.startswith("make:")]
        assert len(message) == 1
        assert "Python 3.11 or newer" in message[0]
        assert "make PYTHON=" in message[0]


def test_a_missing_venv_is_one_line_with_the_remedy(make, tmp_path):
    done = make("test", python_that(tmp_path, 'case "$2" in *ensurepip*) exit 1;; esac'))
    assert done.returncode != 0
    message = [line for line in done.stderr.splitlines() if not line.startswith("make:")]
    assert len(message) == 1
    assert "sudo apt install python3-venv" in message[0]


def test_torch_comes_from_another_index_where_one_is_named(make):
    lines = make("-n", "test", "TORCH_INDEX=https://example.org/cpu").stdout.splitlines()
    torch = next(i for i, line in enumerate(lines) if "--index-url https://example.org/cpu torch==" in line)
    lock = next(i for i, line in enumerate(lines) if "-r requirements.lock" in line)
    assert torch < lock
    assert "--index-url" not in make("-n", "test").stdout


def test_what_torch_takes_is_said_before_it_is_installed(make):
    plan = make("-n", "reproduce").stdout
    assert plan.index("several GB") < plan.index("-r requirements.lock")


def test_nothing_is_installed_twice_until_the_lock_changes(make, tmp_path):
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").touch()
    (tmp_path / ".venv" / "installed.stamp").touch()
    assert "pip install" not in make("-n", "test").stdout
    later = (tmp_path / ".venv" / "installed.stamp").stat().st_mtime + 10
    os.utime(tmp_path / "requirements.lock", (later, later))
    assert "pip install" in make("-n", "test").stdout


def test_switches_reach_the_runner(make):
    def runner(*arguments):
        return make("-n", *arguments).stdout.splitlines()[-1].split()[2:]

    module = "notebooks.reproduction"
    assert runner("reproduce") == [module]
    assert runner("reproduce", "OFFLINE=0", "TRAIN=0", "ACCEPT=0") == [module]
    given = ["--offline", "--train", "--accept", "loop-sizes"]
    assert runner("reproduce", "OFFLINE=1", "TRAIN=1", "ACCEPT=1", "NOTEBOOKS=loop-sizes") == [module, *given]
    assert runner("accept", "FIGURES=loop-sizes-c-nine") == [f"{module}.accept", "loop-sizes-c-nine"]


def test_jupyterlab_opens_at_copies_of_the_notebooks_and_reaches_every_folder(make, tmp_path):
    def options(*arguments):
        plan = make("-n", "lab", *arguments).stdout.splitlines()[-1]
        return [word.strip('"') for word in plan.replace('="', "=").split() if word.startswith("--ServerApp")]

    mine = f"--ServerApp.preferred_dir={tmp_path}/mine"
    assert options() == ["--ServerApp.root_dir=/", mine]
    assert options(f"LAB_ROOT={tmp_path}") == [f"--ServerApp.root_dir={tmp_path}", mine]


def test_ci_runs_the_command_that_the_readme_gives():
    command = (ROOT / ".ci" / "run").read_text().splitlines()[-1]
    assert command == "exec make test"
    assert "\nmake test" in (ROOT / "README.md").read_text()
