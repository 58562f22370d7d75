import json

import pytest

from reproduction import accept

ROW = {"id": "six.recall", "name": "recall", "value": 0.5, "unit": ""}
CONTENT = {
    "synthetic": False,
    "seed": 0,
    "parameters": {},
    "data": {"a": "b"},
    "weights": {},
    "results": [ROW],
}


def write(folder, name, picture, **changes):
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.png").write_bytes(picture)
    (folder / f"{name}.json").write_text(json.dumps(CONTENT | {"name": name} | changes))


def other(value):
    return [ROW | {"value": value}]


@pytest.fixture
def folders(tmp_path):
    """Figures just made, and the committed ones."""
    made, figures = tmp_path / "made", tmp_path / "figures"
    for name in ("same", "moved", "partial", "image"):
        write(figures, name, b"old")
    write(made, "same", b"drawn anew")
    write(made, "moved", b"new", results=other(0.6))
    write(made, "partial", b"new", results=other(None), data={})
    write(made, "recent", b"new")
    return made, figures


def pictures(figures):
    return {path.stem: path.read_bytes() for path in figures.glob("*.png")}


def test_only_figures_that_are_new_or_outside_their_tolerance_are_replaced(folders):
    made, figures = folders
    lines = accept.accept(made, figures)
    assert pictures(figures) == {
        "same": b"old",
        "moved": b"new",
        "partial": b"old",
        "image": b"old",
        "recent": b"new",
    }
    assert json.loads((figures / "moved.json").read_text())["results"] == other(0.6)
    assert lines == [
        "moved: outside, replaced",
        "partial: incomplete, kept",
        "recent: new, replaced",
        "same: within, kept",
    ]
    assert accept.accept(made, figures)[0] == "moved: within, kept"


def test_a_figure_that_is_named_is_replaced_whatever_its_numbers(folders):
    made, figures = folders
    accept.accept(made, figures, ["same"])
    assert pictures(figures)["same"] == b"drawn anew"


def test_stand_ins_replace_nothing(folders):
    made, figures = folders
    write(made, "loops-synthetic", b"stand-in", synthetic=True)
    assert "loops-synthetic: stand-in, kept" in accept.accept(made, figures)
    assert "loops-synthetic" not in pictures(figures)
    with pytest.raises(accept.AcceptError, match="stand-ins for micrographs"):
        accept.accept(made, figures, ["loops-synthetic"])


@pytest.mark.parametrize("names", [(), ["image"]])
def test_numbers_of_simulated_images_never_replace_those_of_micrographs(folders, names):
    made, figures = folders
    write(made, "image", b"new", synthetic=True)
    with pytest.raises(accept.AcceptError, match="'image' was measured on simulated images"):
        accept.accept(made, figures, names)
    assert pictures(figures)["image"] == b"old"


def test_nothing_made_and_unknown_figures_are_errors(folders, tmp_path):
    made, figures = folders
    with pytest.raises(accept.AcceptError, match="holds no figures; run: make reproduce"):
        accept.accept(tmp_path / "nothing", figures)
    with pytest.raises(accept.AcceptError, match="'recnet' is not among the figures last made"):
        accept.accept(made, figures, ["recnet"])


def test_readme_and_docs_follow(folders, tmp_path, monkeypatch):
    made, figures = folders
    for path in [*figures.glob("*"), *(path for path in made.glob("*") if path.stem != "moved")]:
        path.unlink()
    (tmp_path / "build").mkdir()
    made.rename(tmp_path / "build" / "figures")
    monkeypatch.setattr(accept, "ROOT", tmp_path)
    (tmp_path / "README.md").write_text("<!-- table\nrecall | six.recall\n-->\n<!-- end of table -->\n")
    accept.main([])
    assert "| recall | 0.600 |  |" in (tmp_path / "README.md").read_text()
