"""The label formats, from text alone."""

import numpy as np
import pytest

from stemlib.datasets import formats

SHAPE = (100, 200)
IMAGEJ = " ,Area,X,Y,BX,BY,Width,Height,Major,Minor,Angle\n"


def enlarged(side):
    """The published rule, in whole numbers, rounding halves up."""
    return side + min(max(5, (3 * side + 5) // 10), 15)


def test_enlargement_is_undone_exactly_for_every_side():
    sides = np.arange(1, 400)
    stored = [enlarged(int(side)) for side in sides]
    np.testing.assert_array_equal(formats.undo_enlargement(stored), sides)
    # Halves round up: 0.3 * 25 = 7.5 adds 8, 0.3 * 45 = 13.5 adds 14.
    assert formats.undo_enlargement([33, 59]).tolist() == [25, 45]


def test_sides_without_an_inverse_take_the_nearest():
    reachable = np.array([enlarged(side) for side in range(1, 400)])
    for stored in set(range(6, 300)) - set(reachable.tolist()):
        side = int(formats.undo_enlargement([stored])[0])
        assert abs(enlarged(side) - stored) == np.abs(reachable - stored).min()


@pytest.mark.parametrize(("side", "added"), [(10, 5), (30, 9), (90, 15)])
def test_boxes_a_keep_their_centre(side, added):
    text = f"{20 - 5} {50 - added} {20 - 5 + 15} {50 + side}\n"
    box = formats.parse_boxes_a(text, SHAPE, name="a.txt").iloc[0]
    assert box["right"] - box["left"] == side
    assert box["left"] + box["right"] == 100 - added + side
    assert box["bottom"] - box["top"] == 10
    assert box[["stored_top", "stored_left", "stored_bottom", "stored_right"]].tolist() == [
        15,
        50 - added,
        30,
        50 + side,
    ]
    assert box["class"] == 0
    assert not box["clipped"]


@pytest.mark.parametrize("text", ["1 50 40 80", "50 1 80 40", "60 50 100 80", "50 160 80 200"])
def test_boxes_a_cut_at_the_edge_are_marked(text):
    assert formats.parse_boxes_a(text, SHAPE, name="a.txt")["clipped"].all()


def test_boxes_b_over_the_edge_are_clipped_and_marked():
    text = "0 -3.25 10.5 20.5 30.5\n1 50.5 150.5 60.5 203\n2 10 10 20 20\n"
    table = formats.parse_boxes_b(text, SHAPE, name="b.txt")
    assert table["clipped"].tolist() == [True, True, False]
    assert table["class"].tolist() == [0, 1, 2]
    # ImageJ's half pixel is taken off, and the image's edges are half a pixel outside the outermost centres.
    assert table.loc[0, ["top", "left", "bottom", "right"]].tolist() == [-0.5, 10, 20, 30]
    assert table.loc[1, ["top", "left", "bottom", "right"]].tolist() == [50, 150, 60, 199.5]
    assert table.loc[2, ["top", "left", "bottom", "right"]].tolist() == [9.5, 9.5, 19.5, 19.5]


@pytest.mark.parametrize("parse", [formats.parse_boxes_a, formats.parse_boxes_b])
def test_empty_box_files_give_an_empty_table(parse):
    table = parse("\n", SHAPE, name="x.txt")
    assert len(table) == 0
    assert {"top", "left", "bottom", "right", "class", "clipped"} <= set(table)


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (formats.parse_boxes_a, "10 10 40 40\n10 10 40\n", "x.txt, row 2: 3 columns where 4"),
        (formats.parse_boxes_a, "10 10 40 forty\n", "x.txt, row 1: .*no number"),
        (formats.parse_boxes_a, "10 10 nan 40\n", "x.txt, row 1: .*not finite"),
        (formats.parse_boxes_a, "40 10 10 40\n", "x.txt, row 1: .*no area"),
        (formats.parse_boxes_a, "10 10 14 40\n", "x.txt, row 1: a side of 4 px"),
        (
            formats.parse_boxes_a,
            "10 10 40 40\n110 10 140 40\n",
            "x.txt, row 2: .*wholly outside the 100 x 200",
        ),
        (formats.parse_boxes_b, "0 10 10 40 40\n10 10 40 40\n", "x.txt, row 2: 4 columns where 5"),
        (formats.parse_boxes_b, "9 10 10 40 40\n", "x.txt, row 1: class 9"),
        (formats.parse_boxes_b, "0 10 -40 40 -10\n", "x.txt, row 1: .*wholly outside"),
        (formats.parse_boxes_b, "0 10 10 40 10\n", "x.txt, row 1: .*no area"),
    ],
)
def test_malformed_box_files_name_file_and_row(parse, text, message):
    with pytest.raises(ValueError, match=message):
        parse(text, SHAPE, name="x.txt")


def test_imagej_ellipses_lose_the_half_pixel():
    row = "1,300,60.5,30.5,45,20,30,20,31,19,170\n"
    table = formats.parse_imagej_ellipses(IMAGEJ + row, SHAPE, name="c.csv")
    assert table.loc[1, ["y", "x", "major", "minor", "angle_deg"]].tolist() == [30, 60, 31, 19, 170]
    assert table.loc[1, ["top", "left", "bottom", "right"]].tolist() == [19.5, 44.5, 39.5, 74.5]
    assert not table.loc[1, "clipped"]


def test_stray_clicks_are_left_out_and_rows_keep_their_numbers():
    rows = ["1,300,60.5,30.5,45,20,30,20,31,19,170", "2,0,9.5,8.5,9,8,1,1,NaN,NaN,0"]
    rows.append("3,300,80,30,65,20,30,20,31,19,0")
    table = formats.parse_imagej_ellipses(IMAGEJ + "\n".join(rows), SHAPE, name="c.csv")
    assert table.index.tolist() == [1, 3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            IMAGEJ.replace("Major,", "") + "1,300,60,30,45,20,30,20,19,170\n",
            "c.csv lacks the column.s. Major",
        ),
        (IMAGEJ + "1,300,60,30,45,20,30,20,,19,170\n", "c.csv, row 1: .*missing"),
        (
            IMAGEJ + "1,300,60,30,45,20,30,20,31,19,1\n2,300,60,x,45,20,30,20,31,19,1\n",
            "c.csv, row 2: .*no number",
        ),
        (IMAGEJ + "1,300,60,30,250,20,30,20,31,19,170\n", "c.csv, row 1: .*wholly outside"),
    ],
)
def test_malformed_ellipse_files_name_file_and_row(text, message):
    with pytest.raises(ValueError, match=message):
        formats.parse_imagej_ellipses(text, SHAPE, name="c.csv")


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_logs_with_any_line_end(end):
    text = end.join(["0", "1 2", "", "1", "5 6", "", "2", "3 4", "", "3", "", "4", ""])
    assert formats.parse_class_log(text, 6).tolist() == [0, 0, 2, 2, 1, 1]


def test_logs_out_of_order_with_single_rows_and_strays():
    text = "0\n1 2\n\n2 \n3 4\n\n1\n5 9\ns\n\n3\n12 13 10 \n\n4\n11\n5\n| \n"
    assert formats.parse_class_log(text, 14).tolist() == [0, 0, 2, 2, 1, 1, 1, 1, 1, 3, 4, 3, 3, -1]


def test_logs_name_rows_that_do_not_exist_and_rows_twice():
    text = "0\n0 2\n1\n3 9\n4\n4\n3 x\n"
    # The lone 4 opens class 4 again; row 3 is then taken out of class 1.
    assert formats.parse_class_log(text, 5).tolist() == [0, 0, 4, 1, 1]


def test_coco_numbers_may_be_strings():
    text = (
        '{"images": [{"id": "7", "file_name": "a.png"}, {"id": 8, "file_name": "b.png"}], "annotations": ['
        '{"image_id": "7", "bbox": ["10", 20, "5.0", 6]}, {"image_id": 8, "bbox": [0, 0, 2, 2]}]}'
    )
    assert formats.coco_boxes(text, "a.png", name="x.json").tolist() == [[19.5, 9.5, 25.5, 14.5]]
    assert formats.coco_boxes(text, "b.png", name="x.json").shape == (1, 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "x.json is not COCO-like"),
        ('{"images": []}', "x.json is not COCO-like: KeyError 'annotations'"),
        ('{"images": [], "annotations": []}', "x.json does not list the image 'a.png'"),
        (
            '{"images": [{"id": 1, "file_name": "a.png"}],'
            ' "annotations": [{"image_id": 1, "bbox": [1, 2, 0, 4]}]}',
            "x.json, annotation 1: bbox",
        ),
    ],
)
def test_malformed_coco_files_are_errors(text, message):
    with pytest.raises(ValueError, match=message):
        formats.coco_boxes(text, "a.png", name="x.json")
