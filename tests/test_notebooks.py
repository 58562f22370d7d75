import os

import nbformat
import numpy as np
import pandas as pd
import papermill
import pytest
from skimage import io

from reproduction import runner
from reproduction.runs import RUNS
from stemlib.loops import Loops, read_coco, read_imagej_csv, read_imagej_rois
from stemlib.synthetic import PointDefects, crystal_image, domain_image, loop_micrograph

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


def run_your_image(parameters, folder):
    """Run the notebook; return its files by what follows the image's name."""
    figures = folder / "figures"
    parameters = parameters | {"output_folder": str(figures)}
    runner.execute(runner.NOTEBOOKS / "your-image.ipynb", parameters, folder / "log")
    return {path.name: path for path in figures.iterdir()}


def numbers_of(path):
    return pd.read_csv(path).set_index("what")


def test_loops_of_your_image_are_found_measured_and_written(tmp_path):
    scene = loop_micrograph((512, 512), n_loops=8, seed=0)
    path = tmp_path / "grün und 2.png"
    io.imsave(path, scene.image, check_contrast=False)
    files = run_your_image({"image_path": str(path), "pixel_size_nm": 0.5}, tmp_path)
    ends = (".png", ".csv", "-numbers.csv", "-imagej.csv", "-imagej.zip", "-coco.json")
    assert set(files) == {f"grün und 2-loops{end}" for end in ends}
    numbers = numbers_of(files["grün und 2-loops-numbers.csv"])
    assert numbers.loc["image", "value"] == path.name
    assert len(numbers.loc["sha256 of the image", "value"]) == 64
    assert float(numbers.loc["loops", "value"]) == len(scene.loops)
    assert numbers.loc["mean diameter", "unit"] == "nm"
    table = pd.read_csv(files["grün und 2-loops.csv"])
    assert {"y (px)", "major (nm)", "score"} <= set(table) and len(table) == len(scene.loops)
    whole = scene.loops.loc[~scene.loops["touches_edge"], "major"].mean() * 0.5
    # Of eight loops only: what is asked is that the unit is right, and that the loops themselves were measured.
    assert float(numbers.loc["mean diameter", "value"]) == pytest.approx(whole, rel=0.2)
    for read, end in ((read_imagej_csv, ".csv"), (read_imagej_rois, ".zip")):
        back = read(files[f"grün und 2-loops-imagej{end}"], pixel_size_nm=0.5)
        assert np.allclose(back[["y", "x", "major"]], table[["y (px)", "x (px)", "major (px)"]])
    back = Loops.from_table(read_coco(files["grün und 2-loops-coco.json"]), path, pixel_size_nm=0.5)
    assert back.density.per_nm2 == pytest.approx(float(numbers.loc["loops per area", "value"]))


@pytest.mark.parametrize(
    "analysis, settings, what, least, most",
    [
        ("loops", {"method": "cascade"}, "loops", 5, 11),
        ("columns", {}, "columns", 630, 660),
        ("lattice", {}, "a", 0.1, 1),
        ("defects", {"false_alarms": 0.1}, "defects", 1, 12),
        ("domains", {}, "domains", 2, 2),
    ],
)
def test_every_analysis_of_your_image_gives_numbers_and_files(
    analysis, settings, what, least, most, tmp_path
):
    parameters = {"image_set": "synthetic", "analysis": analysis, "settings": settings}
    files = run_your_image(parameters, tmp_path)
    numbers = numbers_of(files[f"simulated-{analysis}-numbers.csv"])
    assert least <= float(numbers.loc[what, "value"]) <= most
    assert all(str(numbers.loc[name, "value"]) == str(value) for name, value in settings.items())
    assert f"simulated-{analysis}.png" in files
    assert analysis == "lattice" or f"simulated-{analysis}.csv" in files


def test_your_image_is_chosen_of_several_and_masked(tmp_path):
    scene = crystal_image("square", (128, 128), spacing=10, seed=0)
    np.savez(tmp_path / "mine.npz", noise=np.random.default_rng(0).normal(size=(128, 128)), haadf=scene.image)
    mask = np.zeros((128, 128), np.uint8)
    mask[:, :64] = 255
    io.imsave(tmp_path / "mask.png", mask, check_contrast=False)
    chosen = {"image_path": str(tmp_path / "mine.npz"), "select": "haadf", "analysis": "columns"}
    files = run_your_image(chosen | {"mask_path": str(tmp_path / "mask.png")}, tmp_path)
    table = pd.read_csv(files["mine-columns.csv"])
    assert table["x (px)"].max() < 64.5 and len(table) == pytest.approx(len(scene.columns) / 2, rel=0.15)
    assert numbers_of(files["mine-columns-numbers.csv"]).loc["select", "value"] == "haadf"


def test_a_setting_that_no_finder_has_is_refused(tmp_path):
    parameters = {
        "image_set": "synthetic",
        "settings": {"treshold": 0.4},
        "output_folder": str(tmp_path / "mine"),
    }
    with pytest.raises(Exception, match="'treshold' is no setting of find_loops; did you mean 'threshold'"):
        runner.execute(runner.NOTEBOOKS / "your-image.ipynb", parameters, tmp_path / "log")
    assert not list((tmp_path / "mine").iterdir())


def test_what_was_corrected_teaches_the_detector(tmp_path):
    parameters = {
        "image_set": "synthetic",
        "n_taught": 1,
        "output_folder": str(tmp_path / "figures"),
    }
    runner.execute(runner.NOTEBOOKS / "teach.ipynb", parameters, tmp_path / "log")
    names = {path.name for path in (tmp_path / "figures" / "teach").iterdir()}
    assert (
        "taught.safetensors" in names and len([name for name in names if name.endswith(".loops.json")]) == 1
    )
    cells = nbformat.read(tmp_path / "log" / "teach.ipynb", as_version=4).cells
    shown = "".join(str(output) for cell in cells for output in cell.get("outputs", []))
    assert "as shipped" in shown and "corrected, per nm²" in shown and "widget-view" in shown


def test_explore_opens_on_a_simulated_image_and_writes_nothing(tmp_path):
    output = tmp_path / "figures"
    runner.execute(runner.NOTEBOOKS / "explore.ipynb", {"output_folder": str(output)}, tmp_path / "log")
    assert not list(output.iterdir())


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
    for name in ("your-image", "explore", "teach"):
        assert "reproduction" not in (runner.NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8")


def test_the_package_needs_nothing_of_the_notebooks():
    for path in (runner.ROOT / "stemlib").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "import reproduction" not in text and "from reproduction" not in text, path
