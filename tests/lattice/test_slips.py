import numpy as np
import pytest

import stemlib
from stemlib.synthetic import Recording, crystal_image, domain_image


def slipped(crystal, rows, by, **options):
    """Simulate a crystal, displaced along x by so many px more from each of these rows on."""
    image = crystal_image(crystal, (256, 300), spacing=10, seed=3, **options).image
    parts = np.split(image, rows)
    return np.vstack([part[:, k * by : 256 + k * by] for k, part in enumerate(parts)])


@pytest.mark.parametrize("crystal", ["square", "honeycomb", "graphene", "perovskite"])
@pytest.mark.parametrize("rows", [[140], [70, 190]])
def test_each_slip_is_found_at_its_row_and_said(crystal, rows):
    with pytest.warns(UserWarning, match=f"the scan slipped at row {', '.join(map(str, rows))}:"):
        lattice = stemlib.find_lattice(slipped(crystal, rows, 4, rotation_deg=17))
    assert lattice.slips == tuple(rows)


def test_the_advice_on_a_slip_works():
    image = slipped("square", [140], 4, rotation_deg=17)
    below = np.arange(256)[:, None] >= np.full(256, 140)
    lattice = stemlib.find_lattice(image, mask=below)
    assert lattice.slips == ()
    assert lattice.lengths == pytest.approx([10, 10], rel=2e-3)


def test_rows_are_told_in_pixels_of_the_image():
    image = np.kron(slipped("square", [140], 4, rotation_deg=17), np.ones((3, 3), np.float32))
    with pytest.warns(UserWarning, match="the scan slipped"):
        (row,) = stemlib.find_lattice(image).slips
    assert abs(row - 420) <= 3


@pytest.mark.parametrize("rotation", [0, 17])
def test_drift_jitter_and_noise_are_no_slips(rotation):
    recording = Recording(snr=6, drift=3.0, jitter=0.5)
    image = crystal_image(
        "square", (256, 256), spacing=10, rotation_deg=rotation, recording=recording, seed=1
    ).image
    assert stemlib.find_lattice(image).slips == ()


def test_a_boundary_and_a_fault_of_the_crystal_are_no_slips():
    twin = domain_image("zirconia-twin", (256, 256), seed=1).image
    assert stemlib.find_lattice(twin).slips == ()
    # Between two rows of columns, where a planar fault lies.
    columns = crystal_image("square", (256, 300), spacing=10, recording=Recording(snr=40), seed=1)
    row = round(float(np.sort(np.unique(columns.columns["y"].round(2)))[12]) + 5)
    fault = np.vstack([columns.image[:row, :256], columns.image[row:, 5:261]])
    assert stemlib.find_lattice(fault).slips == ()


def test_real_scans_slip_only_where_one_sees_it(real_data):
    for path in (
        "field-atomic/sto.ser",
        "field-atomic/mos2_exp.npy",
        "field-atomic/ptceo2.tif",
        "wse2-cr/Cr_Cr_ADF2_9.npy",
        "fe-boundary/Fe_bcc_100.npy",
    ):
        assert stemlib.find_lattice(real_data / path).slips == (), path
