"""Bright-field micrographs of dislocation loops, drawn from known ellipses."""

import math
import operator
from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd

_LOOP_COLUMNS = [
    "y",
    "x",
    "major",
    "minor",
    "angle_deg",
    "top",
    "left",
    "bottom",
    "right",
    "touches_edge",
    "contrast",
]
_OTHER_COLUMNS = ["kind", "y", "x", "top", "left", "bottom", "right"]
_SMALLEST_LOOP = 16.0
# The drawn ellipse lies this many standard deviations of the ring's profile outside its darkest line.
_OUTLINE = 0.5


@dataclass(frozen=True, eq=False)
class LoopScene:
    """A drawn micrograph and everything that was drawn.

    Parameters
    ----------
    image : numpy.ndarray of uint8, shape (H, W)
        The micrograph.
    loops : pandas.DataFrame
        One row per loop: ``y, x`` centre, ``major, minor`` full axes and edges ``top, left, bottom, right``
        (cut at the image's edge) in px, ``angle_deg`` of the major axis in [0, 180), ``touches_edge``, and
        ``contrast``: "ring", "lobes" (two dark arcs) or "arc" (open). The ellipse is drawn as people do, half
        a standard deviation of the ring's profile outside its darkest line.
    other : pandas.DataFrame
        Whatever is no loop: ``kind`` ("black dot", "edge-on loop", "line" or "precipitate"), centre and edges
        in px.
    pixel_size_nm : float
        Side of a pixel in nm.

    Examples
    --------
    >>> scene = loop_micrograph((256, 256), n_loops=3, seed=1)
    >>> scene.loops[["major", "minor"]].shape
    (3, 2)
    """

    image: np.ndarray
    loops: pd.DataFrame
    other: pd.DataFrame
    pixel_size_nm: float


def loop_micrograph(
    shape=(1024, 1024),
    *,
    n_loops=40,
    n_black_dots=40,
    n_edge_on=10,
    n_lines=4,
    precipitate=True,
    median_size=48.0,
    noise=1.0,
    pixel_size_nm=0.5,
    seed,
):
    """Draw a bright-field STEM micrograph of dislocation loops among other defects.

    Contrast multiplies as absorption: thickness bands and a brightness gradient, rings of Gaussian profile
    (whole, in two lobes, or open arcs), black dots, loops seen edge-on, dislocation lines and a faceted
    precipitate; then the probe's blur, counting noise and lines of the scan. Sizes, aspects and contrast
    follow the public FeCrAl loop images (Li, Field and Morgan, npj Comput. Mater. 4, 36 (2018),
    doi:10.1038/s41524-018-0093-8), of which no pixel is used.

    Parameters
    ----------
    shape : tuple of int
        Height and width in px.
    n_loops, n_black_dots, n_edge_on, n_lines : int
        How many of each. Loops keep clear of each other and of the precipitate, nothing else does.
    precipitate : bool
        Whether a faceted precipitate is drawn.
    median_size : float
        Median of the loops' major axes in px; they spread by about a third. At least 16.
    noise : float
        0 draws without noise, 1 with that of the real images.
    pixel_size_nm : float
        Side of a pixel in nm; only kept with the scene.
    seed : int or numpy.random.Generator
        Same seed, same scene.

    Returns
    -------
    LoopScene
        The image and tables of what is in it.

    Raises
    ------
    TypeError
        If a count is no whole number.
    ValueError
        If a count or `noise` is negative, `shape` is smaller than 64 x 64 px, `median_size` is below 16 px,
        `pixel_size_nm` is not positive, or the loops do not fit.

    Examples
    --------
    >>> scene = loop_micrograph((256, 320), n_loops=4, seed=0)
    >>> scene.image.shape, scene.image.dtype, len(scene.loops)
    ((256, 320), dtype('uint8'), 4)
    """
    shape = _checked_shape(shape)
    counts = {"n_loops": n_loops, "n_black_dots": n_black_dots, "n_edge_on": n_edge_on, "n_lines": n_lines}
    for name, value in counts.items():
        _check_count(name, value)
    for name, value, least in (("median_size", median_size, _SMALLEST_LOOP), ("noise", noise, 0)):
        if not (math.isfinite(value) and value >= least):
            raise ValueError(f"{name}={value!r} must be at least {least:g}")
    if not (math.isfinite(pixel_size_nm) and pixel_size_nm > 0):
        raise ValueError(f"pixel_size_nm={pixel_size_nm!r} must be positive")
    rng = np.random.default_rng(seed)

    absorption = _background(shape, rng)
    other = []
    if precipitate:
        other.append(_draw_precipitate(absorption, median_size, rng))
    loops = _place_loops(shape, n_loops, median_size, other, rng)
    for loop in loops:
        _draw_loop(absorption, loop, rng)
    other += [_draw_dot(absorption, median_size, rng) for _ in range(n_black_dots)]
    other += [_draw_edge_on(absorption, median_size, rng) for _ in range(n_edge_on)]
    other += [_draw_line(absorption, rng) for _ in range(n_lines)]

    return LoopScene(
        _expose(absorption, noise, rng),
        pd.DataFrame(loops, columns=_LOOP_COLUMNS),
        pd.DataFrame(other, columns=_OTHER_COLUMNS),
        float(pixel_size_nm),
    )


def _checked_shape(shape):
    try:
        height, width = (operator.index(n) for n in shape)
    except (TypeError, ValueError) as error:
        raise TypeError(f"shape must be two whole numbers, not {shape!r}") from error
    if min(height, width) < 64:
        raise ValueError(f"shape={shape!r} must be at least 64 x 64 px")
    return height, width


def _check_count(name, value):
    try:
        count = operator.index(value)
    except TypeError as error:
        raise TypeError(f"{name} must be a whole number, not {value!r}") from error
    if count < 0:
        raise ValueError(f"{name}={value!r} must not be negative")


def _background(shape, rng):
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


def _place_loops(shape, n_loops, median_size, obstacles, rng):
    """Draw sizes and find free places: a row of the truth table for each loop, largest first."""
    majors = np.sort(median_size * np.exp(0.33 * rng.normal(size=n_loops)))[::-1]
    majors = np.clip(majors, _SMALLEST_LOOP, 0.4 * min(shape))
    taken = [(o["y"], o["x"], 0.5 * max(o["bottom"] - o["top"], o["right"] - o["left"])) for o in obstacles]
    loops = []
    for major in majors:
        for _ in range(300):
            y, x = rng.uniform(-0.5, np.array(shape) - 0.5)
            if all(math.hypot(y - v, x - u) > 0.62 * major + 1.1 * r for v, u, r in taken):
                break
        else:
            raise ValueError(
                f"n_loops={n_loops} with median_size={median_size:g} px do not fit into "
                f"{shape[0]} x {shape[1]} px; take fewer, smaller ones or a larger shape"
            )
        taken.append((y, x, 0.5 * major))
        minor = major * np.clip(rng.normal(0.61, 0.1), 0.35, 0.95)
        angle = rng.uniform(0, np.pi)
        extent_y = 0.5 * math.hypot(major * math.sin(angle), minor * math.cos(angle))
        extent_x = 0.5 * math.hypot(major * math.cos(angle), minor * math.sin(angle))
        edges = _edges(shape, y, x, extent_y, extent_x)
        loops.append(
            {"y": y, "x": x, "major": major, "minor": minor, "angle_deg": math.degrees(angle)}
            | edges
            | {
                "touches_edge": min(y - extent_y, x - extent_x) <= 0
                or y + extent_y >= shape[0] - 1
                or x + extent_x >= shape[1] - 1,
                "contrast": str(rng.choice(["ring", "lobes", "arc"], p=[0.55, 0.3, 0.15])),
            }
        )
    return loops


def _edges(shape, y, x, extent_y, extent_x):
    """Edges around a centre, cut at those of the image."""
    return {
        "top": max(y - extent_y, -0.5),
        "left": max(x - extent_x, -0.5),
        "bottom": min(y + extent_y, shape[0] - 0.5),
        "right": min(x + extent_x, shape[1] - 0.5),
    }


def _window(absorption, y, x, reach):
    """Part of the image within `reach` of a point, and its coordinates relative to the point, y upwards."""
    height, width = absorption.shape
    rows = slice(max(0, math.floor(y - reach)), max(0, min(height, math.ceil(y + reach) + 1)))
    columns = slice(max(0, math.floor(x - reach)), max(0, min(width, math.ceil(x + reach) + 1)))
    up = y - np.arange(rows.start, rows.stop)[:, None]
    right = np.arange(columns.start, columns.stop)[None, :] - x
    return absorption[rows, columns], up, right


def _draw_loop(absorption, loop, rng):
    semi_major, semi_minor = loop["major"] / 2, loop["minor"] / 2
    angle = math.radians(loop["angle_deg"])
    width = np.clip(rng.uniform(0.04, 0.085) * loop["major"], 1.3, 7.0)
    part, up, right = _window(absorption, loop["y"], loop["x"], semi_major + 4 * width)
    u = (right * math.cos(angle) + up * math.sin(angle)) / semi_major
    v = (up * math.cos(angle) - right * math.sin(angle)) / semi_minor
    radius = np.maximum(np.hypot(u, v), 1e-6)
    # First-order distance to an ellipse: exact on it, which is where the ring is.
    distance = (radius - 1) * radius / np.hypot(u / semi_major, v / semi_minor).clip(1e-6)
    around = np.arctan2(v, u)
    strength = np.ones_like(radius)
    if loop["contrast"] == "lobes":
        depth = rng.uniform(0.3, 0.6)
        strength = (1 + depth * np.cos(2 * around + rng.uniform(0, 2 * np.pi))) / (1 + depth)
    elif loop["contrast"] == "arc":
        gap = np.abs(np.angle(np.exp(1j * (around - rng.uniform(0, 2 * np.pi)))))
        strength = 0.1 + 0.9 / (1 + np.exp(-(gap - rng.uniform(0.35, 0.9)) / 0.12))
    ring = strength * np.exp(-0.5 * (distance / width + _OUTLINE) ** 2)
    inside = 1 / (1 + np.exp(distance.clip(-50, 50) / (0.5 * width)))
    part += (rng.uniform(0.3, 0.65) * ring + rng.uniform(-0.03, 0.2) * inside).astype(np.float32)


def _draw_dot(absorption, median_size, rng):
    y, x = rng.uniform(0, np.array(absorption.shape) - 1)
    sigma = rng.uniform(0.05, 0.1) * median_size
    part, up, right = _window(absorption, y, x, 4 * sigma)
    part += (rng.uniform(0.3, 1.0) * np.exp(-0.5 * (up**2 + right**2) / sigma**2)).astype(np.float32)
    return {"kind": "black dot", "y": y, "x": x} | _edges(absorption.shape, y, x, 2 * sigma, 2 * sigma)


def _draw_edge_on(absorption, median_size, rng):
    """A loop seen from its edge: a short, straight, dark rod."""
    y, x = rng.uniform(0, np.array(absorption.shape) - 1)
    half, sigma, angle = rng.uniform(0.3, 0.7) * median_size, rng.uniform(1.5, 3.0), rng.uniform(0, np.pi)
    part, up, right = _window(absorption, y, x, half + 4 * sigma)
    along = right * math.cos(angle) + up * math.sin(angle)
    across = up * math.cos(angle) - right * math.sin(angle)
    beyond = np.maximum(np.abs(along) - half, 0)
    part += (rng.uniform(0.3, 0.7) * np.exp(-0.5 * (across**2 + beyond**2) / sigma**2)).astype(np.float32)
    extents = half * abs(math.sin(angle)) + 2 * sigma, half * abs(math.cos(angle)) + 2 * sigma
    return {"kind": "edge-on loop", "y": y, "x": x} | _edges(absorption.shape, y, x, *extents)


def _draw_line(absorption, rng):
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
    return dict(zip(_OTHER_COLUMNS, ("line", middle[0], middle[1], top, left, bottom, right), strict=True))


def _draw_precipitate(absorption, median_size, rng):
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
    return dict(zip(_OTHER_COLUMNS, ("precipitate", y, x, top, left, bottom, right), strict=True))


def _expose(absorption, noise, rng):
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
