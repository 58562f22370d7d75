import codecs
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from skimage import io

from stemlib.loops.ellipses import AXES, EDGES, with_edges
from stemlib.loops.imagej import imagej_table, read_imagej_csv, write_imagej_csv
from stemlib.loops.rois import write_imagej_rois

IMAGEJ = shutil.which("imagej") and "/usr/share/java/ij.jar"


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "y": [10.0, 50.25],
            "x": [20.0, 60.5],
            "major": [12.0, 30.0],
            "minor": [8.0, 20.0],
            "angle_deg": [15.0, 120.0],
            "area": [24 * np.pi, 150 * np.pi],
            "top": [5.0, 38.0],
            "left": [14.0, 47.0],
            "bottom": [15.0, 62.0],
            "right": [26.0, 74.0],
        }
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "Results.csv"


def text_of(table, **options):
    return imagej_table(table).to_csv(index=False, **options)


@pytest.mark.parametrize("separator", [",", "\t", ";"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_tables_survive_a_round_trip(path, table, separator, encoding):
    text = text_of(table, sep=separator)
    lines = [
        f"{line}{separator}{more}" for line, more in zip(text.splitlines(), ["Label", "µm", "Å"], strict=True)
    ]
    path.write_bytes(("\n".join(lines) + "\n").encode(encoding))
    pd.testing.assert_frame_equal(read_imagej_csv(path), table)
    assert read_imagej_csv(path, pixel_size_nm=0.5).major_nm.tolist() == [6.0, 15.0]


def test_scores_and_kinds_come_back(path, table):
    scored = table.assign(score=[0.9, np.nan], kind=["loop", "black dot"])
    path.write_text(text_of(scored))
    back = read_imagej_csv(path)
    pd.testing.assert_frame_equal(back, scored, check_dtype=False)


@pytest.mark.parametrize("separator", ["\t", ";"])
def test_decimal_commas_are_read(path, table, separator):
    path.write_text(text_of(table, sep=separator, decimal=","))
    assert "50,75" in path.read_text()
    pd.testing.assert_frame_equal(read_imagej_csv(path), table)


def test_decimal_commas_among_commas_are_one_clear_error(path, table):
    path.write_text(text_of(table).replace("50.75", "50,75"))
    with pytest.raises(ValueError, match="Results.csv' has 12 fields in row 2, not 11.*tabs"):
        read_imagej_csv(path)


def test_commas_at_the_end_of_lines_shift_nothing(path, table):
    for ends in ([",", ",", ","], ["", ",", ","], ["", ",", ""]):
        lines = [line + end for line, end in zip(text_of(table).split("\n"), ends, strict=False)]
        path.write_text("\n".join(lines) + "\n")
        pd.testing.assert_frame_equal(read_imagej_csv(path), table)


def test_a_row_that_is_cut_is_one_clear_error(path, table):
    path.write_text(text_of(table)[:-20])
    with (
        pytest.warns(UserWarning, match="may be cut"),
        pytest.raises(ValueError, match="Results.csv' has .* fields in row 2, not"),
    ):
        read_imagej_csv(path)
    path.write_text(text_of(table)[:-2])
    with pytest.warns(UserWarning, match="Results.csv.*its last row may be cut"):
        read_imagej_csv(path)


def test_columns_that_were_exchanged_are_one_clear_error(path, table):
    written = imagej_table(table)
    path.write_text(written.assign(Area=written["Area"][::-1].to_numpy()).to_csv(index=False))
    with pytest.raises(ValueError, match="Results.csv.*row 1 has the area 471.*, but its axes give 75"):
        read_imagej_csv(path)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"minor": -8.0}, "row 1.*axis that is not positive"),
        ({"minor": 0.0}, "row 1.*axis that is not positive"),
        ({"major": 8.0, "minor": 12.0}, "minor axis longer"),
        ({"x": 500.0}, "lies outside the image of 100 x 100 px"),
        ({"y": -30.0}, "lies outside the image"),
    ],
)
def test_rows_that_are_no_loops_on_the_image_are_named(path, table, change, words):
    table = table.drop(columns="area").assign(area=np.nan)
    table.loc[0, list(change)] = list(change.values())
    lines = imagej_table(table).drop(columns="Area").to_csv(index=False)
    path.write_text(lines)
    with pytest.raises(ValueError, match=f"Results.csv'.*{words}"):
        read_imagej_csv(path, shape=(100, 100))


def test_columns_of_the_ellipse_alone_are_enough(path, table):
    path.write_text(imagej_table(table)[["X", "Y", "Major", "Minor", "Angle"]].to_csv(index=False))
    back = read_imagej_csv(path)
    pd.testing.assert_frame_equal(back[AXES], table[AXES])
    pd.testing.assert_frame_equal(back, with_edges(table[AXES]))


@pytest.mark.parametrize("unit, factor", [("nm", 0.5), ("µm", 0.0005), ("pm", 500.0), ("Å", 5.0)])
def test_units_of_a_calibrated_image_become_pixels(path, table, unit, factor):
    measured = imagej_table(table)
    lengths = ["X", "Y", "BX", "BY", "Width", "Height", "Major", "Minor"]
    measured[lengths] *= factor
    measured["Area"] *= factor**2
    path.write_text(measured.to_csv(index=False))
    back = read_imagej_csv(path, unit=unit, pixel_size_nm=0.5)
    np.testing.assert_allclose(back[list(table)], table, rtol=1e-9)
    with pytest.raises(ValueError, match="needs the image's pixel_size_nm"):
        read_imagej_csv(path, unit=unit)


def test_an_unknown_unit_is_named(path, table):
    path.write_text(text_of(table))
    with pytest.raises(ValueError, match="unit='furlong' is not known"):
        read_imagej_csv(path, unit="furlong", pixel_size_nm=0.5)


def test_numbers_that_look_calibrated_warn(path):
    rng = np.random.default_rng(0)
    places = rng.uniform(10, 990, (40, 2))
    loops = with_edges(
        pd.DataFrame(places, columns=["y", "x"]).assign(major=20.0, minor=12.0, angle_deg=30.0)
    )
    path.write_text(text_of(loops))
    read_imagej_csv(path, pixel_size_nm=0.48, shape=(1000, 1000))
    lengths = ["X", "Y", "BX", "BY", "Width", "Height", "Major", "Minor"]
    measured = imagej_table(loops)
    measured[lengths] *= 0.48
    measured["Area"] *= 0.48**2
    path.write_text(measured.to_csv(index=False))
    with pytest.warns(UserWarning, match="calibrated in nm: all lie in the upper left 2.%.*unit='nm'"):
        read_imagej_csv(path, pixel_size_nm=0.48, shape=(1000, 1000))


def test_boxes_of_whole_pixels_tell_the_unit(path):
    loops = with_edges(pd.DataFrame([[50.0, 60.0, 20.0, 12.0, 0.0]], columns=AXES))
    whole = imagej_table(loops).assign(BX=50.0, BY=44.0, Width=21.0, Height=13.0)
    path.write_text(whole.to_csv(index=False))
    read_imagej_csv(path, pixel_size_nm=0.48)
    whole[["BX", "BY", "Width", "Height"]] *= 0.48
    path.write_text(whole.round(3).to_csv(index=False))
    with pytest.warns(UserWarning, match="whole pixels only if their numbers are nm"):
        read_imagej_csv(path, pixel_size_nm=0.48)


def test_loops_at_the_edge_are_told_where_the_shape_is_known(path, table):
    path.write_text(text_of(table))
    # The second loop's box ends at row 62 and column 74.
    for shape, cut in (((200, 200), False), ((63, 200), True), ((200, 75), True), ((65, 200), False)):
        assert read_imagej_csv(path, shape=shape).touches_edge.tolist() == [False, cut]
    path.write_text(text_of(table.assign(left=-0.5)))
    assert read_imagej_csv(path, shape=(200, 200)).touches_edge.all()
    assert "touches_edge" not in read_imagej_csv(path)


def test_a_loop_that_a_person_deleted_stays_deleted(path, table):
    path.write_text(imagej_table(table).drop(index=0).to_csv(index=False))
    assert read_imagej_csv(path).y.tolist() == [50.25]


def test_missing_columns_and_words_are_named(path, table):
    path.write_text(imagej_table(table).drop(columns=["Major", "BX"]).to_csv(index=False))
    with pytest.raises(ValueError, match=r"Results.csv.*\['Major'\]"):
        read_imagej_csv(path)
    path.write_text(imagej_table(table).astype(object).replace(30.0, "thirty").to_csv(index=False))
    with pytest.raises(ValueError, match="row 2, column Major: 'thirty'"):
        read_imagej_csv(path)
    path.write_text(text_of(table).replace("Width", "X"))
    with pytest.raises(ValueError, match="has the column 'X' twice"):
        read_imagej_csv(path)
    path.write_text("\n")
    with pytest.raises(ValueError, match="Results.csv' is empty"):
        read_imagej_csv(path)
    path.write_bytes(codecs.BOM_UTF8 + b"\0\0\0\1")
    with pytest.raises(ValueError, match="Results.csv' is no text"):
        read_imagej_csv(path)
    with pytest.raises(FileNotFoundError, match="nowhere.csv"):
        read_imagej_csv(path.with_name("nowhere.csv"))


def run_imagej(macro, folder):
    if not IMAGEJ or not shutil.which("xvfb-run"):
        pytest.skip("needs ImageJ: Debian's packages imagej and xvfb are not installed")
    script = folder / "macro.ijm"
    script.write_text(macro)
    command = ["xvfb-run", "-a", "java", "-cp", IMAGEJ, "ij.ImageJ", "-batch", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (folder / "Results.csv").is_file(), done.stdout + done.stderr


# In batch mode ImageJ forgets a measurement when it makes the next.
MEASURE = 'run("Measure"); saveAs("Results", "{}/Results{}.csv");'
SET = 'run("Set Measurements...", "area centroid bounding fit redirect=None decimal=3");'


@pytest.mark.parametrize("unit, size", [("px", 1.0), ("nm", 0.48)])
def test_what_real_imagej_measures_is_read(tmp_path, unit, size):
    image = np.zeros((120, 160), np.uint8)
    io.imsave(tmp_path / "mine.tif", image, check_contrast=False)
    scale = f"unit={unit} pixel_width={size} pixel_height={size} voxel_depth=1"
    macro = f"""
    open("{tmp_path}/mine.tif");
    {f'run("Properties...", "channels=1 slices=1 frames=1 {scale}");' if unit == "nm" else ""}
    {SET}
    makeOval(40, 30, 30, 20); {MEASURE.format(tmp_path, "")}
    """
    run_imagej(macro, tmp_path)
    loops = read_imagej_csv(tmp_path / "Results.csv", unit=unit, pixel_size_nm=0.48, shape=image.shape)
    assert np.allclose(loops.loc[0, ["y", "x"]].astype(float), [39.5, 54.5], atol=0.01)
    assert np.allclose(loops.loc[0, ["major", "minor"]].astype(float), [30, 20], atol=0.2)
    if unit == "nm":
        with pytest.warns(UserWarning, match="unit='nm'"):
            read_imagej_csv(tmp_path / "Results.csv", pixel_size_nm=0.48, shape=image.shape)


def test_real_imagej_shows_and_measures_the_outlines(tmp_path):
    rows = [[50.0, 60.0, 30.0, 18.0, 25.0], [40.3, 110.7, 44.0, 12.0, 140.0]]
    loops = with_edges(pd.DataFrame(rows, columns=AXES))
    shutil.unpack_archive(write_imagej_rois(loops, tmp_path / "loops.zip"), tmp_path / "rois")
    io.imsave(tmp_path / "mine.tif", np.zeros((120, 160), np.uint8), check_contrast=False)
    names = sorted(path.name for path in (tmp_path / "rois").iterdir())
    opened = "".join(
        f'open("{tmp_path}/rois/{name}"); {MEASURE.format(tmp_path, n)}' for n, name in enumerate(names)
    )
    run_imagej(f'open("{tmp_path}/mine.tif"); {SET} {opened} {MEASURE.format(tmp_path, "")}', tmp_path)
    parts = [read_imagej_csv(tmp_path / f"Results{n}.csv", shape=(120, 160)) for n in range(2)]
    measured = pd.concat(parts, ignore_index=True)
    off = (measured - loops).abs().max()
    assert off[["y", "x"]].max() < 0.05 and off[EDGES].max() < 1
    assert np.allclose(measured["area"], loops["area"], rtol=0.01)
    # ImageJ fits its ellipse to the pixels inside an outline, not to the outline.
    assert off[["major", "minor"]].max() < 0.6 and off["angle_deg"] < 2


def test_regions_that_are_no_ellipses_are_read_back_as_theirs(tmp_path):
    """Labels drawn as masks have an area of so many pixels, which their ellipse misses by some."""
    region = pd.DataFrame(
        [[40.0, 50.0, 40.0, 20.0, 30.0, 500.0, 20.0, 30.0, 60.0, 70.0]], columns=[*AXES, "area", *EDGES]
    )
    read = read_imagej_csv(write_imagej_csv(region, tmp_path / "labels.csv"))
    assert read[AXES].to_numpy() == pytest.approx(region[AXES].to_numpy())
    assert read["area"].item() == pytest.approx(np.pi / 4 * 40 * 20)
