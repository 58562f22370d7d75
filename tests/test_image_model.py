"""The fast image model is as close to the multislice calculation as the committed comparison says."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from stemlib.synthetic import DarkField, render_columns

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture(scope="module")
def image_model():
    spec = importlib.util.spec_from_file_location("image_model", BENCHMARKS / "image_model.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        # As for a script, what lies beside it can be imported.
        patch.syspath_prepend(BENCHMARKS)
        spec.loader.exec_module(module)
    return module


def test_the_committed_comparison_is_of_the_model_as_it_is():
    found = json.loads((BENCHMARKS / "image_model.json").read_text(encoding="utf-8"))
    bilayer = found["bilayer"]
    width = bilayer["peak_sigma_angstrom"]
    assert width["model"] == pytest.approx(10 * DarkField().sigma_nm)
    assert width["multislice"] == pytest.approx(width["model"], rel=0.05)
    ratio = bilayer["mo_over_w_column"]
    strengths = [metal**1.7 + 2 * 52**1.7 for metal in (42, 74)]
    assert ratio["model"] == pytest.approx(strengths[0] / strengths[1])
    assert ratio["multislice"] == pytest.approx(ratio["model"], rel=0.05)
    assert bilayer["correlation"] > 0.98
    assert found["single_atoms"]["exponent"] == pytest.approx(1.7, abs=0.1)


def test_columns_of_the_supercell_are_found_across_its_edges(image_model):
    atoms = image_model.supercell(np.random.default_rng(1))
    at, strength, tungsten = image_model.columns_of(atoms)
    assert len(at) == len(atoms) / 3 == 32
    assert tungsten.sum() == 16
    assert set(strength[tungsten].round(6)) == {round(74**1.7 + 2 * 52**1.7, 6)}
    sides = atoms.cell.lengths()
    assert sides[1] / sides[0] == pytest.approx(2 * np.sqrt(3) / 4)
    assert atoms.cell.angles() == pytest.approx([90, 90, 90])


def test_the_comparison_finds_what_differs(image_model):
    atoms = image_model.supercell(np.random.default_rng(1))
    at, strength, tungsten = image_model.columns_of(atoms)
    shape = tuple(np.rint(atoms.cell.lengths()[1::-1] / image_model.PIXEL).astype(int))
    at = at * np.array(shape) / (atoms.cell.lengths()[1::-1] / image_model.PIXEL)
    height = np.where(tungsten, 1.0, 0.6)
    image = np.tensordot(height, image_model.profiles(at, shape, 2.3, 0.1), 1)
    found = image_model.compare(image, at, strength, tungsten)
    assert found["mo_over_w_column"]["multislice"] == pytest.approx(0.6, abs=1e-3)
    assert found["peak_sigma_angstrom"]["multislice"] == pytest.approx(0.46, abs=2e-3)
    assert found["tail"]["multislice"] == pytest.approx(0.1, abs=5e-3)
    assert found["residual_rms_over_contrast"]["width and tail fitted"] < 1e-3
    assert found["residual_rms_over_contrast"]["model"] > 0.02


def test_profiles_go_on_across_edges(image_model):
    (profile,) = image_model.profiles(np.array([[0.0, 0.0]]), (40, 50), 2.0, 0.0)
    middle = render_columns([(20, 25)], [1.0], (40, 50), 2.0)
    np.testing.assert_allclose(np.roll(profile, (20, 25), axis=(0, 1)), middle, atol=1e-3)


def test_multislice_of_one_atom_scatters_as_the_model_says(image_model, monkeypatch):
    pytest.importorskip("abtem", reason="needs abTEM: pip install -e .[multislice]")
    monkeypatch.setattr(image_model, "SINGLE", ("S", "Mo"))
    found = image_model.single_atoms(1)
    assert found["over_model"]["Mo"] == pytest.approx(1, abs=0.15)
