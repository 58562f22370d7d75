"""Rotated ellipses: their edges, their outlines, and the ellipse that a drawn outline stands for."""

import math

import numpy as np

AXES = ["y", "x", "major", "minor", "angle_deg"]
EDGES = ["top", "left", "bottom", "right"]
N_VERTICES = 48


def with_edges(table, shape=None):
    """Return a table of ellipses with their area and bounding boxes.

    Parameters
    ----------
    table : pandas.DataFrame
        ``y, x, major, minor`` px, full axes, and ``angle_deg``, counter-clockwise from +x as seen.
    shape : tuple of int, optional
        Height and width of the image, px: boxes are cut at its edges.

    Returns
    -------
    pandas.DataFrame
        With ``area`` px² and ``top, left, bottom, right`` px.

    Examples
    --------
    >>> import pandas as pd
    >>> upright = pd.DataFrame([[10.0, 20.0, 8.0, 4.0, 90.0]], columns=AXES)
    >>> with_edges(upright)[EDGES].iloc[0].round(9).tolist()
    [6.0, 18.0, 14.0, 22.0]
    """
    angle = np.radians(table["angle_deg"].to_numpy(float))
    major, minor = (table[name].to_numpy(float) for name in ("major", "minor"))
    half = np.array(
        [
            np.hypot(major * np.sin(angle), minor * np.cos(angle)),
            np.hypot(major * np.cos(angle), minor * np.sin(angle)),
        ]
    )
    centre = table[["y", "x"]].to_numpy(float).T
    edges = np.concatenate([centre - half / 2, centre + half / 2])
    if shape is not None:
        edges = np.clip(edges, -0.5, np.array(shape * 2)[:, None] - 0.5)
    return table.assign(area=math.pi / 4 * major * minor, **dict(zip(EDGES, edges, strict=True)))


def outline(y, x, major, minor, angle_deg, n=N_VERTICES):
    """Return the vertices (n, 2) of an ellipse, y, x px, counter-clockwise as seen.

    Examples
    --------
    >>> (outline(9, 9, 4, 2, 0, n=4) - 9).round(9).tolist()
    [[0.0, 2.0], [-1.0, 0.0], [0.0, -2.0], [1.0, 0.0]]
    """
    turn = 2 * np.pi * np.arange(n) / n
    along, across = major / 2 * np.cos(turn), minor / 2 * np.sin(turn)
    cos, sin = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    return np.column_stack([y - (along * sin + across * cos), x + along * cos - across * sin])


def of_polygon(vertices):
    """Return the ellipse of a polygon: its centre, its area and the ratio of its second moments, as ImageJ's fit has.

    Parameters
    ----------
    vertices : array_like, shape (N, 2)
        y, x px, in order around the outline.

    Returns
    -------
    dict
        ``y, x, major, minor, angle_deg``.

    Raises
    ------
    ValueError
        If the outline has no area.

    Examples
    --------
    >>> ellipse = of_polygon(outline(10, 20, 8, 4, 30))
    >>> [round(ellipse[name], 1) for name in AXES]
    [10.0, 20.0, 8.0, 4.0, 30.0]
    """
    y, x = np.asarray(vertices, float).T
    middle = y.mean(), x.mean()
    y, x = y - middle[0], x - middle[1]
    y2, x2 = np.roll(y, -1), np.roll(x, -1)
    cross = x * y2 - x2 * y
    area = cross.sum() / 2
    if len(y) < 3 or abs(area) < 1e-9 * max(np.ptp(y), np.ptp(x), 1e-9) ** 2:
        raise ValueError("the outline encloses no area")
    cy, cx = ((v + v2) @ cross / (6 * area) for v, v2 in ((y, y2), (x, x2)))
    yy, xx = ((v**2 + v * v2 + v2**2) @ cross / (12 * area) for v, v2 in ((y, y2), (x, x2)))
    xy = (x * y2 + 2 * x * y + 2 * x2 * y2 + x2 * y) @ cross / (24 * area)
    yy, xx, xy = yy - cy**2, xx - cx**2, xy - cx * cy
    mean, spread = (yy + xx) / 2, math.hypot((xx - yy) / 2, xy)
    aspect = math.sqrt(max(mean - spread, 0) / (mean + spread))
    major = 2 * math.sqrt(abs(area) / math.pi / aspect)
    angle = math.degrees(0.5 * math.atan2(-2 * xy, xx - yy)) % 180
    values = cy + middle[0], cx + middle[1], major, major * aspect, angle
    return dict(zip(AXES, map(float, values), strict=True))
