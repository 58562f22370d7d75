import numpy as np
import pytest

import stemlib
from stemlib.plot.lattice import average_cell, lattice_figure
from stemlib.synthetic import crystal_image


@pytest.fixture(scope="module")
def scene():
    return crystal_image("perovskite", (192, 192), spacing=10, rotation_deg=20, seed=2)


@pytest.fixture(scope="module")
def lattice(scene):
    return stemlib.find_lattice(scene.image, pixel_size_nm=0.02)


def test_the_average_cell_shows_the_columns_of_the_crystal_where_they_are(scene, lattice):
    mean = average_cell(scene.image, lattice, side=97)
    reach = np.abs([lattice.a + lattice.b, lattice.a - lattice.b]).max()
    columns = scene.columns[["y", "x"]].to_numpy()
    nearest = np.linalg.norm(columns - lattice.origin, axis=1).argmin()
    for offset in ([0, 0], lattice.a, lattice.b, -lattice.a):
        y, x = np.rint(48 + np.array(offset) / reach * 48).astype(int)
        assert mean[y, x] == pytest.approx(scene.columns["intensity"].iloc[nearest], rel=0.2)
    y, x = np.rint(48 + lattice.a / 4 / reach * 48).astype(int)
    assert mean[y, x] < 0.5 * mean[48, 48]


def test_cell_points_and_displacements_are_drawn_in_the_images_places(scene, lattice):
    figure = lattice_figure(scene.image, lattice, name="drawn", across=6)
    cells, _, displacements, _ = figure.axes
    lines = {line.get_gid(): line.get_xydata()[:, ::-1] for line in cells.lines}
    outline = lines["cell"]
    assert np.allclose(outline[0], outline[-1])
    assert np.allclose(np.diff(outline[:3], axis=0), lattice.cell)
    assert np.allclose(outline[3] - outline[0], lattice.b)
    corner = outline[0] - lattice.origin
    assert np.allclose(corner, np.rint(corner), atol=1e-9)
    assert np.allclose(
        np.sort(lines["lattice points"] - corner, axis=0), np.sort(lattice.points()[1], axis=0)
    )
    assert "nm" in cells.get_title() and "drawn" in cells.get_title()
    (arrows,) = displacements.collections
    field = lattice.distortion.field
    across = field.displacements[1]
    drawn = np.ma.masked_array(across, field.weights == 0)
    assert np.allclose(np.ma.compressed(arrows.U), drawn.compressed())
    assert displacements.get_ylim()[0] > displacements.get_ylim()[1]
