"""Microscopes' files, as other programs write them: pixels, pixel size, metadata, and what a damaged file gives."""

import importlib.util
import re
import shutil
from pathlib import Path

import hyperspy.api as hs
import numpy as np
import pytest
import tifffile
from PIL import Image

from stemlib import read
from stemlib.io.masking import masked_micrograph
from stemlib.io.micrograph import Micrograph, as_micrograph
from stemlib.io.scale import pixel_size_nm

spec = importlib.util.spec_from_file_location(
    "microscope_files", Path(__file__).with_name("microscope_files.py")
)
files = importlib.util.module_from_spec(spec)
spec.loader.exec_module(files)


@pytest.fixture
def grey():
    return np.random.default_rng(5).integers(0, 4000, (40, 60)).astype(np.uint16)


def signal(data, scale=0.05, unit="nm"):
    made = hs.signals.Signal2D(data)
    made.metadata.General.title = "drawn"
    for axis in made.axes_manager.signal_axes:
        axis.scale, axis.units = scale, unit
    return made


def write(path, image, unit="nm", scale=0.05):
    """Write an image in the format of the suffix."""
    if path.suffix in (".dm3", ".dm4"):
        files.write_dm(path, [image], scale=scale, unit=unit)
    else:
        signal(image, scale, unit).save(path)


@pytest.mark.parametrize("dtype", ["i2", "u2", "i4", "u4", "f4"])
@pytest.mark.parametrize("suffix", ["dm3", "dm4", "hspy", "zspy", "emd", "tif"])
def test_pixels_and_size_survive_in_each_format(tmp_path, grey, suffix, dtype):
    if suffix == "zspy":
        pytest.importorskip("zarr", reason="zspy needs zarr, which is not there for this Python")
    image = grey.astype(dtype) - (2000 if dtype[0] != "u" else 0)
    write(tmp_path / f"a.{suffix}", image)
    found = read(tmp_path / f"a.{suffix}")
    assert found.image.dtype == np.float32
    assert np.array_equal(found.image, image)
    assert found.pixel_size_nm == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("unit", "nm"),
    [("nm", 0.05), ("µm", 50.0), ("um", 50.0), ("Å", 0.005), ("pm", 5e-5), ("m", 5e7)]
    + [("1/nm", None), ("nm⁻¹", None), ("", None), ("px", None), ("mrad", None), ("M", None)],
)
def test_units_of_dm4_become_nm_or_none(tmp_path, grey, unit, nm):
    write(tmp_path / "a.dm4", grey, unit)
    assert read(tmp_path / "a.dm4").pixel_size_nm == (None if nm is None else pytest.approx(nm))


@pytest.mark.parametrize(
    ("unit", "scale", "nm"),
    [
        ("nm", 0.05, 0.05),
        ("pm", 50, 0.05),
        ("\u00b5m", 5e-5, 0.05),
        ("micron", 5e-5, 0.05),
        ("\u00c5", 0.5, 0.05),
    ]
    + [("pixel", 1, None), ("inch", 0.5, None)],
)
def test_units_of_imagej_tifs_become_nm_or_none(tmp_path, grey, unit, scale, nm):
    unit = unit.encode("ascii", "backslashreplace").decode()
    unit = unit.replace("\\xb5", "\\u00B5").replace("\\xc5", "\\u00C5")
    resolution = (1 / scale, 1 / scale)
    tifffile.imwrite(tmp_path / "a.tif", grey, imagej=True, resolution=resolution, metadata={"unit": unit})
    found = read(tmp_path / "a.tif")
    assert np.array_equal(found.image, grey)
    assert found.pixel_size_nm == (None if nm is None else pytest.approx(nm))


# As units are written: two signs of micro, three of Ångström, ImageJ's escapes, Berkeley's lines below.
UNITS = {
    **dict.fromkeys(("nm", "n_m", "[n_m]"), 1.0),
    **dict.fromkeys(("pm", "[p_m]"), 1e-3),
    **dict.fromkeys(("\u00c5", "\u212b", "A\u030a", "A", "Angstrom", "\\u00C5", "\\u212B"), 0.1),
    **dict.fromkeys(("um", "\u00b5m", "\u03bcm", "\\u00B5m", "\\u03BCm", "[\u00b5_m]"), 1e3),
    **dict.fromkeys(("1/nm", "nm\u207b\u00b9", "\\u00B5", "px", "Mm"), None),
}


@pytest.mark.parametrize("suffix", ["dm3", "hspy", "emd", "tif"])
@pytest.mark.parametrize(("unit", "nm"), UNITS.items(), ids=ascii)
def test_a_unit_means_the_same_in_every_format(tmp_path, grey, suffix, unit, nm):
    path, scale = tmp_path / f"a.{suffix}", 0.05 / (nm or 1.0)
    if suffix == "tif":
        escaped = re.sub(r"[^ -~]", lambda sign: f"\\u{ord(sign[0]):04X}", unit)
        tifffile.imwrite(
            path, grey, imagej=True, resolution=(1 / scale, 1 / scale), metadata={"unit": escaped}
        )
    elif suffix == "emd":
        files.write_berkeley(path, grey, scale=scale, unit=unit)
    else:
        write(path, grey, unit, scale)
    found = read(path)
    assert np.array_equal(found.image, grey)
    assert found.pixel_size_nm == (None if nm is None else pytest.approx(0.05))


def test_an_emi_file_without_its_ser_says_so(tmp_path, grey):
    (tmp_path / "a.emi").write_bytes(b"JLKJLKJ" * 100)
    with pytest.raises(ValueError, match=r"a\.emi' holds no pixels, they are in a_1\.ser.*copy these"):
        read(tmp_path / "a.emi")
    files.write_ser(tmp_path / "a_1.ser", [grey], pixel_size_m=5e-11)
    assert np.array_equal(read(tmp_path / "a_1.ser").image, grey)


def test_an_mrc_file_with_an_empty_cell_has_no_scale(tmp_path, grey):
    files.write_mrc(tmp_path / "a.mrc", grey.astype(np.float32), pixel_size_angstrom=0.0)
    found = read(tmp_path / "a.mrc")
    assert found.pixel_size_nm is None
    assert np.array_equal(found.image, grey)


@pytest.mark.parametrize("place", [3, 7, 11])
@pytest.mark.parametrize("byte", [0x7F, 0xFF])
def test_an_mrc_file_that_says_to_hold_what_it_cannot_is_an_error_at_once(tmp_path, grey, place, byte):
    # RosettaSciIO alone never came back from byte 11.
    files.write_mrc(tmp_path / "a.mrc", grey.astype(np.float32), pixel_size_angstrom=0.5)
    content = bytearray((tmp_path / "a.mrc").read_bytes())
    content[place] = byte
    (tmp_path / "a.mrc").write_bytes(content)
    with pytest.raises(
        ValueError, match=r"a\.mrc' cannot be read \(its header says .* px.*is the file complete"
    ):
        read(tmp_path / "a.mrc")


@pytest.mark.parametrize("nm", [5e-4, 2e3])
def test_a_scale_at_which_no_microscope_sees_warns(tmp_path, grey, nm):
    with pytest.warns(UserWarning, match="hardly the size of a pixel"):
        assert pixel_size_nm([nm, nm], ["nm", "nm"], "a.dm4") == pytest.approx(nm)


def test_reads_mrc_in_angstrom_and_ser_in_metres(tmp_path, grey):
    files.write_mrc(tmp_path / "a.mrc", grey.astype(np.float32), pixel_size_angstrom=0.5)
    files.write_ser(tmp_path / "a.ser", [grey], pixel_size_m=5e-11)
    for name in ("a.mrc", "a.ser"):
        found = read(tmp_path / name)
        assert np.array_equal(found.image, grey)
        assert found.pixel_size_nm == pytest.approx(0.05)


def test_reads_the_detectors_of_a_velox_file(tmp_path, grey):
    path = tmp_path / "a.emd"
    files.write_velox(path, [grey], pixel_size_m=5e-11, detectors=["HAADF"])
    found = read(path)
    assert np.array_equal(found.image, grey)
    assert found.pixel_size_nm == pytest.approx(0.05)
    said = [found.metadata[key] for key in ("instrument", "voltage_kv", "detector")]
    assert said == ["a microscope", 200.0, "HAADF"]
    files.write_velox(path, [grey, grey + 1], pixel_size_m=5e-11, detectors=["HAADF", "DF4"])
    with pytest.raises(ValueError, match=r"holds 2 images \(0: 'HAADF' .* 1: 'DF4' .*select="):
        read(path)
    assert np.array_equal(read(path, select="DF4").image, grey + 1)


def test_each_image_of_a_ser_series_and_of_a_dm4_can_be_chosen(tmp_path, grey):
    files.write_ser(tmp_path / "a.ser", [grey, grey + 1, grey + 2], pixel_size_m=5e-11)
    files.write_dm(tmp_path / "a.dm4", [grey, grey + 1, grey + 2], scale=0.05, unit="nm")
    signal(np.stack([grey, grey + 1, grey + 2])).save(tmp_path / "a.hspy")
    for name in ("a.ser", "a.dm4", "a.hspy"):
        with pytest.raises(ValueError, match=r"holds 3 images .*stemlib\.read\(path, select="):
            read(tmp_path / name)
        with pytest.raises(ValueError, match="holds 3 images"):
            as_micrograph(tmp_path / name)
        found = read(tmp_path / name, select=2)
        assert np.array_equal(found.image, grey + 2)
        assert found.pixel_size_nm == pytest.approx(0.05)


def test_metadata_have_one_layout_whatever_the_format(tmp_path, grey):
    scope = {"Microscope Info": {"Voltage": 80000.0}, "DataBar": {"Signal Name": "HAADF"}}
    scope["Microscope Info"]["Name"] = "a microscope"
    files.write_dm(tmp_path / "a.dm4", [grey], tags=scope)
    other = signal(grey)
    tem = {"beam_energy": 80.0, "microscope": "a microscope", "Detector": {"name": "HAADF"}}
    other.metadata.add_dictionary({"Acquisition_instrument": {"TEM": tem}})
    other.original_metadata.add_dictionary({"raw": {"tag": 7}})
    other.save(tmp_path / "a.hspy")
    for name in ("a.dm4", "a.hspy"):
        metadata = read(tmp_path / name).metadata
        assert metadata["name"] == metadata["file"]["General"]["title"] == "drawn"
        assert metadata["instrument"] == "a microscope"
        assert metadata["voltage_kv"] == 80.0
        assert metadata["detector"] == "HAADF"
        assert metadata["file"]["Acquisition_instrument"]["TEM"]["beam_energy"] == 80.0
    assert read(tmp_path / "a.hspy").metadata["original"] == {"raw": {"tag": 7}}
    raw = read(tmp_path / "a.dm4").metadata["original"]
    assert raw["ImageList"]["TagGroup0"]["ImageTags"]["Microscope Info"]["Voltage"] == 80000.0


def test_metadata_that_are_not_there_are_none(tmp_path, grey):
    np.save(tmp_path / "a.npy", grey)
    write(tmp_path / "a.dm4", grey)
    for name in ("a.npy", "a.dm4"):
        metadata = read(tmp_path / name).metadata
        assert [metadata[key] for key in ("instrument", "voltage_kv", "detector")] == [None] * 3


def test_a_signal_tells_the_same_as_the_file_it_was_loaded_from(tmp_path, grey):
    files.write_dm(tmp_path / "a.dm4", [grey], scale=50, unit="pm", tags={"DataBar": {"Signal Name": "BF"}})
    loaded = as_micrograph(hs.load(tmp_path / "a.dm4"))
    own = read(tmp_path / "a.dm4")
    assert np.array_equal(loaded.image, own.image)
    assert loaded.pixel_size_nm == own.pixel_size_nm == pytest.approx(0.05)
    for key in ("name", "instrument", "voltage_kv", "detector"):
        assert loaded.metadata[key] == own.metadata[key]
    assert own.metadata["detector"] == "BF"


@pytest.mark.parametrize("suffix", ["hspy", "emd", "tif"])
def test_axes_keep_their_offset(tmp_path, grey, suffix):
    made = signal(grey, 500.0, "pm")
    for axis, offset in zip(made.axes_manager.signal_axes, (-2000.0, 3000.0), strict=True):
        axis.offset = offset
    made.save(tmp_path / f"a.{suffix}")
    loaded = hs.load(tmp_path / f"a.{suffix}")
    own = {"pm": 1e-3, "nm": 1.0}[loaded.axes_manager.signal_axes[0].units]
    expected = [own * axis.offset for axis in loaded.axes_manager.signal_axes[::-1]]
    assert sorted(expected) == pytest.approx([-2.0, 3.0])
    for given in (loaded, tmp_path / f"a.{suffix}"):
        assert as_micrograph(given).origin_nm == pytest.approx(tuple(expected))
        assert as_micrograph(given, pixel_size_nm=0.5).origin_nm == pytest.approx(tuple(expected))
        assert as_micrograph(given, pixel_size_nm=0.6).origin_nm == (0.0, 0.0)
        assert masked_micrograph(given, None)[0].origin_nm == pytest.approx(tuple(expected))


def test_an_offset_means_nothing_without_a_unit_or_on_axes_that_run_backwards(grey):
    for scale, unit in ((0.5, "px"), (-0.5, "nm")):
        made = signal(grey, scale, unit)
        made.axes_manager.signal_axes[0].offset = 7.0
        assert as_micrograph(made).origin_nm == (0.0, 0.0)
    with pytest.raises(ValueError, match=r"origin_nm=\(1.0,\) must be two numbers"):
        Micrograph(grey, 0.5, {}, (1.0,))


def test_a_signal_with_a_stack_of_one_is_an_image(grey):
    assert np.array_equal(as_micrograph(hs.signals.Signal2D(grey[None])).image, grey)


@pytest.mark.parametrize("suffix", ["tif", "hspy", "png"])
def test_equal_colours_are_grey_and_unequal_ones_an_error(tmp_path, suffix):
    grey = np.arange(40 * 60, dtype=np.uint8).reshape(40, 60)
    for name, last, error in (("equal", grey, None), ("unequal", 255 - grey, "unequal colour channels")):
        path = tmp_path / f"{name}.{suffix}"
        colours = np.dstack([grey, grey, last])
        if suffix == "hspy":
            coloured = hs.signals.Signal1D(colours)
            coloured.change_dtype("rgb8")
            coloured.save(path)
        elif suffix == "tif":
            tifffile.imwrite(path, colours, photometric="rgb")
        else:
            Image.fromarray(colours).save(path)
        if error:
            with pytest.raises(ValueError, match=rf"unequal\.{suffix}'.*{error}"):
                read(path)
        else:
            assert np.array_equal(read(path).image, grey)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.gif", "a.npy", "a.hspy"])
def test_what_the_error_of_colours_advises_can_be_done(tmp_path, name):
    channels = np.random.default_rng(0).integers(0, 256, (3, 40, 60)).astype(np.uint8)
    path, colours = tmp_path / name, np.moveaxis(channels, 0, -1).copy()
    select = None
    if name == "a.npy":
        np.save(path, colours)
    elif name == "a.hspy":
        coloured = hs.signals.Signal1D(colours)
        coloured.change_dtype("rgb8")
        coloured.save(path)
        assert np.array_equal(as_micrograph(coloured.data["R"]).image, channels[0])
    elif name == "a.gif":
        select = 1
        frames = [Image.fromarray(colours // 200 * 200) for _ in range(2)]
        frames[1] = Image.fromarray(np.roll(np.asarray(frames[0]), 1, axis=0))
        frames[0].save(path, save_all=True, append_images=frames[1:])
        channels = np.moveaxis(np.asarray(frames[1]), -1, 0)
    else:
        Image.fromarray(colours).save(path)
    with pytest.raises(ValueError, match=r"unequal .*stemlib\.read\(path, channel='red'\)"):
        read(path, select=select)
    for channel, expected in zip(("red", "green", "blue"), channels, strict=True):
        assert np.array_equal(read(path, select=select, channel=channel).image, expected)
    with pytest.raises(ValueError, match=r"channel='grey' is not known; one of 'red', 'green', 'blue'"):
        read(path, select=select, channel="grey")
    np.save(tmp_path / "grey.npy", channels[0])
    with pytest.raises(ValueError, match=r"grey\.npy' has no colours; leave channel out"):
        read(tmp_path / "grey.npy", channel="red")


def test_reads_a_compressed_colour_tif_whole(tmp_path):
    pytest.importorskip("imagecodecs")
    grey = np.arange(40 * 60, dtype=np.uint8).reshape(40, 60)
    options = {"compression": "lzw", "photometric": "rgb", "imagej": False}
    tifffile.imwrite(tmp_path / "a.tif", np.dstack([grey] * 3), **options)
    assert np.array_equal(read(tmp_path / "a.tif").image, grey)


@pytest.mark.parametrize("suffix", ["dm3", "dm4", "hspy", "emd", "mrc", "ser", "tif", "npy"])
def test_a_file_cut_anywhere_is_one_clear_error_or_the_whole_image(tmp_path, grey, suffix):
    whole, path = tmp_path / f"whole.{suffix}", tmp_path / f"cut.{suffix}"
    if suffix == "mrc":
        files.write_mrc(whole, grey.astype(np.float32), pixel_size_angstrom=0.5)
    elif suffix == "ser":
        files.write_ser(whole, [grey], pixel_size_m=5e-11)
    elif suffix == "npy":
        np.save(whole, grey)
    else:
        write(whole, grey)
    content = whole.read_bytes()
    refused = 0
    for share in (0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97):
        path.write_bytes(content[: int(share * len(content))])
        try:
            found = read(path)
        except ValueError as error:
            assert f"path: {str(path)!r} cannot be read" in str(error)
            assert "\n" not in str(error)
            refused += 1
        else:
            # Only what follows the pixels may be missing.
            assert share > 0.5 and np.array_equal(found.image, grey)
    assert refused >= 4


def test_real_dm4_and_hspy_files_cut_in_the_middle_are_one_clear_error(real_data, tmp_path):
    for name in ("wse2-ti/Ti_1028_ADF1_2.dm4", "perovskite-abf/stem_abf_data.hspy"):
        if not (real_data / name).is_file():
            pytest.skip(f"needs {name}, which this data folder lacks")
        content = (real_data / name).read_bytes()
        path = tmp_path / name.split("/")[1]
        for share in (0.01, 0.2, 0.5, 0.8):
            path.write_bytes(content[: int(share * len(content))])
            with pytest.raises(ValueError, match=r"cannot be read .*is the file complete"):
                read(path)


def test_a_zspy_folder_that_lacks_its_description_is_an_error(tmp_path, grey):
    pytest.importorskip("zarr", reason="zspy needs zarr, which is not there for this Python")
    write(tmp_path / "a.zspy", grey)
    shutil.rmtree(tmp_path / "a.zspy" / "Experiments")
    with pytest.raises(ValueError, match=r"a\.zspy' (cannot be read|holds no image)"):
        read(tmp_path / "a.zspy")


def test_reads_an_image_of_16_px(tmp_path):
    tiny = np.arange(256, dtype=np.uint16).reshape(16, 16)
    for suffix in ("dm4", "hspy", "tif"):
        write(tmp_path / f"a.{suffix}", tiny)
        assert np.array_equal(read(tmp_path / f"a.{suffix}").image, tiny)


def test_the_real_files_tell_what_they_know(real_data):
    path = real_data / "wse2-ti/Ti_1028_ADF2_2.dm4"
    if not path.is_file():
        pytest.skip("needs wse2-ti, which this data folder lacks")
    metadata = read(path).metadata
    assert metadata["voltage_kv"] == 80.0
    assert metadata["detector"] == "ADF2"
    assert metadata["instrument"] == "JEOL COM"
    assert metadata["file"]["General"]["date"] == "2021-10-28"
