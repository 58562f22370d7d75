"""The published way to a second domain: learn one domain, and see what is unlike it."""

import numpy as np
from scipy.spatial import cKDTree
from sklearn.svm import OneClassSVM

from stemlib.domain_mixture import separation
from stemlib.domain_statistics import inner, otsu_threshold

_NU = 0.1
_GAMMA = 0.25  # of the kernel, over the number of components, in scatters of the domain that is learnt
_LEARNT = 0.25  # of the segments
_MOST_LEARNT = 1000


def find_outliers(grid, n_groups=None):
    """Learn the most uniform part of an image with a one-class support vector machine, and make its outliers a domain.

    The quarter of the segments that are most alike teaches the machine. Minus the logarithms of its sums of kernels
    fall into two parts where there is a second domain, and a part of outliers counts only if the two are as far apart
    as two groups of `stemlib.domain_mixture.find_groups` must be.

    Parameters
    ----------
    grid : stemlib.domain_mixture.SegmentGrid
    n_groups : int, optional
        1 or 2; 2 takes the outliers for a domain whatever they are apart.

    Returns
    -------
    numpy.ndarray of int, shape (M, N)
        0 for what was learnt and what is like it, 1 for the outliers, -1 where there is no segment.

    References
    ----------
    B. Schölkopf et al., Neural Comput. 13, 1443 (2001), https://doi.org/10.1162/089976601750264965; Y. Guo et al.,
    npj Comput. Mater. 7, 180 (2021), https://doi.org/10.1038/s41524-021-00642-1, for the use on segments of images.
    Which segments are learnt, and when outliers are a domain, is ours.
    """
    labels = np.where(grid.usable, 0, -1)
    if n_groups == 1:
        return labels
    values = grid.components(grid.usable)
    trusted = grid.trusted[grid.usable]
    learnt = _most_alike(values, trusted)
    centre, scatter = learnt.mean(axis=0), np.maximum(learnt.std(axis=0), 1e-9)
    # One scatter for all components, so that none that hardly varies decides alone.
    scale = np.sqrt((scatter**2).mean())
    machine = OneClassSVM(nu=_NU, gamma=_GAMMA / values.shape[1]).fit((learnt - centre) / scale)
    density = machine.decision_function((values - centre) / scale) - machine.intercept_[0]
    score = np.sqrt(-np.log(np.maximum(density / density.max(), 1e-300)))
    outlying = np.zeros(grid.usable.shape, bool)
    outlying[grid.usable] = score > otsu_threshold(score[trusted])
    labels[outlying] = 1
    if n_groups is None:
        sure = inner(labels) & grid.trusted
        groups = [sure & (labels == k) for k in (0, 1)]
        if min(g.sum() for g in groups) < 4 or separation(grid, *groups) < 1:
            labels[outlying] = 0
    return labels


def _most_alike(values, trusted):
    """The quarter of the segments nearest to the one that has the nearest neighbours."""
    candidates = values[trusted] if trusted.any() else values
    if len(candidates) > _MOST_LEARNT:
        candidates = candidates[np.linspace(0, len(candidates) - 1, _MOST_LEARNT).astype(int)]
    count = max(3, int(_LEARNT * len(candidates)))
    tree = cKDTree(candidates)
    reach = tree.query(candidates, k=[min(count, len(candidates))])[0][:, 0]
    return candidates[tree.query(candidates[reach.argmin()], k=min(count, len(candidates)))[1]]
