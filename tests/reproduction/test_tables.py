import json
import re

import pytest

from reproduction import comparison, tables
from reproduction.repository import ROOT

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RESULTS = {
    "six.modules.recall": {"value": 0.123456, "low": 0.1, "high": 0.2, "published": 0.8512},
    "six.modules.precision": {"value": 0.5, "published": 0.8374},
    "six.modules.count": {"value": -0.0579},
    "tmd.defects": {"value": 5},
    "zro2.distance": {"value": None},
}


def table(*lines):
    text = "\n".join(["before", tables.START, *lines, "-->", "an old row", tables.END, "after\n"])
    filled = tables.filled(text, RESULTS)
    assert filled.startswith("before\n") and filled.endswith("after\n") and "an old row" not in filled
    assert tables.filled(filled, RESULTS) == filled
    rows = filled.partition("-->\n")[2].partition(tables.END)[0].splitlines()
    assert rows[:2] == ["| | measured (95 % interval) | published |", "| --- | --- | --- |"]
    return rows[2:]


def test_documents_say_what_the_figures_say():
    results = tables.results_by_id(ROOT / "figures")
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        assert tables.filled(text, results) == text, "run: .venv/bin/python -m notebooks.reproduction.tables"


def test_results_stand_in_readme_and_validation():
    assert all(tables.START in (ROOT / name).read_text() for name in ("README.md", "docs/validation.md"))


def test_headings_and_rows_with_their_intervals_and_published_values():
    assert table("**Six images**: recall / precision", "Modules | six.modules.{recall,precision}") == [
        "| **Six images**: recall / precision | | |",
        "| Modules | 0.123 (0.100 to 0.200) / 0.500 | 0.851 / 0.837 |",
    ]


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        ("six.modules.count:+.1%", "-5.8 %"),
        ("six.modules.{recall,precision}:.1%", "12.3 % (10.0 % to 20.0 %) / 50.0 %"),
        ("tmd.defects:.0f / six.modules.count", "5 / -0.058"),
        ("six.modules.{count:+.0%,precision}", "-6 % / 0.500"),
        ("zro2.distance", "not available"),
        ("test28.modules.published.recall", "not available"),
    ],
)
def test_numbers_are_rounded_only_where_they_are_printed(wanted, shown):
    (row,) = table(f"label | {wanted}")
    assert row.split(" | ")[1] == shown


def test_an_id_that_no_figure_has_is_an_error():
    with pytest.raises(KeyError, match="no figure has a result 'six.modules.recal'"):
        table("label | six.modules.recal")


def test_a_table_that_is_not_closed_is_an_error():
    with pytest.raises(ValueError, match="must be closed"):
        tables.filled(f"{tables.START}\nlabel | six.modules.recall\n-->\n", RESULTS)


def test_an_id_in_two_figures_is_an_error(tmp_path):
    for name in ("a", "b"):
        content = {"name": name, "synthetic": False, "results": [{"id": "six.recall", "value": 1}]}
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="b.json holds 'six.recall', which another figure holds too"):
        tables.results_by_id(tmp_path)


def test_the_readme_comes_in_the_order_that_readers_need():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    order = ["# stemlib", "![", "make reproduce", "make test", "## Results", "## Your own image"]
    places = [text.index(part) for part in [*order, "## Each figure again"]]
    assert places == sorted(places)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_commands_and_files_that_documents_name_exist(path):
    text = path.read_text(encoding="utf-8")
    for name in re.findall(r"notebooks/[\w-]+\.\w+", text):
        assert (ROOT / name).is_file(), name
    for name in re.findall(r"\]\(([\w./-]+)\)", text):
        assert (path.parent / name).exists(), name
    for module in re.findall(r"-m (notebooks\.[\w.]+\w)", text):
        assert (ROOT / module.replace(".", "/")).is_dir() or (
            ROOT / f"{module.replace('.', '/')}.py"
        ).is_file()
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"make ([a-z]+)\b", text):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_wider_tolerances_stand_with_their_reasons(monkeypatch):
    wider = {
        "zro2.*": comparison.Tolerance(0.01, 2.0, "pixels near the rim"),
        "tmd.*": comparison.Tolerance(0.0, 1.0, "one more"),
    }
    monkeypatch.setattr(tables, "WIDER", wider)
    text = "\n".join(["before", tables.TOLERANCES[0] + "old", tables.TOLERANCES[1], "after"])
    assert tables.filled(text, {}).splitlines() == [
        "before",
        "<!-- tolerances -->",
        "| results | may be off by | because |",
        "| --- | --- | --- |",
        "| `zro2.*` | 1 % or 2 | pixels near the rim |",
        "| `tmd.*` | 1 | one more |",
        "<!-- end of tolerances -->",
        "after",
    ]
