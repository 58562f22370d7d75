"""What has no lattice is refused, and what has one in spite of its defects is not."""

import cv2
import numpy as np
import pytest

import stemlib
from stemlib.synthetic import PointDefects, crystal_image, loop_micrograph, render_columns


def nothing_periodic():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:256, :256]
    noise = rng.normal(size=(256, 256))
    blob = np.exp(-((y - 100) ** 2 + (x - 120) ** 2) / 800)
    columns = rng.uniform(0, 256, (300, 2))
    return {
        "noise": noise,
        "counts": rng.poisson(3, (256, 256)),
        "constant": np.full((128, 128), 3.0),
        "blob": blob,
        "noisy blob": blob + 0.1 * noise,
        "amorphous": cv2.GaussianBlur(noise, (0, 0), 2),
        "ramp": x,
        "disk": blob > 0.5,
        "stripes": np.cos(2 * np.pi * (x + 0.3 * y) / 10) + 0.1 * noise,
        "scan lines": noise + 3 * rng.normal(size=(256, 1)),
        "scattered columns": render_columns(columns, np.ones(300), (256, 256), 2.5) + 0.05 * noise,
        "dislocation loops": loop_micrograph((256, 256), n_loops=5, seed=0).image,
    }


@pytest.mark.parametrize("image", nothing_periodic().values(), ids=nothing_periodic().keys())
def test_what_is_not_periodic_is_refused(image):
    with pytest.raises(ValueError, match="periodic"):
        stemlib.find_lattice(image)


@pytest.mark.parametrize("spacing", [9, 12])
@pytest.mark.parametrize("moved", [(2.5, 3.5), (2.0, 3.0)])
def test_a_line_of_displaced_columns_does_not_hide_the_lattice(spacing, moved):
    scene = crystal_image("square", (240, 240), spacing=spacing, rotation_deg=20, seed=1)
    places = scene.columns[["y", "x"]].to_numpy()
    row = np.array([-np.sin(np.deg2rad(20)), np.cos(np.deg2rad(20))])
    along = (places - 120) @ row
    across = (places - 120) @ [row[1], -row[0]]
    line = places[(np.abs(across - np.abs(across).min()) < spacing / 2) & (np.abs(along) < 55)]
    assert len(line) in (9, 13)
    changed = np.vstack([line, line + moved])
    change = render_columns(changed, np.repeat([-1.0, 1.0], len(line)), (240, 240), 0.22 * spacing)
    lattice = stemlib.find_lattice(scene.image + change)
    assert lattice.lengths == pytest.approx([spacing, spacing], rel=1e-3)
    assert lattice.angle_deg == pytest.approx(90, abs=0.1)


def test_few_cells_are_right_or_refused():
    scene = crystal_image("graphene", (200, 200), spacing=9, defects=PointDefects(vacancies=0.01), seed=1)
    narrow = stemlib.find_lattice(scene.image[:40])
    assert narrow.lengths == pytest.approx(np.linalg.norm(scene.translations, axis=1), rel=0.02)
    with pytest.raises(ValueError, match="about three of its cells"):
        stemlib.find_lattice(scene.image[:33, :33])


@pytest.mark.parametrize(
    "image, arguments, words",
    [
        (np.zeros((16, 16)), {}, "16 x 16"),
        (np.full((64, 64), np.nan), {}, "NaN"),
        (np.zeros((64, 64, 5)), {}, "axes"),
        (np.eye(64), {"mask": np.ones((3, 3), bool)}, "mask"),
        (np.eye(64), {"pixel_size_nm": -1}, "pixel_size_nm=-1"),
    ],
)
def test_bad_input_is_named(image, arguments, words):
    with pytest.raises(ValueError, match=words):
        stemlib.find_lattice(image, **arguments)
