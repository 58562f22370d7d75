"""The loops over pixels and trial ellipses behind `stemlib.loops.measuring`, compiled by numba."""

import math

import numba
import numpy as np

# Search for the ring: how much darker it is than its surroundings, less a penalty for each of these
# deviations from what a box promises. Chosen on label set B of training images (see `measure_loops`).
_OUTSIDE_WEIGHT, _OUTSIDE = 0.3, 1.4  # what a ring 1.4 times as large holds counts against the ellipse
_PRIOR_WEIGHT = 0.1
_SCALE_SD = 0.16  # log of the ellipse's longer extent over the box's longer side
_SHIFT_SD = 0.14  # centre to centre, in longer sides of the box
_ASPECT, _ASPECT_SD = 0.61, 0.10  # minor over major axis

# Trial ellipses, refined later; the scale is that of the major axis over the box's longer side.
_SCALES = (0.72, 0.82, 0.93, 1.05, 1.18)
_ASPECTS = (0.45, 0.6, 0.8)
_ANGLES = np.deg2rad(np.arange(0, 180, 18))
_SHIFTS = (-0.16, -0.08, 0.0, 0.08, 0.16)
_COARSE_POINTS, _FINE_POINTS = 16, 24
_STARTS, _STEPS = 3, 8


def _trial_ellipses():
    """Parameters (T, 3) of the trials and offsets (T, 2, K, 2) of K points, evenly spaced, on two rings."""
    trials, offsets = [], []
    for scale in _SCALES:
        for aspect in _ASPECTS:
            fine = np.linspace(0, 2 * np.pi, 721)
            x, y = np.cos(fine), aspect * np.sin(fine)
            length = np.concatenate([[0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
            at = np.interp(np.arange(_COARSE_POINTS) / _COARSE_POINTS * length[-1], length, fine)
            x, y = 0.5 * scale * np.cos(at), 0.5 * scale * aspect * np.sin(at)
            for angle in _ANGLES:
                ring = np.stack(
                    [-(x * np.sin(angle) + y * np.cos(angle)), x * np.cos(angle) - y * np.sin(angle)], axis=-1
                )
                trials.append((scale, aspect, angle))
                offsets.append((ring, _OUTSIDE * ring))
    return np.array(trials), np.array(offsets)


TRIALS, OFFSETS = _trial_ellipses()
_CIRCLE = np.exp(2j * np.pi * np.arange(_FINE_POINTS) / _FINE_POINTS).view(float).reshape(-1, 2)


@numba.njit(cache=True)
def _penalty(dy, dx, semi, aspect, cos, sin, side):
    """Misfit of an ellipse with a box whose longer side is `side`, centred (dy, dx) away."""
    height = 2 * semi * math.sqrt(sin * sin + aspect * aspect * cos * cos)
    width = 2 * semi * math.sqrt(cos * cos + aspect * aspect * sin * sin)
    # The box's shorter side is not asked: cascades give squares, which say nothing about the aspect.
    scale = math.log(max(height, width) / side) / _SCALE_SD
    shape = (aspect - _ASPECT) / _ASPECT_SD
    shift = (dy * dy + dx * dx) / (side * _SHIFT_SD) ** 2
    return 0.5 * _PRIOR_WEIGHT * (scale * scale + shape * shape + shift)


@numba.njit(cache=True)
def _bilinear(image, y, x):
    n, m = image.shape
    y = min(max(y, 0.0), n - 1.001)
    x = min(max(x, 0.0), m - 1.001)
    i, j = int(y), int(x)
    v, u = y - i, x - j
    upper = (1 - u) * image[i, j] + u * image[i, j + 1]
    lower = (1 - u) * image[i + 1, j] + u * image[i + 1, j + 1]
    return (1 - v) * upper + v * lower


@numba.njit(cache=True)
def _fit(darkness, p, circle, cy, cx, side):
    """How well the ellipse p = (y, x, log semi-major axis, aspect, angle) follows a dark ring."""
    semi, aspect = math.exp(p[2]), p[3]
    if aspect < 0.25 or aspect > 1.0:
        return -1e9
    cos, sin = math.cos(p[4]), math.sin(p[4])
    total, weights = 0.0, 0.0
    for k in range(circle.shape[0]):
        a, b = semi * circle[k, 0], semi * aspect * circle[k, 1]
        # Length of arc per step of the parameter, so that the tips do not count more than the sides.
        weight = math.hypot(semi * circle[k, 1], semi * aspect * circle[k, 0])
        x, y = a * cos - b * sin, -(a * sin + b * cos)
        on = _bilinear(darkness, p[0] + y, p[1] + x)
        outside = _bilinear(darkness, p[0] + _OUTSIDE * y, p[1] + _OUTSIDE * x)
        total += weight * (on - _OUTSIDE_WEIGHT * outside)
        weights += weight
    return total / weights - _penalty(p[0] - cy, p[1] - cx, semi, aspect, cos, sin, side)


@numba.njit(cache=True)
def _best_starts(darkness, trials, offsets, cy, cx, side):
    """Best trial ellipses, each at its best shift, best first."""
    n, m = darkness.shape
    starts = np.zeros((_STARTS, 5))
    scores = np.full(_STARTS, -1e9)
    rows = np.empty((2, offsets.shape[2]))
    columns = np.empty((2, offsets.shape[2]))
    for t in range(trials.shape[0]):
        semi, aspect, angle = 0.5 * side * trials[t, 0], trials[t, 1], trials[t, 2]
        cos, sin = math.cos(angle), math.sin(angle)
        rows[:] = offsets[t, :, :, 0] * side + 0.5
        columns[:] = offsets[t, :, :, 1] * side + 0.5
        best, best_y, best_x = -1e9, cy, cx
        for shift_y in _SHIFTS:
            for shift_x in _SHIFTS:
                y, x = cy + shift_y * side, cx + shift_x * side
                total = 0.0
                for ring in range(2):
                    weight = 1.0 if ring == 0 else -_OUTSIDE_WEIGHT
                    for k in range(rows.shape[1]):
                        i = min(max(int(y + rows[ring, k]), 0), n - 1)
                        j = min(max(int(x + columns[ring, k]), 0), m - 1)
                        total += weight * darkness[i, j]
                score = total / rows.shape[1] - _penalty(y - cy, x - cx, semi, aspect, cos, sin, side)
                if score > best:
                    best, best_y, best_x = score, y, x
        if best > scores[-1]:
            r = _STARTS - 1
            while r > 0 and best > scores[r - 1]:
                scores[r] = scores[r - 1]
                starts[r] = starts[r - 1]
                r -= 1
            scores[r] = best
            starts[r] = np.array([best_y, best_x, math.log(semi), aspect, angle])
    return starts


@numba.njit(cache=True)
def _place(darkness, trials, offsets, circle, cy, cx, side):
    starts = _best_starts(darkness, trials, offsets, cy, cx, side)
    best, found = -1e9, starts[0]
    for start in starts:
        p = start.copy()
        steps = np.array([0.05 * side, 0.05 * side, 0.07, 0.08, 0.15])
        score = _fit(darkness, p, circle, cy, cx, side)
        for _ in range(_STEPS):
            improved = False
            for d in range(5):
                for sign in (1.0, -1.0):
                    p[d] += sign * steps[d]
                    trial = _fit(darkness, p, circle, cy, cx, side)
                    if trial > score:
                        score, improved = trial, True
                        break
                    p[d] -= sign * steps[d]
            if not improved:
                steps *= 0.5
        if score > best:
            best, found = score, p
    return found


def place_ellipse(darkness, centre, side):
    """Find the ellipse near a box that follows a dark ring best, as a seed for the flood.

    Parameters
    ----------
    darkness : numpy.ndarray of float32, shape (N, N)
        High on dark lines; mean 0 and standard deviation 1.
    centre : tuple of float
        Centre (y, x) of the box.
    side : float
        Longer side of the box, in pixels of `darkness`.

    Returns
    -------
    tuple of float
        y, x, semi-major axis, aspect (minor over major), angle in radians.
    """
    y, x, log_semi, aspect, angle = _place(darkness, TRIALS, OFFSETS, _CIRCLE, *centre, float(side))
    return y, x, math.exp(log_semi), aspect, angle


@numba.njit(cache=True)
def flood(levels, seeds):
    """Flood a relief from seeds until every pixel is taken: the watershed by immersion of Meyer (1994).

    Parameters
    ----------
    levels : numpy.ndarray of uint8, shape (H, W)
        The relief; basins meet on its crests.
    seeds : numpy.ndarray of uint8, shape (H, W)
        Labels of the seeds, 0 where the flood decides; filled in place.

    Returns
    -------
    numpy.ndarray of uint8, shape (H, W)
        `seeds`, every pixel labelled. Pixels are neighbours by their sides, and equal levels are taken in the
        order in which the flood reaches them, as in ``skimage.segmentation.watershed``.
    """
    height, width = levels.shape
    level, label = levels.ravel(), seeds.ravel()
    # One queue for each level: first and last pixel, and from each pixel to the next.
    first = np.full(256, -1, np.int32)
    last = np.full(256, -1, np.int32)
    following = np.full(level.size, -1, np.int32)
    current = 255
    for p in range(level.size):
        if label[p]:
            v = level[p]
            if first[v] < 0:
                first[v] = p
            else:
                following[last[v]] = p
            last[v] = p
            current = min(current, v)
    while current < 256:
        p = first[current]
        if p < 0:
            current += 1
            continue
        first[current] = following[p]
        y, x = p // width, p % width
        for direction in range(4):
            if direction == 0 and y > 0:
                q = p - width
            elif direction == 1 and x > 0:
                q = p - 1
            elif direction == 2 and x < width - 1:
                q = p + 1
            elif direction == 3 and y < height - 1:
                q = p + width
            else:
                continue
            if label[q] == 0:
                label[q] = label[p]
                v = level[q]
                following[q] = -1
                if first[v] < 0:
                    first[v] = q
                else:
                    following[last[v]] = q
                last[v] = q
                current = min(current, v)
    return seeds


@numba.njit(cache=True)
def region_moments(labels):
    """Area, centre y, x and central second moments yy, xx, xy (y down) of the pixels labelled 1."""
    area, sum_y, sum_x = 0, 0.0, 0.0
    for i in range(labels.shape[0]):
        for j in range(labels.shape[1]):
            if labels[i, j] == 1:
                area += 1
                sum_y += i
                sum_x += j
    if area == 0:
        return 0, 0.0, 0.0, 0.0, 0.0, 0.0
    cy, cx = sum_y / area, sum_x / area
    yy, xx, xy = 0.0, 0.0, 0.0
    for i in range(labels.shape[0]):
        for j in range(labels.shape[1]):
            if labels[i, j] == 1:
                yy += (i - cy) ** 2
                xx += (j - cx) ** 2
                xy += (i - cy) * (j - cx)
    # A pixel is a square, not a point: 1/12 of its side squared is its own moment.
    return area, cy, cx, yy / area + 1 / 12, xx / area + 1 / 12, xy / area
