"""What is matched: boxes of objects and positions of columns, checked, with their sizes, edges and spacing."""

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree
from skimage.measure import points_in_poly

_EDGES = ["top", "left", "bottom", "right"]


def longer_side(boxes):
    """Return the longer side of each box, the size to use where no axes were drawn.

    Parameters
    ----------
    boxes : array_like, shape (N, 4), or DataFrame
        As `truth` of `match`.

    Returns
    -------
    numpy.ndarray of float64, shape (N,)
        Longer sides, px.

    Raises
    ------
    ValueError
        As `match`.

    Examples
    --------
    >>> from stemlib.agreement import longer_side
    >>> longer_side([[0, 0, 30, 20], [5, 5, 10, 45]])
    array([30., 40.])
    """
    boxes = as_boxes(boxes, "boxes")
    return np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])


def touches_edge(boxes, shape, *, margin_px=1.0):
    """Return which boxes reach the edge of the image, where an object is cut off and its size not known.

    Parameters
    ----------
    boxes : array_like, shape (N, 4), or DataFrame
        As `truth` of `match`.
    shape : tuple of int
        Height and width of the image, px.
    margin_px : float
        How far from the edge still counts as touching, px.

    Returns
    -------
    numpy.ndarray of bool, shape (N,)

    Raises
    ------
    ValueError
        As `match`.

    Examples
    --------
    >>> from stemlib.agreement import touches_edge
    >>> touches_edge([[-0.5, 10, 20, 30], [10, 10, 20, 20]], (64, 64))
    array([ True, False])
    """
    boxes = as_boxes(boxes, "boxes")
    low = boxes[:, :2].min(axis=1, initial=np.inf) <= margin_px - 0.5
    return low | (boxes[:, 2:] >= np.subtract(shape, margin_px + 0.5)).any(axis=1)


def column_spacing(positions):
    """Return the median distance of columns to their nearest neighbour.

    Parameters
    ----------
    positions : array_like, shape (N, 2), or DataFrame
        Positions (y, x), px.

    Returns
    -------
    float
        The spacing, px.

    Raises
    ------
    ValueError
        If there are fewer than two columns, or most of them lie on another one.

    Examples
    --------
    >>> from stemlib.agreement import column_spacing
    >>> column_spacing([[0, 0], [0, 4], [0, 8], [0, 14]])
    4.0
    """
    positions = as_positions(positions, "positions")
    if len(positions) < 2:
        raise ValueError(f"positions holds {len(positions)} column(s); a spacing needs two at least")
    spacing = float(np.median(cKDTree(positions).query(positions, k=2)[0][:, 1]))
    if spacing == 0:
        raise ValueError("positions: most columns lie on another one, at a distance of 0 px")
    return spacing


def as_boxes(boxes, name):
    """Return boxes as a checked (N, 4) float array of top, left, bottom, right."""
    boxes = _checked(boxes, name, _EDGES, "boxes")
    _refuse((boxes[:, 2:] < boxes[:, :2]).any(axis=1), boxes, name, "has its edges out of order")
    return boxes


def as_positions(positions, name):
    """Return positions as a checked (N, 2) float array of y, x."""
    return _checked(positions, name, ["y", "x"], "positions")


def _checked(values, name, columns, what):
    if isinstance(values, pd.DataFrame):
        missing = [column for column in columns if column not in values]
        if missing:
            raise ValueError(f"{name} lacks the column(s) {', '.join(missing)}")
        values = values[columns]
    values = np.asarray(values, dtype=np.float64)
    if values.size == 0:
        values = values.reshape(0, len(columns))
    if values.ndim != 2 or values.shape[1] != len(columns):
        raise ValueError(
            f"{name} has shape {values.shape}; {what} need (N, {len(columns)}): {', '.join(columns)}"
        )
    _refuse(~np.isfinite(values).all(axis=1), values, name, "is not finite")
    return values


def _refuse(bad, values, name, why):
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(f"{name}, row {row}: {values[row].tolist()} {why}")


def inside(region, positions):
    """Return which positions lie in a polygon (V, 2) or a mask (H, W); all of them without a region."""
    if region is None:
        return np.ones(len(positions), bool)
    region = np.asarray(region)
    if region.dtype == bool and region.ndim == 2:
        height, width = region.shape
        y, x = np.rint(positions).astype(int).T
        on_image = (y >= 0) & (x >= 0) & (y < height) & (x < width)
        found = np.zeros(len(positions), bool)
        found[on_image] = region[y[on_image], x[on_image]]
        return found
    if region.dtype.kind not in "uif" or region.ndim != 2 or region.shape[1] != 2:
        raise TypeError(
            f"region is {region.dtype} {region.shape}; give vertices (V, 2) of a polygon, or a mask of bool (H, W)"
        )
    if len(region) < 3 or not np.isfinite(region).all():
        raise ValueError("region: a polygon needs three finite vertices (y, x) at least")
    return points_in_poly(positions, region) if len(positions) else np.zeros(0, bool)
