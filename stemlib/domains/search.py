"""From an image's segments to its domains: wide and narrow windows, groups, pixels, and what is left over."""

import contextlib
import functools
import threading
from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits

from stemlib.domains.amorphous import only_crystals
from stemlib.domains.clustering import SegmentGrid, find_groups, find_outliers, separation
from stemlib.domains.pixel_labels import explained_shares, poorly_explained, refine_labels, strong_waves
from stemlib.domains.statistics import inner
from stemlib.domains.unexplained_regions import with_remainder
from stemlib.domains.windows import LocalSegments, WorkingImage, cut_segments, patterson_features
from stemlib.fourier.strain import strain_features
from stemlib.fourier.triplets import triplet_features

_FINER = 0.56  # of the usual windows' width, for narrow domains
# Of what groups must be apart. From the lower limit on they are domains if their crystals explain the pixels better,
# too; from the upper one on even where pixels do not tell: crystals bent by drift reach 1.14.
_DOUBTFUL, _SURE = 0.75, 1.2
# Coherence of a crystal's narrow windows at its best places; amorphous rims reach 0.62, and so do the smallest grains,
# but the waves of a rim explain far less.
_LEAST_COHERENCE = 0.63
_LEAST_EXPLAINED = 0.45  # of the share of the variance that the domain explains which explains most
_MOST_ADDED = 6  # small domains, one after the other


@dataclass(frozen=True, eq=False)
class Division:
    """An image's segments in groups, and its pixels among them.

    Parameters
    ----------
    work : stemlib.domains.windows.WorkingImage
    segments : stemlib.domains.windows.LocalSegments
    grid : stemlib.domains.clustering.SegmentGrid
        The numbers that describe them.
    groups : numpy.ndarray of int, shape (M, N)
        Group of each segment, -1 where it is in none.
    labels : numpy.ndarray of int, shape (H, W)
        Group of each pixel of the working image, -1 where it is in none.
    """

    work: WorkingImage
    segments: LocalSegments
    grid: SegmentGrid
    groups: np.ndarray
    labels: np.ndarray

    @functools.cached_property
    def waves(self):
        """Strong reflections of each group: dict of int to array (K, 2), cycles per px."""
        return strong_waves(self.segments, self.groups)

    @functools.cached_property
    def gap(self):
        """Where no domain explains the image well: (H, W) bool."""
        return poorly_explained(self.work, self.segments.waves.sigma, self.waves, self.labels)

    @property
    def n_domains(self):
        """How many groups are left among the pixels."""
        return len(np.unique(self.labels[self.labels >= 0]))


def divide(work, segments, n_domains, descriptor, method, seed):
    """Divide an image's segments into groups, and its pixels among them.

    Parameters
    ----------
    work : stemlib.domains.windows.WorkingImage
    segments : stemlib.domains.windows.LocalSegments
        Cut from it.
    n_domains : int or None
    descriptor, method : str
    seed : int
        All as `stemlib.find_domains` takes them.

    Returns
    -------
    Division
        Of the segments given, or of narrower ones where these show more domains.
    """
    # Matrices are so small that threads would only wait for each other.
    with one_blas_thread():
        if method == "one-class":
            grid = _grid(segments, descriptor)
            groups = find_outliers(grid, n_domains)
            # Outliers may be several crystals, which no proportions of waves describe.
            return _drawn(work, segments, grid, groups, n_domains, by_powers=False)
        return _grouped(work, segments, n_domains, descriptor, seed)


def _grouped(work, segments, n_domains, descriptor, seed):
    by_powers = descriptor == "patterson"
    fine = cut_segments(work, finer=_FINER)
    fine = fine if fine.trusted.any() else segments
    both = tuple((part, _grid(part, descriptor)) for part in (segments, fine))
    groups = [find_groups(grid, seed=seed) for _, grid in both]
    if n_domains is not None:
        return _asked_for(work, both, groups, n_domains, seed, by_powers)
    # What of a sure division was given away is a band along faults, so doubtful ones are not tried after it.
    if max(group.max() for group in groups) > 0:
        division = _sure(work, both, groups, by_powers)
    else:
        division = _in_doubt(work, both, groups, seed, by_powers)
    return _without_amorphous(_with_remainders(division, by_powers), fine)


def _asked_for(work, both, groups, n_domains, seed, by_powers):
    """As many domains as asked for, by narrow windows where wide ones do not show so many."""
    wide, narrow = (group.max() + 1 for group in groups)
    (segments, grid), groups = (both[1], groups[1]) if wide < narrow <= n_domains else (both[0], groups[0])
    if groups.max() + 1 != n_domains:
        groups = find_groups(grid, n_domains, seed=seed)
    return _drawn(work, segments, grid, groups, n_domains, by_powers=by_powers)


def _sure(work, both, groups, by_powers):
    """Wide windows see small differences, narrow ones see narrow domains: what shows more domains decides."""
    wide, narrow = (group.max() + 1 for group in groups)
    division = _drawn(work, *both[1], groups[1], by_powers=by_powers) if narrow > wide else None
    # Where narrow windows are left with more domains than wide ones show, the wide ones need not be drawn.
    if division is not None and division.n_domains > wide:
        return division
    drawn = _drawn(work, *both[0], groups[0], by_powers=by_powers)
    return division if division is not None and division.n_domains > drawn.n_domains else drawn


def _in_doubt(work, both, groups, seed, by_powers):
    """Domains that are nearly far enough apart, where their crystals explain the pixels better."""
    division = _drawn(work, *both[0], groups[0], by_powers=by_powers)
    for segments, grid in both:
        groups = find_groups(grid, least=_DOUBTFUL, seed=seed)
        if groups.max() > 0:
            drawn = _drawn(work, segments, grid, groups, in_doubt=True, by_powers=by_powers)
            division = drawn if drawn.n_domains > division.n_domains else division
    return division


def _without_amorphous(division, segments):
    """Leave domains undecided that have no order over longer distances and explain little: amorphous ones."""
    places = (nodes.astype(int) for nodes in (segments.waves.rows(), segments.waves.columns()))
    under = np.where(segments.usable, division.labels[np.ix_(*places)], -1)
    numbers = np.unique(under[under >= 0])
    doubtful = [k for k in numbers if np.quantile(segments.coherence[under == k], 0.9) < _LEAST_COHERENCE]
    if not doubtful or len(numbers) < 2:
        return division
    shares = explained_shares(division.work, division.segments.waves.sigma, division.waves, division.labels)
    # A domain without strong waves explains nothing.
    least = _LEAST_EXPLAINED * max(shares.values(), default=0.0)
    amorphous = [k for k in doubtful if shares.get(k, 0.0) < least]
    return replace(division, labels=np.where(np.isin(division.labels, amorphous), -1, division.labels))


def _with_remainders(division, by_powers):
    for _ in range(_MOST_ADDED):
        groups = with_remainder(division.grid, division.segments, division.groups, division.gap)
        if groups is None:
            break
        more = _drawn(division.work, division.segments, division.grid, groups, by_powers=by_powers)
        if not (more.labels == groups.max()).any():
            break
        division = more
    return division


def _drawn(work, segments, grid, groups, n_domains=None, *, in_doubt=False, by_powers):
    """Pixels among the groups; without a given number, none of those that are no crystals of their own."""
    labels = refine_labels(work, segments, groups)
    division = Division(work, segments, grid, groups, labels)
    if n_domains is not None or groups.max() < 1:
        return division
    inside = inner(groups) & grid.trusted

    def is_sure(first, second):
        pair = [inside & (groups == k) for k in (first, second)]
        return not in_doubt and all(part.any() for part in pair) and separation(grid, *pair) >= _SURE

    waves = division.waves
    labels = only_crystals(work, segments.waves.sigma, waves, labels, is_sure=is_sure, by_powers=by_powers)
    return Division(work, segments, grid, groups, labels)


def _grid(segments, descriptor):
    features = [patterson_features(segments), strain_features(segments)]
    if descriptor == "triplet":
        features.append(triplet_features(segments))
    step = segments.waves.rows()[1] / segments.waves.sigma
    return SegmentGrid(np.hstack(features), segments.usable, segments.trusted, step)


_lock = threading.Lock()
_inside = 0
_limits = None


@contextlib.contextmanager
def one_blas_thread():
    """Let BLAS use one thread until the last caller that is inside leaves, whichever thread it runs in.

    The limit is one of the whole process: callers at the same time that each restored what they found would leave it
    behind.
    """
    global _inside, _limits
    with _lock:
        if _inside == 0:
            _limits = threadpool_limits(1, user_api="blas")
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _limits.restore_original_limits()
