"""The tables of cells in docs/validation.md are those of benchmarks/cells.json."""

import importlib
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def test_the_tables_of_cells_are_those_measured(monkeypatch):
    pytest.importorskip("h5py")
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    cells = importlib.import_module("cells")
    result = json.loads((ROOT / "benchmarks" / "cells.json").read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "validation.md").read_text(encoding="utf-8")
    assert page.split(cells.START)[1].split(cells.END)[0].strip() == cells.markdown(result)
