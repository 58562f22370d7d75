"""The text formats of the human labels, without the registry: boxes, ImageJ ellipses and class logs."""

import io

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
        Stored sides, px. A whole side that no whole L leads to lies midway between two that do; the smaller L
        is taken.

    Returns
    -------
    numpy.ndarray of float64
        The drawn sides, px.

    Raises
    ------
    ValueError
        If a side is below 6 px, which enlargement cannot give.

    Examples
    --------
    >>> from stemlib.datasets import undo_enlargement
    >>> undo_enlargement([23, 24, 25, 65, 115])
    array([ 18.,  18.,  19.,  50., 100.])
    """
    side = np.asarray(side, dtype=np.float64)
    if side.size and not side.min() >= 6:
        raise ValueError(f"side={side.min()} px is too short: an enlarged side has at least 6 px")
    drawn = np.arange(1, int(side.max(initial=6)) + 1)
    # Whole-number arithmetic: 0.3 * 15 in binary floats would round the wrong way.
    enlarged = drawn + np.clip((3 * drawn + 5) // 10, 5, 15)
    return drawn[np.abs(enlarged - side[..., None]).argmin(axis=-1)].astype(np.float64)


def parse_boxes_a(text, shape, *, name):
    """Read set A's ``ymin xmin ymax xmax`` lines and undo their enlargement about the box's centre.

    The numbers are taken as pixel-centre coordinates: so read, A's centres agree with those of B (1826 loops,
    ImageJ's half pixel taken off) to 0.2 px on average.

    Parameters
    ----------
    text : str
        The file's content.
    shape : tuple of int
        Height and width of the image, px.
    name : str
        The file, as errors should name it.

    Returns
    -------
    pandas.DataFrame
        Columns as `read_loop_labels` describes for set A.

    Raises
    ------
    ValueError
        For a malformed line or a box wholly outside the image, with file and row.

    Examples
    --------
    >>> from stemlib.datasets import parse_boxes_a
    >>> parse_boxes_a("100 200 123 225", (1024, 1024), name="a.txt")[["top", "bottom", "clipped"]]
         top  bottom  clipped
    0  102.5   120.5    False
    """
    stored = _numbers(text, 4, name)
    _check_order(stored, name)
    drawn = np.empty_like(stored)
    for low, high in ((0, 2), (1, 3)):
        side = stored[:, high] - stored[:, low]
        short = np.flatnonzero(side < 6)
        if short.size:
            raise ValueError(
                f"{name}, row {short[0] + 1}: a side of {side[short[0]]:g} px; enlarged sides have >= 6 px"
            )
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

    Parameters
    ----------
    text, shape, name
        As in `parse_boxes_a`.

    Returns
    -------
    pandas.DataFrame
        Columns `top`, `left`, `bottom`, `right`, `class` and `clipped`.

    Raises
    ------
    ValueError
        For a malformed line, an unknown class or a box wholly outside the image, with file and row.

    Examples
    --------
    >>> from stemlib.datasets import parse_boxes_b
    >>> parse_boxes_b("0 -2.5 10.5 20.5 30.5", (64, 64), name="b.txt")
       top  left  bottom  right  class  clipped
    0 -0.5  10.0    20.0   30.0      0     True
    """
    numbers = _numbers(text, 5, name)
    wrong = np.flatnonzero(~np.isin(numbers[:, 0], _CLASSES))
    if wrong.size:
        raise ValueError(f"{name}, row {wrong[0] + 1}: class {numbers[wrong[0], 0]:g} is not one of 0 to 6")
    # The boxes are ImageJ's centroids plus and minus half the width, so they count from the corner too.
    _check_order(numbers[:, 1:], name)
    table = _clipped(numbers[:, 1:] - _CORNER, shape, name)
    table.insert(4, "class", numbers[:, 0].astype(int))
    return table


def parse_imagej_ellipses(text, shape, *, name):
    r"""Read an ImageJ results table with fitted ellipses.

    Parameters
    ----------
    text, shape, name
        As in `parse_boxes_a`.

    Returns
    -------
    pandas.DataFrame
        Columns `y`, `x`, `major`, `minor`, `angle_deg`, then `top`, `left`, `bottom`, `right` (the bounding
        rectangle) and `clipped`, in pixel-centre coordinates; the index is the row in the file, from 1. Rows
        of one pixel without axes, which a stray click leaves, are left out.

    Raises
    ------
    ValueError
        For a missing column, a value that is no number, or an object wholly outside the image, with file and
        row.

    Examples
    --------
    >>> from stemlib.datasets import parse_imagej_ellipses
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
    bad = np.flatnonzero(~np.isfinite(numbers.to_numpy(dtype=float)).all(axis=1))
    if bad.size:
        raise ValueError(f"{name}, row {rows[bad[0]] + 1}: a value is missing or no number")
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

    Parameters
    ----------
    text : str
        The file's content, with any line ends.
    n_rows : int
        Rows of the table that the log is about.

    Returns
    -------
    numpy.ndarray of int, shape (n_rows,)
        The class of each row; -1 where the log names none.

    Examples
    --------
    >>> from stemlib.datasets import parse_class_log
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
    bad = np.flatnonzero(~np.isfinite(numbers).all(axis=1))
    if bad.size:
        raise ValueError(f"{name}, row {bad[0] + 1}: a value is not finite")
    return numbers


def _check_order(box, name, rows=None):
    bad = np.flatnonzero((box[:, 2] <= box[:, 0]) | (box[:, 3] <= box[:, 1]))
    if bad.size:
        row = bad[0] if rows is None else rows[bad[0]]
        raise ValueError(
            f"{name}, row {row + 1}: the box {box[bad[0]].tolist()} has no area (ymin xmin ymax xmax)"
        )


def _clipped(box, shape, name, rows=None):
    """Return boxes cut at the image's edges, -0.5 and side - 0.5, marked where they reached over."""
    height, width = shape
    outside = (
        (box[:, 2] <= -0.5) | (box[:, 3] <= -0.5) | (box[:, 0] >= height - 0.5) | (box[:, 1] >= width - 0.5)
    )
    bad = np.flatnonzero(outside)
    if bad.size:
        row = bad[0] if rows is None else rows[bad[0]]
        raise ValueError(
            f"{name}, row {row + 1}: the box {box[bad[0]].tolist()} lies wholly outside "
            f"the {height} x {width} px image"
        )
    cut = np.clip(box, -0.5, np.array([height, width, height, width]) - 0.5)
    table = pd.DataFrame(cut, columns=EDGES)
    table["clipped"] = (cut != box).any(axis=1)
    return table
