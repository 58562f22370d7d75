"""Lengths of tables in nanometres beside pixels, and units in their headers."""

from stemlib.io.files import write_atomically

_LENGTHS = ["y", "x", "major", "minor", "top", "left", "bottom", "right", "a", "b", "offset"]
_LENGTHS += ["spacing", "mean_diameter", "std_diameter", "height", "width", "moved", "step"]
_POSITIONS = {"y": 0, "top": 0, "bottom": 0, "x": 1, "left": 1, "right": 1}  # all else are distances
_UNITS = {"per_px2": "px⁻²", "per_nm2": "nm⁻²", "per_nm3": "nm⁻³", "nm": "nm", "nm2": "nm²", "deg": "deg"}


def with_nanometres(table, pixel_size_nm, origin_nm=(0.0, 0.0)):
    """Return the table with the lengths again in nm (``major_nm``, ...) and the area in nm², where the scale is known.

    Parameters
    ----------
    table : pandas.DataFrame
        Lengths in px, an ``area`` in px².
    pixel_size_nm : float or None
    origin_nm : tuple of float
        Coordinates (y, x) in nm of the centre of pixel (0, 0), for positions and the edges of boxes.

    Returns
    -------
    pandas.DataFrame

    Examples
    --------
    >>> import pandas as pd
    >>> with_nanometres(pd.DataFrame({"major": [10.0]}), 0.5).major_nm[0]
    np.float64(5.0)
    """
    if pixel_size_nm is None:
        return table
    names = sorted(filter(_is_length, table), key=lambda name: _LENGTHS.index(_stem(name)))
    lengths = {f"{name}_nm": table[name] * pixel_size_nm for name in names}
    for name in _POSITIONS.keys() & table.keys():
        lengths[f"{name}_nm"] += origin_nm[_POSITIONS[name]]
    if "area" in table:
        lengths["area_nm2"] = table["area"] * pixel_size_nm**2
    return table.assign(**lengths)


def write_csv(table, path):
    """Write a table as CSV with the unit of each column in the header: ``major (px)``, ``major (nm)``, ``angle (deg)``.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns that end in ``_nm``, ``_nm2`` or ``_deg`` are in that unit, lengths and areas else in px and px².
    path : str or pathlib.Path

    Returns
    -------
    pathlib.Path
        The file written.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import pandas as pd
    >>> table = pd.DataFrame({"major": [10.0], "major_nm": [5.0], "score": [0.9]})
    >>> write_csv(table, pathlib.Path(tempfile.mkdtemp()) / "loops.csv").read_text().splitlines()
    ['major (px),major (nm),score', '10.0,5.0,0.9']
    """
    return write_atomically(path, csv_text(table))


def csv_text(table, *, header=True):
    """The text of such a file, or of the rows alone."""
    return table.rename(columns=_with_unit).to_csv(index=False, header=header, lineterminator="\n")


def _with_unit(name):
    if _is_length(name) or name == "area":
        return f"{name} (px²)" if name == "area" else f"{name} (px)"
    for unit, sign in _UNITS.items():
        if name.endswith(f"_{unit}"):
            return f"{name.removesuffix(f'_{unit}')} ({sign})"
    return name


def _is_length(name):
    return _stem(name) in _LENGTHS


def _stem(name):
    """The name of a column without what makes it the end of an interval or a standard error."""
    return str(name).removesuffix("_low").removesuffix("_high").removesuffix("_error")
