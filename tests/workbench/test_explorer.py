import cv2
import ipywidgets
import numpy as np
import pandas as pd
import pytest

import stemlib
from stemlib.synthetic import crystal_image
from stemlib.workbench import ANALYSES, Explorer, find, simulated
from stemlib.workbench.finders import settings_of
from stemlib.workbench.forms import FileChooser, Form
from stemlib.workbench.written import write_result


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "grün und 2.tif"
    scene = crystal_image("square", (96, 96), spacing=10, seed=0)
    cv2.imencode(".tif", (scene.image / scene.image.max() * 60000).astype(np.uint16))[1].tofile(path)
    return path


@pytest.fixture
def explorer(image, tmp_path):
    return Explorer(
        image, analysis="columns", output_folder=tmp_path / "out", settings={"pixel_size_nm": 0.02}
    )


def set_(explorer, analysis, **values):
    explorer._tabs.selected_index = ANALYSES.index(analysis)
    for name, value in values.items():
        explorer.forms[analysis].fields[name].value = value


@pytest.mark.parametrize("analysis", ANALYSES)
def test_a_form_has_a_field_for_every_setting_and_a_word_about_it(analysis):
    form = Form(analysis)
    assert set(form.fields) >= {"loops": {"threshold", "method"}, "defects": {"false_alarms"}}.get(
        analysis, set()
    )
    assert all(one.what for one in settings_of(analysis))
    assert form.values() == {}
    kinds = {one.name: type(form.fields[one.name]) for one in settings_of(analysis) if one.kind == "choice"}
    assert set(kinds.values()) <= {ipywidgets.Dropdown}


@pytest.mark.parametrize(
    "analysis, name, typed, value",
    [
        ("loops", "threshold", "0,4", 0.4),
        ("loops", "threshold", " ", None),
        ("loops", "method", "cascade", "cascade"),
        ("domains", "n_domains", "3", 3),
        ("domains", "merge_orientations", True, True),
        ("columns", "weights", "mine.safetensors", "mine.safetensors"),
        ("defects", "false_alarms", "1.0", None),
    ],
)
def test_what_is_typed_is_what_the_finder_gets(analysis, name, typed, value):
    form = Form(analysis)
    form.fields[name].value = typed
    assert form.values() == ({} if value is None else {name: value})


def test_what_is_no_number_is_named():
    form = Form("domains")
    form.fields["n_domains"].value = "2.5"
    with pytest.raises(ValueError, match="n_domains='2.5' must be a whole number"):
        form.values()


def test_unknown_analyses_and_settings_are_refused():
    with pytest.raises(ValueError, match="analysis='grains' must be one of 'loops'"):
        find("grains", np.zeros((64, 64)))
    with pytest.raises(
        ValueError, match="'nonsense' is no setting of find_lattice; it has pixel_size_nm, mask"
    ):
        find("lattice", np.zeros((64, 64)), nonsense=1)


@pytest.mark.parametrize("analysis", ANALYSES)
def test_it_opens_on_a_simulated_image_with_a_result(analysis):
    explorer = Explorer(analysis=analysis)
    assert type(explorer.result).__name__.lower() == analysis
    assert "image/png" in str(explorer.shown.outputs) and explorer.result.pixel_size_nm
    assert (explorer.result.view.micrograph.image == simulated(analysis).image).all()


def test_a_file_is_found_in_by_a_form(explorer, image, tmp_path):
    first = explorer.result
    assert first.pixel_size_nm == 0.02 and first.view.micrograph.metadata["path"] == str(image)
    set_(explorer, "lattice", dark_columns=False)
    explorer.find_button.click()
    assert isinstance(explorer.result, stemlib.lattice.Lattice) and explorer.result.pixel_size_nm == 0.02
    assert "found in" in explorer.said.value and explorer.edit_button.disabled
    set_(explorer, "columns", threshold="0.9")
    explorer.find_button.click()
    assert len(explorer.result.table) <= len(first.table)
    explorer.write_button.click()
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {f"grün und 2-columns{end}" for end in (".png", ".csv", "-numbers.csv")}
    numbers = pd.read_csv(tmp_path / "out" / "grün und 2-columns-numbers.csv").set_index("what")
    assert numbers.loc["threshold", "value"] == "0.9" and numbers.loc["image", "value"] == image.name


def test_what_is_corrected_by_hand_is_the_result_and_is_written(explorer, image, tmp_path):
    before = len(explorer.result.table)
    explorer.edit_button.click()
    (widget,) = explorer.edited.children
    widget.editor.reject(0)
    assert len(explorer.result.table) == before - 1
    explorer.write_button.click()
    assert len(pd.read_csv(tmp_path / "out" / "grün und 2-columns.csv")) == before - 1
    assert image.with_name(f"{image.name}.columns.json").exists()
    explorer.find_button.click()
    assert len(explorer.result.table) == before and not explorer.edited.children


def test_what_goes_wrong_is_one_sentence_and_the_last_result_stays(explorer, tmp_path):
    before = explorer.result
    set_(explorer, "columns", threshold="7")
    explorer.find_button.click()
    assert "threshold=7.0" in explorer.said.value and explorer.result is before
    set_(explorer, "columns", threshold="")
    for path, words in ((tmp_path / "nowhere.tif", "there is no file"), ("", "no image is chosen")):
        explorer.chooser.path.value = str(path)
        explorer.find_button.click()
        assert words in explorer.said.value and "color:#b40000" in explorer.said.value
    explorer._size.value = "two"
    explorer.find_button.click()
    assert "nm per pixel: &#x27;two&#x27; must be a number" in explorer.said.value
    assert explorer.result is before and not explorer.find_button.disabled


def test_warnings_are_said_too(tmp_path):
    np.save(tmp_path / "noise.npy", np.random.default_rng(0).normal(size=(96, 96)))
    explorer = Explorer(analysis="columns")
    explorer.chooser.path.value, explorer._source.value = str(tmp_path / "noise.npy"), "file"
    explorer.find_button.click()
    assert "Warning: " in explorer.said.value


def test_an_image_is_chosen_of_several(tmp_path):
    scene = crystal_image("square", (96, 96), spacing=10, seed=0)
    np.savez(tmp_path / "two.npz", noise=np.zeros((96, 96)), haadf=scene.image)
    explorer = Explorer(analysis="columns")
    explorer.chooser.path.value, explorer._source.value = str(tmp_path / "two.npz"), "file"
    explorer.find_button.click()
    assert "holds 2 images" in explorer.said.value
    explorer._select.value = "haadf"
    explorer.find_button.click()
    assert len(explorer.result.table) == pytest.approx(len(scene.columns), abs=12)


def test_files_are_chosen_from_a_list_of_folders(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a.tif").write_bytes(b"")
    (tmp_path / ".hidden").write_bytes(b"")
    chooser = FileChooser(tmp_path)
    assert [label for label, _ in chooser.list.options] == [f"{tmp_path.resolve()}/", "../", "inner/"]
    chooser.list.value = (tmp_path / "inner").resolve()
    assert chooser.list.options[-1][0] == "a.tif" and chooser.path.value == ""
    chooser.list.value = (tmp_path / "inner" / "a.tif").resolve()
    assert chooser.path.value == str((tmp_path / "inner" / "a.tif").resolve())
    chooser.list.value = tmp_path.resolve()
    assert chooser.folder == tmp_path.resolve()


def test_files_are_named_after_the_image_and_its_kind(tmp_path):
    found = find("loops", simulated("loops"), threshold=0.4)
    written = write_result(found, tmp_path, "mine", threshold=0.4)
    ends = (".png", "-numbers.csv", ".csv", "-imagej.csv", "-imagej.zip", "-coco.json")
    assert [path.name for path in written] == [f"mine-loops{end}" for end in ends]
    assert all(path.stat().st_size > 100 for path in written)
