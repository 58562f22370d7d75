import os

import nbformat
import pandas as pd
import papermill
import pytest
from skimage import io

import exploring
from reproduction import runner
from reproduction.runs import RUNS
from stemlib.loops import read_imagej_csv
from stemlib.synthetic import PointDefects, Recording, crystal_image, domain_image, loop_micrograph

NOTEBOOKS = sorted(runner.NOTEBOOKS.glob("*.ipynb"))
# What makes each result notebook quick on simulated images.
SMALL = {
    "columns": {"doses_simulated": [20], "n_simulated": 1, "n_synthetic": 1, "side_synthetic": 128},
    "loop-detection": {"side_synthetic": 384},
    "loop-sizes": {"side_synthetic": 384},
    "loop-steel": {"side_synthetic": 384},
    "mowte2-defects": {"side_simulated": 160, "doses_simulated": [1e6], "n_simulated": 1, "n_perfect": 1},
    "phases": {"side_simulated": 256},
    "tmd-defects": {"side_synthetic": 128},
    "train-columns": {"train": True, "quick": True, "weights": "TMP"},
    "train-loops": {"train": True, "quick": True, "weights": "TMP", "n_synthetic": 4},
    "zro2-twin": {
        "side_simulated": 256,
        "doses_simulated": [1e6],
        "tilts_simulated": [20],
        "n_simulated": 1,
    },
}
# Id of a result -> least and most that must come out there, where truth is known: a finder that finds nothing fails.
EXPECTED = {
    "columns": {
        "columns.synthetic-1.recall": (0.98, 1),
        "columns.synthetic-1.precision": (0.98, 1),
        "columns.synthetic-2-dark-columns.recall": (0.98, 1),
        "columns.synthetic-2-dark-columns.precision": (0.98, 1),
        "columns.synthetic-2-dark-columns.spacing": (11.7, 12.3),
        "columns.square.find-columns.20-counts.position-error": (0.1, 0.25),
        "columns.square.gaussian-fits.20-counts.position-error": (0.1, 0.3),
        "columns.perovskite.find-columns.20-counts.position-error": (0.1, 0.3),
    },
    "loop-detection": {
        "synthetic.modules.published.recall": (0.5, 1),
        "synthetic.modules.published.precision": (0.8, 1),
        "synthetic.fcn.published.recall": (0.8, 1),
        "synthetic.fcn.published.precision": (0.8, 1),
        "synthetic.fcn.one-to-one.f1": (0.8, 1),
        "synthetic.candidates.ours.recall": (0.8, 1),
        "annotators.unseen.fcn-against-set-a.published.recall": (0.8, 1),
        "annotators.all.set-c-against-set-a.one-to-one.recall": (1, 1),
        "annotators.all.set-b-against-set-a.one-to-one.recall": (0.6, 0.95),
    },
    "loop-sizes": {
        "synthetic.modules-less-set-c.count": (-0.5, 0.2),
        "synthetic.fcn-less-set-c.count": (-0.2, 0.2),
        "synthetic.fcn-less-set-c.mean": (-0.15, 0.15),
        "synthetic.modules-against-set-c.axis.median-absolute-error": (0, 0.08),
        "synthetic.modules-against-set-c.axis.matched": (6, 12),
        "synthetic.fcn-against-set-c.axis.median-absolute-error": (0, 0.08),
        "synthetic.fcn-against-set-c.axis.matched": (9, 12),
    },
    "loop-steel": {
        "synthetic.sparse.module-1.one-to-one.recall": (0.8, 1),
        "synthetic.sparse.modules.one-to-one.recall": (0.5, 1),
        "synthetic.sparse.fcn.one-to-one.recall": (0.8, 1),
        "synthetic.sparse.fcn.one-to-one.precision": (0.8, 1),
    },
    "mowte2-defects": {
        "mowte2.with-defects.default-unit-cell.known-found": (3, 3),
        "mowte2.with-defects.default-unit-cell.false": (0, 2),
        "mowte2.with-defects.patterson-unit-cell.known-found": (2, 3),
        "mowte2.with-defects.patterson-columns.known-found": (2, 3),
        "mowte2.perfect.default-unit-cell.found-per-image": (0, 2),
        "mowte2.dose-1e6.default-unit-cell.recall-missing": (1, 1),
        "mowte2.dose-1e6.default-columns.recall-displaced": (1, 1),
        "mowte2.dose-1e6.default-unit-cell.precision": (0.6, 1),
        "mowte2.dose-1e6.patterson-columns.precision": (0.6, 1),
    },
    "phases": {
        "domains.synthetic-1.found": (2, 2),
        "domains.synthetic-1.accuracy": (0.98, 1),
        "domains.synthetic-1.boundary-distance": (0, 6),
        "domains.synthetic-2.found": (1, 1),
        "domains.three-phases.found": (3, 3),
        "domains.three-phases.accuracy": (0.98, 1),
        "domains.three-phases.film-undecided": (0.95, 1),
        "domains.90-degree.found": (2, 2),
        "domains.90-degree.accuracy": (0.98, 1),
        "domains.stacking.boundary-distance": (0, 6),
        "domains.single.accuracy": (0.98, 1),
        "inversion-twins.triplet.found-untold": (2, 2),
        "inversion-twins.triplet.accuracy": (0.98, 1),
        # Half of the pixels: Patterson functions are blind to inversion.
        "inversion-twins.patterson.accuracy": (0.4, 0.6),
    },
    "tmd-defects": {
        "tmd.synthetic-dopants.minority-column.recall": (1, 1),
        "tmd.synthetic-dopants.all-columns.average-precision": (0.95, 1),
        "tmd.synthetic-dopants.found-elsewhere": (0, 2),
        "tmd.synthetic-vacancies.missing.recall": (1, 1),
        "tmd.synthetic-vacancies.found-elsewhere": (0, 2),
        "tmd.synthetic-control.defects": (0, 3),
    },
    "train-columns": {
        "column-network.recall": (0.95, 1),
        "column-network.precision": (0.95, 1),
        "column-network.position-error": (0.005, 0.08),
    },
    "train-loops": {
        "training.modules.series-not-seen.f1": (0.3, 1),
        "training.modules.mean-over-series.recall": (0.3, 1),
        "training.fcn.series-not-seen.f1": (0.3, 1),
    },
    # So small a particle with an upright boundary is taken for one domain: nothing is asked of it here.
    "zro2-twin": {
        "zro2.mixture.tilt-20.found": (2, 2),
        "zro2.mixture.tilt-20.accuracy": (0.98, 1),
        "zro2.mixture.tilt-20.boundary-distance": (0, 6),
    },
}


@pytest.fixture(scope="module", autouse=True)
def environment():
    before = dict(os.environ)
    runner.prepare_environment()
    yield
    os.environ.clear()
    os.environ.update(before)


def judge(contents, expected):
    """Fail unless the results of figures lie where they must."""
    results = {row["id"]: row["value"] for content in contents for row in content["results"]}
    for one, (least, most) in expected.items():
        assert results[one] is not None and least <= results[one] <= most, f"{one} is {results[one]}"


@pytest.mark.parametrize("name", sorted({run.notebook for run in RUNS}))
def test_finds_what_is_there_in_simulated_images(name, tmp_path):
    parameters = SMALL[name] | {"image_set": "synthetic"}
    parameters = {key: str(tmp_path) if value == "TMP" else value for key, value in parameters.items()}
    notebook = runner.NOTEBOOKS / f"{name}.ipynb"
    contents = runner.run_notebook(notebook, parameters, tmp_path / "figures", tmp_path / "log")
    assert all(content["synthetic"] is True for content in contents)
    judge(contents, EXPECTED[name])


@pytest.mark.parametrize("name", sorted(EXPECTED))
@pytest.mark.parametrize("value", [0.0, None])
def test_a_notebook_that_scores_nothing_fails(name, value):
    nothing = [{"results": [{"id": one, "value": value} for one in EXPECTED[name]]}]
    with pytest.raises(AssertionError, match=" is "):
        judge(nothing, EXPECTED[name])


def test_loops_of_your_image_are_found_measured_and_written(tmp_path):
    scene = loop_micrograph((512, 512), n_loops=8, seed=0)
    io.imsave(tmp_path / "mine.png", scene.image, check_contrast=False)
    parameters = {"image_path": str(tmp_path / "mine.png"), "method": "fcn", "pixel_size_nm": 0.5}
    numbers = run_your_image(parameters, tmp_path)
    assert (
        numbers.loc["image", "value"] == "mine.png" and len(numbers.loc["sha256 of the image", "value"]) == 64
    )
    assert int(numbers.loc["loops", "value"]) == len(scene.loops)
    assert numbers.loc["mean diameter", "unit"] == "nm"
    table = pd.read_csv(tmp_path / "figures" / "your-image.csv")
    assert {"y (px)", "major (nm)", "score"} <= set(table) and len(table) == len(scene.loops)
    whole = scene.loops.loc[~scene.loops["touches_edge"], "major"].mean() * 0.5
    # Of eight loops only: what is asked is that the unit is right, and that the loops themselves were measured.
    assert float(numbers.loc["mean diameter", "value"]) == pytest.approx(whole, rel=0.2)
    corrected = read_imagej_csv(tmp_path / "figures" / "your-image-imagej.csv", pixel_size_nm=0.5)
    assert len(corrected) == len(table)
    assert (tmp_path / "figures" / "your-image.png").is_file()


def test_the_modules_find_loops_of_your_image_too(tmp_path):
    numbers = run_your_image({"image_set": "synthetic", "method": "cascade"}, tmp_path)
    assert 5 <= int(numbers.loc["loops", "value"]) <= 11
    assert numbers.loc["image", "value"] == "simulated"


def run_your_image(parameters, folder):
    parameters = parameters | {"output_folder": str(folder / "figures")}
    runner.execute(runner.NOTEBOOKS / "your-image.ipynb", parameters, folder / "log")
    return pd.read_csv(folder / "figures" / "your-image-numbers.csv").set_index("what")


def test_what_is_explored_is_written(tmp_path):
    parameters = {"image_set": "synthetic", "output_folder": str(tmp_path / "figures"), "pixel_size_nm": 0.02}
    runner.execute(runner.NOTEBOOKS / "explore.ipynb", parameters, tmp_path / "log")
    table = pd.read_csv(tmp_path / "figures" / "explore-columns.csv")
    numbers = pd.read_csv(tmp_path / "figures" / "explore-columns-numbers.csv").set_index("name")
    scene = crystal_image(
        "perovskite",
        (256, 256),
        rotation_deg=12,
        defects=PointDefects(vacancies=0.01),
        recording=Recording(snr=25),
        seed=0,
    )
    assert (exploring.simulated("columns", 0) == scene.image).all()
    assert len(table) == int(numbers.loc["columns", "value"]) == pytest.approx(len(scene.columns), rel=0.03)
    assert numbers.loc["nearest-neighbour distance", "unit"] == "nm"


@pytest.mark.parametrize("name", ["mowte2-defects", "tmd-defects"])
def test_defects_are_found_in_a_file_of_ones_own(name, tmp_path):
    scene = crystal_image("perovskite", (160, 160), spacing=10, defects=PointDefects(vacancies=0.02), seed=4)
    io.imsave(tmp_path / "mine.tif", scene.image, check_contrast=False)
    parameters = {"image": str(tmp_path / "mine.tif"), "pixel_size_nm": 0.02}
    notebook = runner.NOTEBOOKS / f"{name}.ipynb"
    (content,) = runner.run_notebook(notebook, parameters, tmp_path / "figures", tmp_path / "log")
    assert content["synthetic"] is False and content["name"] == f"{name}-image"
    assert content["parameters"]["image"] == "mine.tif" and list(content["data"]) == ["mine.tif"]
    table = pd.read_csv(tmp_path / "figures" / f"{name}-image.csv")
    assert len(table) == content["results"][0]["value"] == len(scene.missing) > 0
    assert {"y (px)", "offset (nm)", "flagged_by"} <= set(table)


@pytest.mark.parametrize("name", ["phases", "zro2-twin"])
def test_domains_of_a_file_of_ones_own(name, tmp_path):
    scene = domain_image("two-phases", (256, 240), seed=1)
    io.imsave(tmp_path / "mine.tif", scene.image, check_contrast=False)
    notebook = runner.NOTEBOOKS / f"{name}.ipynb"
    parameters = {"image": str(tmp_path / "mine.tif"), "image_set": "simulated", "pixel_size_nm": 0.02}
    (content,) = runner.run_notebook(notebook, parameters, tmp_path / "figures", tmp_path / "log")
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


def test_notebooks_for_images_of_ones_own_need_nothing_of_the_reproduction():
    for name in ("your-image", "explore"):
        assert "reproduction" not in (runner.NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8")
    assert "reproduction" not in (runner.NOTEBOOKS / "exploring.py").read_text(encoding="utf-8")


def test_the_package_needs_nothing_of_the_notebooks():
    for path in (runner.ROOT / "stemlib").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "import reproduction" not in text and "from reproduction" not in text, path
