"""Lengths of tables in nanometres beside pixels, and units in their headers."""

import pandas as pd

_LENGTHS = ["y", "x", "major", "minor", "top", "left", "bottom", "right"]


def with_nanometres(table: pd.DataFrame, pixel_size_nm: float | None) -> pd.DataFrame:
    """Return the table with the lengths again in nm (``major_nm``, ...) and the area in nm², where the scale is known.

    Examples
    --------
    >>> import pandas as pd
    >>> with_nanometres(pd.DataFrame({"major": [10.0]}), 0.5).major_nm[0]
    np.float64(5.0)
    """
    if pixel_size_nm is None:
        return table
    lengths = {f"{name}_nm": table[name] * pixel_size_nm for name in _LENGTHS if name in table}
    if "area" in table:
        lengths["area_nm2"] = table["area"] * pixel_size_nm**2
    return table.assign(**lengths)


def with_units(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with its columns' units in their names: ``major (px)``, ``major (nm)``, ``angle (deg)``.

    Examples
    --------
    >>> import pandas as pd
    >>> list(with_units(pd.DataFrame({"major": [10.0], "major_nm": [5.0], "score": [0.9]})))
    ['major (px)', 'major (nm)', 'score']
    """
    units = {name: f"{name} (px)" for name in _LENGTHS}
    units |= {f"{name}_nm": f"{name} (nm)" for name in _LENGTHS}
    units |= {"area": "area (px²)", "area_nm2": "area (nm²)", "angle_deg": "angle (deg)"}
    return table.rename(columns=units)
