"""Simulated features that are no loops, to be rejected: voids with Fresnel fringes, dislocation lines, facets."""

import cv2
import numpy as np


def draw_artefact(rng, size):
    """Draw one artefact on a field of zeros.

    Parameters
    ----------
    rng : numpy.random.Generator
    size : float
        Diameter of a void, length of a line or side of a facet, px.

    Returns
    -------
    numpy.ndarray, (S, S), float32
        Added contrast, in standard deviations of the image; S is about 1.6 `size`.

    Examples
    --------
    >>> draw_artefact(np.random.default_rng(0), 20.0).shape
    (35, 35)
    """
    side = int(1.6 * size) + 3
    kind = rng.choice(["void", "void", "facet", "line"])
    if kind == "line":
        return _line(rng, side)
    return _void(rng, side, size) if kind == "void" else _facet(rng, side, size)


def _void(rng, side, size):
    """A round or faceted hole: brighter inside, with a Fresnel fringe that is dark or bright with the defocus."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    angle = rng.uniform(0, np.pi)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    across = across * rng.uniform(1.0, 1.25)
    power = rng.choice([2.0, 2.0, 4.0, 8.0])  # a disc, or ever more of a square
    radius = (np.abs(along) ** power + np.abs(across) ** power) ** (1 / power)
    edge = radius - size / 2
    width = max(1.0, size * rng.uniform(0.04, 0.12))
    inside = 1 / (1 + np.exp(np.clip(edge / (0.5 * width), -30, 30)))
    fringe = np.exp(-(((edge - width) / width) ** 2))
    focus = rng.choice([-1.0, 1.0])  # dark rim around a bright disc, or the reverse
    contrast = rng.uniform(0.8, 2.5)
    return (focus * contrast * (inside - rng.uniform(0.6, 1.4) * fringe)).astype(np.float32)


def _facet(rng, side, size):
    """A polygon of even contrast, as a precipitate or a grain shows."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 7)))
    corners = np.stack([np.cos(angles), np.sin(angles)], axis=1) * size / 2 + side / 2
    field = np.zeros((side, side), np.float32)
    cv2.fillPoly(field, [np.rint(corners).astype(np.int32)], 1.0)
    return cv2.GaussianBlur(field, (0, 0), 1.0) * np.float32(rng.choice([-1.0, 1.0]) * rng.uniform(0.7, 2.0))


def _line(rng, side):
    """A slightly bent dark line from one edge of the field to another."""
    field = np.zeros((side, side), np.float32)
    t = np.linspace(0, 1, 12)
    angle = rng.uniform(0, np.pi)
    bow = rng.uniform(-0.25, 0.25) * side * np.sin(np.pi * t)
    along = (t - 0.5) * 2 * side
    x = side / 2 + along * np.cos(angle) - bow * np.sin(angle)
    y = side / 2 + along * np.sin(angle) + bow * np.cos(angle)
    points = np.rint(np.stack([x, y], axis=1)).astype(np.int32)
    cv2.polylines(field, [points], False, 1.0, thickness=int(rng.integers(2, 5)))
    return cv2.GaussianBlur(field, (0, 0), rng.uniform(0.8, 1.6)) * np.float32(-rng.uniform(0.7, 2.0))
