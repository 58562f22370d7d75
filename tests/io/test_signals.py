import numpy as np
import pandas as pd
import pytest

import stemlib
from stemlib.io import from_signal
from stemlib.io.micrograph import as_micrograph
from stemlib.loops import Loops
from stemlib.synthetic import PointDefects, crystal_image, domain_image, loop_micrograph

hs = pytest.importorskip("hyperspy.api")


def signal_of(image, *, scale=0.5, offset=(0.0, 0.0)):
    """A signal, offset (y, x) in nm."""
    signal = hs.signals.Signal2D(np.asarray(image))
    for axis, start in zip(signal.axes_manager.signal_axes, offset[::-1], strict=True):
        axis.scale, axis.offset, axis.units = scale, start, "nm"
    return signal


@pytest.fixture(scope="module")
def micrograph():
    return loop_micrograph((256, 256), n_loops=8, seed=1).image


@pytest.fixture(scope="module")
def crystal():
    return crystal_image(
        "square", (128, 128), spacing=10, rotation_deg=10, defects=PointDefects(vacancies=0.03), seed=0
    ).image


def test_loops_are_ellipses_in_the_signals_own_coordinates(micrograph):
    signal = signal_of(micrograph, offset=(100.0, -40.0))
    loops = stemlib.find_loops(signal)
    assert len(loops.table) > 2
    markers = loops.to_markers(signal)
    assert type(markers) is hs.plot.markers.Ellipses
    assert np.allclose(markers.kwargs["offsets"], loops.table[["x_nm", "y_nm"]])
    assert np.allclose(markers.kwargs["widths"], loops.table["major_nm"])
    assert np.allclose(markers.kwargs["heights"], loops.table["minor_nm"])
    # HyperSpy's images have y downwards, where angles turn the other way.
    assert np.allclose(markers.kwargs["angles"], -loops.table["angle_deg"])


def test_a_drawn_ellipse_points_where_the_loop_does():
    import matplotlib.pyplot as plt

    # 30 degrees counter-clockwise from +x as a person sees it: its right end lies above its left one.
    row = {"y": [100.0], "x": [100.0], "major": [80.0], "minor": [10.0], "angle_deg": [30.0]}
    found = Loops(pd.DataFrame(row), None, None, "fcn", 0.5, None, (200, 200))
    signal = signal_of(np.zeros((200, 200)), scale=2.0)
    signal.plot()
    signal.add_marker(found.to_markers(signal))
    axes = signal._plot.signal_plot.ax
    axes.figure.canvas.draw()
    (ellipse,) = axes.collections
    # matplotlib turns and stretches a unit circle.
    tip = ellipse.get_transform().transform(ellipse.get_transforms()[0][:2, :2] @ [1.0, 0.0])
    tip = axes.transData.inverted().transform(tip + axes.transData.transform([200.0, 200.0])) / 2.0
    assert np.allclose(tip, [100 + 40 * np.cos(np.pi / 6), 100 - 40 * np.sin(np.pi / 6)], atol=0.1)
    plt.close("all")


def test_each_result_has_its_kind_of_marker(crystal):
    signal = signal_of(crystal, scale=0.02, offset=(3.0, 7.0))
    lattice = stemlib.find_lattice(signal)
    cell = np.array(lattice.to_markers(signal).kwargs["verts"])
    assert cell.shape == (1, 4, 2)
    assert np.allclose(cell[0, 1] - cell[0, 0], lattice.a[::-1] * 0.02)
    assert np.allclose(cell[0, 0], lattice.origin[::-1] * 0.02 + [7.0, 3.0])
    defects = stemlib.find_defects(signal)
    assert len(defects.table)
    assert np.allclose(defects.to_markers(signal).kwargs["offsets"], defects.table[["x_nm", "y_nm"]])
    two = signal_of(domain_image("two-phases", (256, 256), seed=0).image)
    domains = stemlib.find_domains(two)
    segments = domains.to_markers(two).kwargs["segments"]
    assert len(segments) == sum(len(line) - 1 for line in domains.boundaries)
    assert np.allclose(segments[0][0], domains.boundaries[0][0][::-1] * 0.5)


@pytest.mark.parametrize("suffix", ["hspy", "zspy"])
def test_markers_and_tables_are_saved_with_the_signal(suffix, crystal, micrograph, tmp_path):
    if suffix == "zspy":
        pytest.importorskip("zarr")
    for image, finder in ((crystal, "find_defects"), (crystal, "find_columns"), (micrograph, "find_loops")):
        signal = signal_of(image, offset=(1.0, 2.0))
        found = getattr(stemlib, finder)(signal)
        found.add_to(signal)
        found.add_to(signal)
        path = tmp_path / f"{finder}.{suffix}"
        signal.save(path)
        back = hs.load(path)
        pd.testing.assert_frame_equal(from_signal(back), found.table)
        ((name, markers),) = _markers(back)
        assert name == f"stemlib_{finder.removeprefix('find_')}"
        assert np.allclose(markers["kwargs"]["offsets"], found.table[["x_nm", "y_nm"]])
        assert as_micrograph(back).origin_nm == (1.0, 2.0)


def _markers(signal):
    """Permanent markers of a signal that was loaded, as they were saved."""
    return [
        (name, value if isinstance(value, dict) else value._to_dictionary())
        for name, value in signal.metadata.Markers.as_dictionary().items()
    ]


def test_a_cropped_signal_keeps_its_places(micrograph):
    signal = signal_of(micrograph)
    cropped = signal.isig[40:, 60:]
    loops = stemlib.find_loops(cropped)
    markers = loops.to_markers(cropped)
    assert np.allclose(markers.kwargs["offsets"], loops.table[["x_nm", "y_nm"]])
    assert markers.kwargs["offsets"][:, 1].min() > 60 * 0.5
    with pytest.raises(ValueError, match="256 x 256 px, not of the 196 x 216 px"):
        loops.to_markers(signal)


def test_a_table_without_rows_comes_back(tmp_path):
    signal = signal_of(np.random.default_rng(0).normal(size=(128, 128)))
    loops = stemlib.find_loops(signal, threshold=1.0)
    assert len(loops.table) == 0
    loops.add_to(signal)
    signal.save(tmp_path / "none.hspy")
    back = from_signal(hs.load(tmp_path / "none.hspy"), "loops")
    assert list(back) == list(loops.table)
    assert len(back) == 0
    with pytest.raises(ValueError, match="what='columns': signal holds 'loops'"):
        from_signal(signal, "columns")
    with pytest.raises(ValueError, match="no table of stemlib"):
        from_signal(signal_of(np.zeros((9, 9))))
    with pytest.raises(TypeError, match="must be a HyperSpy Signal2D"):
        loops.to_markers(np.zeros((128, 128)))


def test_pixels_that_are_not_square_have_no_ellipses(micrograph):
    signal = signal_of(micrograph)
    loops = stemlib.find_loops(signal)
    signal.axes_manager.signal_axes[0].scale = 0.7
    with pytest.raises(ValueError, match=r"pixels of 0.5 by 0.7"):
        loops.to_markers(signal)


@pytest.mark.parametrize("lazy", [False, True])
def test_a_stack_has_markers_that_change_from_image_to_image(lazy, tmp_path):
    images = [
        crystal_image("square", (96, 96), spacing=9 + n, rotation_deg=7 * n, seed=n).image for n in range(6)
    ]
    stack = signal_of(np.reshape(images, (2, 3, 96, 96)), scale=0.02, offset=(1.0, 0.0))
    stack = stack.as_lazy() if lazy else stack
    found = stemlib.batch(stack, "columns", output=tmp_path / "out", workers=1, pictures=False)
    assert found.summary["pixel_size_nm"].tolist() == [0.02] * 6
    found.add_to(stack)
    stack.save(tmp_path / "stack.hspy")
    back = hs.load(tmp_path / "stack.hspy")
    assert from_signal(back).equals(from_signal(stack))
    offsets = _markers(back)[0][1]["kwargs"]["offsets"]
    for frame in range(6):
        back.axes_manager.indices = np.unravel_index(frame, (2, 3))[::-1]
        alone = found.table[found.table["frame"] == frame]
        assert np.allclose(offsets[back.axes_manager.indices], alone[["x_nm", "y_nm"]])
        one = stemlib.find_columns(back.inav[back.axes_manager.indices])
        assert np.allclose(one.table[["x_nm", "y_nm"]], alone[["x_nm", "y_nm"]])
    with pytest.raises(ValueError, match="not the stack"):
        found.to_markers(back.inav[0, 0])
    with pytest.raises(ValueError, match="is the stack"):
        one.to_markers(back)
