"""From an image's segments to its domains: wide and narrow windows, groups, pixels, and what is left unexplained."""

import functools
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from stemlib.domains.clustering import (
    SegmentGrid,
    discriminant_distance,
    find_groups,
    find_outliers,
    one_blas_thread,
    separation,
)
from stemlib.domains.crystals import strong_waves
from stemlib.domains.faults import only_crystals
from stemlib.domains.maps import around_deepest, distance_to, inner
from stemlib.domains.pixel_labels import LabelCompetition, refine_labels
from stemlib.domains.windows import LocalSegments, cut_segments, patterson_features
from stemlib.fourier.reflections import find_reflections, spread_out
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
_SEARCHES = 3  # for crystals where no domain explains the image
_UNCHANGED = 0.01  # of the image: a search that explains so little more was the last one

_FEWEST = 3  # segments of an unexplained region that are a domain
_DEEP = 0.4  # standard deviations of a window, from the nearest domain
_LEAST_POWER = 0.3  # of the power of the reflections in the domains
_LEAST_AREA = 5.0  # periods squared, more than a period from the nearest domain
_LEAST_RATIO = 9.0  # power over noise
_LEAST_DEPTH = 2.0  # periods: what is narrower is a seam or a fault
_FITS = 0.8  # of a disk's radius: half the side of a square that is hardly larger
_KEPT, _MOST_NEW = 40, 20  # reflections
_NEW = 1.5  # over the region's size: a reflection so far from all others, cycles per px, is another one
_APART = 3.0  # times what two groups of many segments must be apart
_APART_WITH_OWN = 1.5  # where much of the power is in reflections of its own
_OWN_POWER = 0.3
_ONLY_HERE = 6.0  # times the share of the power that a reflection has in a domain: then it is one of its own
_NOTABLE = 0.02  # of the power


@dataclass(frozen=True)
class Request:
    """What `stemlib.find_domains` is asked for: its arguments of the same names."""

    n_domains: int | None
    descriptor: str
    method: str
    seed: int

    @property
    def by_powers(self):
        """Whether the powers of reflections tell domains apart, not triplet phases alone.

        Outliers may be several crystals, which no proportions of waves describe.
        """
        return self.descriptor == "patterson" and self.method == "mixture"


@dataclass(frozen=True, eq=False)
class Grouping:
    """An image's segments in groups.

    Parameters
    ----------
    segments : stemlib.domains.windows.LocalSegments
    grid : stemlib.domains.clustering.SegmentGrid
        The numbers that describe them.
    groups : numpy.ndarray of int, shape (M, N)
        Group of each segment, -1 where it is in none.
    """

    segments: LocalSegments
    grid: SegmentGrid
    groups: np.ndarray

    @property
    def number(self):
        """How many groups there are."""
        return self.groups.max() + 1

    @functools.cached_property
    def competition(self):
        """The groups' crystals, compared place by place: a LabelCompetition."""
        waves = strong_waves(self.segments, self.groups)
        return LabelCompetition(self.segments.work, self.segments.waves.sigma, waves)


@dataclass(frozen=True, eq=False)
class Division:
    """An image's pixels among the groups of its segments.

    Parameters
    ----------
    grouping : Grouping
    labels : numpy.ndarray of int, shape (H, W)
        Group of each pixel of the working image, -1 where it is in none.
    """

    grouping: Grouping
    labels: np.ndarray

    @functools.cached_property
    def unexplained(self):
        """Where no domain explains the image well: (H, W) bool."""
        return self.grouping.competition.poorly_explained(self.labels)

    @property
    def n_domains(self):
        """How many groups are left among the pixels."""
        return len(np.unique(self.labels[self.labels >= 0]))


def divide(segments, request):
    """Divide an image's segments into groups, and its pixels among them; search what is unexplained for more.

    Parameters
    ----------
    segments : stemlib.domains.windows.LocalSegments
    request : Request

    Returns
    -------
    Division
        Of the segments given; or of narrower ones, or for more reflections, where these show more domains.
    """
    division = searched = _divided(segments, request)
    for _ in range(_SEARCHES):
        more = with_other_reflections(segments.work, searched.unexplained)
        if more is None:
            break
        segments = cut_segments(more)
        if segments.room < (request.n_domains or 1):
            break
        before, searched = searched, _divided(segments, request)
        division = max(division, searched, key=lambda one: (one.n_domains, -one.unexplained.sum()))
        if abs(searched.unexplained.mean() - before.unexplained.mean()) < _UNCHANGED:
            break
    return division


def with_other_reflections(work, unexplained):
    """Look for reflections where no domain explains the image: a small crystal's are hardly seen in all of it.

    Parameters
    ----------
    work : stemlib.domains.windows.WorkingImage
    unexplained : numpy.ndarray of bool, shape (H, W)

    Returns
    -------
    stemlib.domains.windows.WorkingImage or None
        With the reflections found; None where there are no others.
    """
    if unexplained.sum() < _LEAST_AREA * work.period**2:
        return None
    depth = distance_to(~unexplained)
    area = (depth > work.period).sum()
    if depth.max() < _LEAST_DEPTH * work.period or area < _LEAST_AREA * work.period**2:
        return None
    taper = np.clip(depth / work.period, 0, 1).astype(np.float32)
    # In all regions together, and where one is deepest: there hardly anything else is in the window.
    deepest = around_deepest(depth, int(min(depth.max(), max(depth.shape)) * _FITS))
    parts = (find_reflections(image) for image in (work.flat * taper, work.flat[deepest]))
    vectors = np.vstack([found.vectors[found.ratios > _LEAST_RATIO] for found in parts])
    lengths = np.linalg.norm(vectors, axis=1)
    vectors = vectors[(lengths > 0.8 / work.period) & (np.abs(vectors).max(axis=1) < 0.47)]
    known = work.vectors[:_KEPT]
    kept = spread_out(np.vstack([known, vectors]), _NEW / np.sqrt(area), _KEPT + _MOST_NEW)
    if (kept >= len(known)).sum() < 2:
        return None
    # The new ones first, as they are few, and only so many are looked at.
    return replace(work, vectors=np.vstack([vectors[kept[kept >= len(known)] - len(known)], known]))


def _divided(segments, request):
    # Matrices are so small that threads would only wait for each other.
    with one_blas_thread():
        if request.method == "one-class":
            grid = _grid(segments, request.descriptor)
            return _labelled(Grouping(segments, grid, find_outliers(grid, request.n_domains)), request)
        fine = cut_segments(segments.work, finer=_FINER)
        fine = fine if fine.trusted.any() else segments
        wide, narrow = (_grouped(part, request) for part in (segments, fine))
        if request.n_domains is not None:
            return _asked_for(wide, narrow, request)
        # What of a sure division was given away is a band along faults, so doubtful ones are not tried after it.
        division = (_sure if max(wide.number, narrow.number) > 1 else _in_doubt)(wide, narrow, request)
        return _without_amorphous(_with_unexplained_regions(division, request), fine)


def _grouped(segments, request):
    grid = _grid(segments, request.descriptor)
    return Grouping(segments, grid, find_groups(grid, seed=request.seed))


def _asked_for(wide, narrow, request):
    """As many domains as asked for, by narrow windows where wide ones do not show so many."""
    shown = narrow if wide.number < narrow.number <= request.n_domains else wide
    if shown.number != request.n_domains:
        shown = replace(shown, groups=find_groups(shown.grid, request.n_domains, seed=request.seed))
    return _labelled(shown, request)


def _sure(wide, narrow, request):
    """Wide windows see small differences, narrow ones see narrow domains: what shows more domains decides."""
    division = _labelled(narrow, request) if narrow.number > wide.number else None
    # Where narrow windows are left with more domains than wide ones show, the wide ones need not be labelled.
    if division is not None and division.n_domains > wide.number:
        return division
    other = _labelled(wide, request)
    return division if division is not None and division.n_domains > other.n_domains else other


def _in_doubt(wide, narrow, request):
    """Domains that are nearly far enough apart, where their crystals explain the pixels better."""
    division = _labelled(wide, request)
    for shown in (wide, narrow):
        groups = find_groups(shown.grid, least=_DOUBTFUL, seed=request.seed)
        if groups.max() > 0:
            other = _labelled(replace(shown, groups=groups), request, in_doubt=True)
            division = other if other.n_domains > division.n_domains else division
    return division


def _labelled(grouping, request, *, in_doubt=False):
    """Pixels among the groups; without a given number, none of those that are no crystals of their own."""
    grid, groups = grouping.grid, grouping.groups
    labels = refine_labels(grouping.competition, grouping.segments, groups)
    if request.n_domains is not None or grouping.number < 2:
        return Division(grouping, labels)
    inside = inner(groups) & grid.trusted

    def is_sure(first, second):
        pair = [inside & (groups == k) for k in (first, second)]
        return not in_doubt and all(part.any() for part in pair) and separation(grid, *pair) >= _SURE

    return Division(
        grouping,
        only_crystals(grouping.competition, labels, is_sure=is_sure, by_powers=request.by_powers),
    )


def _without_amorphous(division, segments):
    """Leave domains undecided that have no order over longer distances and explain little: amorphous ones."""
    under = np.where(segments.usable, segments.waves.at_nodes(division.labels), -1)
    numbers = np.unique(under[under >= 0])
    doubtful = [k for k in numbers if np.quantile(segments.coherence[under == k], 0.9) < _LEAST_COHERENCE]
    if not doubtful or len(numbers) < 2:
        return division
    shares = division.grouping.competition.explained_shares(division.labels)
    # A domain without strong waves explains nothing.
    least = _LEAST_EXPLAINED * max(shares.values(), default=0.0)
    amorphous = [k for k in doubtful if shares.get(k, 0.0) < least]
    return replace(division, labels=np.where(np.isin(division.labels, amorphous), -1, division.labels))


def _with_unexplained_regions(division, request):
    for _ in range(_MOST_ADDED):
        grouping = _with_unexplained_region(division)
        if grouping is None:
            break
        more = _labelled(grouping, request)
        if not (more.labels == grouping.groups.max()).any():
            break
        division = more
    return division


def _with_unexplained_region(division):
    """One more group: the segments in the largest part of an image that shows a crystal, but none of the domains'.

    None where there is nothing, or nothing that is unlike the others.
    """
    segments, grid, groups = division.grouping.segments, division.grouping.grid, division.grouping.groups
    left = segments.usable & segments.waves.at_nodes(division.unexplained)
    if not left.any():
        return None
    depth = segments.waves.at_nodes(distance_to(~division.unexplained))
    left &= depth > _DEEP * segments.waves.sigma
    # Beyond the edge of a crystal windows still show it, faintly.
    total = segments.total
    left &= total > _LEAST_POWER * np.median(total[grid.trusted & (groups >= 0)])
    parts, count = ndimage.label(left, np.ones((3, 3)))
    if not count:
        return None
    sizes = np.bincount(parts.ravel())[1:]
    part = parts == 1 + int(sizes.argmax())
    if part.sum() < _FEWEST:
        return None
    outside = inner(np.where(left, -1, groups)) & grid.trusted
    others = (outside & (groups == k) for k in range(groups.max() + 1))
    for other in (other for other in others if other.any()):
        own = _own_power(segments, part, other)
        least = _APART_WITH_OWN if own > _OWN_POWER else _APART
        if discriminant_distance(grid, other, part) < least * grid.least_apart(grid.usable):
            return None
    return replace(division.grouping, groups=np.where(part, groups.max() + 1, groups))


def _own_power(segments, part, other):
    """Share of the power of some segments that is in reflections which others (M, N) hardly show."""
    power = segments.powers - segments.noise
    first, second = (np.maximum(power[:, where].mean(axis=1), 0) for where in (part, other))
    first, second = first / max(first.sum(), 1e-30), second / max(second.sum(), 1e-30)
    return float(first[(first > _NOTABLE) & (first > _ONLY_HERE * second)].sum())


def _grid(segments, descriptor):
    features = [patterson_features(segments), strain_features(segments)]
    if descriptor == "triplet":
        features.append(triplet_features(segments))
    step = segments.waves.steps[0] / segments.waves.sigma
    return SegmentGrid(np.hstack(features), segments.usable, segments.trusted, step)
