"""Group segments into domains, and say how many groups there are."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from sklearn.cluster import KMeans
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from stemlib.domain_statistics import discriminant, distance_apart, inner, otsu_threshold

# Scatters within, between the means of two groups that are two domains, among very many segments.
_LEAST_APART = 5.25
_FEW = 9.0  # independent segments among which chance makes as much again
_REACH = 4.0  # segments from the other group, within which a boundary that is sharp is passed
_MOST_COMPONENTS = 8
_LEAST_VARIANCE = 3.0  # of a component, over that of noise
_SEGMENTS_PER_COMPONENT = 8  # independent ones, or a direction is found in which anything falls in two
_FEWEST = 4  # segments inside a domain
_BROAD = 0.5  # of the segments inside a domain, in parts of it that are five segments wide and more
_BLOCK = 5.0  # standard deviations of a window; blocks so large are held out
_ROUNDS = 8
_STIFFNESS = 0.5  # of the scatter within groups, towards a round one, where all numbers decide
_LESSONS = 5


@dataclass(frozen=True, eq=False)
class _Split:
    labels: np.ndarray  # (M, N): 0, 1, or -1 outside
    inside: np.ndarray  # (M, N) bool: all neighbours are of the same group
    apart: float


class SegmentGrid:
    """Segments on a grid, described by numbers whose noise has the standard deviation 1.

    Parameters
    ----------
    features : numpy.ndarray, shape (N, K)
        One row for each usable segment, row by row of the grid.
    usable, trusted : numpy.ndarray of bool, shape (M, N)
        Which segments are described, and which of them others are judged by.
    step : float
        Distance of neighbouring segments over the standard deviation of a window.
    """

    def __init__(self, features, usable, trusted, step):
        self.usable, self.trusted = usable, trusted
        # Windows overlap: Gaussian ones average noise like windows without overlap of 4 pi times their variance.
        self.independent = min(1.0, step**2 / (4 * np.pi))
        self.features = np.zeros((*usable.shape, features.shape[1]))
        self.features[usable] = features
        side = max(1, round(_BLOCK / step))
        row, column = np.indices(usable.shape) // side
        self.fold = (row + column) % 2

    def least_apart(self, members):
        """How far two groups among some segments (M, N) must be apart to be two domains: the more, the fewer."""
        return _LEAST_APART * (1 + _FEW / max(1.0, members.sum() * self.independent))

    def components(self, members):
        """Principal components of some segments (M, N), those that stand out of noise and are not too many: (n, C)."""
        values = self.features[members]
        values = values - np.median(values, axis=0)
        variance, directions = np.linalg.eigh(np.atleast_2d(np.cov(values.T)))
        room = int(len(values) * self.independent / _SEGMENTS_PER_COMPONENT)
        count = int(np.clip((variance > _LEAST_VARIANCE).sum(), 1, np.clip(room, 2, _MOST_COMPONENTS)))
        return values @ directions[:, ::-1][:, :count]


def find_groups(grid, n_groups=None, *, seed=0):
    """Divide segments into groups, each of which has one mode, and which are clearly apart.

    Groups are divided in two, again and again, along the direction (linear discriminant) in which the halves are most
    apart. A division stands if the means of the two groups, beside their boundary, are at least 5.25 (1 + 9 / n) times
    their scatter apart, n being the number of segments that do not overlap; only segments count all of whose neighbours
    belong to the same group, and directions that other parts of the image show; and most of a group must be more than a
    seam. Halves of anything that has one mode are at most 3.5 apart (those of a uniform distribution), however many
    numbers describe it: what changes smoothly, as by drift, thickness and contamination, is one domain. The two numbers
    were chosen on drawn images of single crystals and of two phases.

    Parameters
    ----------
    grid : SegmentGrid
    n_groups : int, optional
        How many groups to make, whatever they are apart. By default, as many as there are.
    seed : int
        For what a discriminant does not divide.

    Returns
    -------
    numpy.ndarray of int, shape (M, N)
        Group of each usable segment, the others -1; the groups in no particular order.

    Raises
    ------
    ValueError
        If there are fewer segments than groups.

    References
    ----------
    K. M. Ashman, C. M. Bird and S. E. Zepf, Astron. J. 108, 2348 (1994), https://doi.org/10.1086/117248, for the
    distance of two groups over their scatter as a measure of bimodality.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> usable = np.ones((20, 20), bool)
    >>> features = rng.normal(size=(400, 5))
    >>> int(find_groups(SegmentGrid(features, usable, usable, 1.0)).max()) + 1
    1
    >>> features[:160] += 12
    >>> int(find_groups(SegmentGrid(features, usable, usable, 1.0)).max()) + 1
    2
    """
    members = grid.usable & grid.trusted
    if members.sum() < max(1, n_groups or 1):
        raise ValueError(f"{members.sum()} segments make no {n_groups} groups")
    leaves = _natural(grid, members) if n_groups is None else _forced(grid, members, n_groups, seed)
    return _classified(grid, leaves)


def separation(grid, first, second):
    """How far two groups of segments (M, N), both True inside, are apart, over what two domains must be at least."""
    both = first | second
    values = grid.components(both)
    label = second[both].astype(int)
    projected = values @ discriminant(values, label)
    apart = distance_apart(projected[label == 0], projected[label == 1])
    return apart / grid.least_apart(both)


def discriminant_distance(grid, first, second):
    """How far apart two groups (M, N) are along their discriminant, over the scatter of the first, all numbers used."""
    values, few = grid.features[first], grid.features[second]
    step = few.mean(axis=0) - values.mean(axis=0)
    scatter = np.atleast_2d(np.cov(values.T)) if len(values) > 1 else np.eye(len(step))
    round_one = np.trace(scatter) / len(scatter) * np.eye(len(scatter))
    scatter = (1 - _STIFFNESS) * scatter + _STIFFNESS * round_one
    return float(np.sqrt(step @ np.linalg.solve(scatter, step)))


def _natural(grid, members):
    """Inner segments of as many groups as there are."""
    done, waiting = [], [members]
    while waiting:
        part = waiting.pop()
        split = _split(grid, part, held_out=True)
        if split is None or split.apart < grid.least_apart(part):
            done.append(part)
        else:
            waiting += [split.inside & (split.labels == k) for k in (0, 1)]
    # A direction that divides one pair of domains well may cut through a third one.
    while len(done) > 1:
        pairs = [(separation(grid, done[i], done[j]), i, j) for i in range(len(done)) for j in range(i)]
        least, i, j = min(pairs)
        if least >= 1:
            break
        done[j] = done[j] | done.pop(i)
    return done


def _forced(grid, members, n_groups, seed):
    """Inner segments of a given number of groups: the widest divisions first."""
    leaves = [(members, _split(grid, members, held_out=False))]
    while len(leaves) < n_groups:
        index = max(range(len(leaves)), key=lambda i: leaves[i][1].apart if leaves[i][1] else -1.0)
        part, split = leaves[index]
        if split is None:
            return _partition(grid, members, n_groups, seed)
        halves = [split.inside & (split.labels == k) for k in (0, 1)]
        leaves[index : index + 1] = [(half, _split(grid, half, held_out=False)) for half in halves]
    return [part for part, _ in leaves]


def _partition(grid, members, n_groups, seed):
    """Groups of segments that nothing divides."""
    values = grid.components(members)
    labels = np.full(members.shape, -1)
    labels[members] = KMeans(n_groups, n_init=4, random_state=seed).fit_predict(values)
    return [labels == k for k in range(n_groups)]


def _classified(grid, leaves):
    """The group of every usable segment, by a linear discriminant of all numbers, which teaches itself.

    It learns from the inner segments of the groups, which its own answer then makes more.
    """
    taught, target = np.any(leaves, axis=0), np.argmax(leaves, axis=0)
    nearest = ndimage.distance_transform_edt(~taught, return_distances=False, return_indices=True)
    labels = np.where(grid.usable, target[tuple(nearest)], -1)
    for _ in range(_LESSONS if len(leaves) > 1 else 0):
        machine = LinearDiscriminantAnalysis(
            solver="lsqr", shrinkage=_STIFFNESS, priors=np.full(len(leaves), 1 / len(leaves))
        )
        machine.fit(grid.features[taught], target[taught])
        target = np.full(labels.shape, -1)
        target[grid.usable] = machine.predict(grid.features[grid.usable])
        taught = inner(target) & grid.trusted
        if np.bincount(target[taught], minlength=len(leaves)).min() < _FEWEST:
            break
        before, labels = labels, target
        if (labels == before).all():
            break
    return labels


def _split(grid, members, *, held_out):
    """The division of some segments in two that are most apart, or None."""
    if members.sum() < 2 * _FEWEST:
        return None
    values = grid.components(members)
    unit = values / np.maximum(values.std(axis=0), 1e-9)
    pairs = [
        unit[:, i] + sign * unit[:, j] for i in range(unit.shape[1]) for j in range(i) for sign in (1, -1)
    ]
    found = [_settled(grid.trusted, values, members, start) for start in [*unit.T, *pairs]]
    found = [split for split in found if split is not None]
    if not found:
        return None
    best = max(found, key=lambda split: split.apart)
    return _Split(best.labels, best.inside, _held_out(grid, values, members, best)) if held_out else best


def _settled(trusted, values, members, start):
    """Divide along a direction, and turn the direction to where the two groups are most apart, until both agree."""
    label = (start > otsu_threshold(start)).astype(int)
    for _ in range(_ROUNDS):
        labels, inside = _smoothed(members, label)
        label, used = labels[members], inside[members]
        if min((used & (label == 0)).sum(), (used & (label == 1)).sum()) < _FEWEST:
            return None
        projected = values @ discriminant(values[used], label[used])
        new = (projected > otsu_threshold(projected[used])).astype(int)
        if (new == label).all():
            break
        label = new
    labels, inside = _smoothed(members, label)
    label, used = labels[members], inside[members]
    halves = [projected[used & (label == k)] for k in (0, 1)]
    if min(map(len, halves)) < _FEWEST or not all(_is_broad(inside & (labels == k), trusted) for k in (0, 1)):
        return None
    return _Split(labels, inside, distance_apart(*halves))


def _is_broad(inside, trusted):
    """Whether most of a group is broader than the seams that windows across a boundary make, and than ripples."""
    core = ndimage.binary_erosion(inside | ~trusted, np.ones((3, 3)), border_value=1) & inside
    broad = ndimage.binary_dilation(core, np.ones((3, 3))) & inside
    return bool(broad.sum() >= _BROAD * inside.sum())


def _held_out(grid, values, members, split):
    """How far the groups are apart along directions learnt elsewhere: the smaller of two results; 0 for too few."""
    label, used, fold = split.labels[members], split.inside[members], grid.fold[members]
    gaps = [ndimage.distance_transform_edt(split.labels != 1 - k)[members] for k in (0, 1)]
    near = np.where(label == 0, *gaps) <= _REACH
    results = []
    for tested in (0, 1):
        learnt = used & (fold != tested)
        groups = [used & (fold == tested) & (label == k) for k in (0, 1)]
        fewest = min((learnt & (label == 0)).sum(), (learnt & (label == 1)).sum(), *(g.sum() for g in groups))
        if fewest < _FEWEST - 1:
            return 0.0
        projected = values @ discriminant(values[learnt], label[learnt])
        apart = distance_apart(*(projected[g] for g in groups))
        beside = [projected[g & near] for g in groups]
        if min(map(len, beside)):
            step = abs(beside[0].mean() - beside[1].mean())
            apart *= min(1.0, step / abs(projected[groups[0]].mean() - projected[groups[1]].mean()))
        results.append(apart)
    return min(results)


def _smoothed(members, label):
    """Labels by the majority around each segment, and which segments have like neighbours only."""
    labels = np.full(members.shape, -1)
    labels[members] = label
    share = [ndimage.uniform_filter((labels == k).astype(float), 3, mode="constant") for k in (0, 1)]
    labels = np.where(members, (share[1] > share[0]).astype(int), -1)
    return labels, inner(labels)
