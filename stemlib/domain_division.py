"""From an image's segments to its domains: wide and narrow windows, groups, pixels, and what is left over."""

import numpy as np
from threadpoolctl import threadpool_limits

from stemlib.domain_mixture import SegmentGrid, find_groups
from stemlib.domain_outliers import find_outliers
from stemlib.domain_refinement import refine_labels
from stemlib.domain_remainders import with_remainder
from stemlib.domain_segments import cut_segments, patterson_features
from stemlib.triplet import triplet_features

_FINER = 0.56  # of the usual windows' width, for narrow domains
_MOST_ADDED = 6  # small domains, one after the other


def divide(work, segments, n_domains, descriptor, method, seed):
    """Divide an image's segments into groups, and its pixels among them.

    Parameters
    ----------
    work : stemlib.domain_segments.WorkingImage
    segments : stemlib.domain_segments.LocalSegments
        Cut from it.
    n_domains : int or None
    descriptor, method : str
    seed : int
        All as `stemlib.find_domains` takes them.

    Returns
    -------
    segments : stemlib.domain_segments.LocalSegments
        Those given, or narrower ones where these show more domains.
    groups : numpy.ndarray of int
        Group of each segment, -1 where it is in none.
    labels : numpy.ndarray of int, shape (H, W)
        Group of each pixel of the working image, -1 where it is in none.
    """
    # Matrices are so small that threads would only wait for each other.
    with threadpool_limits(1, user_api="blas"):
        return _divided(work, segments, n_domains, descriptor, method, seed)


def _divided(work, segments, n_domains, descriptor, method, seed):
    grid = _grid(segments, descriptor)
    if method == "one-class":
        groups = find_outliers(grid, n_domains)
        return segments, groups, refine_labels(work, segments, groups)
    groups = find_groups(grid, seed=seed)
    # Wide windows see small differences, narrow ones see narrow domains: what shows more domains decides.
    fine = cut_segments(work, finer=_FINER)
    fine_grid = _grid(fine, descriptor)
    fine_groups = find_groups(fine_grid, seed=seed)
    if groups.max() < fine_groups.max() < (n_domains or np.inf):
        segments, grid, groups = fine, fine_grid, fine_groups
    if n_domains is not None and groups.max() + 1 != n_domains:
        groups = find_groups(grid, n_domains, seed=seed)
    labels = refine_labels(work, segments, groups)
    for _ in range(_MOST_ADDED if n_domains is None else 0):
        more = with_remainder(grid, segments, groups, labels)
        if more is None:
            break
        with_more = refine_labels(work, segments, more)
        if not (with_more == more.max()).any():
            break
        groups, labels = more, with_more
    return segments, groups, labels


def _grid(segments, descriptor):
    features = patterson_features(segments)
    if descriptor == "triplet":
        features = np.hstack([features, triplet_features(segments)])
    step = segments.waves.rows()[1] / segments.waves.sigma
    return SegmentGrid(features, segments.usable, segments.trusted, step)
