"""What surrounds the loops in a simulated bright-field micrograph: the foil, other defects, and the exposure."""

import math

import cv2
import numpy as np

EDGES = ["top", "left", "bottom", "right"]
OTHER_COLUMNS = ["kind", "y", "x", *EDGES]


def background(shape, rng):
    """Absorption of the foil: a wedge, a few broad, curved thickness bands, and a mottled surface."""
    height, width = shape
    y, x = np.mgrid[:height, :width].astype(np.float32) / np.float32(max(shape))
    direction = rng.uniform(0, 2 * np.pi)
    along = np.float32(np.cos(direction)) * x + np.float32(np.sin(direction)) * y
    across = np.float32(np.cos(direction)) * y - np.float32(np.sin(direction)) * x
    bands = along + np.float32(rng.uniform(0.05, 0.2)) * np.sin(np.float32(rng.uniform(3, 6)) * across)
    phase = np.float32(rng.uniform(0, 2 * np.pi))
    depth, wedge = np.float32(rng.uniform(0.03, 0.1)), np.float32(rng.uniform(-0.25, 0.25))
    absorption = depth * np.cos(np.float32(rng.uniform(6, 14)) * bands + phase) + wedge * along
    # Oxide and damage on the surfaces: a mottle of a few pixels.
    mottle = cv2.GaussianBlur(rng.standard_normal(shape, dtype=np.float32), (0, 0), 4.0)
    return (absorption + mottle * np.float32(0.025 / mottle.std())).astype(np.float32)


def edges(shape, y, x, extent_y, extent_x):
    """Edges around a centre, cut at those of the image."""
    return {
        "top": max(y - extent_y, -0.5),
        "left": max(x - extent_x, -0.5),
        "bottom": min(y + extent_y, shape[0] - 0.5),
        "right": min(x + extent_x, shape[1] - 0.5),
    }


def window(absorption, y, x, reach):
    """Part of the image within `reach` of a point, and its coordinates relative to the point, y upwards."""
    height, width = absorption.shape
    rows = slice(max(0, math.floor(y - reach)), max(0, min(height, math.ceil(y + reach) + 1)))
    columns = slice(max(0, math.floor(x - reach)), max(0, min(width, math.ceil(x + reach) + 1)))
    up = y - np.arange(rows.start, rows.stop)[:, None]
    right = np.arange(columns.start, columns.stop)[None, :] - x
    return absorption[rows, columns], up, right


def add_dot(absorption, median_size, rng):
    """A black dot: a small defect cluster, of Gaussian profile."""
    y, x = rng.uniform(0, np.array(absorption.shape) - 1)
    sigma = rng.uniform(0.05, 0.1) * median_size
    part, up, right = window(absorption, y, x, 4 * sigma)
    part += (rng.uniform(0.3, 1.0) * np.exp(-0.5 * (up**2 + right**2) / sigma**2)).astype(np.float32)
    return {"kind": "black dot", "y": y, "x": x} | edges(absorption.shape, y, x, 2 * sigma, 2 * sigma)


def add_edge_on(absorption, median_size, rng):
    """A loop seen from its edge: a short, straight, dark rod."""
    y, x = rng.uniform(0, np.array(absorption.shape) - 1)
    half, sigma, angle = rng.uniform(0.3, 0.7) * median_size, rng.uniform(1.5, 3.0), rng.uniform(0, np.pi)
    part, up, right = window(absorption, y, x, half + 4 * sigma)
    along = right * math.cos(angle) + up * math.sin(angle)
    across = up * math.cos(angle) - right * math.sin(angle)
    beyond = np.maximum(np.abs(along) - half, 0)
    part += (rng.uniform(0.3, 0.7) * np.exp(-0.5 * (across**2 + beyond**2) / sigma**2)).astype(np.float32)
    extents = half * abs(math.sin(angle)) + 2 * sigma, half * abs(math.cos(angle)) + 2 * sigma
    return {"kind": "edge-on loop", "y": y, "x": x} | edges(absorption.shape, y, x, *extents)


def add_line(absorption, rng):
    """A dislocation line that wanders over part of the image."""
    shape = np.array(absorption.shape)
    steps = int(rng.uniform(0.3, 0.9) * max(shape) / 4)
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(0.02 * rng.normal() + 0.08 * rng.normal(size=steps))
    path = rng.uniform(0, shape) + 4 * np.cumsum(np.stack([np.sin(heading), np.cos(heading)], axis=1), axis=0)
    canvas = np.zeros(absorption.shape, np.float32)
    cv2.polylines(canvas, [np.rint(path[:, ::-1]).astype(np.int32)], False, 1.0, thickness=2)
    canvas = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(1.5, 3.0))
    peak = canvas.max()
    if peak > 0:
        absorption += canvas * np.float32(rng.uniform(0.2, 0.45) / peak)
    inside = path[((path >= -0.5) & (path < shape - 0.5)).all(axis=1)]
    # A line starts inside the image, so at least its first point is there unless it left at once.
    inside = inside if len(inside) else np.clip(path[:1], 0, shape - 1)
    (top, left), (bottom, right) = inside.min(axis=0), inside.max(axis=0)
    middle = inside[len(inside) // 2]
    return dict(zip(OTHER_COLUMNS, ("line", middle[0], middle[1], top, left, bottom, right), strict=True))


def add_precipitate(absorption, median_size, rng):
    """A bright polygon with rounded corners and a dark rim."""
    shape = absorption.shape
    radius = min(rng.uniform(0.8, 1.6) * median_size, 0.2 * min(shape))
    y, x = rng.uniform(radius, np.array(shape) - 1 - radius)
    corners = int(rng.integers(5, 9))
    around = 2 * np.pi * (np.arange(corners) + rng.uniform(-0.25, 0.25, corners)) / corners + rng.uniform(
        0, np.pi
    )
    reach = radius * rng.uniform(0.8, 1.0, corners)
    points = np.stack([x + reach * np.cos(around), y + reach * np.sin(around)], axis=1)
    canvas = np.zeros(shape, np.float32)
    cv2.fillPoly(canvas, [np.rint(points).astype(np.int32)], 1.0)
    soft = cv2.GaussianBlur(canvas, (0, 0), 2.5)
    absorption += np.float32(-0.15) * soft + np.float32(1.6) * soft * (1 - soft)
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    return dict(zip(OTHER_COLUMNS, ("precipitate", y, x, top, left, bottom, right), strict=True))


def expose(absorption, noise, rng):
    """Turn absorption into grey levels: the probe's blur, counts, and lines of the scan."""
    transmitted = cv2.GaussianBlur(np.exp(-absorption), (0, 0), 0.8)
    transmitted *= np.float32(175) / np.median(transmitted)
    if noise:
        grain = rng.standard_normal(transmitted.shape, dtype=np.float32)
        # The detector's afterglow correlates neighbours along the fast scan direction.
        grain = cv2.blur(grain, (2, 1)) * np.float32(math.sqrt(2))
        lines = rng.standard_normal((transmitted.shape[0], 1), dtype=np.float32)
        transmitted += np.float32(noise) * (np.float32(0.6) * np.sqrt(transmitted) * grain + 1.5 * lines)
    return np.clip(np.rint(transmitted), 0, 255).astype(np.uint8)
