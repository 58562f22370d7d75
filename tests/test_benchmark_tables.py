"""The tables of benchmarks in docs/validation.md are those of their JSON files."""

import importlib
import json
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.mark.parametrize("name", ["cells", "labelled_defects", "loops_elsewhere"])
def test_the_tables_are_those_measured(name, monkeypatch):
    pytest.importorskip("h5py")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    harness, benchmark = importlib.import_module("harness"), importlib.import_module(name)
    result = json.loads((BENCHMARKS / f"{name}.json").read_text(encoding="utf-8"))
    assert harness.page_part(benchmark.MARK) == benchmark.markdown(result)
