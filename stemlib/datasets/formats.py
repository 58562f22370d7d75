"""The text formats of the human labels, without the registry: boxes, ImageJ ellipses, class logs and COCO-like files.

Every reader takes the content of a file and the file's name, as errors should give it; where it also takes a shape,
that is the image's (height, width) in px. What is malformed is a ValueError with file and row. Tables are in
pixel-centre coordinates, px, cut at the image's edges, with `clipped` (bool) where an object reached over them.
"""

import io
import json

import numpy as np
import pandas as pd

EDGES = ["top", "left", "bottom", "right"]
ELLIPSE = ["y", "x", "major", "minor", "angle_deg"]
_IMAGEJ = ["X", "Y", "BX", "BY", "Width", "Height", "Major", "Minor", "Angle"]
# ImageJ measures from the corner of the first pixel, stemlib from its centre.
_CORNER = 0.5
_CLASSES = range(7)


def undo_enlargement(side):
    """Return the side L of a drawn box from the stored side L + min(max(5, round(0.3 L)), 15).

    Parameters
    ----------
    side : array_like of int or float
        Stored sides, px, at least 6. A whole side that no whole L leads to lies midway between two that do; the
        smaller L is taken.

    Returns
    -------
    numpy.ndarray of float64
        The drawn sides, px.

    Examples
    --------
    >>> undo_enlargement([23, 24, 25, 65, 115])
    array([ 18.,  18.,  19.,  50., 100.])
    """
    side = np.asarray(side, dtype=np.float64)
    drawn = np.arange(1, int(side.max(initial=6)) + 1)
    # Whole-number arithmetic: 0.3 * 15 in binary floats would round the wrong way.
    enlarged = drawn + np.clip((3 * drawn + 5) // 10, 5, 15)
    return drawn[np.abs(enlarged - side[..., None]).argmin(axis=-1)].astype(np.float64)


def parse_boxes_a(text, shape, *, name):
    """Read set A's ``ymin xmin ymax xmax`` lines and undo their enlargement about the box's centre.

    The numbers are taken as pixel-centre coordinates: so read, A's centres agree with those of B (1826 loops,
    ImageJ's half pixel taken off) to 0.2 px on average.

    Returns
    -------
    pandas.DataFrame
        Columns as `stemlib.datasets.read_loop_labels` describes for set A.

    Examples
    --------
    >>> parse_boxes_a("100 200 123 225", (1024, 1024), name="a.txt")[["top", "bottom", "clipped"]]
         top  bottom  clipped
    0  102.5   120.5    False
    """
    stored = _numbers(text, 4, name)
    _check_order(stored, name)
    drawn = np.empty_like(stored)
    for low, high in ((0, 2), (1, 3)):
        side = stored[:, high] - stored[:, low]
        _refuse(side < 6, name, lambda k, side=side: f"a side of {side[k]:g} px; enlarged sides have >= 6 px")
        centre = (stored[:, high] + stored[:, low]) / 2
        half = undo_enlargement(side) / 2
        drawn[:, low], drawn[:, high] = centre - half, centre + half
    table = _clipped(drawn, shape, name)
    table.insert(4, "class", 0)
    # The enlarged boxes were cut at 1 and at the image's side. How much of the enlargement was cut is not
    # known, so the drawn box is only known to lie within a few px of the edge.
    height, width = shape
    table["clipped"] |= (stored[:, :2] <= 1).any(axis=1) | (stored[:, 2:] >= [height, width]).any(axis=1)
    return table.assign(**{f"stored_{edge}": stored[:, i] for i, edge in enumerate(EDGES)})


def parse_boxes_b(text, shape, *, name):
    """Read set B's ``class ymin xmin ymax xmax`` lines.

    Returns
    -------
    pandas.DataFrame
        Columns `top`, `left`, `bottom`, `right`, `class` (0 to 6) and `clipped`.

    Examples
    --------
    >>> parse_boxes_b("0 -2.5 10.5 20.5 30.5", (64, 64), name="b.txt")
       top  left  bottom  right  class  clipped
    0 -0.5  10.0    20.0   30.0      0     True
    """
    numbers = _numbers(text, 5, name)
    kinds = numbers[:, 0]
    _refuse(~np.isin(kinds, _CLASSES), name, lambda k: f"class {kinds[k]:g} is not one of 0 to 6")
    # The boxes are ImageJ's centroids plus and minus half the width, so they count from the corner too.
    _check_order(numbers[:, 1:], name)
    table = _clipped(numbers[:, 1:] - _CORNER, shape, name)
    table.insert(4, "class", kinds.astype(int))
    return table


def parse_imagej_ellipses(text, shape, *, name):
    r"""Read an ImageJ results table with fitted ellipses.

    Returns
    -------
    pandas.DataFrame
        Columns `y`, `x`, `major`, `minor`, `angle_deg`, then `top`, `left`, `bottom`, `right` (the bounding
        rectangle) and `clipped`; the index is the row in the file, from 1. Rows of one pixel without axes, which a
        stray click leaves, are left out.

    Examples
    --------
    >>> text = " ,X,Y,BX,BY,Width,Height,Major,Minor,Angle\n1,30,20,20,15,20,10,20,10,0\n"
    >>> parse_imagej_ellipses(text, (64, 64), name="c.csv")[["y", "x", "top", "left"]]
          y     x   top  left
    1  19.5  29.5  14.5  19.5
    """
    raw = pd.read_csv(io.StringIO(text.replace("\r\n", "\n").replace("\r", "\n")))
    missing = [column for column in _IMAGEJ if column not in raw]
    if missing:
        raise ValueError(
            f"{name} lacks the column(s) {', '.join(missing)}; it has {', '.join(map(str, raw))}"
        )
    numbers = raw[_IMAGEJ].apply(pd.to_numeric, errors="coerce")
    # A click without a drag leaves an object of one pixel, without axes.
    click = (
        (numbers["Width"] <= 1) & (numbers["Height"] <= 1) & numbers[["Major", "Minor"]].isna().all(axis=1)
    )
    rows = np.flatnonzero(~click)
    numbers = numbers[~click].reset_index(drop=True)
    known = np.isfinite(numbers.to_numpy(dtype=float)).all(axis=1)
    _refuse(~known, name, lambda k: "a value is missing or no number", rows)
    box = np.column_stack(
        [numbers["BY"], numbers["BX"], numbers["BY"] + numbers["Height"], numbers["BX"] + numbers["Width"]]
    )
    _check_order(box, name, rows)
    ellipse = pd.DataFrame(
        {
            "y": numbers["Y"] - _CORNER,
            "x": numbers["X"] - _CORNER,
            "major": numbers["Major"],
            "minor": numbers["Minor"],
            "angle_deg": numbers["Angle"] % 180,
        },
        dtype=np.float64,
    )
    return pd.concat([ellipse, _clipped(box - _CORNER, shape, name, rows)], axis=1).set_axis(rows + 1, axis=0)


def parse_class_log(text, n_rows):
    r"""Read a log of classes by row, in whatever order it lists them.

    A line with one digit from 0 to 6 opens a class; ``a b`` is the range of rows a to b, counted from 1 and
    inclusive; any other numbers are single rows. Words are passed over, and so are rows that do not exist.
    Where a row is named twice, the later line holds: the ambiguous classes come last and take rows out of
    earlier ranges.

    Returns
    -------
    numpy.ndarray of int, shape (n_rows,)
        The class of each row; -1 where the log names none.

    Examples
    --------
    >>> parse_class_log("0\r1 2\r2\r3 4\r1\r5 x\r", 6)
    array([ 0,  0,  2,  2,  1, -1])
    """
    classes = np.full(n_rows, -1)
    current = None
    for line in text.splitlines():
        tokens = [int(token) for token in line.split() if token.isdigit()]
        if len(tokens) == 1 and len(line.split()) == 1 and tokens[0] in _CLASSES:
            current = tokens[0]
        elif current is not None:
            rows = range(tokens[0], tokens[1] + 1) if len(tokens) == 2 else tokens
            classes[[row - 1 for row in rows if 1 <= row <= n_rows]] = current
    return classes


def coco_boxes(text, file_name, *, name):
    """Read the boxes of the image `file_name` from a COCO-like file whose numbers may be strings.

    Returns
    -------
    numpy.ndarray of float64, shape (N, 4)
        Edges top, left, bottom, right.

    Examples
    --------
    >>> text = '{"images": [{"id": "1", "file_name": "a.png"}], "annotations": [{"image_id": 1, '
    >>> coco_boxes(text + '"bbox": ["4", "2", 3, 5]}]}', "a.png", name="a.json")
    array([[1.5, 3.5, 6.5, 6.5]])
    """
    try:
        content = json.loads(text)
        identity = {str(image["file_name"]): int(image["id"]) for image in content["images"]}
        rows = [(int(row["image_id"]), [float(v) for v in row["bbox"]]) for row in content["annotations"]]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{name} is not COCO-like: {type(error).__name__} {error}") from error
    if file_name not in identity:
        raise ValueError(f"{name} does not list the image {file_name!r}")
    for number, (_, box) in enumerate(rows, start=1):
        if len(box) != 4 or not np.isfinite(box).all() or min(box[2:]) <= 0:
            raise ValueError(f"{name}, annotation {number}: bbox {box} is not x, y, width, height")
    boxes = np.array([box for image, box in rows if image == identity[file_name]]).reshape(-1, 4)
    left, top, width, height = boxes.T
    return np.column_stack([top, left, top + height, left + width]) - 0.5


def parse_points(points, shape, *, name):
    """Turn an array of (x, y) positions, (N, 2), into a table of `y` and `x`, float64.

    Examples
    --------
    >>> parse_points([[12, 3]], (8, 16), name="points.npy")
         y     x
    0  3.0  12.0
    """
    points = np.asarray(points)
    if points.ndim != 2 or points.shape[1] != 2 or points.dtype.kind not in "uif":
        raise ValueError(f"{name} holds {points.dtype} {points.shape}; positions are numbers (N, 2), x and y")
    x, y = points.astype(np.float64).T
    height, width = shape
    with np.errstate(invalid="ignore"):
        inside = (y >= -0.5) & (x >= -0.5) & (y <= height - 0.5) & (x <= width - 0.5)
    where = f"not in the {height} x {width} px image"
    _refuse(~inside, name, lambda k: f"the position x={x[k]:g}, y={y[k]:g} is {where}")
    return pd.DataFrame({"y": y, "x": x})


def _refuse(bad, name, complaint, rows=None):
    """Raise a ValueError that names file and row, from 1, of the first bad one, and what `complaint` says of it."""
    if bad.any():
        k = int(bad.argmax())
        raise ValueError(f"{name}, row {(k if rows is None else rows[k]) + 1}: {complaint(k)}")


def _numbers(text, columns, name):
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != columns:
            raise ValueError(f"{name}, row {number}: {len(fields)} columns where {columns} are needed")
        try:
            rows.append([float(field) for field in fields])
        except ValueError:
            raise ValueError(
                f"{name}, row {number}: {line.strip()!r} holds something that is no number"
            ) from None
    numbers = np.array(rows, dtype=np.float64).reshape(-1, columns)
    _refuse(~np.isfinite(numbers).all(axis=1), name, lambda k: "a value is not finite")
    return numbers


def _check_order(box, name, rows=None):
    empty = (box[:, 2:] <= box[:, :2]).any(axis=1)
    _refuse(empty, name, lambda k: f"the box {box[k].tolist()} has no area (ymin xmin ymax xmax)", rows)


def _clipped(box, shape, name, rows=None):
    """Return boxes cut at the image's edges, -0.5 and side - 0.5, marked where they reached over."""
    height, width = shape
    limit = np.array([height, width, height, width]) - 0.5
    outside = (box[:, 2:] <= -0.5).any(axis=1) | (box[:, :2] >= limit[:2]).any(axis=1)
    where = f"lies wholly outside the {height} x {width} px image"
    _refuse(outside, name, lambda k: f"the box {box[k].tolist()} {where}", rows)
    cut = np.clip(box, -0.5, limit)
    table = pd.DataFrame(cut, columns=EDGES)
    table["clipped"] = (cut != box).any(axis=1)
    return table
