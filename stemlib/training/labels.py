"""A user's own labels, in whatever form they come, as boxes of kinds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from stemlib.datasets.formats import coco_boxes
from stemlib.loops.boxes import COLUMNS
from stemlib.loops.imagej import read_imagej_csv

_ELLIPSE = ["y", "x", "major", "minor"]


def read_labels(labels, image, shape) -> pd.DataFrame:
    """Return labels as a table of boxes with their kinds.

    Parameters
    ----------
    labels : DataFrame or path
        A table with ``top, left, bottom, right`` or ``y, x, major, minor`` (full axes) and ``angle_deg``, px, pixel
        centres at whole numbers; or the path of such a table as CSV, of ImageJ's results (``.csv``), of YOLO labels
        (``.txt``) or of COCO annotations (``.json``, of which those of the file named as `image` are taken). ``kind``
        says what each is; without it all are of one kind.
    image : path or anything else
        The image they belong to.
    shape : tuple of int
        Its height and width, px.

    Returns
    -------
    pandas.DataFrame
        ``top, left, bottom, right`` (px) and ``kind`` (str).

    Raises
    ------
    FileNotFoundError, TypeError, ValueError
        If there is no such file, or it holds something else.

    Examples
    --------
    >>> table = pd.DataFrame({"y": [20.0], "x": [30.0], "major": [10.0], "minor": [10.0]})
    >>> read_labels(table, None, (64, 64))
        top  left  bottom  right  kind
    0  15.0  25.0    25.0   35.0  loop
    """
    if not isinstance(labels, pd.DataFrame):
        if not isinstance(labels, str | Path):
            raise TypeError(
                f"labels holds {type(labels).__name__}; a DataFrame or the path of a file would do"
            )
        labels = _from_file(Path(labels), image, shape)
    table = _boxes(labels)
    kind = labels["kind"].astype(str) if "kind" in labels else pd.Series("loop", labels.index)
    numbers = table.to_numpy(float)
    wrong = ~np.isfinite(numbers).all(axis=1) | (numbers[:, 2:] <= numbers[:, :2]).any(axis=1)
    centre = (numbers[:, :2] + numbers[:, 2:]) / 2
    wrong |= ((centre < -0.5) | (centre > np.array(shape) - 0.5)).any(axis=1)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"labels, row {row}: the box {numbers[row].round(1).tolist()} (top, left, bottom, right) is no box of an "
            f"image of {shape[0]} x {shape[1]} px"
        )
    return table.assign(kind=kind.to_numpy())


def _boxes(labels):
    if set(COLUMNS) <= set(labels):
        return labels[COLUMNS].astype(float).reset_index(drop=True)
    if not set(_ELLIPSE) <= set(labels):
        raise ValueError(
            f"labels has the columns {list(labels)}; {COLUMNS}, or {_ELLIPSE} and angle_deg, would do"
        )
    y, x, major, minor = (labels[name].to_numpy(float) for name in _ELLIPSE)
    angle = (
        np.radians(labels["angle_deg"].to_numpy(float)) if "angle_deg" in labels else np.zeros(len(labels))
    )
    height = np.hypot(major * np.sin(angle), minor * np.cos(angle)) / 2
    width = np.hypot(major * np.cos(angle), minor * np.sin(angle)) / 2
    return pd.DataFrame(np.stack([y - height, x - width, y + height, x + width], axis=1), columns=COLUMNS)


def _from_file(path, image, shape):
    if not path.is_file():
        raise FileNotFoundError(f"labels {str(path)!r} do not exist")
    if path.suffix == ".csv":
        columns = pd.read_csv(path, nrows=0, sep=None, engine="python").columns
        ours = set(COLUMNS) <= set(columns) or set(_ELLIPSE) <= set(columns)
        return pd.read_csv(path) if ours else read_imagej_csv(path)
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        name = Path(image).name if isinstance(image, str | Path) else _only_image(text, path)
        return pd.DataFrame(coco_boxes(text, name, name=str(path)), columns=COLUMNS)
    if path.suffix == ".txt":
        return _yolo(text, shape, path)
    raise ValueError(
        f"labels {str(path)!r}: ImageJ results or a table (.csv), COCO (.json) or YOLO (.txt) would do"
    )


def _only_image(text, path):
    names = [str(image["file_name"]) for image in json.loads(text).get("images", [])]
    if len(names) != 1:
        raise ValueError(
            f"{path} lists {len(names)} images; give images as paths, so that theirs can be told"
        )
    return names[0]


def _yolo(text, shape, path):
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        tokens = line.split()
        try:
            kind, (x, y, width, height) = tokens[0], map(float, tokens[1:5])
        except (IndexError, ValueError) as error:
            raise ValueError(
                f"{path}, line {number}: {line!r} is not 'class x y width height', as shares of the image"
            ) from error
        top, left = (y - height / 2) * shape[0] - 0.5, (x - width / 2) * shape[1] - 0.5
        rows.append([top, left, top + height * shape[0], left + width * shape[1], kind])
    table = pd.DataFrame(rows, columns=[*COLUMNS, "kind"])
    return table.drop(columns="kind") if table["kind"].nunique() < 2 else table
