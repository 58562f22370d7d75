"""Small crystals that no group of segments stood for: periodic, but explained by none of the domains."""

from dataclasses import replace

import numpy as np
from scipy import ndimage

from stemlib.domains.clustering import discriminant_distance
from stemlib.domains.distances import depth_in
from stemlib.domains.statistics import inner
from stemlib.fourier.reflections import find_reflections, spread_out

_FEWEST = 3  # segments
_DEEP = 0.4  # standard deviations of a window, from the nearest domain
_LEAST_POWER = 0.3  # of the power of the reflections in the domains
_LEAST_AREA = 5.0  # periods squared, more than a period from the nearest domain
_LEAST_RATIO = 9.0  # power over noise
_LEAST_DEPTH = 2.0  # periods: what is narrower is a seam or a fault
_FITS = 0.8  # of a disk's radius: half the side of a square that is hardly larger
_KEPT, _MOST_NEW = 40, 20  # reflections
_NEW = 1.5  # over the gap's size: a reflection so far from all others, cycles per px, is another one
_APART = 3.0  # times what two groups of many segments must be apart
_APART_WITH_OWN = 1.5  # where much of the power is in reflections of its own
_OWN_POWER = 0.3
_ONLY_HERE = 6.0  # times the share of the power that a reflection has in a domain: then it is one of its own
_NOTABLE = 0.02  # of the power


def with_reflections_of_gaps(work, gap):
    """Look for reflections where no domain explains the image: a small crystal's are hardly seen in all of it.

    Parameters
    ----------
    work : stemlib.domains.windows.WorkingImage
    gap : numpy.ndarray of bool, shape (H, W)

    Returns
    -------
    stemlib.domains.windows.WorkingImage or None
        With the reflections found; None where there are no others.
    """
    if gap.sum() < _LEAST_AREA * work.period**2:
        return None
    depth = depth_in(gap)
    area = (depth > work.period).sum()
    if depth.max() < _LEAST_DEPTH * work.period or area < _LEAST_AREA * work.period**2:
        return None
    taper = np.clip(depth / work.period, 0, 1).astype(np.float32)
    # In all gaps together, and where one is deepest: there hardly anything else is in the window.
    parts = (find_reflections(image) for image in (work.flat * taper, work.flat[_deepest(depth)]))
    vectors = np.vstack([found.vectors[found.ratios > _LEAST_RATIO] for found in parts])
    lengths = np.linalg.norm(vectors, axis=1)
    vectors = vectors[(lengths > 0.8 / work.period) & (np.abs(vectors).max(axis=1) < 0.47)]
    known = work.vectors[:_KEPT]
    kept = spread_out(np.vstack([known, vectors]), _NEW / np.sqrt(area), _KEPT + _MOST_NEW)
    if (kept >= len(known)).sum() < 2:
        return None
    # The new ones first, as they are few, and only so many are looked at.
    return replace(work, vectors=np.vstack([vectors[kept[kept >= len(known)] - len(known)], known]))


def with_remainder(grid, segments, groups, gap):
    """Make a group of the segments in the largest part of an image that shows a crystal, but none of the domains'.

    Parameters
    ----------
    grid : stemlib.domains.clustering.SegmentGrid
    segments : stemlib.domains.windows.LocalSegments
    groups : numpy.ndarray of int, shape (M, N)
        Those that the domains were drawn from.
    gap : numpy.ndarray of bool, shape (H, W)
        Where no domain explains the image well.

    Returns
    -------
    numpy.ndarray of int, shape (M, N), or None
        The groups with one more; None where there is nothing, or nothing that is unlike the others.
    """
    rows, columns = (
        np.minimum(nodes.astype(int), size - 1)
        for nodes, size in zip((segments.waves.rows(), segments.waves.columns()), gap.shape, strict=True)
    )
    left = segments.usable & gap[np.ix_(rows, columns)]
    if not left.any():
        return None
    left &= depth_in(gap)[np.ix_(rows, columns)] > _DEEP * segments.waves.sigma
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
    others = [
        inner(np.where(left, -1, groups)) & grid.trusted & (groups == k) for k in range(groups.max() + 1)
    ]
    for other in (other for other in others if other.any()):
        own = _own_power(segments, part, other)
        least = _APART_WITH_OWN if own > _OWN_POWER else _APART
        if discriminant_distance(grid, other, part) < least * grid.least_apart(grid.usable):
            return None
    return np.where(part, groups.max() + 1, groups)


def _own_power(segments, part, other):
    """Share of the power of some segments that is in reflections which others (M, N) hardly show."""
    power = segments.powers - segments.noise
    first, second = (np.maximum(power[:, where].mean(axis=1), 0) for where in (part, other))
    first, second = first / max(first.sum(), 1e-30), second / max(second.sum(), 1e-30)
    return float(first[(first > _NOTABLE) & (first > _ONLY_HERE * second)].sum())


def _deepest(depth):
    """The square around the place that is deepest in a gap, as large as fits into it."""
    half = int(min(depth.max(), max(depth.shape)) * _FITS)
    return tuple(
        slice(max(0, at - half), at + half + 1) for at in np.unravel_index(depth.argmax(), depth.shape)
    )
