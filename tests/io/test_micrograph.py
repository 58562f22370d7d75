import subprocess
import sys

import numpy as np
import pytest
import tifffile
from PIL import Image

from stemlib.io.micrograph import Micrograph, as_micrograph, check_mask, read


@pytest.fixture
def grey():
    return np.random.default_rng(3).integers(0, 256, (40, 60)).astype(np.uint8)


def hspy_signal(data, scale=0.02, units="nm"):
    hs = pytest.importorskip("hyperspy.api")
    signal = hs.signals.Signal2D(data)
    for axis in signal.axes_manager.signal_axes:
        axis.scale, axis.units = scale, units
    return signal


# Formats: each writer puts the same image into a file


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.npy", "a.npz", "a.PNG"])
def test_reads_the_pixels_of_a_format(tmp_path, grey, name):
    path = tmp_path / name
    if name.endswith(".npy"):
        np.save(path, grey)
    elif name.endswith(".npz"):
        np.savez(path, whatever=grey, positions=np.zeros((9, 2)))
    else:
        Image.fromarray(grey).save(path)
    found = read(path)
    assert found.image.dtype == np.float32
    assert np.array_equal(found.image, grey)
    assert found.pixel_size_nm is None
    assert found.metadata["path"] == str(path)


def test_reads_16_bit_palette_bilevel_and_alpha_pictures(tmp_path, grey):
    deep = grey.astype(np.uint16) * 257
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert np.array_equal(read(tmp_path / "deep.png").image, deep)

    # A palette that stores 255 - grey: read by its colours, not by its numbers.
    palette = Image.new("P", (60, 40))
    palette.putdata((255 - grey).ravel().tolist())
    palette.putpalette([255 - i // 3 for i in range(768)])
    palette.save(tmp_path / "palette.png")
    assert np.array_equal(read(tmp_path / "palette.png").image, grey)

    Image.fromarray(grey > 100).save(tmp_path / "bilevel.png")
    assert np.array_equal(read(tmp_path / "bilevel.png").image, (grey > 100) * 255.0)

    Image.fromarray(np.dstack([grey, grey, grey, np.full_like(grey, 255)])).save(tmp_path / "rgba.png")
    assert np.array_equal(read(tmp_path / "rgba.png").image, grey)


def test_reads_a_jpg_without_hyperspy_or_its_readers(tmp_path, grey):
    Image.fromarray(grey).save(tmp_path / "a.jpg", quality=95)
    code = (
        "import sys, stemlib; stemlib.read(sys.argv[1]);"
        "sys.exit(sum(m in sys.modules for m in ('hyperspy', 'rsciio', 'torch', 'matplotlib')))"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.jpg")]).returncode == 0


@pytest.mark.parametrize(
    ("units", "nm"),
    [("nm", 0.02), ("µm", 20.0), ("μm", 20.0), ("um", 20.0), ("Å", 0.002), ("angstrom", 0.002), ("pm", 2e-5)]
    + [("micrometers", 20.0), ("micrometre", 20.0), ("mm", 2e4), ("metre", 2e7), ("nanometers", 0.02)]
    + [("1/nm", None), ("nm^-1", None), ("mrad", None), ("px", None), ("", None), ("Mm", None)],
)
def test_turns_units_of_a_hyperspy_file_into_nm(tmp_path, grey, units, nm):
    hspy_signal(grey, 0.02, units).save(tmp_path / "a.hspy")
    found = read(tmp_path / "a.hspy")
    assert np.array_equal(found.image, grey)
    assert found.pixel_size_nm == (None if nm is None else pytest.approx(nm))


def test_reads_the_scale_that_imagej_wrote(tmp_path, grey):
    tifffile.imwrite(tmp_path / "a.tif", grey, imagej=True, resolution=(20, 20), metadata={"unit": "micron"})
    assert read(tmp_path / "a.tif").pixel_size_nm == pytest.approx(50.0)


def test_takes_printing_resolution_for_no_scale(tmp_path, grey):
    Image.fromarray(grey).save(tmp_path / "a.tif", dpi=(72, 72))
    assert read(tmp_path / "a.tif").pixel_size_nm is None


def test_reads_a_compressed_tif_and_says_that_the_scale_is_lost(tmp_path, grey, monkeypatch):
    # Whether imagecodecs is installed or not: let RosettaSciIO's reader fail as it does without.
    Image.fromarray(np.dstack([grey] * 3)).save(tmp_path / "a.tif", compression="tiff_lzw")

    def fail(*args, **kwargs):
        raise ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")

    monkeypatch.setattr("rsciio.tiff.file_reader", fail)
    with pytest.warns(UserWarning, match="imagecodecs"):
        assert np.array_equal(read(tmp_path / "a.tif").image, grey)


def test_pixels_that_are_not_square_have_no_size(tmp_path, grey):
    signal = hspy_signal(grey)
    signal.axes_manager.signal_axes[0].scale = 0.04
    signal.save(tmp_path / "a.hspy")
    with pytest.warns(UserWarning, match="not square"):
        assert read(tmp_path / "a.hspy").pixel_size_nm is None


def test_reads_real_microscope_files(real_data):
    pytest.importorskip("hyperspy")
    dm4 = read(real_data / "wse2-ti" / "Ti_1028_ADF1_2.dm4")
    assert dm4.image.shape == (512, 512)
    assert dm4.pixel_size_nm == pytest.approx(0.039879, rel=1e-4)
    assert dm4.metadata["name"] == "ADF1_2"
    assert dm4.metadata["file"]["General"]["title"] == "ADF1_2"
    assert read(real_data / "perovskite-abf" / "stem_abf_data.hspy").pixel_size_nm is None
    stack = real_data / "perovskite-abf" / "stem_abf_data_imagestack.hspy"
    assert read(stack, select=4).pixel_size_nm == pytest.approx(0.0092024, rel=1e-4)
    with pytest.raises(ValueError, match="holds 5 images .*0 to 4.*select"):
        read(stack)
    assert read(real_data / "mose2-40kv" / "MoSe2_40kV.npz").image.shape == (500, 580)
    assert read(real_data / "nsmo-perfect" / "FigS6_NSMO110.tif").pixel_size_nm is None


# Several images in a file


def test_choosing_among_data_sets_and_frames(tmp_path, grey):
    np.savez(tmp_path / "a.npz", first=grey, movie=np.stack([grey + 1, grey + 2]).astype(np.uint16))
    with pytest.raises(ValueError, match=r"3 images \(0: 'first' \(40, 60\), 1 to 2: 'movie' .*select"):
        read(tmp_path / "a.npz")
    assert np.array_equal(read(tmp_path / "a.npz", select=2).image, (grey + 2).astype(np.uint16))
    assert np.array_equal(read(tmp_path / "a.npz", select="first").image, grey)
    for wrong in ("movie", "other", 3, -1):
        with pytest.raises(ValueError, match=f"select={wrong!r}.*holds 0: 'first'"):
            read(tmp_path / "a.npz", select=wrong)
    for wrong in (1.0, True, (0, 1)):
        with pytest.raises(TypeError, match="select must be a number or a name"):
            read(tmp_path / "a.npz", select=wrong)


def test_a_picture_of_two_frames_asks_for_one(tmp_path, grey):
    frames = [Image.fromarray(grey), Image.fromarray(grey // 2)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(ValueError, match="2 images"):
        read(tmp_path / "a.gif")
    assert np.array_equal(read(tmp_path / "a.gif", select=1).image, grey // 2)


def test_the_array_called_image_wins(tmp_path, grey):
    np.savez(tmp_path / "a.npz", other=grey * 0, image=grey)
    assert np.array_equal(read(tmp_path / "a.npz").image, grey)


def test_select_counts_the_pages_of_a_tif(tmp_path, grey):
    tifffile.imwrite(tmp_path / "a.tif", np.stack([grey, grey // 2, grey // 4]), photometric="minisblack")
    with pytest.raises(ValueError, match="3 images"):
        read(tmp_path / "a.tif")
    assert np.array_equal(read(tmp_path / "a.tif", select=1).image, grey // 2)


# What cannot be read


def test_a_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match="no file 'nowhere.dm4'"):
        read("nowhere.dm4")
    with pytest.raises(FileNotFoundError, match="nowhere.jpg"):
        as_micrograph("nowhere.jpg")
    with pytest.raises(TypeError, match="path must be a str"):
        read(np.zeros((3, 3)))


@pytest.mark.parametrize(
    "suffix", ["", "jpg", "png", "tif", "npy", "npz", "dm3", "dm4", "emd", "hspy", "mrc", "ser", "h5", "xyz"]
)
@pytest.mark.parametrize("content", [b"", b"not an image at all" * 20], ids=["empty", "text"])
def test_an_unreadable_file_is_one_clear_error(tmp_path, suffix, content):
    path = tmp_path / f"broken.{suffix}".rstrip(".")
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"path: .*broken.*(cannot be read|empty|not a whole|no reader|has the suffix)"
    ):
        read(path)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "npy", "npz", "hspy"])
def test_a_truncated_file_is_an_error_not_half_an_image(tmp_path, grey, suffix):
    path = tmp_path / f"a.{suffix}"
    if suffix == "npy":
        np.save(path, grey)
    elif suffix == "npz":
        np.savez(path, image=grey)
    elif suffix == "hspy":
        hspy_signal(grey).save(path)
    else:
        Image.fromarray(grey).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match="path: "):
        read(path)


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    (tmp_path / "a.mrc").write_bytes(b"\1\0\0\0" * 500)
    monkeypatch.setitem(sys.modules, "rsciio.mrc", None)  # importing it now raises ImportError
    monkeypatch.setitem(sys.modules, "rsciio.mrcz", None)
    with pytest.raises(ValueError, match=r"rsciio\.mrc is missing.*pip install 'rosettasciio\[all\]'"):
        read(tmp_path / "a.mrc")


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_python_objects_in_a_file_are_never_unpacked(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    save = np.save if suffix == "npy" else np.savez
    save(path, np.array([[{}, 1], [2, 3]], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=rf"a\.{suffix}' cannot be read \(.*allow_pickle=False"):
        read(path)


def test_a_spectrum_and_a_folder_are_no_images(tmp_path):
    hs = pytest.importorskip("hyperspy.api")
    hs.signals.Signal1D(np.arange(12.0).reshape(3, 4)).save(tmp_path / "map.hspy")
    hs.signals.Signal1D(np.arange(24.0).reshape(2, 3, 4)).save(tmp_path / "cube.hspy")
    with pytest.raises(ValueError, match="holds no image but"):
        read(tmp_path / "cube.hspy")
    with pytest.raises(ValueError, match="is a folder"):
        read(tmp_path)
    np.savez(tmp_path / "points.npz", xy=np.zeros((5, 2)))
    with pytest.raises(ValueError, match=r"points\.npz'.*looks like a list of positions"):
        read(tmp_path / "points.npz")
    np.savez(tmp_path / "points.npz", xy=np.zeros((5, 2)), names=np.array(["a", "b"]))
    with pytest.raises(
        ValueError, match=r"no image, a 2-D array of real numbers more than 4 on a side, but xy \(5, 2\)"
    ):
        read(tmp_path / "points.npz")


def test_a_bad_image_in_a_file_names_the_file(tmp_path, grey):
    np.save(tmp_path / "a.npy", np.full((4, 4), np.nan))
    with pytest.raises(ValueError, match=r"a\.npy'.*NaN"):
        read(tmp_path / "a.npy")
    Image.fromarray(np.dstack([grey, grey // 2, grey])).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a\.png'.*unequal colour"):
        read(tmp_path / "a.png")
    np.save(tmp_path / "b.npy", np.ones((4, 4), complex))
    with pytest.raises(TypeError, match=r"b\.npy'.*complex"):
        read(tmp_path / "b.npy")
    np.save(tmp_path / "c.npy", np.ones(4))
    with pytest.raises(ValueError, match=r"c\.npy"):
        read(tmp_path / "c.npy")


@pytest.mark.parametrize("name", ["a.npy", "a.tif"])
def test_positions_in_a_file_are_no_image(tmp_path, name):
    positions = np.random.default_rng(0).random((50, 2)).astype(np.float32)
    np.save(tmp_path / "a.npy", positions)
    tifffile.imwrite(tmp_path / "a.tif", positions)
    with pytest.raises(
        ValueError, match=rf"{name}'.*\(50, 2\).*looks like a list of positions, not an image"
    ):
        read(tmp_path / name)


# Arrays, signals and Micrographs


def test_a_given_pixel_size_wins(tmp_path, grey):
    own = Micrograph(grey, 0.5, {"name": "a"})
    assert as_micrograph(own).pixel_size_nm == 0.5
    assert as_micrograph(own, pixel_size_nm=0.25).pixel_size_nm == 0.25
    assert as_micrograph(own).metadata == {"name": "a"}
    for wrong in (0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="pixel_size_nm=.*must be positive"):
            as_micrograph(grey, pixel_size_nm=wrong)
    with pytest.raises(TypeError, match="pixel_size_nm must be a number.*'0.2 nm'"):
        as_micrograph(grey, pixel_size_nm="0.2 nm")


def test_takes_hyperspy_signals(grey):
    signal = hspy_signal(grey, 2.0, "Å")
    assert np.array_equal(as_micrograph(signal).image, grey)
    assert as_micrograph(signal).pixel_size_nm == pytest.approx(0.2)
    assert np.array_equal(as_micrograph(signal.as_lazy()).image, grey)
    assert as_micrograph(hspy_signal(grey, 1.0, "<undefined>")).pixel_size_nm is None
    with pytest.raises(ValueError, match=r"\.inav"):
        as_micrograph(hspy_signal(np.stack([grey, grey])))


# Masks


def test_masks_are_checked():
    assert check_mask(None, (3, 4)).shape == (3, 4)
    given = np.eye(3)
    assert np.array_equal(check_mask(given, (3, 3)), given.astype(bool))
    own = np.eye(3, dtype=bool)
    assert check_mask(own, (3, 3)) is not own
    with pytest.raises(ValueError, match=r"mask has the shape \(3, 4\), the image \(4, 3\)"):
        check_mask(np.ones((3, 4), bool), (4, 3))
    with pytest.raises(ValueError, match="mask is False everywhere"):
        check_mask(np.zeros((3, 3), bool), (3, 3))
    with pytest.raises(TypeError, match="mask must be True where to look"):
        check_mask(np.full((3, 3), 255), (3, 3))
