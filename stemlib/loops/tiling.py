"""An image in tiles that a network can hold: overlapping, evenly placed, each with the part that it answers for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

CORE = 1024  # frame px of a tile along each axis that no other tile answers for, at most
MARGIN = 128  # frame px that a tile sees beyond: more than the largest loop that the network knows
# An image hardly larger than a tile's core is one tile: its seams would cost more than they save.
_WHOLE = CORE + MARGIN


@dataclass(frozen=True, eq=False)
class Tile:
    """A part of an image, resampled to the scale of a network.

    Parameters
    ----------
    frame : (h, w) float32
        Grey values.
    seen : (h, w) bool
        What is no filling.
    origin, pixel : (2,) float
        Upper left corner of the frame in px of the image, counted from the image's upper left corner, and the size
        of a frame px in px of the image, along y and x.
    core : (2, 2) float
        First and last edge along y and x, likewise in px of the image, of what this tile answers for.
    """

    frame: np.ndarray
    seen: np.ndarray
    origin: np.ndarray
    pixel: np.ndarray
    core: np.ndarray

    def answers_for(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Return which positions, in px from the image's upper left corner, are this tile's."""
        (top, bottom), (left, right) = self.core
        return (y >= top) & (y < bottom) & (x >= left) & (x < right)


def tiles(image: np.ndarray, pixel: float, mask: np.ndarray | None = None) -> Iterator[Tile]:
    """Cut an image into tiles, each resampled so that one of its px spans `pixel` px of the image.

    Tiles are placed evenly, so that an image and its mirror image are cut alike. Where the mask shows nothing there is
    no tile.

    Parameters
    ----------
    image : (H, W) uint8
    pixel : float
        Size of a px of the tiles, px of the image.
    mask : (H, W) bool, optional
        True where to look.

    Yields
    ------
    Tile

    Examples
    --------
    >>> [tile.frame.shape for tile in tiles(np.zeros((1024, 3000), np.uint8), 2.0)]
    [(512, 878), (512, 878)]
    """
    rows, columns = (_spans(side, pixel) for side in image.shape)
    for low_y, high_y, top, bottom in rows:
        for low_x, high_x, left, right in columns:
            part = np.s_[low_y:high_y, low_x:high_x]
            if mask is not None and not mask[part].any():
                continue
            frame = resampled(image[part].astype(np.float32), pixel)
            size = np.array(frame.shape)
            if mask is None or mask[part].all():
                seen = np.ones(frame.shape, bool)
            else:
                share = cv2.resize(mask[part].view(np.uint8), tuple(size[::-1].tolist()))
                seen = share > 0
            origin = np.array([low_y, low_x], float)
            yield Tile(
                frame,
                seen if seen.any() else np.ones(frame.shape, bool),
                origin,
                (np.array([high_y, high_x]) - origin) / size,
                np.array([[top, bottom], [left, right]], float),
            )


def count_tiles(shape: tuple[int, int], pixel: float) -> int:
    """Return into how many tiles `tiles` cuts an image of this shape.

    Examples
    --------
    >>> count_tiles((1024, 3000), 2.0)
    2
    """
    return len(_spans(shape[0], pixel)) * len(_spans(shape[1], pixel))


def resampled(image: np.ndarray, pixel: float) -> np.ndarray:
    """Resample an image so that one px of the result spans `pixel` px of it, as nearly as whole sides allow.

    Examples
    --------
    >>> resampled(np.zeros((100, 60), np.uint8), 2.0).shape
    (50, 30)
    """
    height, width = (max(1, round(side / pixel)) for side in image.shape)
    if (height, width) == image.shape:
        return image
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if pixel > 1 else cv2.INTER_CUBIC)


def middle(shape: tuple[int, int], pixel: float) -> tuple[slice, slice]:
    """Return the middle of an image, as large as one tile at most, which shows at what scale its loops are.

    Examples
    --------
    >>> middle((1024, 3000), 2.0)
    (slice(0, 1024, None), slice(348, 2652, None))
    """
    return tuple(slice(gap := int(max(side - _WHOLE * pixel, 0) // 2), side - gap) for side in shape)


def _spans(side, pixel):
    """First and last px of each tile along one axis, and the edges of what it answers for."""
    frame = side / pixel
    n = 1 if frame <= _WHOLE else int(np.ceil(frame / CORE))
    edges = np.rint(np.linspace(0, side, n + 1)).astype(int)
    margin = int(np.ceil(MARGIN * pixel))
    spans = []
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        # The outermost tiles answer for what lies a little outside as well.
        top, bottom = (-np.inf if low == 0 else low), (np.inf if high == side else high)
        spans.append((max(low - margin, 0), min(high + margin, side), top, bottom))
    return spans
