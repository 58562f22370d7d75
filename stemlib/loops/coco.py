"""Loops as COCO's JSON for object detection, as tools of annotation and of machine learning read and write it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from stemlib.io.files import write_atomically
from stemlib.io.tables import with_nanometres
from stemlib.loops.ellipses import AXES, EDGES, of_polygon, outline
from stemlib.loops.tables import checked_ellipses

_MOVED = 0.01  # px: more, and the outline is not the ellipse's that is written beside it


def write_coco(table, path, shape, image_name=""):
    """Write loops as annotations of one image: bounding box, outline of 48 points, score and ellipse.

    Parameters
    ----------
    table : pandas.DataFrame
        As `stemlib.loops.Loops.table`.
    path : path-like
    shape : tuple of int
        Height and width of the image, px.
    image_name : str
        File name of the image.

    Returns
    -------
    pathlib.Path
    """
    kinds = list(dict.fromkeys(table.get("kind", pd.Series(["loop"], dtype=object)).astype(str))) or ["loop"]
    annotations = []
    for number, row in enumerate(table.to_dict("records"), start=1):
        # COCO counts from the pixels' edges, x first.
        vertices = outline(*(row[name] for name in AXES))[:, ::-1] + 0.5
        left, top = row["left"] + 0.5, row["top"] + 0.5
        one = {
            "id": number,
            "image_id": 1,
            "category_id": kinds.index(str(row.get("kind", kinds[0]))) + 1,
            "bbox": [left, top, row["right"] + 0.5 - left, row["bottom"] + 0.5 - top],
            "area": row["area"],
            "iscrowd": 0,
            "segmentation": [vertices.ravel().tolist()],
            "ellipse": {name: row[name] for name in AXES},
        }
        if np.isfinite(row.get("score", np.nan)):
            one["score"] = row["score"]
        annotations.append(one)
    content = {
        "images": [{"id": 1, "file_name": image_name, "height": int(shape[0]), "width": int(shape[1])}],
        "categories": [{"id": n, "name": kind} for n, kind in enumerate(kinds, start=1)],
        "annotations": annotations,
    }
    return write_atomically(path, json.dumps(content, allow_nan=False) + "\n")


def read_coco(path, *, image_name=None, pixel_size_nm=None, origin_nm=(0.0, 0.0)):
    """Read the loops of one image from COCO's JSON, outlines as their ellipses.

    Parameters
    ----------
    path : path-like
    image_name : str, optional
        ``file_name`` of the image, where the file holds several.
    pixel_size_nm : float, optional
        For the lengths in nm.
    origin_nm : tuple of float
        The image's own, as in `stemlib.Micrograph`, for positions in nm.

    Returns
    -------
    pandas.DataFrame
        As `stemlib.loops.read_imagej_rois` returns it. Annotations with polygons become the ellipse of the largest
        one; those with a bounding box alone the ellipse in it, whose direction is unknown.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no COCO JSON, holds several images and `image_name` is none of theirs, or an annotation has neither
        polygon nor box.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from stemlib.loops.ellipses import with_edges
    >>> loops = with_edges(pd.DataFrame([[30.0, 40.0, 20.0, 10.0, 25.0]], columns=AXES))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_coco(loops, pathlib.Path(folder, "loops.json"), (64, 64))
    ...     read_coco(path)[AXES].iloc[0].tolist()
    [30.0, 40.0, 20.0, 10.0, 25.0]
    """
    path = Path(path)
    where = f"COCO file {str(path)!r}"
    if not path.is_file():
        raise FileNotFoundError(f"{where} does not exist")
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        images, annotations = content["images"], content["annotations"]
        kinds = {str(one["id"]): str(one["name"]) for one in content.get("categories", [])}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{where} is no COCO JSON with images and annotations ({error!r})") from error
    image = _image(images, image_name, where)
    rows = [
        _loop(one, kinds, f"{where}, annotation {one.get('id', n)}")
        for n, one in enumerate(annotations)
        if str(one.get("image_id")) == str(image["id"])
    ]
    table = pd.DataFrame(rows, columns=[*AXES, "score", "kind"])
    table = table.astype(dict.fromkeys([*AXES, "score"], float))
    size = image.get("height"), image.get("width")
    table = checked_ellipses(table, where, None if None in size else tuple(int(float(n)) for n in size))
    wanted = [*AXES, "area", *EDGES, "score", "kind", "touches_edge"]
    return with_nanometres(table[[name for name in wanted if name in table]], pixel_size_nm, origin_nm)


def _image(images, name, where):
    chosen = [one for one in images if name is None or one.get("file_name") == name]
    if len(chosen) != 1:
        names = ", ".join(repr(one.get("file_name")) for one in images[:10])
        raise ValueError(
            f"{where} holds {len(images)} images, {names}; image_name={name!r} must be one of them"
        )
    return chosen[0]


def _loop(one, kinds, where):
    more = {
        "score": float(one.get("score", np.nan)),
        "kind": kinds.get(str(one.get("category_id")), "loop"),
    }
    try:
        if isinstance(one.get("segmentation"), list) and one["segmentation"]:
            polygons = [np.array(p, float).reshape(-1, 2)[:, ::-1] - 0.5 for p in one["segmentation"]]
            vertices = max(polygons, key=lambda p: np.ptp(p, axis=0).prod())
            if "ellipse" in one:
                exact = {name: float(one["ellipse"][name]) for name in AXES}
                drawn = outline(*exact.values())
                if drawn.shape == vertices.shape and np.abs(drawn - vertices).max() < _MOVED:
                    return exact | more
            return of_polygon(vertices) | more
        left, top, width, height = (float(value) for value in one["bbox"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{where} has neither a polygon nor a bounding box ({error!r})") from error
    major, minor, angle = (width, height, 0.0) if width >= height else (height, width, 90.0)
    values = top + height / 2 - 0.5, left + width / 2 - 0.5, major, minor, angle
    return dict(zip(AXES, values, strict=True)) | more
