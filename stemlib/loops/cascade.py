"""Module I: a cascade of boosted multi-block local binary patterns that proposes loop candidates.

The file format and the evaluation are OpenCV's (class ``CascadeClassifier``, which OpenCV 5 moved out of its main
modules), so a cascade trained anywhere runs here with OpenCV's own windows, and ours run there.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numba
import numpy as np

_THRESHOLD_MARGIN = np.float32(1e-5)
_STRIP = 128  # px


@dataclass(frozen=True, eq=False)
class Cascade:
    """A trained cascade: stages of stumps, each stump a look-up over the 256 local binary patterns of one feature.

    Parameters
    ----------
    window : int
        Side of the square detection window, px.
    stage_thresholds : (S,) float32
        A window passes a stage if its sum of votes reaches the stage's threshold.
    stage_ends : (S,) int32
        Number of stumps up to and including each stage.
    features : (F, 4) int32
        ``x, y, width, height`` of each feature's first block; a feature is a 3 x 3 grid of such blocks.
    stump_features : (W,) int32
        Which feature each stump looks at.
    subsets : (W, 8) int32
        Bit ``c`` of the 256 is set if pattern ``c`` gets the stump's first vote.
    votes : (W, 2) float32
        The stump's two votes.

    References
    ----------
    Liao, Zhu, Lei, Zhang & Li, Learning multi-scale block local binary patterns for face recognition, ICB 2007,
    doi:10.1007/978-3-540-74549-5_87.  Viola & Jones, Int. J. Comput. Vis. 57, 137 (2004),
    doi:10.1023/B:VISI.0000013087.49260.fb.
    """

    window: int
    stage_thresholds: np.ndarray
    stage_ends: np.ndarray
    features: np.ndarray
    stump_features: np.ndarray
    subsets: np.ndarray
    votes: np.ndarray

    @property
    def n_stages(self) -> int:
        """Number of stages."""
        return len(self.stage_thresholds)

    def first_stages(self, n_stages: int) -> Cascade:
        """Return the cascade cut after its first ``n_stages`` stages: more candidates, more of them false."""
        if not 1 <= n_stages <= self.n_stages:
            raise ValueError(
                f"n_stages={n_stages} must lie between 1 and the cascade's {self.n_stages} stages"
            )
        end = self.stage_ends[n_stages - 1]
        return Cascade(
            self.window,
            self.stage_thresholds[:n_stages],
            self.stage_ends[:n_stages],
            self.features,
            self.stump_features[:end],
            self.subsets[:end],
            self.votes[:end],
        )


def raw_windows(
    cascade: Cascade,
    image: np.ndarray,
    *,
    scale_factor: float = 1.1,
    min_size: int = 0,
    max_size: int | None = None,
    step: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Slide the cascade over an image at all scales and return every window that passes all stages.

    With ``step=None`` the windows are exactly those of OpenCV's ``detectMultiScale`` with ``minNeighbors=0``.

    Parameters
    ----------
    cascade : Cascade
    image : (H, W) uint8
    scale_factor : float
        Ratio of the window sizes of consecutive scales, above 1.
    min_size, max_size : int
        Smallest and largest window side, px; where no scale lies between them, the one nearest to the smallest.
    step : int, optional
        Stride in pixels of the reduced image; ``None`` is OpenCV's (2 below a scale of 2, 1 from there).

    Returns
    -------
    windows : (N, 4) int32
        ``top, left, height, width`` in whole pixels, as OpenCV counts them (``left`` is the first column inside).
    confidence : (N,) float32
        Votes of the last stage above its threshold.

    Raises
    ------
    ValueError
        If the image is not two-dimensional uint8 or ``scale_factor`` is not above 1.

    Examples
    --------
    >>> import numpy as np, stemlib.loops.cascade_xml
    >>> cascade = stemlib.loops.cascade_xml.load_cascade()
    >>> windows, confidence = raw_windows(cascade, np.full((64, 64), 128, np.uint8))
    >>> windows.shape[1]
    4

    References
    ----------
    Lienhart & Maydt, ICIP 2002, doi:10.1109/ICIP.2002.1038171; OpenCV, ``CascadeClassifier``.
    """
    if not isinstance(image, np.ndarray) or image.ndim != 2 or image.dtype != np.uint8:
        what = (
            f"{image.dtype} array of shape {image.shape}"
            if isinstance(image, np.ndarray)
            else type(image).__name__
        )
        raise ValueError(
            f"image must be a two-dimensional uint8 array, got {what}; see stemlib.io.micrograph.to_uint8"
        )
    if not scale_factor > 1:
        raise ValueError(f"scale_factor={scale_factor} must be above 1")
    height, width = image.shape
    found, margins = [], []
    n_stripes = None
    for scale in _scales(cascade.window, image.shape, scale_factor, min_size, max_size):
        reduced_size = (_round(width / scale), _round(height / scale))
        reduced = cv2.resize(image, reduced_size, interpolation=cv2.INTER_LINEAR_EXACT)
        stride = step or (1 if scale >= 2 else 2)
        rows = reduced.shape[0] - cascade.window + 1
        n_stripes = n_stripes or -(-(reduced.shape[1] - cascade.window + 1) // 32)
        if step is None:
            # OpenCV deals the rows to stripes, and may leave the last row of windows to none of them.
            rows = min(rows, n_stripes * max(-(-(rows // stride) // n_stripes), 1) * stride)
        positions, margin = evaluate(cascade, reduced, rows, stride)
        corners = np.rint(positions * np.float32(scale)).astype(np.int32)
        # Rounding can carry a window over the lower or right edge; OpenCV cuts it there.
        sides = np.minimum(_round(cascade.window * scale), np.array(image.shape, np.int32) - corners)
        found.append(np.hstack([corners, sides.astype(np.int32)]))
        margins.append(margin)
    if not found:
        return np.empty((0, 4), np.int32), np.empty(0, np.float32)
    return np.vstack(found), np.concatenate(margins)


def evaluate(cascade: Cascade, image: np.ndarray, rows: int, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Return ``(y, x)`` of the windows in the first rows that pass all stages, and their margin over the last one."""
    columns = image.shape[1] - cascade.window + 1
    if rows <= 0 or columns <= 0:
        return np.empty((0, 2), np.float32), np.empty(0, np.float32)
    # Strips this narrow stay in the processor's first cache for as many rows as a window has.
    strip = min(_STRIP, columns)
    offsets = grid_offsets(cascade.features[cascade.stump_features], strip + cascade.window)
    return _slide(
        cv2.integral(image),
        cascade.window,
        strip,
        rows,
        step,
        offsets,
        cascade.subsets,
        cascade.votes,
        cascade.stage_ends,
        cascade.stage_thresholds - _THRESHOLD_MARGIN,
    )


def grid_offsets(features: np.ndarray, row_length: int) -> np.ndarray:
    """Return the (N, 16) offsets, in a flattened integral image, of each feature's 4 x 4 grid of corners."""
    x, y, width, height = (features[:, i : i + 1].astype(np.int32) for i in range(4))
    steps = np.arange(4, dtype=np.int32)
    rows = (y + height * steps)[:, :, None] * row_length
    # Unsigned, so that compiled code need not ask whether an index counts from the end.
    return (rows + (x + width * steps)[:, None, :]).reshape(len(features), 16).astype(np.uint64)


@numba.njit(cache=True, inline="always")
def pattern(integral, at, offsets):
    """Return the local binary pattern (0 to 255) of one feature whose window starts at ``at``."""
    p = offsets
    a5, a6 = integral[at + p[5]], integral[at + p[6]]
    a9, a10 = integral[at + p[9]], integral[at + p[10]]
    centre = a5 - a6 - a9 + a10
    a0, a1, a2, a3 = integral[at + p[0]], integral[at + p[1]], integral[at + p[2]], integral[at + p[3]]
    a4, a7 = integral[at + p[4]], integral[at + p[7]]
    code = 128 if a0 - a1 - a4 + a5 >= centre else 0
    if a1 - a2 - a5 + a6 >= centre:
        code |= 64
    if a2 - a3 - a6 + a7 >= centre:
        code |= 32
    a11, a14, a15 = integral[at + p[11]], integral[at + p[14]], integral[at + p[15]]
    if a6 - a7 - a10 + a11 >= centre:
        code |= 16
    if a10 - a11 - a14 + a15 >= centre:
        code |= 8
    a8, a12, a13 = integral[at + p[8]], integral[at + p[12]], integral[at + p[13]]
    if a9 - a10 - a13 + a14 >= centre:
        code |= 4
    if a8 - a9 - a12 + a13 >= centre:
        code |= 2
    if a4 - a5 - a8 + a9 >= centre:
        code |= 1
    return code


@numba.njit(cache=True, nogil=True)
def _slide(integral, window, strip, rows, step, offsets, subsets, votes, stage_ends, thresholds):
    columns = integral.shape[1] - window
    row_length = strip + window
    part = np.zeros((integral.shape[0], row_length), integral.dtype)
    flat = part.ravel()
    next_x = np.zeros(rows, np.int64)
    capacity = 256
    positions, margins = np.empty((capacity, 2), np.float32), np.empty(capacity, np.float32)
    n = 0
    for left in range(0, columns, strip):
        width = min(row_length, integral.shape[1] - left)
        # Counted from the strip's own edge: sums over a whole large image wrap around.
        part[:, :width] = integral[:, left : left + width] - integral[:, left : left + 1]
        right = min(left + strip, columns)
        for y in range(0, rows, step):
            x = next_x[y]
            while x < right:
                at = np.uint64(y * row_length + x - left)
                stump = 0
                failed_at = -1
                total = 0.0
                for stage in range(len(stage_ends)):
                    total = 0.0
                    while stump < stage_ends[stage]:
                        code = pattern(flat, at, offsets[stump])
                        first = (subsets[stump, code >> 5] >> (code & 31)) & 1
                        total += votes[stump, 1 - first]
                        stump += 1
                    if total < thresholds[stage]:
                        failed_at = stage
                        break
                if failed_at < 0:
                    if n == capacity:
                        capacity *= 2
                        positions, margins = _grown(positions, capacity), _grown(margins, capacity)
                    positions[n, 0] = y
                    positions[n, 1] = x
                    margins[n] = total - thresholds[-1]
                    n += 1
                # OpenCV looks at every second window only after one that fails the very first stage.
                x += 2 * step if failed_at == 0 else step
            next_x[y] = x
    return positions[:n], margins[:n]


@numba.njit(cache=True, nogil=True)
def _grown(array, capacity):
    grown = np.empty((capacity, *array.shape[1:]), array.dtype)
    grown[: len(array)] = array
    return grown


def _scales(window, shape, scale_factor, min_size, max_size):
    scales, factor = [], 1.0
    while _round(window * factor) <= min(shape):
        scales.append(np.float32(factor))
        factor *= scale_factor
    sides = np.array([_round(window * scale) for scale in scales])
    kept = (sides >= min_size) & (sides <= (min(shape) if max_size is None else max_size))
    if scales and not kept.any():
        # As OpenCV does: rather the nearest size than none.
        kept[np.argmin(np.abs(sides - min_size))] = True
    return [scale for scale, keep in zip(scales, kept, strict=True) if keep]


def _round(value) -> int:
    return int(np.rint(value))
