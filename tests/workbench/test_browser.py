"""What a person does with the editor in JupyterLab, done in a real browser."""

import json
import shutil
import time
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest

import stemlib
from stemlib.loops import Loops
from stemlib.loops.ellipses import AXES
from stemlib.synthetic import loop_micrograph

Keys = pytest.importorskip("selenium.webdriver").Keys
ROOT = Path(__file__).resolve().parents[2]

SHAPE = (300, 400)
ROWS = [[80.0, 90.0, 60.0, 30.0, 20.0], [200.0, 300.0, 50.0, 40.0, 90.0], [220.0, 80.0, 40.0, 40.0, 0.0]]
MAKE = f"""
import numpy as np, pandas as pd
from stemlib.loops import Loops
image = np.random.default_rng(0).normal(100, 10, {SHAPE}).astype("uint8")
np.save("mine.npy", image)
table = pd.DataFrame({ROWS}, columns={AXES}).assign(score=[0.9, 0.6, 0.2], kind="loop")
loops = Loops.from_table(table, "mine.npy", pixel_size_nm=0.5)
editor = loops.edit(kinds=["black dot"])
editor
"""


def found(lab):
    table = pd.DataFrame(ROWS, columns=AXES).assign(score=[0.9, 0.6, 0.2], kind="loop")
    return Loops.from_table(table, lab.root / "mine.npy", pixel_size_nm=0.5)


@pytest.fixture(scope="module")
def opened(lab):
    """The editor open in a notebook of two cells."""
    lab.run(lab.write("mine.ipynb", MAKE, "later = 1"))
    lab.wait(lambda: lab.text(".stemlib-workbench .counts"), "the editor")
    return lab


def saved(lab):
    return json.loads((lab.root / "mine.npy.loops.json").read_text())


def test_a_loop_is_rejected_undone_drawn_adjusted_and_the_threshold_moved(opened):
    lab = opened
    assert not (lab.root / "mine.npy.loops.json").exists()
    lab.say("3 loops · 0.0001 nm⁻² (2.06e-05 to 0.000292)")
    lab.click_at(80, 90, SHAPE)
    lab.say("2 loops")
    (mark,) = saved(lab)["marks"]
    assert mark["verdict"] == "rejected" and mark["found"]["y"] == 80
    lab.actions().key_down(Keys.CONTROL).send_keys("z").key_up(Keys.CONTROL).perform()
    lab.say("3 loops")
    lab.actions().key_down(Keys.CONTROL).send_keys("y").key_up(Keys.CONTROL).perform()
    lab.say("2 loops")
    lab.the(".undo").click()
    lab.say("3 loops")
    assert saved(lab)["marks"] == []

    # Along the long axis, 30 degrees counter-clockwise as seen.
    lab.press("d")
    lab.wait(lambda: "on" in lab.the(".mode-draw").get_attribute("class").split(), "keys after a button", 20)
    lab.drag((130 + 15, 200 - 26), (130 - 15, 200 + 26), SHAPE)
    lab.say("4 loops")
    (mark,) = saved(lab)["marks"]
    assert abs(mark["y"] - 130) < 2 and abs(mark["x"] - 200) < 2
    assert abs(mark["major"] - 60) < 4 and abs(mark["angle_deg"] - 30) < 4 and mark["found"] is None

    # By a handle: the end of the short axis, outwards.
    before = mark["minor"]
    across = np.array([np.cos(np.radians(30)), np.sin(np.radians(30))])
    end, further = (np.array([130, 200]) + half * across for half in (before / 2, before / 2 + 10))
    lab.drag(end, further, SHAPE)
    lab.wait(lambda: saved(lab)["marks"][0]["minor"] > before + 12, "a wider loop", 20)
    lab.press("2")
    lab.wait(lambda: saved(lab)["marks"][0]["kind"] == "black dot", "another kind", 20)

    slider = lab.the(".threshold")
    lab.browser.execute_script(
        "arguments[0].value = 950; for (const what of ['input', 'change'])"
        " arguments[0].dispatchEvent(new Event(what, {bubbles: true}))",
        slider,
    )
    lab.say("2 loops")
    # The count is the browser's own; the file is written when Python has heard of it.
    lab.wait(lambda: saved(lab)["threshold"] is not None, "the threshold on disk", 20)
    assert 0.6 < saved(lab)["threshold"] < 0.9
    # What the file holds is what the browser shows, also for whoever opens it later.
    again = found(lab).edit()
    assert lab.text(".counts").startswith(f"{len(again.marks)} loops")
    assert again.result.table["kind"].tolist() == ["loop", "black dot"]


def test_keys_do_nothing_else_in_the_notebook(opened):
    lab = opened
    # As it is when a person has run a cell: nothing in the notebook is being written.
    lab.browser.execute_script("window.jupyterapp.commands.execute('notebook:enter-command-mode')")
    cells = len(lab.find(".jp-Notebook .jp-Cell"))
    lab.the(".mode-judge").click()
    lab.click_at(10, 10, SHAPE)
    # In JupyterLab's command mode these add, cut and delete cells; each by itself, as together they cancel out.
    for keys in ("b", "a", "x", "dd", "m"):
        lab.press(*keys)
        time.sleep(0.5)
        assert len(lab.find(".jp-Notebook .jp-Cell")) == cells, keys
    assert "later = 1" in lab.the(".jp-Notebook").text


def test_the_area_looked_at_is_drawn(opened):
    lab = opened
    lab.the(".mode-look").click()
    picture = lab.the(".stemlib-workbench .overlay")
    corners = [lab.offset(*place, SHAPE) for place in ((5, 210), (290, 210), (290, 395), (5, 395))]
    chain = lab.actions().move_to_element_with_offset(picture, *corners[0]).click_and_hold()
    for corner in corners[1:]:
        chain = chain.move_to_element_with_offset(picture, *corner)
    chain.release().perform()
    lab.wait(lambda: saved(lab)["looked_at"], "an outline", 20)
    assert found(lab).edit().looked_at.mean() == pytest.approx(0.44, abs=0.03)
    # The file is written before the browser hears of it.
    lab.wait(lambda: lab.the(".whole").is_enabled(), "the outline in the browser", 20)
    lab.the(".whole").click()
    lab.wait(lambda: not saved(lab)["looked_at"], "no outline", 20)


def test_what_cannot_be_done_is_said(opened):
    lab = opened
    lab.the(".mode-draw").click()
    lab.click_at(150, 350, SHAPE)
    lab.wait(lambda: "long axis" in lab.text(".stemlib-workbench .error"), "a hint", 20)


def test_a_large_image_comes_in_tiles_as_sharp_as_it_is(lab):
    # Overviews show the mean of black and white pixels; only the image's own tiles show both.
    make = """
import numpy as np, pandas as pd
from stemlib.loops import Loops
y, x = np.ogrid[:4096, :4096]
image = ((y + x) % 2 * 200).astype("uint8")
table = pd.DataFrame([[2000.0, 2000.0, 60.0, 30.0, 20.0]], columns=["y", "x", "major", "minor", "angle_deg"])
Loops.from_table(table, image).edit()
"""
    lab.run(lab.write("large.ipynb", make))
    lab.say("1 loop ·", 120)
    read = (
        "const c = document.querySelector('.stemlib-workbench canvas.image');"
        "const d = c.getContext('2d').getImageData(c.width / 2, c.height / 2, 60, 1).data;"
        "const v = []; for (let i = 0; i < d.length; i += 4) v.push(d[i]); return [Math.min(...v), Math.max(...v)]"
    )
    lab.wait(lambda: 90 < sum(lab.browser.execute_script(read)) / 2 < 170, "the overview", 20)
    lab.the(".stemlib-workbench .overlay").click()
    lab.press(*"+" * 14)
    lab.wait(lambda: lab.browser.execute_script(read) == [0, 255], "the image's own pixels", 30)


def test_explore_runs_finds_in_a_file_corrects_and_writes(lab):
    shutil.copy(ROOT / "notebooks" / "explore.ipynb", lab.root / "explore.ipynb")
    np.save(lab.root / "grün und 2.npy", loop_micrograph((400, 400), n_loops=6, seed=2).image)
    lab.run("explore.ipynb")
    lab.wait(
        lambda: "loops" in lab.text(".jp-Notebook") and lab.find(".jp-OutputArea-output img"), "a result"
    )
    assert "Traceback" not in lab.text(".jp-Notebook")
    for button in lab.find(".widget-toggle-button"):
        if "file of mine" in button.text:
            button.click()
    path = lab.the("input[placeholder='path of an image']")
    lab.wait(path.is_displayed, "the chooser of files")
    path.send_keys(str(lab.root / "grün und 2.npy"), Keys.ENTER)
    size = lab.the("input[placeholder='as the file says']")
    size.send_keys("0,5", Keys.ENTER)
    press(lab, "Find")
    lab.wait(lambda: "found in" in lab.text(".jp-Notebook"), "what was found")
    press(lab, "Correct by hand")
    lab.wait(lambda: lab.text(".stemlib-workbench .counts"), "the editor")
    count = int(lab.text(".stemlib-workbench .counts").split()[0])
    first = stemlib.find_loops(lab.root / "grün und 2.npy").table.iloc[0]
    lab.click_at(first["y"], first["x"], (400, 400))
    lab.say(f"{count - 1} loop")
    press(lab, "Write files")
    lab.wait(lambda: "written: " in lab.text(".jp-Notebook"), "files")
    (table,) = lab.root.parent.glob("build/mine/grün und 2-loops.csv")
    assert len(pd.read_csv(table)) == count - 1
    assert (lab.root / "grün und 2.npy.loops.json").exists()


def test_teach_runs_and_its_corrections_can_be_taken_back(lab):
    notebook = nbformat.read(ROOT / "notebooks" / "teach.ipynb", as_version=4)
    (parameters,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    given = {
        '"public"': '"synthetic"',
        "n_taught: int = 4": "n_taught: int = 1",
    }
    for old, new in given.items():
        assert old in parameters["source"]
        parameters["source"] = parameters["source"].replace(old, new, 1)
    nbformat.write(notebook, lab.root / "teach.ipynb")
    lab.run("teach.ipynb")
    lab.wait(lambda: lab.text(".stemlib-workbench .counts"), "the editor")
    count = int(lab.text(".stemlib-workbench .counts").split()[0])
    # The next cells teach: the editor is there, and says that a step has to wait.
    lab.the(".undo").click()
    lab.wait(lambda: "Python is busy" in lab.text(".stemlib-workbench .error"), "a word of patience", 60)
    lab.wait(lambda: "labelled, per nm²" in lab.outputs(), "the density", 300)
    assert "as shipped" in lab.outputs() and "Traceback" not in lab.outputs()
    lab.the(".redo").click()
    lab.say(f"{count} loop")
    folder = lab.root.parent / "build" / "mine" / "teach"
    (saved_at,) = folder.glob("*.loops.json")
    marks = json.loads(saved_at.read_text())["marks"]
    place = next(mark for mark in marks if mark["verdict"] == "accepted")
    lab.browser.execute_script(
        "arguments[0].scrollIntoView({block: 'center'})", lab.the(".stemlib-workbench .overlay")
    )
    lab.click_at(place["y"], place["x"], (320, 320))
    lab.say(f"{count - 1} loop")
    lab.the(".undo").click()
    lab.say(f"{count} loop")
    assert json.loads(saved_at.read_text())["marks"] == marks
    assert (folder / "taught.safetensors").exists()


def press(lab, text):
    """Press a button of the forms."""
    (button,) = [one for one in lab.find(".jupyter-button") if one.text == text]
    lab.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()
