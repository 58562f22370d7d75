"""Scenes of several crystals show what their maps say."""

import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from stemlib.synthetic import DarkField, domain_image
from stemlib.synthetic.domain_layouts import LAYOUTS

PIXEL = 0.02


def shows(image, translation, where):
    """Correlation of an image with itself shifted by a translation (y, x), where both lie in an area."""
    shift = np.rint(translation).astype(int)
    moved = np.roll(image, -shift, axis=(0, 1))
    both = where & np.roll(where, -shift, axis=(0, 1))
    return np.corrcoef(image[both], moved[both])[0, 1]


def vector(length_nm, angle_deg):
    angle = np.radians(angle_deg)
    return length_nm / PIXEL * np.array([-np.sin(angle), np.cos(angle)])


@pytest.mark.parametrize("name", LAYOUTS)
def test_labels_boundaries_and_number_agree(name):
    scene = domain_image(name, (256, 256), seed=2)
    wanted = {"single": 1, "stacking-faults": 1, "three-phases": 3}.get(name, 2)
    assert scene.n_domains == wanted
    assert set(np.unique(scene.labels)) - {-1} == set(range(wanted))
    assert (scene.labels == -1).any() == (name in ("zirconia-twin", "three-phases"))
    assert scene.image.shape == scene.labels.shape == (256, 256)
    # A change of label within the crystals is never far from a boundary.
    change = (
        (scene.labels[:, 1:] != scene.labels[:, :-1])
        & (scene.labels[:, 1:] >= 0)
        & (scene.labels[:, :-1] >= 0)
    )
    at = np.argwhere(change) + [0, 0.5]
    assert (len(at) > 0) == (wanted > 1)
    for position in at:
        assert min(np.linalg.norm(line - position, axis=1).min() for line in scene.boundaries) < 2.2


def test_twins_of_zirconia_mirror_the_monoclinic_angle():
    scene = domain_image(
        "zirconia-twin", (512, 512), rotation_deg=0, recording=DarkField(jitter_nm=0), seed=1
    )
    # c is along the boundary, a 9.2 degrees to either side of its normal.
    for label, angle in ((0, 99.23), (1, 80.77)):
        inside = binary_erosion(scene.labels == label, iterations=30)
        assert shows(scene.image, vector(0.53173 / 2, 0), inside) > 0.8
        assert shows(scene.image, vector(0.51505, angle), inside) > 0.8
        assert shows(scene.image, vector(0.51505, 180 - angle), inside) < 0.3
    (line,) = scene.boundaries
    assert np.ptp(line[:, 0]) < 1e-6 < 200 < np.ptp(line[:, 1])


def test_a_particle_is_thinner_at_its_edge():
    scene = domain_image("zirconia-twin", (512, 512), seed=3)
    crystal = scene.labels >= 0
    rim = crystal & ~binary_erosion(crystal, iterations=15)
    core = binary_erosion(crystal, iterations=110)
    assert 0.02 < scene.image[~crystal].mean() < 0.06
    assert scene.image[rim].mean() < 0.8 * scene.image[core].mean()


def test_an_inclined_boundary_shows_both_twins_in_a_band():
    upright, inclined = (
        domain_image(
            "zirconia-twin",
            (400, 400),
            rotation_deg=0,
            boundary_tilt_deg=tilt,
            recording=DarkField(jitter_nm=0, dose_per_nm2=1e9),
            seed=5,
        )
        for tilt in (0, 45)
    )
    np.testing.assert_array_equal(upright.labels, inclined.labels)
    row = int(round(upright.boundaries[0][0, 0]))
    change = np.abs(upright.image - inclined.image)[:, 150:250].mean(axis=1)
    # 6 nm at 45 degrees: 150 px on either side.
    assert change[row - 40 : row - 10].mean() > 5 * change[row - 185 : row - 165].mean()
    # Together they are no thicker than one of them alone.
    middle = np.s_[row - 40 : row + 40, 150:250]
    assert inclined.image[middle].mean() == pytest.approx(upright.image[middle].mean(), rel=0.03)


def test_inversion_twins_swap_their_sublattices():
    scene = domain_image(
        "inversion-twins",
        (256, 256),
        rotation_deg=0,
        recording=DarkField(jitter_nm=0, dose_per_nm2=1e9),
        seed=0,
    )
    inside = [binary_erosion(scene.labels == k, iterations=20) for k in (0, 1)]
    both = scene.image[::-1, ::-1]
    a = scene.cell_edge * np.array([0, 1])
    for where in inside:
        assert shows(scene.image, a, where) > 0.8
    # Turned by 180 degrees about the middle, where W is, one twin is what the other would be there.
    turned = inside[0] & inside[1][::-1, ::-1]
    assert turned.sum() > 1000
    assert np.corrcoef(scene.image[turned], both[turned])[0, 1] > 0.97


def test_layers_of_llto_run_at_right_angles():
    scene = domain_image("90-degree", (400, 400), rotation_deg=0, recording=DarkField(jitter_nm=0), seed=0)
    for label, angle in ((0, 90), (1, 0)):
        inside = binary_erosion(scene.labels == label, iterations=10)
        assert shows(scene.image, vector(0.775, angle), inside) > 0.8
        assert shows(scene.image, vector(0.3875, angle), inside) < 0.4
        assert shows(scene.image, vector(0.3875, angle + 90), inside) > 0.8


def test_drift_bends_image_and_map_alike():
    straight, bent = (
        domain_image(
            "three-phases",
            (300, 300),
            recording=DarkField(drift_nm=drift, jitter_nm=0, dose_per_nm2=1e9),
            seed=3,
        )
        for drift in (0, 0.3)
    )
    vacuum = [binary_erosion(scene.labels < 0, iterations=7, border_value=1) for scene in (straight, bent)]
    assert bent.image[vacuum[1]].max() < 0.15
    assert bent.image[vacuum[0]].max() > 0.5
    for line in bent.boundaries:
        y, x = np.clip(np.rint(line).astype(int), 6, 293).T
        around = np.stack([bent.labels[y + dy, x + dx] for dy, dx in ((0, -5), (0, 5), (-5, 0), (5, 0))])
        assert (around.max(axis=0) > around.min(axis=0)).mean() > 0.9


def test_phases_are_as_bright_as_their_atoms_say():
    scene = domain_image(
        "three-phases", (300, 300), recording=DarkField(jitter_nm=0, dose_per_nm2=1e10), seed=3
    )
    sheet, _, bilayer = (scene.image[binary_erosion(scene.labels == k, iterations=8)].max() for k in range(3))
    background = scene.image[binary_erosion(scene.labels < 0, iterations=12)].mean()
    expected = (42**1.7 + 2 * 52**1.7) / 74**1.7
    assert (bilayer - background) / (sheet - background) == pytest.approx(expected, rel=0.12)


@pytest.mark.parametrize(("name", "seed"), [("grain-boundary", 9), ("two-phases", 3), ("two-phases", 13)])
def test_columns_of_two_crystals_do_not_fall_on_each_other(name, seed):
    scene = domain_image(name, (200, 200), recording=DarkField(jitter_nm=0, dose_per_nm2=1e10), seed=seed)
    assert scene.image.max() < 1


def test_support_and_contamination_add_intensity():
    clean, covered, dirty = (
        domain_image("zirconia-twin", (200, 200), recording=DarkField(dose_per_nm2=1e9, **more), seed=6)
        for more in ({}, {"support_nm": 20.0}, {"contamination": 0.3})
    )
    outside = clean.labels < 0
    assert clean.image[outside].mean() + 0.03 < covered.image[outside].mean() < 0.3
    assert dirty.image[outside].mean() > clean.image[outside].mean() + 0.2


def test_fifty_single_crystals_differ():
    scenes = [
        domain_image("single", (64, 64), recording=DarkField(drift_nm=0.05, contamination=0.1), seed=k)
        for k in range(50)
    ]
    assert len({scene.image.tobytes() for scene in scenes}) == 50
    assert {scene.n_domains for scene in scenes} == {1}
    assert len({round(scene.cell_edge) for scene in scenes}) > 4


def test_same_seed_same_scene():
    first, second = (domain_image("three-phases", (128, 128), seed=9) for _ in range(2))
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.labels, second.labels)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "salt"}, "name='salt'.*stacking"),
        ({"boundary_tilt_deg": 80}, "boundary_tilt_deg=80"),
        ({"pixel_size_nm": 0}, "pixel_size_nm=0"),
        ({"recording": DarkField(shear=((0, 0.01), (0, 0)))}, "recording.shear=.* must be zero"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        domain_image(**({"name": "single", "shape": (32, 32), "seed": 0} | arguments))


def test_a_twin_of_cadmium_telluride_is_the_crystal_seen_in_a_mirror():
    scene = domain_image(
        "sphalerite-twin",
        (400, 400),
        rotation_deg=0,
        recording=DarkField(jitter_nm=0, dose_per_nm2=1e9),
        seed=1,
    )
    (boundary,) = scene.boundaries
    assert np.ptp(boundary[:, 0]) < 1e-6
    # The third of the repeat along [11-2] by which the next (111) layer lies aside, and a layer.
    aside, layer = 0.6482 / np.sqrt(6) / 2 / PIXEL, 0.6482 / np.sqrt(3) / PIXEL
    for label, side in ((0, -1), (1, 1)):
        inside = binary_erosion(scene.labels == label, iterations=12)
        for fault in scene.faults:
            inside[int(fault[0, 0]) - 40 : int(fault[0, 0]) + 40] = False
        assert inside.sum() > 2000
        assert shows(scene.image, [-layer, side * aside], inside) > 0.8
        assert shows(scene.image, [-layer, -side * aside], inside) < 0.3


def test_beyond_a_stacking_fault_the_crystal_is_shifted_not_turned():
    scene = domain_image(
        "stacking-faults",
        (400, 400),
        rotation_deg=0,
        recording=DarkField(jitter_nm=0, dose_per_nm2=1e9),
        seed=3,
    )
    assert scene.boundaries == []
    assert len(scene.faults) > 0
    aside, layer = 0.6482 / np.sqrt(6) / 2 / PIXEL, 0.6482 / np.sqrt(3) / PIXEL
    away = np.ones(scene.image.shape, bool)
    for fault in scene.faults:
        away[max(0, int(fault[0, 0]) - 60) : int(fault[0, 0]) + 60] = False
    assert shows(scene.image, [-layer, -aside], away) > 0.8
    row = int(scene.faults[0][0, 0])
    across = np.zeros_like(away)
    across[row - 3 * int(layer) : row + 3 * int(layer)] = True
    assert shows(scene.image, [-layer, -aside], across) < shows(scene.image, [-layer, -aside], away) - 0.1


def test_layers_beyond_a_lamella_are_in_antiphase():
    scene = domain_image(
        "ordered-lamella",
        (400, 400),
        rotation_deg=0,
        recording=DarkField(jitter_nm=0, dose_per_nm2=1e9),
        seed=0,
    )
    lamella = binary_erosion(scene.labels == 1, iterations=12)
    outside = binary_erosion(scene.labels == 0, iterations=12)
    # Half a repeat leads from rich layers to poor ones: along y outside the lamella, along x in it.
    for inside, angle in ((outside, 90), (lamella, 0)):
        both = [shows(scene.image, vector(0.3875, angle + turn), inside) for turn in (0, 90)]
        assert both[0] < both[1] - 0.02
