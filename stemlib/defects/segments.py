"""Cut an image into segments that can be compared: whole unit cells along the lattice, or tapered windows."""

from dataclasses import dataclass

import cv2
import numpy as np

_BLUR = 0.45  # standard deviation over the distance of samples, where these are farther apart than pixels
_MOST_SAMPLES = 48  # along a cell


@dataclass(frozen=True, eq=False)
class Segments:
    """Windows of equal size, cut out of one image.

    Parameters
    ----------
    windows : numpy.ndarray, shape (N, S, T), float32
        Samples along two axes: those of the cell for whole unit cells, y and x for tapered windows.
    positions : numpy.ndarray, shape (N, 2)
        Their centres (y, x), px.
    axes : numpy.ndarray, shape (2, 2)
        The windows' edges as vectors (y, x), px, one row per axis of `windows`.
    """

    windows: np.ndarray
    positions: np.ndarray
    axes: np.ndarray


def unit_cell_segments(image, lattice, *, cells=(2, 2), sampling=1.0, steps=(1, 1), mask=None):
    """Cut windows that span whole unit cells, resampled along the lattice and its measured distortion.

    In a perfect crystal, the samples of such a window repeat beyond its edges, so that wherever it starts it holds
    the same samples, shifted in a circle: what `stemlib.defects.patterson` makes of them is exactly the same.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W), float32
    lattice : stemlib.lattice.Lattice
    cells : (int, int)
        How many cells a window spans along a and b.
    sampling : float
        The greatest distance of samples, px.
    steps : (int, int)
        How many windows start along a and b of each cell.
    mask : numpy.ndarray of bool, shape (H, W), optional
        True where to look; windows that reach beyond it, the image or the crystal are left out.

    Returns
    -------
    Segments

    Raises
    ------
    ValueError
        If `cells`, `steps` or `sampling` is not positive.

    Examples
    --------
    >>> from stemlib.lattice.find import find_lattice
    >>> from stemlib.synthetic import crystal_image
    >>> image = crystal_image("square", (128, 128), spacing=10, seed=0).image
    >>> segments = unit_cell_segments(image, find_lattice(image), sampling=1.2)
    >>> segments.windows.shape[1:], abs(segments.axes).sum(axis=0).round().tolist()
    ((18, 18), [20.0, 20.0])
    """
    cells, steps = _counts(cells, "cells"), _counts(steps, "steps")
    if not sampling > 0:
        raise ValueError(f"sampling={sampling!r} must be positive: a distance in px")
    # Whole samples between the starts of windows.
    blocks = [
        int(np.clip(np.ceil(length / (sampling * n) - 1e-6), 1, max(1, _MOST_SAMPLES // n)))
        for length, n in zip(lattice.lengths, steps, strict=True)
    ]
    per_cell = np.array(blocks) * steps
    image = _smoothed(image, np.max(lattice.lengths / per_cell))
    usable = np.ones(image.shape, np.uint8) if mask is None else np.asarray(mask, np.uint8)
    first, last = _reach(lattice)
    grid, valid = [], []
    for row in range(first[0], last[0]):
        points = _places(lattice, row, first[1], last[1], per_cell)
        samples, inside = _sampled(image, usable, lattice, points)
        grid.append(samples)
        valid.append(inside)
    grid, valid = np.concatenate(grid), np.concatenate(valid)
    whole = valid.reshape(valid.shape[0] // blocks[0], blocks[0], valid.shape[1] // blocks[1], blocks[1]).all(
        axis=(1, 3)
    )
    spans = cells * steps
    kept = np.lib.stride_tricks.sliding_window_view(whole, tuple(spans)).all(axis=(2, 3))
    windows = np.lib.stride_tricks.sliding_window_view(grid, tuple(cells * per_cell))
    windows = windows[:: blocks[0], :: blocks[1]][kept]
    middles = (np.argwhere(kept) + spans / 2 - 0.5 / np.array(blocks)) / steps + first
    return Segments(windows, _placed(lattice, middles), lattice.cell * cells[:, None])


def tapered_segments(image, positions, side, *, sampling=1.0, mask=None):
    """Cut square windows around columns or free positions, each less its mean and fading out towards its edges.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W), float32
    positions : array_like, shape (N, 2)
        Centres (y, x), px.
    side : float
        Side of a window, px.
    sampling : float
        The greatest distance of samples, px.
    mask : numpy.ndarray of bool, shape (H, W), optional
        True where to look; windows that reach beyond it or the image are left out.

    Returns
    -------
    Segments
        ``positions`` are those of the windows that were not left out, in their order.

    Raises
    ------
    ValueError
        If `side` or `sampling` is not positive, or `positions` are not (N, 2).

    Examples
    --------
    >>> import numpy as np
    >>> segments = tapered_segments(np.ones((40, 40), np.float32), [[20, 20], [3, 20]], 16)
    >>> segments.positions.tolist(), float(np.abs(segments.windows).max())
    ([[20.0, 20.0]], 0.0)
    """
    positions = np.asarray(positions, float).reshape(-1, np.shape(positions)[-1] if np.size(positions) else 2)
    if positions.shape[1] != 2:
        raise ValueError(f"positions has shape {np.shape(positions)}; centres need (N, 2): y, x")
    if not side > 0 or not sampling > 0:
        raise ValueError(f"side={side!r} and sampling={sampling!r} must be positive: lengths in px")
    count = max(4, int(np.ceil(side / sampling)))
    image = _smoothed(image, side / count)
    usable = np.ones(image.shape, np.uint8) if mask is None else np.asarray(mask, np.uint8)
    offsets = ((np.arange(count) + 0.5) / count - 0.5) * side
    taper = np.cos(np.pi * offsets / side) ** 2
    taper = np.outer(taper, taper).astype(np.float32)
    windows, kept = [], np.zeros(len(positions), bool)
    chunk = max(1, 2_000_000 // count**2)
    for start in range(0, len(positions), chunk):
        y = positions[start : start + chunk, 0, None] + offsets
        x = positions[start : start + chunk, 1, None] + offsets
        points = np.stack(np.broadcast_arrays(y[:, :, None], x[:, None, :]), axis=-1)
        points = points.reshape(len(y), -1, 2)
        inside = _on_image(points, image.shape) & _looked_up(usable, points, cv2.INTER_NEAREST).astype(bool)
        inside = inside.all(axis=1)
        kept[start : start + chunk] = inside
        cut = _looked_up(image, points[inside], cv2.INTER_CUBIC).reshape(-1, count, count)
        mean = (cut * taper).sum(axis=(1, 2), keepdims=True) / taper.sum()
        windows.append((cut - mean) * taper)
    windows = np.concatenate(windows) if windows else np.zeros((0, count, count), np.float32)
    return Segments(windows, positions[kept], np.eye(2) * side)


def _counts(values, name):
    counts = np.asarray(values)
    if counts.shape != (2,) or counts.dtype.kind not in "iu" or (counts < 1).any():
        raise ValueError(f"{name}={values!r} must be two whole numbers of at least 1")
    return counts


def _smoothed(image, distance):
    """Average noise over the distance of samples, where that is more than a pixel."""
    image = np.ascontiguousarray(image, np.float32)
    if distance <= 1.2:
        return image
    return cv2.GaussianBlur(image, (0, 0), _BLUR * distance, borderType=cv2.BORDER_REFLECT)


def _reach(lattice):
    """First and last cell, along a and b, that may touch the image; displacements included."""
    rim = 2.0 + np.abs(lattice.distortion.field.displacements).max()
    low, high = np.full(2, -rim), np.array(lattice.shape) - 1 + rim
    corners = np.array([low, [low[0], high[1]], [high[0], low[1]], high]) - lattice.origin
    steps = corners @ np.linalg.inv(lattice.cell)
    return np.floor(steps.min(axis=0)).astype(int), np.ceil(steps.max(axis=0)).astype(int)


def _places(lattice, row, first, last, per_cell):
    """Where the samples of one row of cells lie: (S, T, 2), px."""
    along_a = row + np.arange(per_cell[0]) / per_cell[0]
    along_b = first + np.arange((last - first) * per_cell[1]) / per_cell[1]
    steps = np.stack(np.meshgrid(along_a, along_b, indexing="ij"), axis=-1)
    return _placed(lattice, steps)


def _placed(lattice, steps):
    """From numbers of a and b to places in the image, the measured distortion included."""
    points = lattice.origin + steps @ lattice.cell
    field = lattice.distortion.field
    return points + field.at(points) - field.at(lattice.origin)


def _sampled(image, usable, lattice, points):
    inside = _on_image(points, image.shape)
    inside &= _looked_up(usable, points, cv2.INTER_NEAREST).astype(bool)
    inside &= lattice.distortion.field.covers(points)
    return _looked_up(image, points, cv2.INTER_CUBIC), inside


def _on_image(points, shape):
    return ((points >= -0.5) & (points <= np.array(shape) - 0.5)).all(axis=-1)


def _looked_up(image, points, how):
    """Values at points (..., 2); OpenCV's tables of places have at most 32767 rows and columns."""
    if not points.size:
        return np.zeros(points.shape[:-1], image.dtype)
    y, x = (points[..., axis].astype(np.float32) for axis in (0, 1))
    return cv2.remap(image, x, y, how, borderMode=cv2.BORDER_REFLECT)
