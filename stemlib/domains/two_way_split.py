"""Divide segments in two, along the direction in which the halves are most apart."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from stemlib.domains.statistics import Moments, distance_apart, otsu_thresholds

FEWEST = 4  # segments inside a domain
_REACH = 4.0  # segments from the other group, within which a boundary that is sharp is passed
_BROAD = 0.5  # of the segments inside a domain, in parts of it that are five segments wide and more
_ROUNDS = 8
_AT_ONCE = 16  # divisions


@dataclass(frozen=True, eq=False)
class Halves:
    """Two groups of segments.

    Parameters
    ----------
    inside : list of numpy.ndarray of bool, shape (M, N)
        Segments of either group all of whose neighbours are of the same group.
    apart : float
        How far the groups are apart, in scatters within them.
    """

    inside: list
    apart: float


def halve(grid, members, *, held_out):
    """Divide some segments in two groups, so that they are most apart.

    Parameters
    ----------
    grid : stemlib.domains.clustering.SegmentGrid
    members : numpy.ndarray of bool, shape (M, N)
        The segments to divide.
    held_out : bool
        Whether to measure how far the groups are apart along directions that other segments show.

    Returns
    -------
    Halves or None
        None where nothing divides them.
    """
    if members.sum() < 2 * FEWEST:
        return None
    part = _Part(grid, members)
    labels, directions = _settled(part)
    labels, inside = part.smoothed(labels)
    kept = _large_enough(labels, inside)
    labels, inside, projected = labels[kept], inside[kept], directions[kept] @ part.values.T
    apart = distance_apart(projected, inside & ~labels, inside & labels)
    for index in np.argsort(-apart, kind="stable"):
        groups = [inside[index] & ~labels[index], inside[index] & labels[index]]
        halves = [part.on_grid(group) for group in groups]
        if all(_is_broad(half, grid.trusted) for half in halves):
            return Halves(halves, _held_out(part, labels[index], groups) if held_out else float(apart[index]))
    return None


class _Part:
    """The rectangle around some segments of a grid, place by place in one row: P places, of which N are members.

    Divisions are (S, P) bool, True in the second group; places that are no members are False.
    """

    def __init__(self, grid, members):
        self.whole = members.shape
        self.window = ndimage.find_objects(members.astype(np.uint8))[0]
        self.shape = members[self.window].shape
        self.members = members[self.window].ravel()
        self.fold = grid.fold[self.window].ravel()
        components = grid.components(members)
        self.values = np.zeros((len(self.members), components.shape[1]))
        self.values[self.members] = components
        self.moments = Moments(self.values)
        self.around = self._counted(self.members[None])

    def on_grid(self, mask):
        """A mask (P,) as one of the whole grid (M, N)."""
        whole = np.zeros(self.whole, bool)
        whole[self.window] = mask.reshape(self.shape)
        return whole

    def distance(self, mask):
        """How far each place is from the nearest one of a mask (P,)."""
        return ndimage.distance_transform_edt(~mask.reshape(self.shape)).ravel()

    def smoothed(self, labels):
        """Labels (S, P) by the majority around each segment, and which segments have like neighbours only."""
        labels = (2 * self._counted(labels) > self.around) & self.members
        inside = (self._counted(labels) == self.around * labels) & self.members
        return labels, inside

    def divided(self, directions, used):
        """Labels (S, P) along directions (S, C), on both sides of the threshold of the segments used (S, P)."""
        labels = np.zeros(used.shape, bool)
        # Few at a time stay in the processor's cache.
        for start in range(0, len(directions), _AT_ONCE):
            block = slice(start, start + _AT_ONCE)
            projected = directions[block] @ self.values.T
            labels[block] = projected > otsu_thresholds(projected, used[block])[:, None]
        return labels & self.members

    def _counted(self, labels):
        """How many of the nine places around each are True."""
        rows, columns = self.shape
        padded = np.zeros((len(labels), rows + 2, columns + 2), np.uint8)
        padded[:, 1:-1, 1:-1] = labels.reshape(-1, rows, columns)
        counts = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
        counts = counts[..., :-2] + counts[..., 1:-1] + counts[..., 2:]
        return counts.reshape(labels.shape)


def _settled(part):
    """Divide along many directions, and turn each to where the two groups are most apart, until both agree.

    Returns
    -------
    labels : numpy.ndarray of bool, shape (S, P)
    directions : numpy.ndarray, shape (S, C)
    """
    starts = _starts(part)
    labels = part.divided(starts, np.broadcast_to(part.members, (len(starts), len(part.members))))
    settled = []
    for _ in range(_ROUNDS):
        labels, inside = part.smoothed(labels)
        kept = _distinct(labels)
        kept = kept[_large_enough(labels[kept], inside[kept])]
        labels, inside = labels[kept], inside[kept]
        directions = part.moments.discriminants(inside & ~labels, inside & labels)
        new = part.divided(directions, inside)
        agree = (new == labels).all(axis=1)
        settled.append((new[agree], directions[agree]))
        labels, directions = new[~agree], directions[~agree]
        if not len(labels):
            break
    labels, directions = zip(*settled, (labels, directions), strict=True)
    return np.concatenate(labels), np.concatenate(directions)


def _starts(part):
    """Components of equal size, and the sums and differences of pairs of them: directions (S, C)."""
    unit = np.diag(1 / np.maximum(part.values[part.members].std(axis=0), 1e-9))
    pairs = [unit[i] + sign * unit[j] for i in range(len(unit)) for j in range(i) for sign in (1, -1)]
    return np.array([*unit, *pairs])


def _distinct(labels):
    """The first of each kind of rows (S, P)."""
    first = {}
    for index, row in enumerate(labels):
        first.setdefault(row.tobytes(), index)
    return np.array([*first.values()], int)


def _large_enough(labels, inside):
    """Which divisions (S, P) have segments enough inside both groups."""
    return np.minimum((inside & ~labels).sum(axis=1), (inside & labels).sum(axis=1)) >= FEWEST


def _is_broad(inside, trusted):
    """Whether most of a group is broader than the seams that windows across a boundary make, and than ripples."""
    core = ndimage.binary_erosion(inside | ~trusted, np.ones((3, 3)), border_value=1) & inside
    broad = ndimage.binary_dilation(core, np.ones((3, 3))) & inside
    return bool(broad.sum() >= _BROAD * inside.sum())


def _held_out(part, labels, groups):
    """How far groups are apart along directions learnt elsewhere: the smaller of two results; 0 for too few."""
    others = [labels, part.members & ~labels]
    near = [g & (part.distance(other) <= _REACH) for g, other in zip(groups, others, strict=True)]
    results = []
    for there in (part.fold == 0, part.fold == 1):
        learnt, tried = [g & ~there for g in groups], [g & there for g in groups]
        if min(g.sum() for g in learnt + tried) < FEWEST - 1:
            return 0.0
        projected = part.values @ part.moments.discriminants(*learnt)
        apart = distance_apart(projected, *tried)
        beside = [g & there for g in near]
        if all(g.any() for g in beside):
            apart *= min(1.0, _step(projected, beside) / _step(projected, tried))
        results.append(float(apart))
    return min(results)


def _step(projected, groups):
    """Difference of two groups' means."""
    first, second = (projected[group].mean() for group in groups)
    return abs(first - second)
