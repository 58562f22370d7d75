"""Loops as outlines in ImageJ's ROI files: a zip for its ROI Manager, or single ``.roi`` files."""

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from stemlib.io.files import write_atomically
from stemlib.io.tables import with_nanometres
from stemlib.loops.ellipses import AXES, EDGES, N_VERTICES, of_polygon, outline
from stemlib.loops.tables import checked_ellipses

_MOVED = 0.01  # px: single precision keeps a vertex of an outline nobody touched to less


def write_imagej_rois(table, path):
    """Write loops as polygons of 48 points, each named after its number, kind and score.

    ImageJ's own ellipses are kept in single precision, and older versions take them for other shapes; polygons every
    version shows, measures and lets edit. The exact axes are kept as properties of each.

    Parameters
    ----------
    table : pandas.DataFrame
        As `stemlib.loops.Loops.table`.
    path : path-like
        Ending in ``.zip``, as ImageJ wants it.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ValueError
        If the path has another ending.
    """
    import roifile

    path = Path(path)
    if path.suffix.lower() != ".zip":
        raise ValueError(f"path={str(path)!r} must end in .zip, by which ImageJ knows sets of ROIs")
    rois = []
    for number, row in enumerate(table.to_dict("records"), start=1):
        vertices = outline(*(row[name] for name in AXES))
        score, kind = float(row.get("score", np.nan)), str(row.get("kind", "loop"))
        name = f"{number:04d} {kind}" + (f" {score:.3f}" if np.isfinite(score) else "")
        roi = roifile.ImagejRoi.frompoints((vertices[:, ::-1] + 0.5).astype(np.float32), name=name)
        known = {name: repr(float(row[name])) for name in AXES} | {"kind": kind, "score": repr(score)}
        roi.props = "".join(f"stemlib.{key}: {value}\n" for key, value in known.items())
        rois.append(roi)

    def write(temporary):
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            for roi in rois:
                # The time of writing is no part of it.
                archive.writestr(zipfile.ZipInfo(f"{roi.name}.roi"), roi.tobytes())

    return write_atomically(path, write)


def read_imagej_rois(path, *, pixel_size_nm=None, shape=None, origin_nm=(0.0, 0.0)):
    """Read loops from a zip of ImageJ's ROI Manager or a ``.roi`` file: outlines of any kind become ellipses.

    An outline that `Loops.to_imagej_rois` wrote and nobody changed gives back its very numbers, score and kind; one
    that was moved keeps its kind. Ovals, ellipses, rectangles (as the ovals in them), polygons and freehand outlines
    are read, the latter as the ellipse of their area and ratio of second moments, as ImageJ's "fit ellipse".

    Parameters
    ----------
    path : path-like
    pixel_size_nm : float, optional
        For the lengths in nm.
    shape : tuple of int, optional
        Height and width of the image, px, to tell which loops it cuts off, and that all lie in it.
    origin_nm : tuple of float
        The image's own, as in `stemlib.Micrograph`, for positions in nm.

    Returns
    -------
    pandas.DataFrame
        ``y, x, major, minor, angle_deg, area, top, left, bottom, right`` (px), ``score`` (NaN where a person drew it),
        ``kind``, with `shape` also ``touches_edge``, and the lengths in nm.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no file of ROIs, or a ROI is a line or points, which enclose nothing.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from stemlib.loops.ellipses import with_edges
    >>> loops = with_edges(pd.DataFrame([[30.0, 40.0, 20.0, 10.0, 25.0]], columns=AXES))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_imagej_rois(loops, pathlib.Path(folder, "loops.zip"))
    ...     read_imagej_rois(path)[AXES].iloc[0].tolist()
    [30.0, 40.0, 20.0, 10.0, 25.0]
    """
    import roifile

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"ROI file {str(path)!r} does not exist; save it from ImageJ's ROI Manager")
    try:
        rois = roifile.roiread(path)
    except Exception as error:
        raise ValueError(
            f"{str(path)!r} is no ROI file of ImageJ ({error}); save it from its ROI Manager"
        ) from error
    rois = rois if isinstance(rois, list) else [rois]
    rows = [_loop(roi, f"ROI {n} ({roi.name!r}) of {str(path)!r}") for n, roi in enumerate(rois, start=1)]
    table = pd.DataFrame(rows, columns=[*AXES, "score", "kind"])
    table = checked_ellipses(table.astype(dict.fromkeys([*AXES, "score"], float)), f"{str(path)!r}", shape)
    wanted = [*AXES, "area", *EDGES, "score", "kind", "touches_edge"]
    return with_nanometres(table[[name for name in wanted if name in table]], pixel_size_nm, origin_nm)


def _loop(roi, where):
    own = dict(line.removeprefix("stemlib.").split(": ", 1) for line in _properties(roi))
    kind = own.get("kind", "loop")
    vertices = _vertices(roi, where)
    if all(name in own for name in AXES):
        exact = {name: float(own[name]) for name in AXES}
        drawn = outline(*exact.values())
        if drawn.shape == vertices.shape and np.abs(drawn - vertices).max() < _MOVED:
            return exact | {"score": float(own.get("score", "nan")), "kind": kind}
    try:
        return of_polygon(vertices) | {"score": np.nan, "kind": kind}
    except ValueError as error:
        raise ValueError(f"{where}: {error}; remove it, or draw around the loop") from None


def _properties(roi):
    lines = (roi.props or "").splitlines()
    return [line for line in lines if line.startswith("stemlib.") and ": " in line]


def _vertices(roi, where):
    """The outline (N, 2), y, x px."""
    from roifile import ROI_SUBTYPE, ROI_TYPE

    closed = (ROI_TYPE.POLYGON, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED)
    if roi.roitype == ROI_TYPE.FREEHAND and roi.subtype in (ROI_SUBTYPE.ELLIPSE, ROI_SUBTYPE.ROTATED_RECT):
        (y1, x1), (y2, x2) = np.array([[roi.y1, roi.x1], [roi.y2, roi.x2]], float) - 0.5
        major, angle = np.hypot(y2 - y1, x2 - x1), np.degrees(np.arctan2(y1 - y2, x2 - x1))
        aspect = float(roi.ellipse_aspect_ratio) if roi.subtype == ROI_SUBTYPE.ELLIPSE else None
        if aspect and major:
            return _whole_turn((y1 + y2) / 2, (x1 + x2) / 2, major, aspect * major, angle)
    if roi.roitype in (ROI_TYPE.OVAL, ROI_TYPE.RECT):
        if roi.subpixelresolution and roi.widthd:
            left, top, width, height = roi.xd, roi.yd, roi.widthd, roi.heightd
        else:
            left, top, width, height = roi.left, roi.top, roi.right - roi.left, roi.bottom - roi.top
        return _whole_turn(top + height / 2 - 0.5, left + width / 2 - 0.5, width, height, 0.0)
    if roi.roitype not in closed:
        raise ValueError(
            f"{where} is a {roi.roitype.name.lower()}, which encloses nothing; draw around the loop"
        )
    return roi.coordinates()[:, ::-1].astype(float) - 0.5


def _whole_turn(y, x, major, minor, angle_deg):
    """An outline fine enough that the moments of the polygon are the ellipse's, which it fits from inside."""
    vertices = outline(y, x, major, minor, angle_deg, n=16 * N_VERTICES)
    turn = 2 * np.pi / len(vertices)
    # A polygon in an ellipse has less area: so much larger it has the same.
    return np.array([y, x]) + (vertices - [y, x]) * np.sqrt(turn / np.sin(turn))
