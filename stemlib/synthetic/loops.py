"""Bright-field micrographs of dislocation loops, simulated from known ellipses."""

import math
import operator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stemlib.synthetic import _loop_scenery as scenery

_LOOP_COLUMNS = ["y", "x", "major", "minor", "angle_deg", *scenery.EDGES, "touches_edge", "contrast"]
_SMALLEST_LOOP = 16.0
# The truth's ellipse lies this many standard deviations of the ring's profile outside its darkest line.
_OUTLINE = 0.5


@dataclass(frozen=True, eq=False)
class LoopScene:
    """A simulated micrograph and everything that is in it.

    Parameters
    ----------
    image : numpy.ndarray of uint8, shape (H, W)
        The micrograph.
    loops : pandas.DataFrame
        One row per loop: ``y, x`` centre, ``major, minor`` full axes and edges ``top, left, bottom, right``
        (cut at the image's edge) in px, ``angle_deg`` of the major axis in [0, 180), ``touches_edge``, and
        ``contrast``: "ring", "lobes" (two dark arcs) or "arc" (open). The ellipse lies where annotators
        draw it, half a standard deviation of the ring's profile outside its darkest line.
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


@dataclass(frozen=True)
class OtherDefects:
    """What a micrograph shows beside its loops.

    Parameters
    ----------
    n_black_dots, n_edge_on, n_lines : int
        How many black dots, loops seen edge-on, and dislocation lines.
    precipitate : bool
        Whether there is a faceted precipitate.

    Raises
    ------
    TypeError
        If a count is no whole number.
    ValueError
        If a count is negative.
    """

    n_black_dots: int = 40
    n_edge_on: int = 10
    n_lines: int = 4
    precipitate: bool = True

    def __post_init__(self):
        for name in ("n_black_dots", "n_edge_on", "n_lines"):
            _check_count(name, getattr(self, name))


def loop_micrograph(
    shape=(1024, 1024),
    *,
    n_loops=40,
    others=None,
    median_size=48.0,
    noise=1.0,
    pixel_size_nm=0.5,
    seed,
):
    """Simulate a bright-field STEM micrograph of dislocation loops among other defects.

    Contrast multiplies as absorption: thickness bands and a brightness gradient, rings of Gaussian profile
    (whole, in two lobes, or open arcs), black dots, loops seen edge-on, dislocation lines and a faceted
    precipitate; then the probe's blur, counting noise and lines of the scan. Sizes, aspects and contrast
    follow the public FeCrAl loop images (Li, Field and Morgan, npj Comput. Mater. 4, 36 (2018),
    doi:10.1038/s41524-018-0093-8), of which no pixel is used.

    Parameters
    ----------
    shape : tuple of int
        Height and width in px.
    n_loops : int
        Loops keep clear of each other and of the precipitate, nothing else does.
    others : OtherDefects, optional
        What is there beside the loops; ``OtherDefects()`` by default.
    median_size : float
        Median of the loops' major axes in px; they spread by about a third. At least 16.
    noise : float
        0 is none, 1 that of the real images.
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
        If `n_loops` is no whole number.
    ValueError
        If `n_loops` or `noise` is negative, `shape` is smaller than 64 x 64 px, `median_size` is below 16 px,
        `pixel_size_nm` is not positive, or the loops do not fit.

    Examples
    --------
    >>> scene = loop_micrograph((256, 320), n_loops=4, seed=0)
    >>> scene.image.shape, scene.image.dtype, len(scene.loops)
    ((256, 320), dtype('uint8'), 4)
    """
    shape = _checked_shape(shape)
    others = others or OtherDefects()
    _check_count("n_loops", n_loops)
    for name, value, least in (("median_size", median_size, _SMALLEST_LOOP), ("noise", noise, 0)):
        if not (math.isfinite(value) and value >= least):
            raise ValueError(f"{name}={value!r} must be at least {least:g}")
    if not (math.isfinite(pixel_size_nm) and pixel_size_nm > 0):
        raise ValueError(f"pixel_size_nm={pixel_size_nm!r} must be positive")
    rng = np.random.default_rng(seed)

    absorption = scenery.background(shape, rng)
    other = [scenery.add_precipitate(absorption, median_size, rng)] if others.precipitate else []
    loops = _place_loops(shape, n_loops, median_size, other, rng)
    for loop in loops:
        _add_loop(absorption, loop, rng)
    other += [scenery.add_dot(absorption, median_size, rng) for _ in range(others.n_black_dots)]
    other += [scenery.add_edge_on(absorption, median_size, rng) for _ in range(others.n_edge_on)]
    other += [scenery.add_line(absorption, rng) for _ in range(others.n_lines)]

    return LoopScene(
        scenery.expose(absorption, noise, rng),
        pd.DataFrame(loops, columns=_LOOP_COLUMNS),
        pd.DataFrame(other, columns=scenery.OTHER_COLUMNS),
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


def _place_loops(shape, n_loops, median_size, obstacles, rng):
    """Choose sizes and find free places: a row of the truth table for each loop, largest first."""
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
        loops.append(
            {"y": y, "x": x, "major": major, "minor": minor, "angle_deg": math.degrees(angle)}
            | scenery.edges(shape, y, x, extent_y, extent_x)
            | {
                "touches_edge": min(y - extent_y, x - extent_x) <= 0
                or y + extent_y >= shape[0] - 1
                or x + extent_x >= shape[1] - 1,
                "contrast": str(rng.choice(["ring", "lobes", "arc"], p=[0.55, 0.3, 0.15])),
            }
        )
    return loops


def _add_loop(absorption, loop, rng):
    semi_major, semi_minor = loop["major"] / 2, loop["minor"] / 2
    angle = math.radians(loop["angle_deg"])
    width = np.clip(rng.uniform(0.04, 0.085) * loop["major"], 1.3, 7.0)
    part, up, right = scenery.window(absorption, loop["y"], loop["x"], semi_major + 4 * width)
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
