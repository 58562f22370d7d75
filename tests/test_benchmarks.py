"""Every benchmark still fits the library that it measures."""

import importlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
# These need packages that are neither locked nor installed.
OPTIONAL = ["image_model"]


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.py")))
def test_every_benchmark_can_be_imported(name, monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    if name in OPTIONAL:
        pytest.importorskip("abtem")
    importlib.import_module(name)
