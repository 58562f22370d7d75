import json
import re

import pytest

from reproduction import tables as readme_table
from reproduction.repository import repository_root

ROOT = repository_root()


def write_figures(folder, value=0.5):
    """Figures with every result that the table names."""
    wanted = [one for row in readme_table.ROWS if not isinstance(row, str) for one in row[1]]
    for figure in dict.fromkeys(figure for figure, _ in wanted):
        names = dict.fromkeys(name for one, name in wanted if one == figure)
        results = [{"name": name, "value": value, "unit": "", "low": 0.25, "high": 0.75} for name in names]
        (folder / f"{figure}.json").write_text(json.dumps({"results": results}))


def test_the_readme_says_what_the_figures_say(tmp_path):
    readme = tmp_path / "README.md"
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    readme.write_text(text, encoding="utf-8")
    readme_table.update(readme, ROOT / "figures")
    assert readme.read_text(encoding="utf-8") == text, (
        "run: .venv/bin/python -m notebooks.reproduction.tables"
    )


def test_the_readme_comes_in_the_order_that_readers_need():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    order = [
        "# stemlib",
        "![",
        "make reproduce",
        "make test",
        "## Results",
        "## Your own image",
        "## Each figure again",
    ]
    places = [text.index(part) for part in order]
    assert places == sorted(places)


def test_commands_and_files_that_the_readme_names_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in re.findall(r"notebooks/[\w.-]+", text):
        assert (ROOT / name).is_file(), name
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"make ([a-z]+)\b", text):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_numbers_are_rounded_only_where_they_are_printed(tmp_path):
    write_figures(tmp_path, value=0.123456)
    table = readme_table.table(tmp_path)
    assert "0.123 (0.250 to 0.750)" in table
    assert "+12.3 % (+25.0 % to +75.0 %)" in table
    assert "not available" not in table
    assert len({line.count("|") for line in table.splitlines()}) == 1


def test_published_values_stand_beside(tmp_path):
    write_figures(tmp_path)
    path = tmp_path / "loop-detection-six.json"
    content = json.loads(path.read_text())
    for result in content["results"]:
        result["published"] = 0.8512
    path.write_text(json.dumps(content))
    assert "| 0.851 / 0.851 |" in readme_table.table(tmp_path)


def test_a_figure_that_is_not_there_is_not_available_but_a_missing_number_is_an_error(tmp_path):
    assert "not available" in readme_table.table(tmp_path)
    write_figures(tmp_path)
    (tmp_path / "loop-detection-six.json").write_text('{"results": []}')
    with pytest.raises(KeyError, match="recall, Modules I-III, published rule"):
        readme_table.table(tmp_path)


def test_a_readme_without_marks_is_left_alone(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("nothing here")
    with pytest.raises(ValueError, match="must hold the marks"):
        readme_table.update(readme, tmp_path)
    assert readme.read_text() == "nothing here"
