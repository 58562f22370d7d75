"""A path, an array, a Micrograph and a HyperSpy signal give every finder the same image."""

import hyperspy.api as hs
import numpy as np
import pytest

import stemlib
from stemlib.synthetic import PointDefects, crystal_image, loop_micrograph

FINDERS = sorted(name for name in stemlib.__all__ if name.startswith("find_"))


def drawn(finder):
    if finder == "find_loops":
        return np.rint(loop_micrograph((256, 256), n_loops=5, seed=2).image).astype(np.uint16)
    vacancies = 0.03 if finder == "find_defects" else 0.0
    image = crystal_image(
        "honeycomb", (128, 128), spacing=9.0, defects=PointDefects(vacancies=vacancies), seed=2
    ).image
    if finder == "find_domains":
        turned = crystal_image("honeycomb", (128, 128), spacing=9.0, rotation_deg=20, seed=2).image
        image = np.where(np.arange(128) < 60, image, turned)
    return np.rint(1000 * image).clip(0).astype(np.uint16)


def numbers(result):
    """Return what a finder measured, as arrays."""
    if hasattr(result, "table"):
        return {"table": result.table.select_dtypes("number").to_numpy(float)}
    return {"a": result.a, "b": result.b} if hasattr(result, "a") else {"labels": result.labels}


@pytest.mark.parametrize("finder", FINDERS)
def test_every_form_of_an_image_gives_the_same(finder, tmp_path):
    find = getattr(stemlib, finder)
    image = drawn(finder)
    signal = hs.signals.Signal2D(image)
    for axis in signal.axes_manager.signal_axes:
        axis.scale, axis.units = 0.2, "Å"
    signal.save(tmp_path / "image.hspy")
    forms = {
        "array": find(image, pixel_size_nm=0.02),
        "float64 array": find(image.astype(np.float64), pixel_size_nm=0.02),
        "equal colours": find(np.dstack([image] * 3), pixel_size_nm=0.02),
        "Micrograph": find(stemlib.Micrograph(image, pixel_size_nm=0.02)),
        "str": find(str(tmp_path / "image.hspy")),
        "Path": find(tmp_path / "image.hspy"),
        "Signal2D": find(signal),
        "lazy Signal2D": find(signal.as_lazy()),
    }
    expected = numbers(forms["array"])
    assert all(values.size for values in expected.values())
    for form, result in forms.items():
        assert result.pixel_size_nm == pytest.approx(0.02), form
        for key, values in numbers(result).items():
            assert np.allclose(values, expected[key], rtol=1e-6, equal_nan=True), form


@pytest.mark.parametrize("finder", [name for name in FINDERS if name != "find_lattice"])
def test_positions_in_nm_are_the_signals_own_coordinates(finder):
    signal = hs.signals.Signal2D(drawn(finder))
    for axis, offset in zip(signal.axes_manager.signal_axes, (-20.0, 30.0), strict=True):
        axis.scale, axis.units, axis.offset = 0.2, "Å", offset
    table = getattr(stemlib, finder)(signal).table
    assert len(table)
    for name, offset in (
        ("y", 3.0),
        ("x", -2.0),
        ("top", 3.0),
        ("right", -2.0),
        ("major", 0.0),
        ("offset", 0.0),
    ):
        if name in table:
            np.testing.assert_allclose(table[f"{name}_nm"], offset + 0.02 * table[name])


@pytest.mark.parametrize("finder", FINDERS)
def test_what_is_no_image_is_named_by_every_finder(finder, tmp_path):
    find = getattr(stemlib, finder)
    with pytest.raises(FileNotFoundError, match="nowhere.dm4"):
        find("nowhere.dm4")
    with pytest.raises(ValueError, match="image holds 4096 values that are NaN"):
        find(np.full((64, 64), np.nan))
    with pytest.raises(TypeError, match="image is complex"):
        find(np.ones((64, 64), complex))
    with pytest.raises(ValueError, match="unequal colour channels"):
        find(np.random.default_rng(0).random((64, 64, 3)))
    with pytest.raises(ValueError, match=r"signal .*no navigation axes"):
        find(hs.signals.Signal2D(np.ones((2, 64, 64))))
    np.save(tmp_path / "stack.npy", np.ones((2, 64, 64)))
    with pytest.raises(ValueError, match=r"holds 2 images .*stemlib\.read\(path, select="):
        find(tmp_path / "stack.npy")
