"""How groups of segments lie to each other: along which direction they are apart, and how far, and what is inside.

Groups are masks over one set of segments, (..., N): many divisions of the same segments are judged at once.
"""

import cv2
import numpy as np

_SHRINKAGE = 0.1  # of the scatter within groups, towards the same in all directions


def inner(labels):
    """Which places of a map (M, N) have neighbours of their own label only; those of label -1 do not count."""
    square = np.ones((3, 3), np.uint8)
    # OpenCV takes no long integers, and looks at nothing beyond the edge.
    high = cv2.dilate(labels.astype(float), square)
    low = cv2.erode(np.where(labels < 0, np.inf, labels), square)
    return (labels >= 0) & (high == labels) & (low == labels)


def shrunk(scatter, share):
    """Scatters (..., K, K), a share of each replaced by a round one of the same size, so that it has an inverse."""
    size = scatter.shape[-1]
    variance = np.trace(scatter, axis1=-2, axis2=-1)[..., None, None] / size
    return (1 - share) * scatter + (share * variance + 1e-9) * np.eye(size)


class Moments:
    """Products of numbers (N, K) that lie about 0: sums of them over two groups are all that a discriminant needs.

    For many divisions in two, these sums are a product of two matrices.
    """

    def __init__(self, values):
        size = values.shape[1]
        first, second = np.triu_indices(size)
        self._products = np.hstack([np.ones((len(values), 1)), values, values[:, first] * values[:, second]])
        self._places = np.empty((size, size), int)
        self._places[first, second] = self._places[second, first] = np.arange(len(first))

    def discriminants(self, first, second):
        """Fisher's linear discriminants (..., K) of pairs of groups (..., N), the scatter within them shrunk."""
        size = len(self._places)
        sums = (first | second).astype(float) @ self._products
        sums_second = second.astype(float) @ self._products[:, : 1 + size]
        products = sums[..., 1 + size :][..., self._places]
        means = []
        for group in (sums[..., : 1 + size] - sums_second, sums_second):
            means.append(group[..., 1:] / group[..., :1])
            products -= group[..., 1:, None] * means[-1][..., None, :]
        scatter = products / np.maximum(1, sums[..., 0] - 2)[..., None, None]
        return np.linalg.solve(shrunk(scatter, _SHRINKAGE), (means[1] - means[0])[..., None])[..., 0]


def distance_apart(values, first, second):
    """How far the means of two groups (..., N) of numbers (..., N) are apart, over the scatter within them."""
    means, variances = zip(*(_mean_and_variance(values, group) for group in (first, second)), strict=True)
    return np.abs(means[0] - means[1]) / np.sqrt(sum(variances) / 2 + 1e-12)


def otsu_threshold(values):
    """Where numbers (N,) fall into two parts of least scatter (Otsu), each of two percent at least."""
    return float(otsu_thresholds(values[None], np.ones((1, len(values)), bool))[0])


def otsu_thresholds(values, used):
    """`otsu_threshold` of each row of numbers (S, N), of those that are used (S, N)."""
    rows, count = np.arange(len(values))[:, None], used.sum(axis=1)[:, None]
    # Those that are not used come last, where no part ends.
    ordered = np.sort(np.where(used, values, values.max(axis=1)[:, None]), axis=1)
    left = np.arange(1.0, values.shape[1])
    sums = np.cumsum(ordered, axis=1)
    mean = sums[rows, count - 1] / count
    # The scatter between the parts, but for a factor.
    between = (sums[:, :-1] - left * mean) ** 2 / np.maximum(left * (count - left), 1)
    least = np.maximum(1, (0.02 * count).astype(int))
    between[(left < least) | (left > count - least)] = -1
    best = between.argmax(axis=1)[:, None]
    return (ordered[rows, best] + ordered[rows, best + 1])[:, 0] / 2


def _mean_and_variance(values, group):
    count = group.sum(axis=-1)
    mean = np.where(group, values, 0).sum(axis=-1) / count
    rest = np.where(group, values - mean[..., None], 0)
    return mean, (rest**2).sum(axis=-1) / count
