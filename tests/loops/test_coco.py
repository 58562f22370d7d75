import json

import numpy as np
import pandas as pd
import pytest

from stemlib.loops.coco import read_coco, write_coco
from stemlib.loops.ellipses import AXES, with_edges


@pytest.fixture
def loops():
    rows = [[50.123456, 60.5, 30.0, 18.0, 25.0], [40.3, 110.7, 44.0, 12.0, 140.0]]
    table = with_edges(pd.DataFrame(rows, columns=AXES)).assign(score=[0.91, np.nan], kind=["loop", "dot"])
    return table.assign(touches_edge=False)


def test_the_round_trip_is_exact(tmp_path, loops):
    path = write_coco(loops, tmp_path / "loops.json", (120, 160), "mine.tif")
    pd.testing.assert_frame_equal(read_coco(path), loops)
    pd.testing.assert_frame_equal(read_coco(path, image_name="mine.tif"), loops)
    content = json.loads(path.read_text())
    assert content["images"] == [{"id": 1, "file_name": "mine.tif", "height": 120, "width": 160}]
    assert [one["name"] for one in content["categories"]] == ["loop", "dot"]


def test_annotations_of_other_tools_are_read(tmp_path):
    content = {
        "images": [{"id": "7", "file_name": "a.png", "height": "100", "width": "100"}],
        "categories": [{"id": "2", "name": "loop"}],
        "annotations": [
            {"id": "1", "image_id": 7, "category_id": 2, "bbox": ["10", "20", "12", "30"]},
            {
                "id": 2,
                "image_id": "7",
                "category_id": "2",
                "segmentation": [[50, 50, 70, 50, 70, 60, 50, 60]],
            },
            {"id": 3, "image_id": 8, "bbox": [0, 0, 5, 5]},
        ],
    }
    path = tmp_path / "other.json"
    path.write_text(json.dumps(content))
    back = read_coco(path)
    assert np.allclose(back.loc[0, AXES].astype(float), [34.5, 15.5, 30, 12, 90])
    assert np.allclose(back.loc[1, ["y", "x", "area"]].astype(float), [54.5, 59.5, 200])
    assert back["kind"].tolist() == ["loop", "loop"] and back["score"].isna().all()


def test_an_outline_that_was_changed_wins_over_the_ellipse_beside_it(tmp_path, loops):
    path = write_coco(loops, tmp_path / "loops.json", (120, 160))
    content = json.loads(path.read_text())
    outline = np.array(content["annotations"][0]["segmentation"][0]) + 3
    content["annotations"][0]["segmentation"] = [outline.tolist()]
    path.write_text(json.dumps(content))
    assert read_coco(path).loc[0, "x"] == pytest.approx(63.5, abs=0.01)


def test_what_is_no_coco_file_is_named(tmp_path, loops):
    path = tmp_path / "loops.json"
    for text in ("no json", "[]", "{}", '{"images": []}'):
        path.write_text(text)
        with pytest.raises(ValueError, match="loops.json' is no COCO JSON"):
            read_coco(path)
    content = json.loads(write_coco(loops, path, (120, 160), "a.tif").read_text())
    with pytest.raises(ValueError, match="holds 1 images, 'a.tif'; image_name='b.tif'"):
        read_coco(path, image_name="b.tif")
    content["annotations"][0] = {"id": 5, "image_id": 1}
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="annotation 5 has neither a polygon nor a bounding box"):
        read_coco(path)
    with pytest.raises(FileNotFoundError, match="nowhere.json"):
        read_coco(tmp_path / "nowhere.json")
