"""Which of an image's reflections to go on with: those of a lattice, apart from each other, and not too far out."""

import numpy as np
from scipy.spatial.distance import cdist

from stemlib.triplet import find_triplets

_MOST_TOGETHER = 60  # the strongest, among which triplets are looked for
_LEAST_TRIPLETS = 2  # that it is part of; what appears by chance fits into hardly any
_NEARLY_ALL = 0.97  # of the power
_FAR_OUT = 2.2  # times as far from the origin


def spread_out(vectors, apart, most):
    """Indices of the first vectors of which no two, nor their opposites, are closer than `apart`.

    Examples
    --------
    >>> spread_out(np.array([[0.1, 0.0], [-0.11, 0.0], [0.0, 0.1]]), 0.02, 9).tolist()
    [0, 2]
    """
    near = np.minimum(cdist(vectors, vectors), cdist(vectors, -vectors)) <= apart
    free, kept = np.ones(len(vectors), bool), []
    for index, others in enumerate(near):
        if free[index]:
            kept.append(index)
            free &= ~others
        if len(kept) == most:
            break
    return np.array(kept, int)


def close_together(vectors, distance):
    """Groups of vectors, as arrays of indices: each with the first one that it, or its opposite, is close to."""
    first = spread_out(vectors, distance, len(vectors))
    gaps = np.minimum(cdist(vectors, vectors[first]), cdist(vectors, -vectors[first]))
    return [np.flatnonzero(gaps.argmin(axis=1) == k) for k in range(len(first))]


def in_triplets(vectors, tolerance):
    """Which reflections add up to zero with others in several ways, as those of a lattice do."""
    total, vectors = len(vectors), vectors[:_MOST_TOGETHER]
    indices, _ = find_triplets(vectors, np.ones(len(vectors)), tolerance, most=None)
    takes_part = np.zeros((len(indices), total), bool)
    np.put_along_axis(takes_part, indices, True, axis=1)
    return takes_part.sum(axis=0) >= _LEAST_TRIPLETS


def have_multiples(vectors, tolerance):
    """Which reflections have their double, triple or fourfold among the others.

    Those of a superlattice have, as its parent's reflections are among their multiples; slow contrast, and streaks
    between two crystals, have not, though they add up with others by chance.
    """
    others = np.vstack([vectors, -vectors])
    return np.any([(cdist(n * vectors, others) < tolerance).any(axis=1) for n in (2, 3, 4)], axis=0)


def not_far_out(vectors, power):
    """Which reflections are not much farther out than nearly all of the power: those that are come from scanning."""
    lengths = np.linalg.norm(vectors, axis=1)
    order = np.argsort(lengths)
    share = np.cumsum(np.maximum(power, 0)[order])
    reach = lengths[order][np.searchsorted(share, _NEARLY_ALL * share[-1])]
    return lengths <= _FAR_OUT * reach
