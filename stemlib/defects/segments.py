"""Cut an image into segments that can be compared: whole unit cells along the lattice, or tapered windows."""

from dataclasses import dataclass

import cv2
import numpy as np

_BLUR = 0.45  # standard deviation over the distance of samples, where these are farther apart than pixels
_MOST_SAMPLES = 48  # along a cell
_TABLE = 4096  # places in a row


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

    Examples
    --------
    >>> from stemlib.lattice.find import find_lattice
    >>> from stemlib.synthetic import crystal_image
    >>> image = crystal_image("square", (128, 128), spacing=10, seed=0).image
    >>> segments = unit_cell_segments(image, find_lattice(image), sampling=1.2)
    >>> segments.windows.shape[1:], abs(segments.axes).sum(axis=0).round().tolist()
    ((18, 18), [20.0, 20.0])
    """
    cells, steps = np.array(cells), np.array(steps)
    # Whole samples between the starts of windows.
    blocks = [
        int(np.clip(np.ceil(length / (sampling * n) - 1e-6), 1, max(1, _MOST_SAMPLES // n)))
        for length, n in zip(lattice.lengths, steps, strict=True)
    ]
    per_cell = np.array(blocks) * steps
    image = _smoothed(image, np.max(lattice.lengths / per_cell))
    usable = np.ones(image.shape, np.uint8) if mask is None else np.asarray(mask, np.uint8)
    first, last = lattice.cells()[[0, -1]]
    along_b = first[1] + np.arange((last[1] - first[1]) * per_cell[1]) / per_cell[1]
    grid, valid = [], []
    for row in range(first[0], last[0]):
        along_a = row + np.arange(per_cell[0]) / per_cell[0]
        points = lattice.places(np.stack(np.meshgrid(along_a, along_b, indexing="ij"), axis=-1))
        grid.append(values_at(image, points, cv2.INTER_CUBIC))
        valid.append(_usable(usable, points) & lattice.distortion.field.covers(points))
    grid, valid = np.concatenate(grid), np.concatenate(valid)
    whole = valid.reshape(len(valid) // blocks[0], blocks[0], -1, blocks[1]).all(axis=(1, 3))
    spans = cells * steps
    kept = np.lib.stride_tricks.sliding_window_view(whole, tuple(spans)).all(axis=(2, 3))
    windows = np.lib.stride_tricks.sliding_window_view(grid, tuple(cells * per_cell))
    windows = windows[:: blocks[0], :: blocks[1]][kept]
    middles = (np.argwhere(kept) + spans / 2 - 0.5 / np.array(blocks)) / steps + first
    return Segments(windows, lattice.places(middles), lattice.cell * cells[:, None])


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

    Examples
    --------
    >>> import numpy as np
    >>> segments = tapered_segments(np.ones((40, 40), np.float32), [[20, 20], [3, 20]], 16)
    >>> segments.positions.tolist(), float(np.abs(segments.windows).max())
    ([[20.0, 20.0]], 0.0)
    """
    positions = np.asarray(positions, float).reshape(-1, 2)
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
        inside = _usable(usable, points).all(axis=1)
        kept[start : start + chunk] = inside
        cut = values_at(image, points[inside], cv2.INTER_CUBIC).reshape(-1, count, count)
        mean = (cut * taper).sum(axis=(1, 2), keepdims=True) / taper.sum()
        windows.append((cut - mean) * taper)
    windows = np.concatenate(windows) if windows else np.zeros((0, count, count), np.float32)
    return Segments(windows, positions[kept], np.eye(2) * side)


def _smoothed(image, distance):
    """Average noise over the distance of samples, where that is more than a pixel."""
    image = np.ascontiguousarray(image, np.float32)
    if distance <= 1.2:
        return image
    return cv2.GaussianBlur(image, (0, 0), _BLUR * distance, borderType=cv2.BORDER_REFLECT)


def _usable(usable, points):
    """Which points (..., 2) lie on the image where it may be looked at."""
    return on_image(points, usable.shape) & values_at(usable, points, cv2.INTER_NEAREST).astype(bool)


def on_image(points, shape):
    """Which points (..., 2) lie on the image: at its edge a fit may end up beyond it.

    Examples
    --------
    >>> on_image(np.array([[-0.4, 3.0], [-0.6, 3.0]]), (8, 8)).tolist()
    [True, False]
    """
    return ((points >= -0.5) & (points <= np.array(shape) - 0.5)).all(axis=-1)


def values_at(image, points, how=cv2.INTER_LINEAR):
    """Values at points (..., 2), interpolated; OpenCV's tables of places have at most 32767 rows and columns.

    Examples
    --------
    >>> image = np.fromfunction(lambda y, x: x, (4, 9), dtype=np.float32)
    >>> values_at(image, np.tile([2.0, 6.5], (70_000, 1)))[-1]
    np.float32(6.5)
    """
    if not points.size:
        return np.zeros(points.shape[:-1], image.dtype)
    places = points.reshape(-1, 2).astype(np.float32)
    wide = min(len(places), _TABLE)
    table = np.resize(places, (-(-len(places) // wide), wide, 2))
    found = cv2.remap(image, table[..., 1], table[..., 0], how, borderMode=cv2.BORDER_REFLECT)
    return found.ravel()[: len(places)].reshape(points.shape[:-1])
