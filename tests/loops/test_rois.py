import numpy as np
import pandas as pd
import pytest
import roifile

from stemlib.loops.ellipses import AXES, EDGES, with_edges
from stemlib.loops.rois import read_imagej_rois, write_imagej_rois


@pytest.fixture
def loops():
    rows = [
        [50.123456, 60.5, 30.0, 18.0, 25.0],
        [40.3, 110.7, 44.0, 12.0, 140.0],
        [20.0, 20.0, 9.0, 9.0, 0.0],
    ]
    return with_edges(pd.DataFrame(rows, columns=AXES)).assign(
        score=[0.91, 0.5, np.nan], kind=["loop", "loop", "black dot"]
    )


def test_the_round_trip_is_exact(tmp_path, loops):
    path = write_imagej_rois(loops, tmp_path / "loops.zip")
    pd.testing.assert_frame_equal(read_imagej_rois(path), loops)
    again = write_imagej_rois(loops, tmp_path / "again.zip")
    assert again.read_bytes() == path.read_bytes()


def test_an_outline_that_a_person_moved_is_where_they_moved_it(tmp_path, loops):
    path = write_imagej_rois(loops, tmp_path / "loops.zip")
    rois = roifile.roiread(path)
    rois[1].left += 5
    rois[1].right += 5
    moved = rois[1].subpixel_coordinates
    if moved is not None:
        moved[:, 0] += 5
    roifile.roiwrite(tmp_path / "moved.zip", rois)
    back = read_imagej_rois(tmp_path / "moved.zip")
    assert back.loc[1, "x"] == pytest.approx(loops.loc[1, "x"] + 5, abs=0.01)
    assert np.allclose(back.loc[1, ["major", "minor"]].astype(float), [44, 12], rtol=0.005)
    assert np.isnan(back.loc[1, "score"]) and back.loc[0, "score"] == 0.91


def test_ovals_boxes_and_polygons_of_other_origin_are_read(tmp_path):
    oval = roifile.ImagejRoi(
        roitype=roifile.ROI_TYPE.OVAL, top=30, left=40, bottom=50, right=70, name="oval", version=228
    )
    polygon = roifile.ImagejRoi.frompoints(np.array([[10, 10], [30, 10], [30, 20], [10, 20]], float))
    roifile.roiwrite(tmp_path / "mine.zip", [oval, polygon])
    back = read_imagej_rois(tmp_path / "mine.zip", pixel_size_nm=0.5, shape=(100, 100))
    assert np.allclose(back.loc[0, AXES].astype(float), [39.5, 54.5, 30, 20, 0], atol=0.01)
    assert np.allclose(back.loc[1, ["y", "x"]].astype(float), [14.5, 19.5])
    assert back.loc[1, "area"] == pytest.approx(200, rel=1e-6)
    assert back["major_nm"][0] == pytest.approx(15, abs=0.01) and not back["touches_edge"].any()
    assert set(EDGES) <= set(back)


def test_what_encloses_nothing_is_named(tmp_path, loops):
    line = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.POINT, name="a point", n_coordinates=1)
    line.integer_coordinates = np.array([[5, 5]], np.int32)
    line.tofile(tmp_path / "point.roi")
    with pytest.raises(ValueError, match=r"ROI 1 \('a point'\).*point.roi.*point, which encloses nothing"):
        read_imagej_rois(tmp_path / "point.roi")
    (tmp_path / "broken.zip").write_bytes(b"PK nothing")
    with pytest.raises(ValueError, match="broken.zip' is no ROI file"):
        read_imagej_rois(tmp_path / "broken.zip")
    with pytest.raises(FileNotFoundError, match="nowhere.zip"):
        read_imagej_rois(tmp_path / "nowhere.zip")
    with pytest.raises(ValueError, match="must end in .zip"):
        write_imagej_rois(loops, tmp_path / "loops.roi")
