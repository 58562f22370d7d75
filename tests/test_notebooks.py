import os

import nbformat
import pandas as pd
import papermill
import pytest
from skimage import io

from reproduction import runner as reproduce
from stemlib.loops.tables import read_imagej_csv
from stemlib.synthetic import crystal_image, domain_image, loop_micrograph

NOTEBOOKS = sorted(reproduce.NOTEBOOKS.glob("*.ipynb"))
# What makes each notebook quick on synthetic images; those without an entry run with image_set alone.
SMALL = {
    "columns": {"doses_drawn": [20], "n_drawn": 1, "n_synthetic": 1, "side_synthetic": 128},
    "loop-detection": {"side_synthetic": 384},
    "loop-sizes": {"side_synthetic": 384},
    "loop-steel": {"side_synthetic": 384},
    "mowte2-defects": {"side_drawn": 160, "doses_drawn": [1e6], "n_drawn": 1, "n_perfect": 1},
    "phases": {"side_drawn": 256},
    "tmd-defects": {"side_synthetic": 128},
    "train-columns": {"train": True, "quick": True, "weights": "TMP"},
    "train-loops": {"train": True, "quick": True, "weights": "TMP", "n_synthetic": 4},
    "zro2-twin": {"side_drawn": 256, "doses_drawn": [1e6], "tilts_drawn": [20], "n_drawn": 1},
}


@pytest.fixture(scope="module", autouse=True)
def environment():
    before = dict(os.environ)
    reproduce.prepare_environment()
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_on_small_parameters(notebook, tmp_path):
    parameters = SMALL.get(notebook.stem, {}) | {"image_set": "synthetic"}
    parameters = {name: str(tmp_path) if value == "TMP" else value for name, value in parameters.items()}
    for content in reproduce.run_notebook(notebook, parameters, tmp_path / "figures", tmp_path / "log"):
        assert content["synthetic"] is True
        assert content["results"]


def test_your_image_takes_a_file_and_writes_tables(tmp_path):
    image = loop_micrograph((256, 256), n_loops=4, seed=1).image
    io.imsave(tmp_path / "mine.png", image, check_contrast=False)
    parameters = {"image_path": str(tmp_path / "mine.png"), "method": "fcn", "pixel_size_nm": 0.5}
    notebook = reproduce.NOTEBOOKS / "your-image.ipynb"
    (content,) = reproduce.run_notebook(notebook, parameters, tmp_path / "figures", tmp_path / "log")
    assert content["synthetic"] is False
    assert content["parameters"]["image"] == "mine.png"
    assert list(content["data"]) == ["mine.png"]
    assert {result["name"]: result["unit"] for result in content["results"]}["mean diameter"] == "nm"
    table = pd.read_csv(tmp_path / "figures" / "your-image.csv")
    assert {"y (px)", "major (nm)", "score"} <= set(table)
    corrected = read_imagej_csv(tmp_path / "figures" / "your-image-imagej.csv", pixel_size_nm=0.5)
    assert len(corrected) == len(table)


@pytest.mark.parametrize("name", ["mowte2-defects", "tmd-defects"])
def test_defects_are_found_in_a_file_of_ones_own(name, tmp_path):
    scene = crystal_image("perovskite", (160, 160), spacing=10, vacancies=0.02, seed=4)
    io.imsave(tmp_path / "mine.tif", scene.image, check_contrast=False)
    parameters = {"image": str(tmp_path / "mine.tif"), "pixel_size_nm": 0.02}
    notebook = reproduce.NOTEBOOKS / f"{name}.ipynb"
    (content,) = reproduce.run_notebook(notebook, parameters, tmp_path / "figures", tmp_path / "log")
    assert content["synthetic"] is False and content["name"] == f"{name}-image"
    assert content["parameters"]["image"] == "mine.tif" and list(content["data"]) == ["mine.tif"]
    table = pd.read_csv(tmp_path / "figures" / f"{name}-image.csv")
    assert len(table) == content["results"][0]["value"] == len(scene.missing)
    assert {"y (px)", "offset (nm)", "flagged_by"} <= set(table)


@pytest.mark.parametrize("name", ["phases", "zro2-twin"])
def test_domains_of_a_file_of_ones_own(name, tmp_path):
    scene = domain_image("two-phases", (256, 240), seed=1)
    io.imsave(tmp_path / "mine.tif", scene.image, check_contrast=False)
    notebook = reproduce.NOTEBOOKS / f"{name}.ipynb"
    parameters = {"image": str(tmp_path / "mine.tif"), "image_set": "drawn", "pixel_size_nm": 0.02}
    (content,) = reproduce.run_notebook(notebook, parameters, tmp_path / "figures", tmp_path / "log")
    assert content["name"] == f"{name}-image"
    assert content["synthetic"] is False
    assert list(content["data"]) == ["mine.tif"]
    assert content["results"][0]["value"] == 2


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_has_typed_commented_parameters_and_no_stored_outputs(notebook):
    parameters = papermill.inspect_notebook(str(notebook))
    assert {"image_set", "output_folder"} <= parameters.keys()
    for name, parameter in parameters.items():
        assert parameter["inferred_type_name"] != "None", f"{name} has no type"
        assert parameter["help"], f"{name} has no comment"
    for cell in nbformat.read(notebook, as_version=4).cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
