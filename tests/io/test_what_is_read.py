"""The table in docs/reading.md: every row is an input that is made here, and what `stemlib.read` makes of it."""

import importlib.util
import re
import warnings
from pathlib import Path

import h5py
import hyperspy.api as hs
import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.io import savemat

from stemlib import read

TABLE = Path(__file__).resolve().parents[2] / "docs" / "reading.md"
GREY = np.random.default_rng(9).integers(0, 4000, (40, 60)).astype(np.uint16)
COLOURS = np.random.default_rng(9).integers(0, 256, (40, 60, 3)).astype(np.uint8)
spec = importlib.util.spec_from_file_location(
    "microscope_files", Path(__file__).with_name("microscope_files.py")
)
files = importlib.util.module_from_spec(spec)
spec.loader.exec_module(files)


def imagej(path, unit, scale):
    resolution = (1 / scale, 1 / scale)
    tifffile.imwrite(path, GREY, imagej=True, resolution=resolution, metadata={"unit": unit})


def hyperspy(path, units=("nm", "nm"), scales=(0.05, 0.05)):
    signal = hs.signals.Signal2D(GREY)
    for axis, unit, scale in zip(signal.axes_manager.signal_axes, units, scales, strict=True):
        axis.units, axis.scale = unit, scale
    signal.save(path.with_suffix(".hspy"))
    path.with_suffix(".hspy").rename(path)


def hdf5(path, **arrays):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array


def matlab_hdf5(path):
    hdf5(path, image=GREY.T)


def text(path, separator, decimal="."):
    np.savetxt(path, GREY / 8, fmt="%.3f", delimiter=separator)
    path.write_text(path.read_text().replace(".", decimal))


# Input as the table names it -> name of the file, its writer, and arguments of `read`.
ROWS = {
    "png, grey of 16 bits": ("a.png", lambda p: Image.fromarray(GREY).save(p)),
    "png, coloured": ("a.png", lambda p: Image.fromarray(COLOURS).save(p)),
    'png, coloured, `channel="red"`': (
        "a.png",
        lambda p: Image.fromarray(COLOURS).save(p),
        {"channel": "red"},
    ),
    "tif with a printer's resolution": ("a.tif", lambda p: Image.fromarray(GREY).save(p, dpi=(300, 300))),
    "tif of ImageJ in `nm`": ("a.tif", lambda p: imagej(p, "nm", 0.05)),
    "tif of ImageJ in `pm`": ("a.tif", lambda p: imagej(p, "pm", 50)),
    "tif of ImageJ in µm, written `\\u00B5m`": ("a.tif", lambda p: imagej(p, "\\u00B5m", 5e-5)),
    "tif of ImageJ in Å, written `\\u00C5`": ("a.tif", lambda p: imagej(p, "\\u00C5", 0.5)),
    "tif of ImageJ in `inch`": ("a.tif", lambda p: imagej(p, "inch", 0.5)),
    "tif, a stack of five": (
        "a.tif",
        lambda p: tifffile.imwrite(p, np.stack([GREY] * 5), photometric="minisblack"),
    ),
    "dm3 in `nm`": ("a.dm3", lambda p: files.write_dm(p, [GREY], scale=0.05, unit="nm")),
    "dm4 in `µm`": (
        "a.dm4",
        lambda p: files.write_dm(p, [GREY], scale=5e-5, unit="µm"),
    ),
    "dm4 in `1/nm`, a diffraction pattern": (
        "a.dm4",
        lambda p: files.write_dm(p, [GREY], scale=0.05, unit="1/nm"),
    ),
    "emd of Velox": ("a.emd", lambda p: files.write_velox(p, [GREY], pixel_size_m=5e-11, detectors=["BF"])),
    "emd of Velox, two detectors": (
        "a.emd",
        lambda p: files.write_velox(p, [GREY, GREY], pixel_size_m=5e-11, detectors=["HAADF", "BF"]),
    ),
    'emd of Velox, two detectors, `select="BF"`': (
        "a.emd",
        lambda p: files.write_velox(p, [GREY, GREY], pixel_size_m=5e-11, detectors=["HAADF", "BF"]),
        {"select": "BF"},
    ),
    "emd of Berkeley in `[n_m]`": (
        "a.emd",
        lambda p: files.write_berkeley(p, GREY, scale=0.05, unit="[n_m]"),
    ),
    "emd of Berkeley in `Angstrom`": (
        "a.emd",
        lambda p: files.write_berkeley(p, GREY, scale=0.5, unit="Angstrom"),
    ),
    "mrc": ("a.mrc", lambda p: files.write_mrc(p, GREY.astype(np.float32), pixel_size_angstrom=0.5)),
    "mrc with an empty cell": (
        "a.mrc",
        lambda p: files.write_mrc(p, GREY.astype(np.float32), pixel_size_angstrom=0),
    ),
    "ser": ("a_1.ser", lambda p: files.write_ser(p, [GREY], pixel_size_m=5e-11)),
    "emi without its ser files": ("a.emi", lambda p: p.write_bytes(b"JLKJLKJ" * 100)),
    "hspy in `nm`": ("a.hspy", hyperspy),
    "hspy in `um`": ("a.hspy", lambda p: hyperspy(p, ("um", "um"), (5e-5, 5e-5))),
    "hspy, pixels not square": ("a.hspy", lambda p: hyperspy(p, scales=(0.05, 0.08))),
    "h5 of HyperSpy": ("a.h5", hyperspy),
    "hdf5, one image and a list of positions": (
        "a.hdf5",
        lambda p: hdf5(p, haadf=GREY, positions=np.ones((9, 2))),
    ),
    "h5, two images": ("a.h5", lambda p: hdf5(p, haadf=GREY, bf=GREY)),
    'h5, two images, `select="bf"`': (
        "a.h5",
        lambda p: hdf5(p, haadf=GREY, bf=GREY),
        {"select": "bf"},
    ),
    "mat up to version 7": ("a.mat", lambda p: savemat(p, {"scan": {"image": GREY}, "dwell": 2.0})),
    "mat of version 7.3": ("a.mat", matlab_hdf5),
    "npy": ("a.npy", lambda p: np.save(p, GREY)),
    "npy, a list of positions": ("a.npy", lambda p: np.save(p, np.ones((90, 2)))),
    "npz with an array called image": ("a.npz", lambda p: np.savez(p, image=GREY, other=GREY)),
    "txt, blanks between the numbers": ("a.txt", lambda p: text(p, " ")),
    "tsv, tabs": ("a.tsv", lambda p: text(p, "\t")),
    "csv, commas": ("a.csv", lambda p: text(p, ",")),
    "csv, semicolons": ("a.csv", lambda p: text(p, ";")),
    "csv, decimal commas": ("a.csv", lambda p: text(p, ";", ",")),
    "csv, a table with names above its columns": ("a.csv", lambda p: p.write_text("y,x\n1,2\n")),
}


def written():
    """Input -> what is read, as the table says."""
    rows = re.findall(r"^\| (.+?) \| (.+?) \|$", TABLE.read_text(encoding="utf-8"), re.MULTILINE)
    return dict(rows[2:])


def outcome(path, arguments):
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            found = read(path, **arguments)
        except ValueError as error:
            return f"error: {error}"
    assert found.image.shape == GREY.shape
    size = "no scale" if found.pixel_size_nm is None else f"{found.pixel_size_nm:.3g} nm per px"
    said = [w for w in warned if issubclass(w.category, UserWarning) and str(path) in str(w.message)]
    return f"read, {size}" + "".join(f"; warns: {w.message}" for w in said)


def test_the_table_has_these_rows_and_no_others():
    assert list(written()) == list(ROWS)


@pytest.mark.parametrize("row", ROWS)
def test_a_row_of_the_table_is_true(tmp_path, row):
    name, write, *arguments = ROWS[row]
    write(tmp_path / name)
    said, found = written()[row], outcome(tmp_path / name, *arguments or [{}])
    kind, _, words = said.partition(": ")
    assert found.startswith(kind) and words.strip("`") in found
    assert words or found == said
