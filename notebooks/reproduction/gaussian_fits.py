"""Columns placed by fitting a Gaussian to each: the usual way, as a yardstick that shares no code with stemlib's."""

import numpy as np

_FIT_STEPS = 60


def gaussian_fit(image, starts, radius):
    """Fit a round Gaussian on a constant background to each bright column by itself, by least squares.

    `image` is (H, W), `starts` are positions (y, x) to start from, px, (N, 2), `radius` that of the disc of pixels that
    each fit sees, px. Returns centres (y, x), px, (N, 2); the start where the fit leaves its disc, or sees too few
    pixels.
    """
    starts = np.asarray(starts, dtype=np.float64).reshape(-1, 2)
    reach = int(np.ceil(radius))
    middle = np.rint(starts).astype(int)
    dy, dx = (axis.ravel() for axis in np.mgrid[-reach : reach + 1, -reach : reach + 1])
    y, x = middle[:, :1] + dy, middle[:, 1:] + dx
    seen = (y >= 0) & (x >= 0) & (y < image.shape[0]) & (x < image.shape[1])
    seen &= np.hypot(y - starts[:, :1], x - starts[:, 1:]) <= radius
    values = image[np.clip(y, 0, image.shape[0] - 1), np.clip(x, 0, image.shape[1] - 1)].astype(np.float64)
    enough = seen.sum(axis=1) >= 6
    seen &= enough[:, None]
    high = np.where(enough, np.where(seen, values, -np.inf).max(axis=1, initial=-np.inf), 1.0)
    low = np.where(enough, np.where(seen, values, np.inf).min(axis=1, initial=np.inf), 0.0)
    # Centre, logarithm of the width, height and background, all fits at once.
    p = np.column_stack([starts, np.full(len(starts), np.log(radius / 2)), high - low, low])
    damping = np.full(len(p), 1e-2)
    off, slope = _off_gaussian(p, y, x, values, seen)
    for _ in range(_FIT_STEPS):
        normal = np.einsum("nik,nil->nkl", slope, slope)
        diagonal = np.einsum("nkk->nk", normal)
        damped = normal + (damping[:, None] * diagonal + 1e-12)[:, :, None] * np.eye(5)
        step = np.linalg.solve(damped, -np.einsum("nik,ni->nk", slope, off)[..., None])[..., 0]
        tried = p + step
        off_tried, slope_tried = _off_gaussian(tried, y, x, values, seen)
        better = (off_tried**2).sum(axis=1) < (off**2).sum(axis=1)
        p = np.where(better[:, None], tried, p)
        off = np.where(better[:, None], off_tried, off)
        slope = np.where(better[:, None, None], slope_tried, slope)
        damping = np.clip(np.where(better, damping / 5, damping * 5), 1e-9, 1e9)
    near = np.hypot(*(p[:, :2] - starts).T) <= radius
    return np.where(near[:, None], p[:, :2], starts)


def _off_gaussian(p, y, x, values, seen):
    """Return model less values (N, P) and its derivatives (N, P, 5), 0 where a pixel is not seen."""
    cy, cx, log_width, height, background = (column[:, None] for column in p.T)
    # Within limits that keep exponentials finite.
    inverse = np.exp(-2 * np.clip(log_width, -3, 6))
    dy, dx = y - cy, x - cx
    squared = (dy**2 + dx**2) * inverse
    peak = np.exp(-0.5 * np.minimum(squared, 600))
    column = height * peak
    slope = np.stack(
        [column * dy * inverse, column * dx * inverse, column * squared, peak, np.ones_like(peak)], 2
    )
    return np.where(seen, column + background - values, 0), np.where(seen[..., None], slope, 0)
