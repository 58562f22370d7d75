"""Loops as ImageJ's results table, written for it and read from it, however it was saved."""

import csv
import io
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from stemlib.io.files import write_atomically
from stemlib.io.scale import in_nm
from stemlib.io.tables import with_nanometres
from stemlib.loops.ellipses import AXES, EDGES
from stemlib.loops.tables import checked_ellipses

_NEEDED = ["X", "Y", "Major", "Minor", "Angle"]
_BOX = ["BX", "BY", "Width", "Height"]
_LENGTHS = ["X", "Y", "Major", "Minor", *_BOX]
_SAME = {"area": "Area", "major": "Major", "minor": "Minor", "angle_deg": "Angle"}
_SHIFTED = {"x": "X", "y": "Y", "left": "BX", "top": "BY"}  # ImageJ counts from the pixels' edges
_EXTRA = {"score": "Score", "kind": "Kind"}
_AREA_OFF = 0.05  # of an ellipse's area and its axes; ImageJ makes them equal, and rounds to three digits
_DECIMAL_COMMA = re.compile(r"^([+-]?\d*),(\d*(?:[eE][+-]?\d+)?)$")
_CHANCE = 1e-3  # of loops all lying where those of a calibrated image would lie


def imagej_table(table):
    """Return loops as ImageJ's results table: px, positions counted from the pixels' edges, rows from 1.

    Examples
    --------
    >>> import pandas as pd
    >>> columns = [*AXES, "area", *EDGES]
    >>> loops = pd.DataFrame([[9.5, 4.5, 8.0, 6.0, 30.0, 38.0, 6.0, 1.0, 13.0, 8.0]], columns=columns)
    >>> imagej_table(loops)[["X", "Y", "BX", "Width"]].iloc[0].tolist()
    [5.0, 10.0, 1.5, 7.0]
    """
    result = table.rename(columns=_SAME | _SHIFTED | _EXTRA).assign(
        Width=table["right"] - table["left"], Height=table["bottom"] - table["top"]
    )
    result[list(_SHIFTED.values())] += 0.5
    # As ImageJ has it, whatever was counted in pixels: its "fit ellipse" has the area of what it is fitted to.
    result["Area"] = np.pi / 4 * result["Major"] * result["Minor"]
    names = ["Area", "X", "Y", *_BOX, "Major", "Minor", "Angle"]
    result = result[[*names, *(name for name in _EXTRA.values() if name in result)]].reset_index(drop=True)
    result.insert(0, " ", np.arange(1, len(result) + 1))
    return result


def write_imagej_csv(table, path):
    """Write loops as ImageJ writes its results, and return the path."""
    return write_atomically(path, imagej_table(table).to_csv(index=False))


def read_imagej_csv(path, *, unit="px", pixel_size_nm=None, shape=None, origin_nm=(0.0, 0.0)):
    """Read loops from an ImageJ results table, as `Loops.to_imagej_csv` wrote it or a person measured or corrected it.

    Commas, semicolons or tabs between the columns, decimal points or commas, UTF-8, UTF-16 or Latin-1 will do.

    Parameters
    ----------
    path : path-like
        Measured with "centroid" and "fit ellipse" set in ImageJ; "area" and "bounding rectangle" are taken where there.
        Columns ``Score`` and ``Kind`` are kept.
    unit : str
        Of the lengths in the file: "px", or "nm", "µm", ... where the image was calibrated in ImageJ.
    pixel_size_nm : float, optional
        For the lengths in nm; needed where `unit` is not "px".
    shape : tuple of int, optional
        Height and width of the image, px, to tell which loops it cuts off, and that all lie in it.
    origin_nm : tuple of float
        The image's own, as in `stemlib.Micrograph`, for positions in nm.

    Returns
    -------
    pandas.DataFrame
        ``y, x, major, minor, angle_deg, area, top, left, bottom, right`` (px), with `shape` also ``touches_edge``
        (within 1 px of the edge: leave these out of size statistics), and the lengths in nm.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is empty or no text, a column is missing, a row is cut or has a column too many, a value is no
        number, area and axes contradict each other, a centre lies outside the image, or the unit is not known.

    Warns
    -----
    UserWarning
        If the numbers look as if they were measured in a calibrated image, or the last line is not ended.

    Examples
    --------
    >>> import tempfile, pathlib, pandas as pd
    >>> loops = pd.DataFrame(
    ...     [[9.5, 4.5, 8.0, 6.0, 30.0, 12 * np.pi, 6.0, 1.0, 13.0, 8.0]],
    ...     columns=[*AXES, "area", *EDGES],
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_imagej_csv(loops, pathlib.Path(folder, "corrected.csv"))
    ...     bool(np.allclose(read_imagej_csv(path), loops))
    True
    """
    path = Path(path)
    where = f"ImageJ results file {str(path)!r}"
    factor = _pixels_per(unit, pixel_size_nm)
    table = _numbers(_rows(path, where), where)
    _check_areas(table, where)
    if unit == "px":
        _warn_of_calibration(table, where, pixel_size_nm, shape)
    table[[name for name in _LENGTHS if name in table]] *= factor
    if "Area" in table:
        table["Area"] *= factor**2
    theirs = _SAME | _SHIFTED | _EXTRA
    loops = table.rename(columns={theirs[ours]: ours for ours in theirs})
    loops[[name for name in _SHIFTED if name in loops]] -= 0.5
    if set(_BOX) <= set(table):
        loops = loops.assign(bottom=loops["top"] + loops["Height"], right=loops["left"] + loops["Width"])
    loops = checked_ellipses(loops.drop(columns=["Width", "Height"], errors="ignore"), where, shape)
    wanted = [*AXES, "area", *EDGES, "score", "kind", "touches_edge"]
    return with_nanometres(loops[[name for name in wanted if name in loops]], pixel_size_nm, origin_nm)


def _pixels_per(unit, pixel_size_nm):
    """How many px one unit of a file's lengths is."""
    if unit in ("px", "pixel", "pixels"):
        return 1.0
    length = in_nm(unit)
    if length is None:
        raise ValueError(f"unit={unit!r} is not known; 'px', 'nm', 'µm', 'pm' or 'Å' would do")
    if pixel_size_nm is None:
        raise ValueError(f"unit={unit!r} needs the image's pixel_size_nm too")
    return length / pixel_size_nm


def _rows(path, where):
    """The header and the rows of a table of text, each with as many fields as the header."""
    if not path.is_file():
        raise FileNotFoundError(f"{where} does not exist; save it from ImageJ's Results window")
    text = _text(path.read_bytes(), where)
    if not text.strip():
        raise ValueError(f"{where} is empty; save it from ImageJ's Results window")
    if text[-1] not in "\r\n":
        warnings.warn(f"{where} does not end with the end of a line: its last row may be cut", stacklevel=4)
    first = text.lstrip().splitlines()[0]
    separator = next((one for one in "\t;" if one in first), ",")
    header, *rows = (row for row in csv.reader(io.StringIO(text), delimiter=separator) if any(row))
    header = [name.strip() for name in header]
    # A separator at the end of the header ends no column.
    n = len(header) - (header[-1] == "" and len(header) > 1)
    for number, row in enumerate(rows, start=1):
        if len(row) > n and not any(row[n:]) and len(row) <= n + 1:
            continue
        if len(row) != n:
            hint = "; with decimal commas, save it with tabs (.tsv) instead" if separator == "," else ""
            kind = "a row that is cut" if len(row) < n else "a field too many"
            raise ValueError(f"{where} has {len(row)} fields in row {number}, not {n}: {kind}{hint}")
    return header[:n], [row[:n] for row in rows]


def _text(content, where):
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16")
    if b"\0" in content:
        raise ValueError(f"{where} is no text; save ImageJ's Results window as .csv")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        # Of another encoding only labels have letters that differ, and those are not read.
        return content.decode("latin-1")


def _numbers(rows, where):
    """The columns that are read, as numbers."""
    header, rows = rows
    missing = [name for name in _NEEDED if name not in header]
    if missing:
        raise ValueError(
            f"{where} lacks the columns {missing}; set centroid and fit ellipse in ImageJ's Set Measurements"
        )
    twice = sorted({name for name in header if name in (*_NEEDED, "Area", *_BOX) and header.count(name) > 1})
    if twice:
        raise ValueError(
            f"{where} has the column {twice[0]!r} twice; save it anew from ImageJ's Results window"
        )
    table = pd.DataFrame(rows, columns=pd.Index(header, dtype=object), dtype=object)
    result = {}
    for name in [name for name in (*_NEEDED, "Area", *_BOX, "Score") if name in header]:
        fields = [_DECIMAL_COMMA.sub(r"\1.\2", str(field).strip()) for field in table[name]]
        result[name] = pd.to_numeric(pd.Series(fields, dtype=object), errors="coerce").astype(float)
        bad = np.flatnonzero(~np.isfinite(result[name]))
        if len(bad) and name != "Score":
            n = int(bad[0])
            raise ValueError(
                f"{where} has something other than a number in row {n + 1}, column {name}: {fields[n]!r}"
            )
    if "Kind" in header:
        result["Kind"] = table["Kind"]
    return pd.DataFrame(result)


def _check_areas(table, where):
    """An area that is not that of the ellipse shows columns that are shifted, or exchanged."""
    if "Area" not in table:
        return
    ellipse = np.pi / 4 * table["Major"] * table["Minor"]
    wrong = (table["Area"] - ellipse).abs() > _AREA_OFF * table["Area"].abs() + 0.01
    if wrong.any():
        n = int(np.argmax(wrong))
        raise ValueError(
            f"{where}: row {n + 1} has the area {table['Area'].iloc[n]:g}, but its axes give {ellipse.iloc[n]:g}: the "
            "columns are shifted, or do not belong to one measurement"
        )


def _warn_of_calibration(table, where, pixel_size_nm, shape):
    """Say where numbers that should be px look like nm."""
    if pixel_size_nm is None or not len(table):
        return
    signs = []
    # Selections that ImageJ draws begin and end at whole pixels, ours hardly ever at halves either.
    if set(_BOX) <= set(table):
        box = table[_BOX].to_numpy()
        off_px, off_nm = (np.abs(v - np.rint(v)).max() for v in (2 * box, box / pixel_size_nm))
        if off_px > 0.01 and off_nm < 0.0006 / pixel_size_nm and pixel_size_nm > 0.01:
            signs.append("its boxes are whole pixels only if their numbers are nm")
    if shape is not None and pixel_size_nm < 1:
        share = table["Y"].max() / shape[0] * table["X"].max() / shape[1]
        if len(table) * np.log(share) < np.log(_CHANCE) and share <= pixel_size_nm**2:
            signs.append(f"all lie in the upper left {share:.0%} of the image")
    if signs:
        warnings.warn(
            f"{where} looks as if it was measured in an image that is calibrated in nm: {' and '.join(signs)}; if so, "
            "give unit='nm'",
            stacklevel=3,
        )
