"""Module III: flood each loop from an inner and an outer seed, and measure the region."""

import math

import cv2
import numpy as np
import pandas as pd

from stemlib.io.micrograph import as_micrograph
from stemlib.loops.watershed import flood, place_ellipse

COLUMNS = ["y", "x", "major", "minor", "angle_deg", "area", "top", "left", "bottom", "right"]
FLAGS = ["touches_edge", "flood_failed"]

# Every loop is looked at in a square of 64 x 64 pixels that spans 1.9 times the box's longer side: the ring
# is then about 34 pixels long whatever the magnification, and the time per loop is constant.
_SIDE, _SPAN = 64, 1.9
# Darkness of the ring: difference of two Gaussians, in pixels of that square.
_FINE, _COARSE = 1.8, 3.24
_SEARCH_RANGE = (-4.0, 1.7)  # in standard deviations, so that a black dot on the ring does not win the search

# The flood's relief is the darkness, cut at 1.25 so that it follows the middle of a broad ring, on a
# parabolic dam over the seed ellipse, which bridges the gaps of open arcs. Annotators draw a loop slightly
# outside the crest of its ring: with the dam 6 and 2 % further out, the axes have no bias on label set B.
_RELIEF_RANGE = (-3.0, 1.25)
_DAM_WIDTH = 0.25
_DRAWN_MAJOR, _DRAWN_MINOR = 1.06, 1.02
_INNER_SEED, _OUTER_SEED = 0.6, 1.5  # relative to the seed ellipse

# A region is believed if its area is within a factor of 1.5 of its seed ellipse and its aspect above 0.25.
_AREA_FACTOR, _LEAST_ASPECT = 1.5, 0.25


def measure_loops(image, boxes):
    """Measure axes, orientation, area and edges of dislocation loops in boxes.

    Each box is resampled to a small square. An ellipse is fitted to the darkest ring near the box; the inside
    of it is the inner seed and the far outside the outer seed of a watershed flood, whose border is the crest
    of the ring. The region inside gives the ellipse of equal area and equal ratio of second moments, as in
    ImageJ. Its constants were chosen on annotators' ellipses (label set B of training images).

    Parameters
    ----------
    image : str, pathlib.Path, array_like, Micrograph or hyperspy.signals.Signal2D
        Bright-field micrograph (H, W), loops dark; see `stemlib.io.micrograph.as_micrograph`.
    boxes : array_like, shape (N, 4)
        Edges top, left, bottom, right of the loops in px, pixel centres at whole numbers. Meant to enclose a
        loop tightly: centres may be off by a tenth of the side and sizes by a fifth, and squares will do.

    Returns
    -------
    pandas.DataFrame
        One row per box: ``y, x`` centre, ``major, minor`` full axes, ``area`` of the region and edges ``top,
        left, bottom, right`` of the ellipse (cut at the image's), all in px (px² the area); ``angle_deg`` of
        the major axis, counter-clockwise from +x as seen, in [0, 180). ``touches_edge``: the loop reaches the
        image's edge and is measured as cut off, so leave it out of size statistics (large loops are cut more
        often, so a mean without them is too small). ``flood_failed``: the region was not plausible and the
        row holds the seed ellipse instead.

    Raises
    ------
    TypeError
        If `boxes` are no numbers.
    ValueError
        If a box is not finite, has no area, is wholly outside the image or more than twice as large, or
        `boxes` has another shape; and whatever `as_micrograph` raises about `image`.

    References
    ----------
    Modules I to III: W. Li, K. G. Field, D. Morgan, npj Comput. Mater. 4, 36 (2018),
    doi:10.1038/s41524-018-0093-8. Watershed by flooding: F. Meyer, Signal Processing 38, 113-125 (1994),
    doi:10.1016/0165-1684(94)90060-4.

    Examples
    --------
    >>> import numpy as np
    >>> y, x = np.mgrid[:100, :120]
    >>> radius = np.hypot((y - 50) / 15, (x - 60) / 25)
    >>> image = 200 - 80 * np.exp(-(((radius - 1) / 0.15) ** 2))
    >>> measure_loops(image, [[33, 37, 68, 84]])[["y", "x", "angle_deg"]].round().abs() % 180
          y     x  angle_deg
    0  50.0  60.0        0.0
    """
    if not (isinstance(image, np.ndarray) and image.ndim == 2 and image.dtype == np.uint8 and image.size):
        image = as_micrograph(image).image
    boxes = _check_boxes(boxes, image.shape)
    rows = [_measure(image, box) for box in boxes]
    table = pd.DataFrame(rows, columns=COLUMNS + FLAGS)
    return table.astype(dict.fromkeys(COLUMNS, float) | dict.fromkeys(FLAGS, bool))


def as_boxes_say(boxes, shape):
    """Return the table of `measure_loops` for objects that have no ring: the ellipses that fill their boxes.

    Parameters
    ----------
    boxes : array_like, shape (N, 4)
        Edges top, left, bottom, right, px.
    shape : tuple of int
        Height and width of the image, px.

    Returns
    -------
    pandas.DataFrame

    Examples
    --------
    >>> as_boxes_say([[10, 10, 20, 40]], (64, 64))[["major", "minor", "angle_deg"]].iloc[0].tolist()
    [30.0, 10.0, 0.0]
    """
    boxes = _check_boxes(boxes, shape)
    top, left, bottom, right = boxes.T
    height, width = bottom - top, right - left
    last = np.array(shape * 2) - 1.0
    touches = (boxes[:, :2] <= 0).any(axis=1) | (boxes[:, 2:] >= last[2:]).any(axis=1)
    values = [
        (top + bottom) / 2,
        (left + right) / 2,
        np.maximum(height, width),
        np.minimum(height, width),
        np.where(height > width, 90.0, 0.0),
        math.pi / 4 * height * width,
        *np.clip(boxes, -0.5, last + 0.5).T,
        touches,
        np.zeros(len(boxes), bool),
    ]
    return pd.DataFrame(dict(zip(COLUMNS + FLAGS, values, strict=True)))


def _check_boxes(boxes, shape):
    try:
        boxes = np.asarray(boxes, dtype=float)
    except (TypeError, ValueError) as error:
        raise TypeError(f"boxes must be numbers top, left, bottom, right, not {boxes!r}") from error
    if boxes.size == 0:
        return np.empty((0, 4))
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes has the shape {boxes.shape}; it must be (N, 4): top, left, bottom, right")
    top, left, bottom, right = boxes.T
    height, width = shape
    for wrong, why in (
        (~np.isfinite(boxes).all(axis=1), "is not finite"),
        (~((bottom > top) & (right > left)), "has no area; the order is top, left, bottom, right"),
        (
            (bottom <= -0.5) | (right <= -0.5) | (top >= height - 0.5) | (left >= width - 0.5),
            f"lies wholly outside the image of {height} x {width} px",
        ),
        (
            np.maximum(bottom - top, right - left) > 2 * max(shape),
            f"is more than twice as large as the image of {height} x {width} px",
        ),
    ):
        if wrong.any():
            n = int(np.argmax(wrong))
            raise ValueError(f"boxes: row {n}, {boxes[n].tolist()}, {why}")
    return boxes


def _measure(image, box):
    square, inside, y0, x0, scale = _square_around(image, box)
    darkness = _darkness(square)
    centre = [((box[i] + box[i + 2]) / 2 - o + 0.5) * scale - 0.5 for i, o in ((0, y0), (1, x0))]
    side = max(box[2] - box[0], box[3] - box[1]) * scale
    y, x, semi, aspect, angle = place_ellipse(np.clip(darkness, *_SEARCH_RANGE), centre, side)
    seed = (y, x, _DRAWN_MAJOR * semi, _DRAWN_MINOR * semi * aspect, angle)
    region, expected, cut = _flooded(darkness, inside, seed)
    ellipse, area, failed = _ellipse_of(region, expected, seed)

    # Back from the square to the image; only lengths and the centre change.
    y, x = (ellipse[0] + 0.5) / scale - 0.5 + y0, (ellipse[1] + 0.5) / scale - 0.5 + x0
    major, minor, area, angle = 2 * ellipse[2] / scale, 2 * ellipse[3] / scale, area / scale**2, ellipse[4]
    half_height = math.hypot(major * math.sin(angle), minor * math.cos(angle)) / 2
    half_width = math.hypot(major * math.cos(angle), minor * math.sin(angle)) / 2
    edges = [y - half_height, x - half_width, y + half_height, x + half_width]
    last = (image.shape[0] - 1, image.shape[1] - 1)
    touches = cut or edges[0] <= 0 or edges[1] <= 0 or edges[2] >= last[0] or edges[3] >= last[1]
    edges = [min(max(e, -0.5), n + 0.5) for e, n in zip(edges, last * 2, strict=True)]
    return [y, x, major, minor, math.degrees(angle) % 180, area, *edges, touches, failed]


def _square_around(image, box):
    """Resampled square around a box, where it is inside the image, its first pixel and its scale."""
    height, width = image.shape
    n = max(8, math.ceil(_SPAN * max(box[2] - box[0], box[3] - box[1])))
    y0, x0 = round((box[0] + box[2] - n + 1) / 2), round((box[1] + box[3] - n + 1) / 2)
    before_y, before_x = max(-y0, 0), max(-x0, 0)
    after_y, after_x = max(y0 + n - height, 0), max(x0 + n - width, 0)
    # Never empty: the square reaches beyond its box, and the box overlaps the image.
    patch = image[max(y0, 0) : y0 + n, max(x0, 0) : x0 + n].astype(np.float32)
    scale = _SIDE / n
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    patch = cv2.copyMakeBorder(patch, before_y, after_y, before_x, after_x, cv2.BORDER_REPLICATE)
    rows, columns = (np.arange(_SIDE) / scale + first + 0.5 / scale - 0.5 for first in (y0, x0))
    rows_inside = (rows > -0.5) & (rows < height - 0.5)
    inside = rows_inside[:, None] & ((columns > -0.5) & (columns < width - 0.5))
    return cv2.resize(patch, (_SIDE, _SIDE), interpolation=how), inside, y0, x0, scale


def _darkness(square):
    fine = cv2.GaussianBlur(square, (0, 0), _FINE, borderType=cv2.BORDER_REPLICATE)
    darkness = cv2.GaussianBlur(square, (0, 0), _COARSE, borderType=cv2.BORDER_REPLICATE)
    darkness -= fine
    darkness -= darkness.mean()
    spread = float(darkness.std())
    # A constant image has no rings: all zero, and the seed ellipse is what a box alone suggests.
    return darkness / spread if spread > 1e-6 * float(np.abs(square).max()) else np.zeros_like(darkness)


_ROWS, _COLUMNS = np.mgrid[:_SIDE, :_SIDE].astype(np.float32)


def _flooded(darkness, inside, seed):
    """Labels 1 (loop) and 2 of the flood, area of the seed ellipse in the image, and whether that is cut."""
    y, x, semi_major, semi_minor, angle = seed
    right, up = _COLUMNS - np.float32(x), np.float32(y) - _ROWS
    cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    radius = np.hypot(
        (right * cos + up * sin) / np.float32(semi_major), (up * cos - right * sin) / np.float32(semi_minor)
    )
    relief = np.clip(darkness, *_RELIEF_RANGE) - ((radius - 1) / np.float32(_DAM_WIDTH)) ** 2
    # Between the seeds the dam is at most 4 deep, so the relief spans from -7 to 1.25.
    low = _RELIEF_RANGE[0] - max(1 - _INNER_SEED, _OUTER_SEED - 1) ** 2 / _DAM_WIDTH**2
    levels = np.clip((relief - low) * (255 / (_RELIEF_RANGE[1] - low)), 0, 255).astype(np.uint8)
    seeds = (radius < _INNER_SEED) + np.uint8(2) * (radius > _OUTER_SEED)
    region = flood(levels, seeds.astype(np.uint8))
    within = radius < 1
    region[~inside] = 2
    return region, np.count_nonzero(within & inside), bool((within & ~inside).any())


def _ellipse_of(region, expected, seed):
    """Ellipse (y, x, semi-axes, angle) and area of a region, and whether they had to be the seed's."""
    moments = cv2.moments((region == 1).view(np.uint8), binaryImage=True)
    area = moments["m00"]
    if expected / _AREA_FACTOR < area < expected * _AREA_FACTOR:
        y, x = moments["m01"] / area, moments["m10"] / area
        # A pixel is a square, not a point: 1/12 of its side squared is its own moment.
        yy, xx, xy = moments["mu02"] / area + 1 / 12, moments["mu20"] / area + 1 / 12, moments["mu11"] / area
        mean, spread = (yy + xx) / 2, math.hypot((xx - yy) / 2, xy)
        aspect = math.sqrt(max(mean - spread, 0) / (mean + spread))
        if aspect > _LEAST_ASPECT:
            semi_major = math.sqrt(area / math.pi / aspect)
            angle = 0.5 * math.atan2(-2 * xy, xx - yy)
            return (y, x, semi_major, aspect * semi_major, angle), area, False
    return seed, math.pi * seed[2] * seed[3], True
