import importlib.util
import json
import re
import shutil

import pytest
import typst
from matplotlib.figure import Figure

from reproduction.repository import ROOT


@pytest.fixture
def build():
    specification = importlib.util.spec_from_file_location("paper_build", ROOT / "paper" / "build.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module.build


@pytest.fixture
def house(tmp_path):
    """A repository with the manuscript, and figures of the committed ones' results."""
    shutil.copytree(ROOT / "paper", tmp_path / "paper")
    figures = tmp_path / "figures"
    figures.mkdir()
    for path in (ROOT / "figures").glob("*.json"):
        results = [
            {"id": row["id"], "value": -0.12345, "unit": "", "low": -0.2, "high": 0.05, "published": 0.85}
            for row in json.loads(path.read_text(encoding="utf-8"))["results"]
        ]
        (figures / path.name).write_text(json.dumps({"results": results}))
    manuscript = (ROOT / "paper" / "main.typ").read_text(encoding="utf-8")
    for name in re.findall(r"/figures/([\w-]+\.png)", manuscript):
        Figure(figsize=(2, 1)).savefig(figures / name)
    return tmp_path


def test_the_manuscript_is_built_from_the_figures_alone(build, house):
    pdf = build(house)
    assert pdf == house / "build" / "paper.pdf"
    content = pdf.read_bytes()
    assert content.startswith(b"%PDF")
    assert build(house).read_bytes() == content


@pytest.mark.parametrize("one", ["six.modules.published.recall", "six.fcn.published.precision"])
def test_a_number_that_no_figure_holds_is_an_error(build, house, one):
    path = house / "figures" / "loop-detection-six.json"
    results = [row for row in json.loads(path.read_text())["results"] if row["id"] != one]
    path.write_text(json.dumps({"results": results}))
    with pytest.raises(typst.TypstError, match=f"no figure has a result .*{one}"):
        build(house)


def test_no_result_is_typed_by_hand():
    text = (ROOT / "paper" / "main.typ").read_text(encoding="utf-8")
    body = text.partition("= References")[0]
    assert not re.findall(r"\d\.\d+ ?%|\b0\.\d{2,}", body)
