import json
import os
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import stemlib
from stemlib.io.micrograph import Micrograph
from stemlib.loops import Loops
from stemlib.loops.ellipses import AXES
from stemlib.synthetic import crystal_image
from stemlib.workbench import edit

ROWS = [[40.0, 60.0, 20.0, 12.0, 30.0], [70.0, 140.0, 24.0, 10.0, 120.0], [20.0, 100.0, 16.0, 16.0, 0.0]]
IMAGE = np.random.default_rng(0).normal(size=(100, 180)).astype(np.float32)


def loops(rows=ROWS, image=IMAGE):
    table = pd.DataFrame(rows, columns=AXES).assign(kind="loop")
    return Loops.from_table(table.assign(score=np.linspace(0.9, 0.3, len(rows))), image, pixel_size_nm=0.5)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "with blanks ü" / "mine.json"


def corrected(path):
    """An editor after one step of each kind."""
    editor = edit(loops(), path, kinds=["black dot"])
    editor.reject(0)
    editor.move(1, x=141.5, angle_deg=125)
    editor.draw(50, 30, 30, 10, 45, kind="black dot")
    editor.set_kind(2, "black dot")
    editor.look_at([[-1, -1], [-1, 170], [101, 170], [101, -1]])
    editor.look_at([[80, 80], [80, 90], [95, 90]], adds=False)
    editor.threshold = 0.25
    return editor


def test_reopened_it_is_as_it_was_left(path):
    editor = corrected(path)
    again = edit(loops(), path)
    assert again.state.region == editor.state.region and again.threshold == 0.25
    pd.testing.assert_frame_equal(again.everything, editor.everything)
    pd.testing.assert_frame_equal(again.result.table, editor.result.table)
    assert again.result.density == editor.result.density
    assert again.kinds == editor.kinds and not again.can_undo


def test_every_step_is_saved_at_once_and_opening_writes_nothing(path):
    editor = edit(loops(), path)
    assert not path.exists()
    editor.reject(0)
    assert [one["verdict"] for one in json.loads(path.read_text())["marks"]] == ["rejected"]
    editor.undo()
    assert json.loads(path.read_text())["marks"] == []
    before = path.stat().st_mtime_ns
    edit(loops(), path)
    assert path.stat().st_mtime_ns == before
    assert [one.name for one in path.parent.iterdir()] == ["mine.json"]


def test_it_lies_beside_an_image_that_came_from_a_file(tmp_path):
    np.save(tmp_path / "mine.npy", IMAGE)
    editor = edit(loops(image=tmp_path / "mine.npy"))
    assert editor.path == tmp_path / "mine.npy.loops.json"
    editor.reject(0)
    assert len(edit(loops(image=tmp_path / "mine.npy")).marks) == 2
    assert edit(loops()).path is None


def test_without_a_file_there_is_none_until_it_is_saved(tmp_path):
    editor = edit(loops())
    editor.reject(0)
    with pytest.raises(ValueError, match="path=None: the image came from no file"):
        editor.save()
    assert editor.save(tmp_path / "mine.json") == tmp_path / "mine.json"
    editor.reject(1)
    assert len(edit(loops(), tmp_path / "mine.json").marks) == 1


def test_what_was_said_holds_for_what_is_found_there_anew(path):
    corrected(path)
    # Found again a little elsewhere, in another order, and one loop more.
    rows = [[20.3, 100, 17, 15, 0], [60, 20, 18, 18, 0], [70.2, 139.8, 23, 10, 121], [40.4, 60.2, 21, 12, 28]]
    marks = edit(loops(rows), path).everything
    assert not marks.loc[3, "counts"] and marks.loc[3, "y"] == 40.4
    assert marks.loc[2, "x"] == 141.5 and marks.loc[2, "by_hand"]
    assert marks.loc[0, "kind"] == "black dot" and marks.loc[1, "counts"]
    assert len(marks) == 5 and marks.loc[4, "major"] == 30


def test_what_is_found_no_longer_stays_where_a_person_accepted_it(path):
    editor = edit(loops(), path)
    editor.accept(0)
    editor.reject(1)
    result = edit(loops(ROWS[2:]), path).result
    assert sorted(result.table["x"]) == [60, 100]
    assert result.table.set_index("x").loc[60, "by_hand"]


def test_columns_come_back_exactly(tmp_path):
    found = stemlib.find_columns(crystal_image("square", (96, 96), spacing=10, seed=0).image)
    editor = edit(found, tmp_path / "columns.json")
    editor.reject(7)
    editor.move(9, y=30.25)
    editor.draw(5.5, 6.5)
    pd.testing.assert_frame_equal(edit(found, tmp_path / "columns.json").everything, editor.everything)


def test_two_editors_do_not_overwrite_each_other(path):
    one, other = edit(loops(), path), edit(loops(), path)
    one.reject(0)
    with pytest.raises(ValueError, match="mine.json' was changed by another editor; open the result anew"):
        other.reject(1)
    assert len(other.marks) == 3 and not other.can_undo
    assert len(edit(loops(), path).marks) == 2
    other.save(path.with_name("other.json"))
    other.reject(1)
    assert len(edit(loops(), path.with_name("other.json")).marks) == 2


def test_a_file_of_something_else_is_named(path):
    corrected(path)
    with pytest.raises(ValueError, match="mine.json' holds corrections of another image.*100 x 180 px"):
        edit(loops(image=IMAGE[:, ::-1]), path)
    columns = stemlib.find_columns(crystal_image("square", (96, 96), spacing=10, seed=0).image)
    with pytest.raises(ValueError, match="holds corrections of loops, not of columns"):
        edit(columns, path)


@pytest.mark.parametrize(
    "text, words",
    [
        ("no json", "is no file of corrections"),
        ("[]", "is no file of corrections"),
        ("\xff", "is no file of corrections"),
        ('{"format": 7}', "has format 7"),
        ('{"format": 1}', "is damaged .KeyError"),
    ],
)
def test_a_damaged_file_is_one_clear_error_and_stays(path, text, words):
    path.parent.mkdir()
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=f"mine.json' {words}"):
        edit(loops(), path)
    assert path.read_bytes() == text.encode("latin-1")


def test_a_mark_that_is_no_number_is_damage(path):
    corrected(path)
    path.write_text(path.read_text().replace('"y": 50.0', '"y": NaN'))
    with pytest.raises(ValueError, match="mine.json' is damaged"):
        edit(loops(), path)


@pytest.mark.skipif(os.name != "posix", reason="needs folders that cannot be written")
def test_where_nothing_can_be_written_it_says_so_and_goes_on():
    editor = edit(loops(), "/proc/mine.json")
    with pytest.warns(UserWarning, match="corrections are not saved: '/proc/mine.json'"):
        editor.reject(0)
    editor.reject(1)
    assert len(editor.marks) == 1 and editor.path is None


def test_the_image_is_known_by_its_pixels(path):
    found = loops()
    edit(found, path).reject(0)
    view = replace(found.view, micrograph=Micrograph(IMAGE.astype(np.float64), 0.25))
    assert len(edit(replace(found, view=view), path).marks) == 2
