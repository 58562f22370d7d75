"""The notebook's side of the editor, without a browser: what is sent, and what is done with what comes."""

import cv2
import numpy as np
import pandas as pd
import pytest

from stemlib.loops import Loops
from stemlib.loops.ellipses import AXES
from stemlib.workbench import edit
from stemlib.workbench.tiles import SIDE, Pyramid


def image_of(png):
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)


@pytest.mark.parametrize("shape", [(1500, 700), (513, 512), (40, 30), (4096, 4096)])
def test_tiles_are_the_image_and_halved_ones_its_means(shape):
    image = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    pyramid = Pyramid(image)
    rows, columns = (-(-n // SIDE) for n in shape)
    whole = np.vstack(
        [np.hstack([image_of(pyramid.tile(0, r, c)) for c in range(columns)]) for r in range(rows)]
    )
    assert (whole == image).all()
    assert max(image_of(pyramid.overview()).shape) <= SIDE
    for fine, coarse in zip(pyramid.levels, pyramid.levels[1:], strict=False):
        assert coarse.shape == tuple(-(-n // 2) for n in fine.shape)
        assert abs(coarse.mean() - fine.mean()) < 1
        assert abs(float(coarse[3, 5]) - fine[6:8, 10:12].mean()) <= 1


@pytest.mark.parametrize("place", [(0, 5, 0), (0, -1, 0), (9, 0, 0), (-1, 0, 0)])
def test_there_are_no_tiles_elsewhere(place):
    with pytest.raises(ValueError, match="is no tile of this image"):
        Pyramid(np.zeros((700, 700), np.uint8)).tile(*place)


@pytest.fixture
def editor(tmp_path):
    rows = [[40.0, 60.0, 20.0, 12.0, 30.0], [70.0, 140.0, 24.0, 10.0, 120.0]]
    table = pd.DataFrame(rows, columns=AXES).assign(score=[0.9, np.nan])
    image = np.random.default_rng(0).normal(size=(100, 180))
    return edit(Loops.from_table(table, image, pixel_size_nm=0.5), tmp_path / "mine.json")


@pytest.fixture
def talk(editor, monkeypatch):
    """Send a message as the browser does, and return what comes back."""
    sent = []
    monkeypatch.setattr(editor.widget, "send", lambda content, buffers=None: sent.append((content, buffers)))

    def say(**content):
        sent.clear()
        editor.widget._handle_custom_msg(content, [])
        return sent

    return say


def test_a_browser_that_comes_is_told_everything(editor, talk):
    ((everything, _),) = talk(type="hello")
    assert everything["marks"][0] == [0, 40.0, 60.0, (20.0, 12.0, 30.0), 0, 0.9, -1, False, True, 1.0]
    assert everything["marks"][1][5] is None
    rest = everything["rest"]
    assert rest["text"] == "2 loops · 0.000444 nm⁻² (5.38e-05 to 0.00161)" and rest["area"] == 18000
    assert editor.widget.scene["scores"] == [0.9, 0.9] and editor.widget.scene["height"] == 100


def test_while_python_is_busy_the_browser_has_what_it_began_with(editor, talk):
    ((everything, _),) = talk(type="hello")
    assert editor.widget.start == everything


def test_a_step_is_done_saved_and_told(editor, talk):
    ((told, _),) = talk(type="step", name="toggle", at=[0])
    assert told["type"] == "step" and [row[0] for row in told["marks"]] == [0] and told["marks"][0][6] == 0
    assert told["rest"]["text"].startswith("1 loop ·") and told["rest"]["can_undo"]
    assert editor.path.exists() and editor.marks.index.tolist() == [1]
    ((told, _),) = talk(type="step", name="draw", at=[50, 30, 30, 10, 45], **{"with": {"kind": "loop"}})
    assert told["marks"][0][0] == 2
    ((told, _),) = talk(type="step", name="undo")
    assert told["gone"] == [2]
    ((told, _),) = talk(type="step", name="threshold", value=0.95)
    assert editor.threshold == 0.95 == told["rest"]["threshold"]
    ((told, _),) = talk(type="step", name="look_at", at=[[[0, 0], [0, 90], [99, 90]]])
    assert told["type"] == "all" and told["marks"][1][8] is False


def test_a_step_taken_in_python_is_told_too(editor, talk):
    talk(type="hello")
    sent = talk(type="nothing of ours")
    assert sent == []
    editor.reject(0)
    assert [content["type"] for content, _ in sent] == ["step"]


@pytest.mark.parametrize(
    "content, words",
    [
        ({"type": "step", "name": "draw", "at": [500, 30, 30, 10, 45]}, "outside the image"),
        ({"type": "step", "name": "toggle", "at": [99]}, "number=99"),
        ({"type": "step", "name": "threshold", "value": None}, "threshold=None"),
        ({"type": "tile", "level": 7, "row": 0, "column": 0}, "no tile"),
        ({"type": "refit", "number": 99}, "number=99"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(editor, talk, content, words):
    ((told, _),) = talk(**content)
    assert told["type"] == "error" and words in told["text"]
    assert not editor.can_undo and not editor.path.exists()


def test_only_steps_can_be_asked_for(editor, talk):
    assert talk(type="step", name="save", at=["elsewhere.json"]) == []
    assert talk(type="step", name="__init__") == []


def test_tiles_and_proposals_are_sent(editor, talk):
    ((told, (png,)),) = talk(type="tile", level=0, row=0, column=0)
    assert told["level"] == 0 and image_of(png).shape == (100, 180)
    ((told, _),) = talk(type="refit", number=0)
    assert told["type"] == "proposal" and len(told["axes"]) == 3 and not editor.can_undo


def test_where_no_widget_can_be_shown_there_is_a_picture(editor):
    data = editor._repr_mimebundle_()
    data = data[0] if isinstance(data, tuple) else data
    assert "application/vnd.jupyter.widget-view+json" in data
    assert "data:image/png" in data["text/html"] and "2 loops now" in data["text/plain"]
    assert not editor.path.exists()
