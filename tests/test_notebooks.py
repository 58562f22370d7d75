import os

import nbformat
import papermill
import pytest
import reproduce

NOTEBOOKS = sorted(reproduce.NOTEBOOKS.glob("*.ipynb"))
# What makes each notebook quick on synthetic images; those without an entry run with image_set alone.
SMALL = {}


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
    for content in reproduce.run_notebook(notebook, parameters, tmp_path / "figures", tmp_path / "log"):
        assert content["synthetic"] is True
        assert content["results"]


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
