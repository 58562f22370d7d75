"""Boundaries between domains as lines."""

import cv2
import numpy as np
from skimage.measure import find_contours


def boundary_lines(labels, smoothing):
    """Trace where two domains meet.

    Parameters
    ----------
    labels : numpy.ndarray of int, shape (H, W)
        -1 for no domain; its outlines are no boundaries.
    smoothing : float
        Standard deviation of the Gaussian that takes the pixels' steps off the lines, px.

    Returns
    -------
    lines : list of numpy.ndarray, shape (N, 2)
        Vertices (y, x), px.
    pairs : list of (int, int)
        The labels on the two sides of each line.

    Examples
    --------
    >>> labels = np.zeros((20, 20), int)
    >>> labels[:, 12:] = 1
    >>> lines, pairs = boundary_lines(labels, 1.0)
    >>> pairs, lines[0][:, 1].round(1).min(), lines[0][:, 1].round(1).max()
    ([(0, 1)], np.float64(11.5), np.float64(11.5))
    """
    lines, pairs = [], []
    for first, second in _neighbours(labels):
        part = (labels == first) | (labels == second)
        rows, columns = (np.flatnonzero(part.any(axis=axis)) for axis in (1, 0))
        box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        share = _share(labels[box] == second, part[box], smoothing)
        for line in find_contours(share, 0.5, mask=part[box]):
            if len(line) > 1:
                lines.append(line + [rows[0], columns[0]])
                pairs.append((first, second))
    return lines, pairs


def _neighbours(labels):
    """Pairs of labels that meet, each once, in order."""
    pairs = set()
    for before, after in ((labels[:-1], labels[1:]), (labels[:, :-1], labels[:, 1:])):
        met = (before != after) & (before >= 0) & (after >= 0)
        pairs |= {
            (int(min(p)), int(max(p))) for p in np.unique(np.stack([before[met], after[met]], -1), axis=0)
        }
    return sorted(pairs)


def _share(second, part, smoothing):
    """Share of the second label around each pixel, of the pixels that have one of the two."""
    counted = cv2.GaussianBlur(part.astype(np.float32), (0, 0), smoothing, borderType=cv2.BORDER_REFLECT)
    share = cv2.GaussianBlur(second.astype(np.float32), (0, 0), smoothing, borderType=cv2.BORDER_REFLECT)
    return share / np.maximum(counted, 1e-6)
