"""Number densities of loops, and their tables as ImageJ writes and reads them."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from stemlib.io.tables import with_nanometres
from stemlib.loops.measuring import COLUMNS

_IMAGEJ = ["Area", "X", "Y", "BX", "BY", "Width", "Height", "Major", "Minor", "Angle"]
_SAME = {"area": "Area", "major": "Major", "minor": "Minor", "angle_deg": "Angle"}
_SHIFTED = {"x": "X", "y": "Y", "left": "BX", "top": "BY"}  # ImageJ counts from the pixels' edges


@dataclass(frozen=True)
class Density:
    """How many loops there are per area, and per volume where the foil's thickness is known.

    ``low`` and ``high`` bound the 95 % Poisson interval; they and ``per_area`` are per px², those in ``_per_nm2`` per
    nm² and those in ``_per_nm3`` per nm³ (``None`` where pixel size or thickness is not known).
    """

    count: int
    area: float
    per_area: float
    low: float
    high: float
    area_nm2: float | None = None
    per_nm2: float | None = None
    low_per_nm2: float | None = None
    high_per_nm2: float | None = None
    per_nm3: float | None = None
    low_per_nm3: float | None = None
    high_per_nm3: float | None = None


def loop_density(
    count: int, area: float, *, pixel_size_nm: float | None = None, thickness_nm: float | None = None
) -> Density:
    """Return the number density of loops with its exact 95 % Poisson interval.

    Parameters
    ----------
    count : int
        Loops counted, those at the edge included.
    area : float
        Area actually searched, px².
    pixel_size_nm : float, optional
    thickness_nm : float, optional

    Returns
    -------
    Density

    Raises
    ------
    ValueError
        If the area, or a pixel size or thickness that is given, is not positive.

    Examples
    --------
    >>> density = loop_density(50, 1024**2, pixel_size_nm=0.5, thickness_nm=100)
    >>> f"{density.per_nm3 * 1e27:.2g} loops per m³"
    '1.9e+21 loops per m³'

    References
    ----------
    Garwood, Biometrika 28, 437 (1936), doi:10.1093/biomet/28.3-4.437.
    """
    if not area > 0:
        raise ValueError(f"area={area} must be positive")
    for name, value in (("pixel_size_nm", pixel_size_nm), ("thickness_nm", thickness_nm)):
        if value is not None and not 0 < value < np.inf:
            raise ValueError(f"{name}={value} must be positive; None where it is not known")
    low = stats.chi2.ppf(0.025, 2 * count) / 2 if count else 0.0
    high = stats.chi2.ppf(0.975, 2 * count + 2) / 2
    counts = np.array([count, low, high])
    values = [int(count), float(area), *(counts / area).tolist()]
    if pixel_size_nm is not None:
        area_nm2 = area * pixel_size_nm**2
        values += [area_nm2, *(counts / area_nm2).tolist()]
        if thickness_nm is not None:
            values += (counts / area_nm2 / thickness_nm).tolist()
    return Density(*values)


def imagej_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return loops as ImageJ's results table: positions counted from the pixels' edges, rows from 1.

    Examples
    --------
    >>> import pandas as pd
    >>> loops = pd.DataFrame([[9.5, 4.5, 8.0, 6.0, 30.0, 38.0, 6.0, 1.0, 13.0, 8.0]], columns=COLUMNS)
    >>> imagej_table(loops)[["X", "Y", "BX", "Width"]].iloc[0].tolist()
    [5.0, 10.0, 1.5, 7.0]
    """
    result = table.rename(columns=_SAME | _SHIFTED).assign(
        Width=table["right"] - table["left"], Height=table["bottom"] - table["top"]
    )
    result[list(_SHIFTED.values())] += 0.5
    result = result[_IMAGEJ].reset_index(drop=True)
    result.insert(0, " ", np.arange(1, len(result) + 1))
    return result


def read_imagej_csv(
    path: str | Path,
    *,
    pixel_size_nm: float | None = None,
    shape: tuple[int, int] | None = None,
    origin_nm: tuple[float, float] = (0.0, 0.0),
) -> pd.DataFrame:
    """Read loops from an ImageJ results CSV, as `Loops.to_imagej_csv` wrote it or a person measured or corrected it.

    Parameters
    ----------
    path : path-like
        Measured in px, with "area", "centroid", "fit ellipse" and "bounding rectangle" set in ImageJ.
    pixel_size_nm : float, optional
        For the lengths in nm.
    shape : tuple of int, optional
        Height and width of the image, px, to tell which loops it cuts off.
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
        If the file is empty, a column is missing or a value is no number.

    Examples
    --------
    >>> import tempfile, pathlib, pandas as pd
    >>> loops = pd.DataFrame([[9.5, 4.5, 8.0, 6.0, 30.0, 38.0, 6.0, 1.0, 13.0, 8.0]], columns=COLUMNS)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "corrected.csv")
    ...     imagej_table(loops).to_csv(path, index=False)
    ...     read_imagej_csv(path).equals(loops)
    True
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"ImageJ results file {str(path)!r} does not exist; save it from ImageJ's Results window"
        )
    text = path.read_text(encoding="utf-8-sig")
    if not text.strip():
        raise ValueError(f"ImageJ results file {str(path)!r} is empty; save it from ImageJ's Results window")
    # ImageJ writes commas or, where its options say so, tabs.
    table = pd.read_csv(io.StringIO(text), sep="\t" if "\t" in text.partition("\n")[0] else ",")
    table.columns = [str(column).strip() for column in table.columns]
    missing = [column for column in _IMAGEJ if column not in table]
    if missing:
        raise ValueError(
            f"ImageJ results file {str(path)!r} lacks the columns {missing}; set area, centroid, fit ellipse and "
            "bounding rectangle in ImageJ's Set Measurements"
        )
    numbers = table[_IMAGEJ].apply(pd.to_numeric, errors="coerce")
    bad = np.flatnonzero(~np.isfinite(numbers).all(axis=1))
    if len(bad):
        raise ValueError(
            f"ImageJ results file {str(path)!r} has something other than numbers in row {bad[0] + 1}"
        )
    loops = numbers.rename(columns={theirs: ours for ours, theirs in (_SAME | _SHIFTED).items()}).astype(
        float
    )
    loops[list(_SHIFTED)] -= 0.5
    loops["angle_deg"] %= 180
    loops = loops.assign(bottom=loops["top"] + loops["Height"], right=loops["left"] + loops["Width"])[COLUMNS]
    if shape is not None:
        far = loops[["bottom", "right"]].to_numpy() >= np.array(shape) - 1.5
        loops["touches_edge"] = (loops[["top", "left"]].to_numpy() <= 0.5).any(axis=1) | far.any(axis=1)
    return with_nanometres(loops, pixel_size_nm, origin_nm)
