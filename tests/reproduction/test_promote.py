import json

import pytest

from reproduction.promote import promote

TOGETHER = (("loop_cascade", "loop_screening"), ("loop_fcn",))


def write_weights(folder, name, f1, content, suffix=".safetensors"):
    folder.mkdir(exist_ok=True)
    (folder / f"{name}{suffix}").write_bytes(content)
    (folder / f"{name}.json").write_text(json.dumps({"validation": {"f1": f1}}))


@pytest.fixture
def folders(tmp_path):
    write_weights(tmp_path / "shipped", "loop_cascade", 0.6, b"old", ".xml")
    write_weights(tmp_path / "shipped", "loop_screening", 0.8, b"old")
    write_weights(tmp_path / "shipped", "loop_fcn", 0.85, b"old")
    return tmp_path / "build", tmp_path / "shipped"


def shipped_f1(folder, name):
    return json.loads((folder / f"{name}.json").read_text())["validation"]["f1"]


@pytest.mark.parametrize(("f1", "replaced"), [(0.86, True), (0.85, True), (0.84, False)])
def test_only_what_scores_no_worse_is_shipped_with_its_card(folders, f1, replaced):
    trained, shipped = folders
    write_weights(trained, "loop_fcn", f1, b"new")
    (line,) = promote(trained, shipped, TOGETHER)
    assert (shipped / "loop_fcn.safetensors").read_bytes() == (b"new" if replaced else b"old")
    assert shipped_f1(shipped, "loop_fcn") == (f1 if replaced else 0.85)
    assert ("replaced" if replaced else "kept") in line


def test_the_first_weights_are_shipped_whatever_their_score(tmp_path):
    write_weights(tmp_path / "build", "loop_fcn", 0.1, b"new")
    (line,) = promote(tmp_path / "build", tmp_path / "shipped", TOGETHER)
    assert (tmp_path / "shipped" / "loop_fcn.safetensors").read_bytes() == b"new"
    assert "nothing shipped" in line


@pytest.mark.parametrize(("screening", "content"), [(0.79, b"old"), (0.81, b"new")])
def test_module_one_is_not_replaced_without_module_two(folders, screening, content):
    trained, shipped = folders
    write_weights(trained, "loop_cascade", 0.7, b"new", ".xml")
    write_weights(trained, "loop_screening", screening, b"new")
    promote(trained, shipped, TOGETHER)
    assert (shipped / "loop_cascade.xml").read_bytes() == content
    assert (shipped / "loop_screening.safetensors").read_bytes() == content


def test_half_of_a_pair_is_an_error(folders):
    trained, shipped = folders
    write_weights(trained, "loop_cascade", 0.7, b"new", ".xml")
    with pytest.raises(FileNotFoundError, match="loop_screening.json is not there"):
        promote(trained, shipped, TOGETHER)
    assert (shipped / "loop_cascade.xml").read_bytes() == b"old"


def test_nothing_trained_is_an_error(folders):
    with pytest.raises(FileNotFoundError, match="TRAIN=1"):
        promote(*folders, TOGETHER)


def test_a_card_without_weights_is_an_error(folders):
    trained, shipped = folders
    write_weights(trained, "loop_fcn", 0.9, b"new")
    (trained / "loop_fcn.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="loop_fcn.json"):
        promote(trained, shipped, TOGETHER)


@pytest.mark.parametrize(
    "card", [{}, {"validation": {}}, {"validation": {"f1": float("nan")}}, {"validation": 3}]
)
def test_a_card_without_a_score_is_an_error(folders, card):
    trained, shipped = folders
    write_weights(trained, "loop_fcn", 0.9, b"new")
    (trained / "loop_fcn.json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match="no validation F1"):
        promote(trained, shipped, TOGETHER)
