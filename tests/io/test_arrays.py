"""Files of plain arrays: MATLAB's, HDF5 and text, which of their arrays is read, and what a wrong one gives."""

import h5py
import hyperspy.api as hs
import numpy as np
import pytest
from scipy.io import savemat

from stemlib import read


@pytest.fixture
def grey():
    return np.random.default_rng(7).integers(0, 4000, (40, 60)).astype(np.uint16)


def write_mat(path, version, **arrays):
    """Write arrays as MATLAB does: those of version 7.3 are HDF5, columns first, behind MATLAB's own header."""
    if version == "5":
        return savemat(path, arrays)
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in arrays.items():
            for part, values in array.items() if isinstance(array, dict) else [("", array)]:
                file[f"{name}/{part}".rstrip("/")] = np.asarray(values).T
        file["#refs#/a"] = np.zeros((9, 9))
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(512))


def write_h5(path, **arrays):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name.replace("__", "/")] = array


@pytest.mark.parametrize("version", ["5", "7.3"])
def test_an_image_of_a_mat_file_is_read_whatever_lies_beside_it(tmp_path, grey, version):
    path = tmp_path / "a.mat"
    write_mat(
        path,
        version,
        positions=np.ones((30, 2)),
        scan={"image": grey, "times": np.ones((1, 40))},
        note=np.ones((1, 9)),
    )
    found = read(path)
    assert np.array_equal(found.image, grey)
    assert found.metadata["name"] == "scan/image" and found.pixel_size_nm is None
    # MATLAB counts the frames of a stack last.
    write_mat(path, version, movie=np.dstack([grey, grey + 1, grey + 2]), other=grey + 3)
    with pytest.raises(
        ValueError, match=r"4 images \(0 to 2: 'movie' \(3, 40, 60\), 3: 'other'.*select=NUMBER or"
    ):
        read(path)
    assert np.array_equal(read(path, select=1).image, grey + 1)
    assert np.array_equal(read(path, select="other").image, grey + 3)


def test_a_mat_file_without_an_image_says_what_it_holds(tmp_path):
    savemat(tmp_path / "a.mat", {"positions": np.ones((30, 2)), "names": np.array(["a", "b"])})
    with pytest.raises(ValueError, match=r"a\.mat' holds no image.* but positions \(30, 2\) float64, names"):
        read(tmp_path / "a.mat")
    (tmp_path / "b.mat").write_bytes(b"not an image at all" * 20)
    with pytest.raises(ValueError, match=r"b\.mat' cannot be read \(.*is the file complete"):
        read(tmp_path / "b.mat")


@pytest.mark.parametrize("suffix", ["h5", "hdf5"])
def test_plain_hdf5_is_read_where_it_holds_one_image_or_one_is_named(tmp_path, grey, suffix):
    path = tmp_path / f"a.{suffix}"
    write_h5(path, scan__haadf=grey, positions=np.ones((30, 2)), note="drawn")
    assert np.array_equal(read(path).image, grey)
    assert read(path).metadata["name"] == "scan/haadf"
    write_h5(path, haadf=grey, movie=np.stack([grey + 1, grey + 2]))
    with pytest.raises(
        ValueError, match=r"3 images \(0: 'haadf' \(40, 60\), 1 to 2: 'movie'.*select=NUMBER or NAME"
    ):
        read(path)
    assert np.array_equal(read(path, select="haadf").image, grey)
    assert np.array_equal(read(path, select=2).image, grey + 2)
    with pytest.raises(ValueError, match=r"select='bf' does not name one image .*it holds 0: 'haadf'"):
        read(path, select="bf")
    path.unlink()  # nothing holds it open


def test_a_damaged_data_set_of_hdf5_is_one_clear_error(tmp_path, grey):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("haadf", data=grey, compression="gzip", chunks=grey.shape)
        start = file["haadf"].id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[start : start + 64] = bytes(64)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.h5' cannot be read \(.*is the file complete\?"):
        read(path)


@pytest.mark.parametrize("suffix", ["h5", "hdf5"])
def test_hyperspys_files_keep_their_scale_under_these_suffixes(tmp_path, grey, suffix):
    signal = hs.signals.Signal2D(grey)
    for axis in signal.axes_manager.signal_axes:
        axis.scale, axis.units = 0.05, "nm"
    signal.save(tmp_path / "a.hspy")
    (tmp_path / "a.hspy").rename(tmp_path / f"a.{suffix}")
    found = read(tmp_path / f"a.{suffix}")
    assert np.array_equal(found.image, grey) and found.pixel_size_nm == pytest.approx(0.05)


@pytest.mark.parametrize("separator", [" ", "\t", ",", ", ", ";", "   "])
@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.TSV"])
def test_grids_of_numbers_are_read_whatever_separates_them(tmp_path, grey, name, separator):
    image = grey / 8
    np.savetxt(
        tmp_path / name, image, fmt="%.3f", delimiter=separator, header="width 60 µm; by hand, no scale"
    )
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + (tmp_path / name).read_bytes())
    assert np.array_equal(read(tmp_path / name).image, image)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1,5;2,5\n3,5;4,5\n", "is no grid of numbers .*'1,5'.*with decimal points"),
        ("1,5\t2,5\n3,5\t4,5\n", "is no grid of numbers .*with decimal points"),
        ("y,x,intensity\n1,2,3\n", "is no grid of numbers .*'y'"),
        ("1 2 3 4 5\n" * 6 + "1 2 3\n", "is no grid of numbers .*from 5 to 3"),
        ("# nothing\n\n", "holds no line of numbers"),
        ("1,2\n" * 9, r"\(9, 2\); that looks like a list of positions"),
        ("nan,nan,nan,nan,nan\n" * 9, "45 values that are NaN"),
    ],
)
def test_text_that_is_no_image_is_one_clear_error(tmp_path, content, message):
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(ValueError, match=f"a.csv'.*{message}"):
        read(tmp_path / "a.csv")
