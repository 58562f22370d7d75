"""The table in docs/workbench.md: every row is a file that is made here, and what `explore` makes of it."""

import html
import importlib.util
import re
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.io import savemat

from stemlib.synthetic import crystal_image
from stemlib.workbench import Explorer

ROOT = Path(__file__).resolve().parents[2]
SCENE = crystal_image("square", (128, 128), spacing=10, seed=0)
LOW, HIGH = SCENE.image.min(), SCENE.image.max()
GREY = ((SCENE.image - LOW) / (HIGH - LOW) * 60000).astype(np.uint16)
BYTES = (GREY // 256).astype(np.uint8)
spec = importlib.util.spec_from_file_location(
    "microscope_files", ROOT / "tests" / "io" / "microscope_files.py"
)
files = importlib.util.module_from_spec(spec)
spec.loader.exec_module(files)


def tif(path, unit, scale):
    resolution = (1 / scale, 1 / scale)
    tifffile.imwrite(path, GREY, imagej=True, resolution=resolution, metadata={"unit": unit})


def stack(path):
    tifffile.imwrite(path, np.stack([GREY] * 3), photometric="minisblack")


def hyperspy(path):
    import hyperspy.api as hs

    signal = hs.signals.Signal2D(GREY)
    for axis in signal.axes_manager.signal_axes:
        axis.units, axis.scale = "nm", 0.02
    signal.save(path)


def hdf5(path):
    with h5py.File(path, "w") as file:
        file["haadf"] = GREY


def with_bar(path, colour):
    picture = np.dstack([BYTES] * 3)
    picture[114:118, 8:48] = colour
    Image.fromarray(picture).save(path, quality=95)


def movie(path):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 5, BYTES.shape)
    for _ in range(3):
        writer.write(np.dstack([BYTES] * 3))
    writer.release()


def write_velox(path):
    files.write_velox(path, [GREY], pixel_size_m=2e-11, detectors=["HAADF"])


def write_two(path):
    files.write_velox(path, [GREY, GREY], pixel_size_m=2e-11, detectors=["HAADF", "BF"])


# As the table names it -> file name, what writes it, and what is chosen in the form.
ROWS = {
    "dm3": ("a.dm3", lambda p: files.write_dm(p, [GREY], scale=0.02, unit="nm")),
    "dm4": ("a.dm4", lambda p: files.write_dm(p, [GREY], scale=2e-5, unit="µm")),
    "emd of Velox": ("a.emd", write_velox),
    "emd of Velox, two detectors": ("a.emd", write_two),
    "emd of Velox, two detectors, `HAADF` chosen": ("a.emd", write_two, {"select": "HAADF"}),
    "emd of Berkeley": ("a.emd", lambda p: files.write_berkeley(p, GREY, scale=0.02, unit="[n_m]")),
    "hspy": ("a.hspy", hyperspy),
    "zspy, a folder": ("a.zspy", hyperspy),
    "ser": ("a_1.ser", lambda p: files.write_ser(p, [GREY], pixel_size_m=2e-11)),
    "mrc": ("a.mrc", lambda p: files.write_mrc(p, GREY.astype(np.float32), pixel_size_angstrom=0.2)),
    "tif of 8 bits": ("a.tif", lambda p: tifffile.imwrite(p, BYTES)),
    "tif of 16 bits": ("a.tif", lambda p: tifffile.imwrite(p, GREY)),
    "tif of ImageJ in nm": ("a.tif", lambda p: tif(p, "nm", 0.02)),
    "tif of ImageJ in µm": ("a.tif", lambda p: tif(p, "\\u00B5m", 2e-5)),
    "tif, a stack": ("a.tif", stack),
    "tif, a stack, `1` chosen": ("a.tif", stack, {"select": "1"}),
    "png": ("a.png", lambda p: Image.fromarray(BYTES).save(p)),
    "png, 0.02 nm per pixel typed": ("a.png", lambda p: Image.fromarray(BYTES).save(p), {"size": "0,02"}),
    "jpg with a white scale bar": ("a.jpg", lambda p: with_bar(p, (255, 255, 255))),
    "jpg with a yellow scale bar": ("a.jpg", lambda p: with_bar(p, (255, 255, 0))),
    "jpg with a yellow scale bar, `red` chosen": (
        "a.jpg",
        lambda p: with_bar(p, (255, 255, 0)),
        {"channel": "red"},
    ),
    "h5": ("a.h5", hdf5),
    "mat": ("a.mat", lambda p: savemat(p, {"image": GREY})),
    "a path with blanks and umlauts": ("größe und 2 x.png", lambda p: Image.fromarray(BYTES).save(p)),
    "avi, a movie": ("a.avi", movie),
    "a broken dm4": ("a.dm4", lambda p: p.write_bytes(b"\0\0\0\4broken" * 50)),
    "an empty file": ("a.tif", lambda p: p.write_bytes(b"")),
    "an image of one value": ("a.png", lambda p: Image.fromarray(np.full((128, 128), 7, np.uint8)).save(p)),
}


@pytest.fixture(scope="module")
def explorer():
    return Explorer(analysis="columns")


def outcome(explorer, path, select="", channel=None, size=""):
    explorer._source.value, explorer.chooser.path.value = "file", str(path)
    explorer._select.value, explorer._channel.value, explorer._size.value = select, channel, size
    before = explorer.result
    explorer.find_button.click()
    said = [
        html.unescape(re.sub("<[^>]*>", "", one)) for one in re.findall("<div.*?</div>", explorer.said.value)
    ]
    if explorer.result is before:
        return f"error: {said[0]}"
    found = explorer.result
    assert len(found.table) == pytest.approx(len(SCENE.columns), rel=0.12) or not len(found.table)
    unit = "px" if found.pixel_size_nm is None else f"{found.pixel_size_nm:.3g} nm per px"
    return "; ".join([f"columns, {unit}" if len(found.table) else "no columns", *said[:-1]]).replace(
        "Warning", "warns"
    )


def written():
    """Row -> what becomes of it, as the table says."""
    text = (
        (ROOT / "docs" / "workbench.md").read_text(encoding="utf-8").partition("## What becomes of a file")[2]
    )
    return dict(re.findall(r"^\| (.+?) \| (.+?) \|$", text, re.MULTILINE)[2:])


def test_the_table_has_these_rows_and_no_others():
    assert list(written()) == list(ROWS)


@pytest.mark.parametrize("row", ROWS)
def test_a_row_of_the_table_is_true(explorer, tmp_path, row):
    name, write, *chosen = ROWS[row]
    write(tmp_path / name)
    found, said = outcome(explorer, tmp_path / name, **(chosen or [{}])[0]), written()[row]
    # Every part of what stands there is said, in its order; paths differ.
    parts = [part.strip("` ") for part in re.findall("`[^`]*`|[^`;]+", said)]
    assert re.search(".*".join(map(re.escape, parts)), found), found
    assert len(re.findall("error: |warns: ", found)) == len(re.findall("error: |warns: ", said)), found
