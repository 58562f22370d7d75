"""From segments to pixels: every pixel goes to the domain whose crystal, continued to it, explains it best."""

import cv2
import numpy as np
from scipy import ndimage

from stemlib.domain_segments import spread_out
from stemlib.domain_statistics import inner
from stemlib.domain_waves import LocalWaves
from stemlib.reflections import blurred

_ROUNDS = 3
_SETTLED = 1e-3  # share of pixels that change their label
_UNMOVED = 5e-3  # and that such a change and its consequences leave with another one
_MOST_WAVES = 24  # that a crystal is rebuilt from
_LEAST_RATIO = 3.0  # of a wave's power in the domain, over noise
_COMPARED = 0.4  # periods: standard deviation of the window in which crystals are compared
_PRESENT = 0.8  # periods: and in which a crystal and none are
_REACHED = 0.02  # share of a window that must lie in a domain for its crystal to be continued there
_LEAST_EXPLAINED = 0.05  # of what the crystal usually explains
_LEAST_SHARE = 0.2  # of the share of the local variance that it usually explains
_POOR = 0.5  # of that share, where another crystal may be that has some reflections in common
_FREE = 0.8  # periods: standard deviation of the window in which phases are those of the image
_MOST_FREE = 40  # waves of all crystals together, compared so
_NEAR = 3.0  # standard deviations of a segment's window from two domains: there labels may change so
_MARGIN = 0.01  # of the local variance, which a change has to explain more
_SEAM = 1.0  # periods: half the width of what is left out along a boundary at most
_FAULT = 1.7  # and of a fault
_RICH = 0.5  # of the variance in the crystals
_SMALLEST = 2.0  # periods squared: smaller areas go to what surrounds them
_SMALLEST_GAP = 6.0  # and areas of no domain


def refine_labels(work, segments, groups):
    """Draw the domains' outlines to the pixel, from groups of segments that are several periods wide.

    The strong waves of each domain, with the phases that they have around each place inside it, are continued over
    its rim; at first from the segments that show no other domain. Every pixel gets the label of the domain whose
    waves leave least of the image around it unexplained, within less than half a period; then the waves are measured
    anew, inside the new outlines. Phases are part of it, so that also crystals of one lattice are told apart by
    single columns; in between, labels near boundaries are judged by the proportions of the waves alone. Where the
    waves explain much less than they usually do, there is vacuum, something amorphous or another crystal: no domain.

    Parameters
    ----------
    work : stemlib.domain_segments.WorkingImage
    segments : stemlib.domain_segments.LocalSegments
    groups : numpy.ndarray of int, shape (M, N)
        Group of each segment, -1 for none.

    Returns
    -------
    numpy.ndarray of int, shape (H, W)
        Of the working image: the groups' numbers, -1 for undecided. A group may have vanished.
    """
    labels = _spread(_sure(groups), segments, work.flat.shape)
    variance = blurred(work.flat**2, _PRESENT * work.period)
    waves = strong_waves(segments, groups)
    for _ in range(_ROUNDS):
        before, (best, present) = labels, _reassigned(work, segments.waves.sigma, waves, labels, variance)
        labels = np.where(present, best, -1)
        if (before != labels).mean() < _SETTLED:
            break
    for _ in range(_ROUNDS if len(waves) > 1 else 0):
        before = labels
        freed = _with_free_phases(work, segments.waves.sigma, waves, labels, variance)
        if (freed != labels).mean() < _SETTLED:
            break
        labels = freed
        for _ in range(2):
            best, _ = _reassigned(work, segments.waves.sigma, waves, labels, variance)
            labels = np.where(present, best, -1)
        if (before != labels).mean() < _UNMOVED:
            break
    usable = work.weights > 0
    # The core of a boundary belongs to neither crystal: such a seam goes to the nearer one, a broad gap to none.
    gap = _opened((best < 0) | ~present, _SEAM * work.period) & usable
    # So does a fault several layers thick, which is as rich in contrast as a crystal.
    if gap.any() and not gap[usable].all():
        rich = variance > _RICH * np.median(variance[usable & ~gap])
        gap &= ~rich | _opened(gap, _FAULT * work.period)
    return without_specks(np.where(gap, -1, best), work.period**2, usable)


def poorly_explained(work, sigma, waves, labels):
    """Where the domains' crystals explain less than half of the share of the variance that they usually do.

    Parameters
    ----------
    work : stemlib.domain_segments.WorkingImage
    sigma : float
        Standard deviation of the windows in which the crystals are measured, px.
    waves : dict of int to numpy.ndarray, shape (K, 2)
        Strong reflections of each domain, cycles per px.
    labels : numpy.ndarray of int, shape (H, W)

    Returns
    -------
    numpy.ndarray of bool, shape (H, W)
        Also True where there is no domain.
    """
    variance = blurred(work.flat**2, _PRESENT * work.period)
    poor = labels < 0
    for number, vectors in waves.items():
        inside = labels == number
        if inside.any() and len(vectors):
            rest, _ = _unexplained(work.flat, inside.astype(np.float32), vectors, sigma)
            share = 1 - blurred(rest, _PRESENT * work.period) / np.maximum(variance, 1e-30)
            poor |= inside & (share < _POOR * np.median(share[inside]))
    return poor & (work.weights > 0)


def without_specks(labels, area, usable):
    """Give areas that are too small to be domains, or gaps, to what surrounds them.

    Parameters
    ----------
    labels : numpy.ndarray of int, shape (H, W)
        -1 for no domain.
    area : float
        Of a cell, px².
    usable : numpy.ndarray of bool, shape (H, W)
        Elsewhere the result is -1.

    Returns
    -------
    numpy.ndarray of int, shape (H, W)

    Examples
    --------
    >>> labels = np.zeros((20, 20), int)
    >>> labels[3:5, 3:5] = 1
    >>> labels[:, 12:] = -1
    >>> np.unique(without_specks(labels, 10.0, np.ones((20, 20), bool))).tolist()
    [-1, 0]
    """
    small = np.zeros(labels.shape, bool)
    for k in np.unique(labels).tolist():
        areas, count = ndimage.label((labels == k) & usable)
        least = (_SMALLEST_GAP if k < 0 else _SMALLEST) * area
        sizes = np.bincount(areas.ravel(), minlength=count + 1)
        sizes[0] = int(least) + 1
        small |= (sizes < least)[areas]
    small |= ~usable
    if small.all() or not small.any():
        return np.where(usable, labels, -1)
    nearest = ndimage.distance_transform_edt(small, return_distances=False, return_indices=True)
    return np.where(usable, labels[tuple(nearest)], -1)


def _with_free_phases(work, sigma, waves, labels, variance):
    """Labels near boundaries by the proportions of the waves alone, their phases as the image shows them.

    A domain's phases are known best inside its own outline, even where that is drawn too wide: by them alone, it would
    keep what it has.
    """
    numbers = [k for k in waves if (labels == k).any()]
    if len(numbers) < 2:
        return labels
    local = LocalWaves(work.flat, work.weights, _FREE * work.period)
    vectors = np.vstack([waves[k] for k in numbers])
    vectors = vectors[spread_out(vectors, local.reach, _MOST_FREE)]
    best, least = labels, np.full(labels.shape, np.inf, np.float32)
    own = least.copy()
    near = np.zeros(labels.shape, int)
    for k in numbers:
        inside = (labels == k) & (work.weights > 0)
        usual = LocalWaves(work.flat, inside.astype(np.float32), local.sigma)
        crystal, _ = local.continued(vectors, proportions=usual.proportions(vectors, changing=True))
        rest = blurred((work.flat - crystal) ** 2, _PRESENT * work.period) / np.maximum(variance, 1e-30)
        own = np.where(labels == k, rest, own)
        best, least = np.where(rest < least, k, best), np.minimum(rest, least)
        near += ndimage.distance_transform_edt(labels != k) < _NEAR * sigma
    return np.where((labels >= 0) & (near > 1) & (least < own - _MARGIN), best, labels)


def _reassigned(work, sigma, waves, labels, variance):
    """One round: measure the waves of each domain inside its outline; which explains a pixel best, and whether well."""
    best = np.full(labels.shape, np.inf, np.float32)
    new, present = np.full(labels.shape, -1), np.zeros(labels.shape, bool)
    for k, vectors in waves.items():
        inside = (labels == k) & (work.weights > 0)
        if not inside.any() or not len(vectors):
            continue
        rest, reached = _unexplained(work.flat, inside.astype(np.float32), vectors, sigma, changing=True)
        misfit = np.where(reached, blurred(rest, _COMPARED * work.period), np.inf)
        closer = misfit < best
        explained = variance - blurred(rest, _PRESENT * work.period)
        share = explained / np.maximum(variance, 1e-30)
        enough = explained > _LEAST_EXPLAINED * np.median(explained[inside])
        enough &= share > _LEAST_SHARE * np.median(share[inside])
        new[closer], present[closer] = k, enough[closer]
        best = np.minimum(best, misfit)
    return new, present & (work.weights > 0)


def _unexplained(flat, inside, vectors, sigma, *, changing=False):
    """Squared difference of the image and a domain's waves, (H, W), and where these reach."""
    waves = LocalWaves(flat, inside, sigma)
    crystal, coverage = waves.continued(vectors, changing=changing)
    coverage = cv2.resize(coverage, waves.size[::-1], interpolation=cv2.INTER_LINEAR)
    return (flat - crystal) ** 2, coverage[: flat.shape[0], : flat.shape[1]] > _REACHED


def _opened(mask, radius):
    """What of a mask is as broad as a disk."""
    cores = ndimage.distance_transform_edt(np.pad(mask, 1, mode="edge"))[1:-1, 1:-1] > radius
    if not cores.any():
        return cores
    return ndimage.distance_transform_edt(~cores) <= radius


def strong_waves(segments, groups):
    """The reflections that each group's crystal is rebuilt from: dict of int to array (K, 2), cycles per px."""
    return {k: _waves_of(segments, groups == k) for k in np.unique(groups[groups >= 0]).tolist()}


def _waves_of(segments, members):
    """The strong reflections of a group of segments, far enough from each other, the strongest first."""
    sure = inner(np.where(members, 0, -1)) & segments.trusted
    sure = sure if sure.any() else members
    ratio = (segments.powers[:, sure] / segments.noise[:, sure]).mean(axis=1)
    order = np.argsort(-ratio)
    order = order[ratio[order] > _LEAST_RATIO]
    vectors = segments.vectors[order]
    return vectors[spread_out(vectors, segments.waves.reach, _MOST_WAVES)]


def _sure(groups):
    """Groups without the segments beside another group, which show both; unless a group has no others."""
    inside = inner(groups)
    alone = ~np.isin(groups, groups[inside])
    return np.where(inside | alone, groups, -1)


def _spread(groups, segments, shape):
    """Labels of pixels: those of the nearest segment."""
    index = []
    for nodes, size in zip((segments.waves.rows(), segments.waves.columns()), shape, strict=True):
        step = nodes[1] if len(nodes) > 1 else size
        index.append(np.clip(np.rint(np.arange(size) / step).astype(int), 0, len(nodes) - 1))
    return groups[np.ix_(*index)]
