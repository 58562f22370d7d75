"""From segments to pixels: every pixel goes to the domain whose crystal, continued to it, explains it best."""

import numpy as np
from scipy import ndimage

from stemlib.domains.distances import depth_in, distance_to
from stemlib.domains.label_competition import Contest, decided
from stemlib.domains.statistics import inner
from stemlib.fourier.reflections import spread_out
from stemlib.fourier.strain import mean_vectors

_ROUNDS = 3
_SETTLED = 1e-3  # share of pixels that change their label
_UNMOVED = 5e-3  # and that such a change and its consequences leave with another one
_MOST_WAVES = 24  # that a crystal is rebuilt from
_LEAST_RATIO = 3.0  # of a wave's power in the domain, over noise
# Of what a window tells apart: the image's reflection, where the group has its own; farther off it is another one.
_OFF = 0.4
_SEAM = 1.0  # periods: half the width of what is left out along a boundary at most
_FAULT = 1.7  # and of a fault
_RICH = 0.5  # of the variance in the crystals
_SMALLEST = 2.0  # periods squared: smaller areas go to what surrounds them
_SMALLEST_GAP = 6.0  # and areas of no domain
_MEDIAN_OF = 20_000  # values at most


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
    work : stemlib.domains.windows.WorkingImage
    segments : stemlib.domains.windows.LocalSegments
    groups : numpy.ndarray of int, shape (M, N)
        Group of each segment, -1 for none.

    Returns
    -------
    numpy.ndarray of int, shape (H, W)
        Of the working image: the groups' numbers, -1 for undecided. A group may have vanished.
    """
    contest = Contest(work, segments.waves.sigma, strong_waves(segments, groups))
    labels = contest.places(_spread(_sure(groups), segments, work.flat.shape))
    for _ in range(_ROUNDS):
        before, (misfits, best, present) = labels, contest.measured(labels)
        labels = np.where(present, best, -1)
        if (before != labels).mean() < _SETTLED:
            break
    for _ in range(_ROUNDS if len(contest.waves) > 1 else 0):
        before, freed = labels, contest.freed(labels)
        if (freed != labels).mean() < _SETTLED:
            break
        labels = freed
        for _ in range(2):
            misfits, best, _ = contest.measured(labels)
            labels = np.where(present, best, -1)
        if (before != labels).mean() < _UNMOVED:
            break
    best = decided({k: contest.pixels(misfit) for k, misfit in misfits.items()}, work.flat.shape)
    present = contest.area(present)
    usable = work.weights > 0
    # The core of a boundary belongs to neither crystal: such a seam goes to the nearer one, a broad gap to none.
    gap = _opened((best < 0) | ~present, _SEAM * work.period) & usable
    # So does a fault several layers thick, which is as rich in contrast as a crystal.
    if gap.any() and not gap[usable].all():
        variance = contest.pixels(contest.variance)
        rich = variance > _RICH * _median(variance[usable & ~gap])
        gap &= ~rich | _opened(gap, _FAULT * work.period)
    return without_specks(np.where(gap, -1, best), work.period**2, usable)


def poorly_explained(work, sigma, waves, labels):
    """Where the domains' crystals explain less than half of the share of the variance that they usually do.

    Parameters
    ----------
    work : stemlib.domains.windows.WorkingImage
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
    contest = Contest(work, sigma, waves)
    poor = contest.poorly_explained(contest.places(labels))
    return (contest.area(poor) | (labels < 0)) & (work.weights > 0)


def explained_shares(work, sigma, waves, labels):
    """What share of the variance inside it each domain's crystal explains, as the median: dict of int to float.

    Parameters
    ----------
    work, sigma, waves, labels
        As of `poorly_explained`.
    """
    contest = Contest(work, sigma, waves)
    places = contest.places(labels)
    return {k: float(np.median(share[places == k])) for k, share in contest.shares(places).items()}


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
    # What is nearest to a small area lies beside it.
    (box,) = ndimage.find_objects(small.astype(np.uint8))
    box = tuple(slice(max(0, part.start - 1), part.stop + 1) for part in box)
    nearest = ndimage.distance_transform_edt(small[box], return_distances=False, return_indices=True)
    result = labels.copy()
    result[box] = labels[box][tuple(nearest)]
    return np.where(usable, result, -1)


def _median(values):
    """Median of many values, of some thousands of them."""
    return np.median(values[:: 1 + len(values) // _MEDIAN_OF])


def _opened(mask, radius):
    """What of a mask is as broad as a disk."""
    cores = depth_in(mask) > radius
    return distance_to(cores) <= radius


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
    vectors, own = segments.vectors[order], mean_vectors(segments, order, sure)
    off = np.linalg.norm(own - vectors, axis=1)
    vectors = np.where(off[:, None] < _OFF * segments.waves.reach, own, vectors)
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
