"""Columns in a map of probabilities: peaks, and how likely each is."""

import cv2
import numpy as np
from scipy.spatial import cKDTree

from stemlib.columns.network import PEAK_SIGMA

_REACH = 2  # px around a peak over which its probability is summed
_offsets = np.arange(-_REACH, _REACH + 1)
# What a column that is there for certain adds up to within that reach.
_WHOLE = np.exp(-(_offsets**2) / (2 * PEAK_SIGMA**2)).sum() ** 2


def find_peaks(probabilities, *, least=0.1):
    """Find the columns in the network's answer.

    Parameters
    ----------
    probabilities : numpy.ndarray, shape (H, W), float32
        As `stemlib.columns.network.probability_map` gives it.
    least : float
        The smallest probability of a column.

    Returns
    -------
    positions : numpy.ndarray, shape (N, 2)
        (y, x), px; the top of a Gaussian through the 3 x 3 px at the peak.
    likelihood : numpy.ndarray, shape (N,)
        Probability in 0..1: what lies within 2 px of the peak, over what a certain column has there. A column whose
        place is not quite sure, with a low and broad peak, keeps its probability this way.

    Examples
    --------
    >>> from stemlib.synthetic import render_columns
    >>> positions, likelihood = find_peaks(render_columns([(10.3, 7)], [0.9], (20, 20), 1.0))
    >>> positions.round(1).tolist(), likelihood.round(1).tolist()
    ([[10.3, 7.0]], [0.9])
    """
    if min(probabilities.shape) <= _REACH:
        return np.zeros((0, 2)), np.zeros(0)
    mass = cv2.boxFilter(
        probabilities, -1, (5, 5), normalize=False, borderType=cv2.BORDER_CONSTANT
    ) / np.float32(_WHOLE)
    smooth = cv2.GaussianBlur(probabilities, (0, 0), 0.7, borderType=cv2.BORDER_CONSTANT)
    highest = cv2.dilate(smooth, np.ones((3, 3), np.uint8))
    row, column = np.nonzero((smooth == highest) & (mass >= least) & (smooth > 0.02))
    positions = np.column_stack([row, column]).astype(float) + _shift(probabilities, row, column)
    likelihood = np.minimum(mass[row, column] * _cut_off(positions, probabilities.shape), 1.0)
    kept = _best_of_close(positions, smooth[row, column])
    return positions[kept], likelihood[kept].astype(float)


def _shift(probabilities, row, column):
    """From the highest pixel to the top of a Gaussian through the 3 x 3 px around it."""
    # Mirrored, so that at the image's edge a peak is not drawn inwards.
    padded = np.pad(probabilities, 1, mode="reflect")
    middle = np.stack([[padded[row + i, column + j] for j in range(3)] for i in range(3)])
    middle = np.log(np.maximum(middle, 1e-4))
    # A Gaussian peak is a parabola in the logarithm; least squares over 3 x 3.
    first = np.stack([(middle[2] - middle[0]).sum(0), (middle[:, 2] - middle[:, 0]).sum(0)]) / 6
    second = (
        np.stack(
            [
                (middle[2] - 2 * middle[1] + middle[0]).sum(0),
                (middle[:, 2] - 2 * middle[:, 1] + middle[:, 0]).sum(0),
            ]
        )
        / 3
    )
    return np.clip(-first / np.minimum(second, -0.2), -1, 1).T


def _cut_off(positions, shape):
    """By how much the part of a peak beyond the image's edge raises the rest."""
    factor = np.ones(len(positions))
    for axis in (0, 1):
        at = np.rint(positions[:, axis])
        low, high = np.minimum(at, _REACH), np.minimum(shape[axis] - 1 - at, _REACH)
        profile = np.exp(-(_offsets**2) / (2 * PEAK_SIGMA**2))
        inside = (_offsets[None] >= -low[:, None]) & (_offsets[None] <= high[:, None])
        factor *= profile.sum() / np.maximum((inside * profile).sum(axis=1), profile[_REACH])
    return factor


def _best_of_close(positions, heights):
    """Leave out peaks within 2 px of a higher one."""
    kept = np.ones(len(positions), bool)
    if len(positions) > 1:
        for one, other in cKDTree(positions).query_pairs(2.0):
            kept[one if heights[one] < heights[other] else other] = False
    return kept
