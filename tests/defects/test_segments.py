"""Unit-cell windows are the same wherever they start; tapered windows are centred and fade out."""

import numpy as np

from stemlib.defects.patterson import patterson_descriptors
from stemlib.defects.segments import tapered_segments, unit_cell_segments
from stemlib.fourier.geometric_phase import PhaseField
from stemlib.lattice.result import Distortion, Lattice
from stemlib.synthetic import render_columns


def lattice_of(cell, shape, origin=(60.0, 60.0), displacement=None):
    rows, columns = np.linspace(0, shape[0] - 1, 12), np.linspace(0, shape[1] - 1, 14)
    displacements = np.zeros((2, 12, 14))
    if displacement is not None:
        displacements[1] = displacement(rows)[:, None]
    field = PhaseField(rows, columns, displacements, np.ones((12, 14)))
    return Lattice(
        cell=np.array(cell, float),
        gradient_variance=np.zeros((2, 2, 2)),
        origin=np.array(origin),
        distortion=Distortion(field),
        coverage=1.0,
        superstructure=None,
        shape=shape,
        pixel_size_nm=None,
    )


def perfect(lattice, basis=((0, 0), (0.4, 0.3)), heights=(1.0, 0.5)):
    grid = np.mgrid[-30:30, -30:30].reshape(2, -1).T
    at = np.concatenate([lattice.origin + (grid + b) @ lattice.cell for b in basis])
    field = lattice.distortion.field
    at = at + field.at(at) - field.at(lattice.origin)
    return render_columns(at, np.repeat(heights, len(grid)), lattice.shape, 2.4)


def test_windows_of_whole_cells_have_one_descriptor_wherever_they_start():
    shape, cell = (150, 160), [(-1.7, 12.3), (13.9, 4.1)]
    image = perfect(lattice_of(cell, shape))
    rng = np.random.default_rng(0)
    descriptors = []
    for origin in rng.uniform(50, 90, (6, 2)):
        segments = unit_cell_segments(image, lattice_of(cell, shape, origin), cells=(2, 1), sampling=1.0)
        assert len(segments.windows) > 30
        descriptors.append(patterson_descriptors(segments.windows))
    descriptors = np.concatenate(descriptors)
    # What is left is how well cubic interpolation of pixels knows the image between them.
    assert np.ptp(descriptors, axis=0).max() < 0.01
    # A window of another size holds no whole number of cells: far from the same.
    fixed = tapered_segments(image, rng.uniform(40, 100, (60, 2)), 25).windows
    assert np.ptp(patterson_descriptors(fixed), axis=0).max() > 0.1


def test_samples_farther_apart_than_pixels_average_the_noise_between():
    lattice = lattice_of([(0.0, 20.0), (20.0, 0.0)], (160, 160))
    noise = np.random.default_rng(0).normal(size=(160, 160)).astype(np.float32)
    fine, coarse = (unit_cell_segments(noise, lattice, sampling=s).windows.std() for s in (1.0, 2.5))
    assert coarse < 0.6 * fine


def test_windows_follow_the_distortion():
    shape, cell = (150, 160), [(0.0, 12.0), (12.0, 0.0)]
    bent = lattice_of(cell, shape, displacement=lambda y: 5 * np.sin(y / 50))
    image = perfect(bent)
    following = patterson_descriptors(unit_cell_segments(image, bent).windows)
    straight = patterson_descriptors(unit_cell_segments(image, lattice_of(cell, shape)).windows)
    # What is left: round columns are not round along sheared axes.
    assert np.ptp(following, axis=0).max() < 0.6 * np.ptp(straight, axis=0).max()


def test_positions_are_the_centres_of_what_is_sampled():
    lattice = lattice_of([(-1.0, 10.0), (11.0, 3.0)], (120, 130))
    y, x = np.indices(lattice.shape, dtype=np.float32)
    for steps in ((1, 1), (2, 3)):
        for axis, ramp in enumerate((y, x)):
            segments = unit_cell_segments(ramp, lattice, cells=(2, 2), steps=steps)
            inner = ((segments.positions > 20) & (segments.positions < 100)).all(axis=1)
            means = segments.windows.mean(axis=(1, 2))
            np.testing.assert_allclose(means[inner], segments.positions[inner, axis], atol=0.01)
    ramps = tapered_segments(y, [[40.25, 50.5]], 20)
    assert abs((ramps.windows[0] * np.ones((20, 20))).sum()) < 1e-2


def test_a_finer_start_gives_more_windows_and_a_missing_column_changes_those_that_hold_it():
    lattice = lattice_of([(0.0, 10.0), (10.0, 0.0)], (140, 140))
    image = perfect(lattice, basis=((0, 0),), heights=(1.0,))
    coarse, fine = (unit_cell_segments(image, lattice, steps=s) for s in ((1, 1), (2, 2)))
    assert 3.4 < len(fine.windows) / len(coarse.windows) < 4.2
    image -= render_columns([(70.0, 70.0)], [1.0], image.shape, 2.4)
    changed = np.abs(
        patterson_descriptors(unit_cell_segments(image, lattice, steps=(2, 2)).windows)
        - patterson_descriptors(fine.windows)
    ).max(axis=1)
    distance = np.abs(fine.positions - 70).max(axis=1)
    assert changed[distance < 8].min() > 0.05
    assert changed[distance > 20].max() < 1e-3


def test_the_mask_and_the_edge_leave_windows_out():
    lattice = lattice_of([(0.0, 10.0), (10.0, 0.0)], (140, 140))
    image = perfect(lattice)
    mask = np.ones(image.shape, bool)
    mask[60:70, 60:70] = False
    everywhere = unit_cell_segments(image, lattice)
    kept = unit_cell_segments(image, lattice, mask=mask)
    assert 4 <= len(everywhere.windows) - len(kept.windows) <= 16
    assert (np.abs(kept.positions - 64.5).max(axis=1) > 13).all()
    tapered = tapered_segments(image, [[64.0, 40], [64, 52], [3, 80], [100, 100]], 20, mask=mask)
    assert tapered.positions.tolist() == [[64, 40], [100, 100]]


def test_tapered_windows_fade_out_and_have_no_mean():
    image = np.random.default_rng(0).normal(100, 1, (60, 60)).astype(np.float32)
    windows = tapered_segments(image, [[30.0, 30.0], [25.5, 31.2]], 17).windows
    assert np.abs(windows.sum(axis=(1, 2))).max() < 0.01
    assert np.abs(windows[:, [0, -1]]).max() < 0.1
    assert tapered_segments(image, np.zeros((0, 2)), 17).windows.shape == (0, 17, 17)
