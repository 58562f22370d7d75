import json

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from reproduction.figures import FigureWriter, load_figure_json

RECALL = {
    "id": "six.recall",
    "name": "recall",
    "value": 0.8712345678,
    "unit": "",
    "low": 0.82,
    "high": 0.91,
    "published": 0.851,
}


def write(folder, name="loop-detection-six", figure=None, *, results=(RECALL,), synthetic=False, **more):
    writer = FigureWriter(
        folder, {"image_set": "six", "threshold": np.float64(0.5)}, 1, synthetic, {"a": "cd" * 32}
    )
    picture = writer.write(figure or Figure(figsize=(2, 2)), name, list(results), **more)
    return picture, picture.with_suffix(".json")


def test_what_is_written_comes_back_unrounded(tmp_path):
    picture, numbers = write(
        tmp_path / "new",
        parameters={"shape": (2, 3)},
        data={"fecral-loops/images/a.jpg": "ab" * 32},
        tables={"images": pd.DataFrame({"image": ["a", "b"], "found": [3, 4], "recall": [0.25, np.nan]})},
    )
    assert imread(picture).shape[:2] == (300, 300)
    content = load_figure_json(numbers)
    assert content["results"] == [RECALL]
    assert content["parameters"] == {"image_set": "six", "threshold": 0.5, "shape": [2, 3]}
    assert content["data"] == {"fecral-loops/images/a.jpg": "ab" * 32}
    assert content["weights"] == {"a": "cd" * 32}
    assert content["tables"]["images"][1] == {"image": "b", "found": 4, "recall": None}
    assert content["versions"]["numpy"] == np.__version__
    assert (content["name"], content["seed"], content["synthetic"]) == ("loop-detection-six", 1, False)


def test_the_same_figure_gives_the_same_bytes(tmp_path):
    first, second = write(tmp_path / "a"), write(tmp_path / "b")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_simulated_figures_are_marked_once_and_real_ones_never(tmp_path):
    figure = Figure()
    write(tmp_path, "real", figure)
    assert not figure.legends
    plain = (tmp_path / "real.png").read_bytes()
    for _ in range(2):
        _, numbers = write(tmp_path, "loop-detection-synthetic", figure, synthetic=True)
    assert [text.get_text() for legend in figure.legends for text in legend.get_texts()] == ["simulated"]
    assert (tmp_path / "loop-detection-synthetic.png").read_bytes() != plain
    assert load_figure_json(numbers)["synthetic"] is True


def test_synthetic_numbers_never_replace_real_ones(tmp_path):
    before = [path.read_bytes() for path in write(tmp_path)]
    with pytest.raises(ValueError, match="real micrographs"):
        write(tmp_path, synthetic=True)
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir(), reverse=True)] == before


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ({"name": "recall", "value": 1}, "unit"),
        (RECALL | {"measured": 1}, "measured"),
        (RECALL | {"value": float("nan")}, "None"),
        (RECALL | {"high": float("inf")}, "high of 'six.recall'"),
    ],
)
def test_a_result_that_could_not_be_printed_is_refused(tmp_path, result, message):
    with pytest.raises(ValueError, match=message):
        write(tmp_path, results=[result])
    assert not list(tmp_path.iterdir())


def test_not_available_is_null(tmp_path):
    _, numbers = write(tmp_path, results=[RECALL | {"value": None}])
    assert json.loads(numbers.read_text())["results"][0]["value"] is None


@pytest.mark.parametrize("name", ["a/b", "../a", "", "a b", ".hidden"])
def test_names_that_are_not_file_names_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match="name is"):
        write(tmp_path, name)


def test_a_figure_that_is_not_there_is_named_with_what_makes_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="no-such.json' is not there; `make reproduce`"):
        load_figure_json(tmp_path / "no-such.json")


@pytest.mark.parametrize(
    ("text", "message"), [("{", "not JSON"), ("[]", "lacks"), ('{"name": "a"}', "lacks")]
)
def test_a_file_that_is_not_a_figures_is_refused_by_name(tmp_path, text, message):
    path = tmp_path / "figure.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"figure.json.*{message}"):
        load_figure_json(path)
