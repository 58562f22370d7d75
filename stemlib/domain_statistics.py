"""How groups of segments lie to each other: along which direction they are apart, and how far, and what is inside."""

import numpy as np
from scipy import ndimage

_SHRINKAGE = 0.1  # of the scatter within groups, towards the same in all directions


def inner(labels):
    """Which places of a map (M, N) have neighbours of their own label only; those of label -1 do not count."""
    high = ndimage.maximum_filter(labels, 3, mode="nearest")
    low = ndimage.minimum_filter(np.where(labels < 0, labels.max() + 1, labels), 3, mode="nearest")
    return (labels >= 0) & (high == labels) & (low == labels)


def discriminant(values, label):
    """Fisher's linear discriminant of two groups, the scatter within them shrunk towards a round one."""
    groups = [values[label == k] for k in (0, 1)]
    rest = np.concatenate([group - group.mean(axis=0) for group in groups])
    scatter = rest.T @ rest / max(1, len(rest) - 2)
    round_one = np.trace(scatter) / len(scatter) * np.eye(len(scatter))
    scatter = (1 - _SHRINKAGE) * scatter + _SHRINKAGE * round_one + 1e-9 * np.eye(len(scatter))
    return np.linalg.solve(scatter, groups[1].mean(axis=0) - groups[0].mean(axis=0))


def distance_apart(first, second):
    """How far the means of two groups of numbers are apart, over the scatter within them."""
    return float(abs(first.mean() - second.mean()) / np.sqrt((first.var() + second.var()) / 2 + 1e-12))


def otsu_threshold(values):
    """Where numbers fall into two parts of least scatter (Otsu), each of two percent at least."""
    ordered = np.sort(values)
    count = len(ordered)
    left = np.arange(1, count)
    sums = np.cumsum(ordered)[:-1]
    between = left * (count - left) * (sums / left - (ordered.sum() - sums) / (count - left)) ** 2
    least = max(1, int(0.02 * count))
    between[: least - 1] = -1
    between[count - least :] = -1
    best = int(between.argmax())
    return (ordered[best] + ordered[best + 1]) / 2
