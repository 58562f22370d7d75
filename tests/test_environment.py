import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
# Extras that one benchmark needs; nobody else installs them.
APART = {"multislice"}


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def lock():
    """Name -> version of every line of requirements.lock."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    # Exact versions and nothing else: no addresses, options, files or local versions such as +cpu.
    # Some packages have no wheel for the newest Python.
    pins = [pin.removesuffix("; python_version < '3.14'") for pin in pins]
    odd = [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", pin)]
    assert not odd
    names = [canonicalize_name(pin.split("==")[0]) for pin in pins]
    assert len(set(names)) == len(names)
    return dict(zip(names, (pin.split("==")[1] for pin in pins), strict=True))


def test_the_lock_holds_every_requirement_at_a_version_in_its_range(project, lock):
    requirements = list(project["project"]["dependencies"]) + list(project["build-system"]["requires"])
    for name, extra in project["project"]["optional-dependencies"].items():
        requirements += [] if name in APART else extra
    wrong = []
    for requirement in map(Requirement, requirements):
        version = lock.get(canonicalize_name(requirement.name))
        if version is None or version not in requirement.specifier:
            wrong.append(f"{requirement}: locked {version}")
    assert not wrong


def test_the_lock_leaves_the_package_itself_out(project, lock):
    assert canonicalize_name(project["project"]["name"]) not in lock


def test_conda_gets_python_pip_and_then_the_package_for_users(project):
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["name"] == project["project"]["name"]
    python, pip, rest = environment["dependencies"]
    assert python == "python" + project["project"]["requires-python"]
    assert pip == "pip"
    (package,) = rest["pip"]
    extras = re.fullmatch(r"-e \.\[(.+)\]", package).group(1).split(",")
    assert set(extras) == project["project"]["optional-dependencies"].keys() - APART - {"dev"}


def test_what_the_package_reads_at_run_time_is_installed_with_it(project):
    data = project["tool"]["setuptools"]["package-data"]
    installed = set()
    for package, patterns in data.items():
        folder = ROOT.joinpath(*package.split("."))
        installed |= {path for pattern in patterns for path in folder.glob(pattern)}
    wanted = {
        path
        for path in (ROOT / "stemlib").rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc", ".nbi", ".nbc"}
    }
    assert wanted <= installed
