import json

import numpy as np
import pandas as pd
import pytest

import stemlib
from stemlib.synthetic import loop_micrograph
from stemlib.training.labels import read_labels

SHAPE = (100, 200)
BOXES = pd.DataFrame([[10.0, 20, 30, 60], [50, 100, 70, 110]], columns=["top", "left", "bottom", "right"])


def test_boxes_and_ellipses_are_the_same(tmp_path):
    ellipses = pd.DataFrame(
        {"y": [20.0, 60], "x": [40.0, 105], "major": [40.0, 20], "minor": [20.0, 10], "angle_deg": [0.0, 90]}
    )
    for labels in (BOXES, ellipses):
        table = read_labels(labels, None, SHAPE)
        np.testing.assert_allclose(table.iloc[:, :4], BOXES)
        assert table.kind.tolist() == ["loop", "loop"]
        labels.assign(kind=["a", "b"]).to_csv(tmp_path / "labels.csv", index=False)
        again = read_labels(tmp_path / "labels.csv", None, SHAPE)
        np.testing.assert_allclose(again.iloc[:, :4], BOXES)
        assert again.kind.tolist() == ["a", "b"]


def test_imagej_results_come_back(tmp_path):
    scene = loop_micrograph((256, 256), n_loops=6, seed=1)
    found = stemlib.find_loops(scene.image)
    found.to_imagej_csv(tmp_path / "Results.csv")
    table = read_labels(tmp_path / "Results.csv", None, (256, 256))
    np.testing.assert_allclose(table[["top", "left"]], found.table[["top", "left"]], atol=0.01)


def test_yolo_and_coco_come_back(tmp_path):
    lines = []
    for number, (top, left, bottom, right) in enumerate(BOXES.to_numpy() + 0.5):
        shares = (
            (left + right) / 2 / 200,
            (top + bottom) / 2 / 100,
            (right - left) / 200,
            (bottom - top) / 100,
        )
        lines.append(f"{number} " + " ".join(map(repr, map(float, shares))))
    (tmp_path / "a.txt").write_text("\n".join(lines))
    table = read_labels(tmp_path / "a.txt", None, SHAPE)
    np.testing.assert_allclose(table.iloc[:, :4], BOXES)
    assert table.kind.tolist() == ["0", "1"]
    annotations = [
        {"image_id": 3, "bbox": [left + 0.5, top + 0.5, right - left, bottom - top]}
        for top, left, bottom, right in BOXES.to_numpy()
    ]
    content = {"images": [{"id": 3, "file_name": "a.png"}], "annotations": annotations}
    (tmp_path / "a.json").write_text(json.dumps(content))
    np.testing.assert_allclose(read_labels(tmp_path / "a.json", None, SHAPE).iloc[:, :4], BOXES)
    np.testing.assert_allclose(read_labels(tmp_path / "a.json", "x/a.png", SHAPE).iloc[:, :4], BOXES)


@pytest.mark.parametrize(
    "labels, error, words",
    [
        ([[1, 2, 3, 4]], TypeError, "list"),
        (pd.DataFrame({"a": [1]}), ValueError, "columns"),
        (BOXES.assign(top=500.0, bottom=520.0), ValueError, "row 0.*100 x 200"),
        (BOXES.assign(bottom=5.0), ValueError, "row 0"),
        (BOXES.assign(top=np.nan), ValueError, "row 0"),
        ("nowhere.csv", FileNotFoundError, "nowhere"),
        (__file__, ValueError, "would do"),
    ],
)
def test_what_is_wrong_is_named(labels, error, words):
    with pytest.raises(error, match=words):
        read_labels(labels, None, SHAPE)


def test_a_broken_yolo_line_is_named(tmp_path):
    (tmp_path / "a.txt").write_text("0 0.5 0.5")
    with pytest.raises(ValueError, match="line 1"):
        read_labels(tmp_path / "a.txt", None, SHAPE)
