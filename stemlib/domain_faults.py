"""Where a domain's crystal is interrupted: stacking faults and antiphase boundaries, which are no domains."""

import cv2
import numpy as np
from scipy import ndimage
from skimage.feature import hessian_matrix, hessian_matrix_eigvals
from skimage.graph import route_through_array
from skimage.morphology import skeletonize

from stemlib.domain_waves import LocalWaves

_CONTINUED = 1.0  # periods: standard deviation of the window in which a crystal is measured
_AVERAGED = 0.7  # periods: and of that over which what it leaves is averaged
_AROUND = 4.0  # periods: and over which the misfit is usual
_RIDGE = 1.0  # periods: half the width of a line, about
_RAISED = 1.35  # times the misfit around, on a line
_SHARP = 0.06  # bend of the misfit across a line, per period squared, over the misfit around
_LONG = 8.0  # periods: shorter lines are point defects
_STRAIGHT = 0.7  # length from end to end over the number of px on the line
_RIM = 1.5  # periods from a domain's outline within which nothing is told


def misfit_map(work, labels, waves):
    """What share of the image's local variance a domain's crystal leaves unexplained.

    Parameters
    ----------
    work : stemlib.domain_segments.WorkingImage
    labels : numpy.ndarray of int, shape (H, W)
    waves : dict of int to numpy.ndarray, shape (K, 2)
        Strong reflections of each domain, cycles per px.

    Returns
    -------
    numpy.ndarray, shape (H, W), float32
        Over the median of each domain, so that 1 is usual; NaN where there is no domain.
    """
    result = np.full(labels.shape, np.nan, np.float32)
    variance = _blurred(work.flat**2, _AVERAGED * work.period)
    for number, vectors in waves.items():
        inside = labels == number
        if not inside.any() or not len(vectors):
            continue
        crystal, _ = LocalWaves(work.flat, inside.astype(np.float32), _CONTINUED * work.period).continued(
            vectors
        )
        rest = _blurred((work.flat - crystal) ** 2, _AVERAGED * work.period)
        share = rest / np.maximum(variance, 1e-30)
        result[inside] = share[inside] / max(float(np.median(share[inside])), 1e-30)
    return result


def fault_lines(misfit, labels, period):
    """Trace the lines along which the misfit of a crystal is a ridge.

    Parameters
    ----------
    misfit : numpy.ndarray, shape (H, W), float32
        As `misfit_map` returns it.
    labels : numpy.ndarray of int, shape (H, W)
    period : float
        Longest period of the crystals, px.

    Returns
    -------
    list of numpy.ndarray, shape (N, 2)
        Vertices (y, x), px. Lines shorter than eight periods, bumps, and what lies near a domain's outline or the
        image's edge are left out.

    Examples
    --------
    >>> y, x = np.mgrid[:200, :200]
    >>> misfit = 1 + np.exp(-0.5 * ((x - 90) / 8.0) ** 2).astype(np.float32)
    >>> lines = fault_lines(misfit, np.zeros(misfit.shape, int), 10.0)
    >>> len(lines), round(lines[0][:, 1].mean() / 10)
    (1, 9)
    """
    known = np.isfinite(misfit)
    weight = np.maximum(_blurred(known.astype(np.float32), _AROUND * period), 1e-6)
    around = _blurred(np.where(known, misfit, 0), _AROUND * period) / weight
    relative = np.where(known, misfit / np.maximum(around, 1e-6), 1.0).astype(np.float32)
    bend = hessian_matrix_eigvals(
        hessian_matrix(relative, sigma=_RIDGE * period / 2, order="rc", use_gaussian_derivatives=False)
    )
    # Across a line the misfit bends down, along it hardly.
    ridge = (-bend[1] * period**2 > _SHARP) & (np.abs(bend[0]) < 0.5 * np.abs(bend[1])) & (relative > _RAISED)
    outline = ndimage.grey_dilation(labels, 3) != ndimage.grey_erosion(labels, 3)
    inner = ndimage.distance_transform_edt(np.pad(~outline & known, 1))[1:-1, 1:-1] > _RIM * period
    pieces, count = ndimage.label(skeletonize(ridge & inner), np.ones((3, 3)))
    lines = []
    for number, box in enumerate(ndimage.find_objects(pieces), start=1):
        at = np.argwhere(pieces[box] == number)
        ends = _ends(at)
        if np.linalg.norm(ends[0] - ends[1]) < _LONG * period:
            continue
        cost = np.where(pieces[box] == number, 1.0, 1e6)
        path = np.array(route_through_array(cost, *ends, fully_connected=True)[0], float)
        if np.linalg.norm(path[0] - path[-1]) > _STRAIGHT * len(path):
            lines.append(path + [box[0].start, box[1].start])
    return lines


def _ends(points):
    """The two points of a line that are farthest apart, about."""
    first = points[np.linalg.norm(points - points[0], axis=1).argmax()]
    return first, points[np.linalg.norm(points - first, axis=1).argmax()]


def _blurred(image, sigma):
    return cv2.GaussianBlur(
        image.astype(np.float32, copy=False), (0, 0), sigma, borderType=cv2.BORDER_REFLECT
    )
