"""A division in doubt stands only where the pixels confirm it."""

import numpy as np
import pytest

from stemlib import domain_mixture, find_domains
from stemlib.domain_mixture import SegmentGrid
from stemlib.synthetic import crystal_image

SIDE = 256


def crystal(turn):
    return crystal_image("square", (SIDE, SIDE), spacing=9, rotation_deg=turn, snr=15, seed=2).image


def number_of_domains(image, monkeypatch, ratio):
    """How many there are found if the widest division were so far apart, over what it must be."""
    found = []
    halves, least = SegmentGrid.halves, domain_mixture._LEAST_APART

    def recorded(grid, members):
        result = halves(grid, members)
        found.append(0 if result is None else result.apart / grid.least_apart(members))
        return result

    with monkeypatch.context() as patch:
        patch.setattr(SegmentGrid, "halves", recorded)
        find_domains(image)
    monkeypatch.setattr(domain_mixture, "_LEAST_APART", least * max(found) / ratio)
    return find_domains(image).n_domains


@pytest.mark.parametrize(("ratio", "number"), [(1.05, 2), (0.85, 2), (0.7, 1)])
def test_grains_in_doubt_are_two_as_their_crystals_explain_them_better(monkeypatch, ratio, number):
    image = np.where(np.arange(SIDE) < 120, crystal(10), crystal(35))
    assert number_of_domains(image, monkeypatch, ratio) == number


def test_halves_of_a_crystal_in_doubt_are_one(monkeypatch):
    assert number_of_domains(crystal(10), monkeypatch, 0.85) == 1
