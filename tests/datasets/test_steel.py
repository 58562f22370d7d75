"""The 316L set: masks, boxes and ellipses."""

import numpy as np
import pytest
from skimage.draw import ellipse

from stemlib import datasets
from stemlib.datasets import steel


def test_seventeen_images_of_which_one_is_dense():
    images = datasets.steel_316l_images()
    assert len(images) == 17
    assert images.index[images["dense"]].tolist() == ["test/3.png"]
    assert images.index[:3].tolist() == ["fov200nm/1.png", "fov200nm/2.png", "fov200nm/3.png"]
    with pytest.raises(ValueError, match=r"name='fov200nm/17\.png' is not"):
        datasets.read_316l_labels("fov200nm/17.png")


@pytest.mark.parametrize("angle_deg", [0, 30, 90, 150])
def test_regions_recover_a_drawn_ellipse(angle_deg):
    mask = np.zeros((120, 140), dtype=bool)
    # skimage's rotation is counter-clockwise as seen, like ours.
    mask[ellipse(60, 70, 12, 35, rotation=np.deg2rad(angle_deg))] = True
    row = steel._regions(mask).iloc[0]
    assert row[["y", "x"]].tolist() == pytest.approx([60, 70], abs=0.1)
    assert row[["major", "minor"]].tolist() == pytest.approx([70, 24], abs=0.5)
    assert (row["angle_deg"] - angle_deg + 90) % 180 - 90 == pytest.approx(0, abs=0.5)
    assert (row["top"] + row["bottom"]) / 2 == pytest.approx(60, abs=0.1)
    assert not row["clipped"]


def test_regions_at_the_edge_are_marked():
    mask = np.zeros((50, 50), dtype=bool)
    mask[0:5, 10:20] = mask[20:30, 20:30] = mask[40:50, 45:50] = True
    table = steel._regions(mask)
    assert table["clipped"].tolist() == [True, False, True]
    assert table.loc[0, ["top", "left", "bottom", "right"]].tolist() == [-0.5, 9.5, 4.5, 19.5]


def test_every_annotation_has_its_region(real_data):
    images = datasets.steel_316l_images()
    counts = {name: len(datasets.read_316l_labels(name)) for name in images.index}
    assert sum(count for name, count in counts.items() if name != "test/3.png") == 186
    assert counts["test/3.png"] == 627
    # One speck of the mask has no annotation.
    assert counts["fov200nm/7.png"] == 7
