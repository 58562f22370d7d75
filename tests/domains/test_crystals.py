"""The crystal of a domain has the cell of its reflections, and none where these lie along one line."""

import numpy as np
import pytest

from stemlib.domains.crystals import DomainCrystal


def crystal_of(vectors):
    count = len(vectors)
    return DomainCrystal(
        np.array(vectors, float), np.full(count, 50.0), 0.004, np.ones(count), np.ones((2, 2), bool)
    )


def test_reflections_of_a_lattice_have_its_cell():
    crystal = crystal_of([[0, 0.1], [0.08, 0], [0.08, 0.1], [0.08, -0.1], [0, 0.2]])
    assert crystal.lengths == pytest.approx([10, 12.5], rel=0.01)
    assert crystal.angle_deg == pytest.approx(90, abs=0.5)


@pytest.mark.parametrize("vectors", [[[0, 0.1]], [[0, 0.1], [0, 0.2], [0, 0.3]]])
def test_reflections_along_one_line_have_no_cell(vectors):
    crystal = crystal_of(vectors)
    assert crystal.cell is None
    assert np.isnan(crystal.lengths).all() and np.isnan(crystal.angle_deg)
