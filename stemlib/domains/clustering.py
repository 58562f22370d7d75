"""Group segments into domains, and say how many groups there are."""

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree
from sklearn.cluster import KMeans
from sklearn.svm import OneClassSVM

from stemlib.domains.statistics import Moments, distance_apart, inner, otsu_threshold, shrunk
from stemlib.domains.two_way_split import FEWEST, halve

# Scatters within, between the means of two groups that are two domains, among very many segments.
_LEAST_APART = 5.25
_FEW = 9.0  # independent segments among which chance makes as much again
_MOST_COMPONENTS = 8
_LEAST_VARIANCE = 3.0  # of a component, over that of noise
_SEGMENTS_PER_COMPONENT = 8  # independent ones, or a direction is found in which anything falls in two
_BLOCK = 5.0  # standard deviations of a window; blocks so large are held out
_STIFFNESS = 0.5  # of the scatter within groups, towards a round one, where all numbers decide
_LESSONS = 5


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
        self._halves = {}

    def halves(self, members):
        """The two groups of some segments (M, N) that are most apart, held out; found once."""
        key = members.tobytes()
        if key not in self._halves:
            self._halves[key] = halve(self, members, held_out=True)
        return self._halves[key]

    def least_apart(self, members):
        """How far two groups among some segments (M, N) must be apart to be two domains: the more, the fewer."""
        return _LEAST_APART * (1 + _FEW / max(1.0, members.sum() * self.independent))

    def components(self, members):
        """Principal components of some segments (M, N), those that stand out of noise and are not too many: (n, C)."""
        values = self.features[members]
        values = values - values.mean(axis=0)
        variance, directions = np.linalg.eigh(values.T @ values / max(1, len(values) - 1))
        room = int(len(values) * self.independent / _SEGMENTS_PER_COMPONENT)
        count = int(np.clip((variance > _LEAST_VARIANCE).sum(), 1, np.clip(room, 2, _MOST_COMPONENTS)))
        return values @ directions[:, ::-1][:, :count]


def find_groups(grid, n_groups=None, *, least=1.0, seed=0):
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
    least : float
        How far groups must be apart, over what the rule above asks for.
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
    leaves = _natural(grid, members, least) if n_groups is None else _forced(grid, members, n_groups, seed)
    return _classified(grid, leaves)


def separation(grid, first, second):
    """How far two groups of segments (M, N), both True inside, are apart, over what two domains must be at least."""
    both = first | second
    values = grid.components(both)
    groups = first[both], second[both]
    projected = values @ Moments(values).discriminants(*groups)
    return float(distance_apart(projected, *groups)) / grid.least_apart(both)


def discriminant_distance(grid, first, second):
    """How far apart two groups (M, N) are along their discriminant, over the scatter of the first, all numbers used."""
    values, few = grid.features[first], grid.features[second]
    step = few.mean(axis=0) - values.mean(axis=0)
    scatter = np.atleast_2d(np.cov(values.T)) if len(values) > 1 else np.eye(len(step))
    return float(np.sqrt(step @ np.linalg.solve(shrunk(scatter, _STIFFNESS), step)))


def _natural(grid, members, least):
    """Inner segments of as many groups as there are."""
    done, waiting = [], [members]
    while waiting:
        part = waiting.pop()
        halves = grid.halves(part)
        if halves is None or halves.apart < least * grid.least_apart(part):
            done.append(part)
        else:
            waiting += halves.inside
    # A direction that divides one pair of domains well may cut through a third one.
    while len(done) > 1:
        pairs = [(separation(grid, done[i], done[j]), i, j) for i in range(len(done)) for j in range(i)]
        nearest, i, j = min(pairs)
        if nearest >= least:
            break
        done[j] = done[j] | done.pop(i)
    return done


def _forced(grid, members, n_groups, seed):
    """Inner segments of a given number of groups: the widest divisions first."""
    leaves = [(members, halve(grid, members, held_out=False))]
    while len(leaves) < n_groups:
        index = max(range(len(leaves)), key=lambda i: leaves[i][1].apart if leaves[i][1] else -1.0)
        halves = leaves[index][1]
        if halves is None:
            return _partition(grid, members, n_groups, seed)
        leaves[index : index + 1] = [(half, halve(grid, half, held_out=False)) for half in halves.inside]
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
        scores = _scores(grid.features[grid.usable], taught[grid.usable], target[grid.usable], len(leaves))
        target = np.full(labels.shape, -1)
        target[grid.usable] = scores.argmax(axis=1)
        taught = inner(target) & grid.trusted
        if np.bincount(target[taught], minlength=len(leaves)).min() < FEWEST:
            break
        before, labels = labels, target
        if (labels == before).all():
            break
    return labels


def _scores(features, taught, target, n_groups):
    """How well segments (N, K) fit each of some groups: linear discriminants of those taught, (N, n_groups)."""
    groups = [features[taught & (target == k)] for k in range(n_groups)]
    means = np.array([group.mean(axis=0) for group in groups])
    rests = [group - mean for group, mean in zip(groups, means, strict=True)]
    scatter = np.mean([rest.T @ rest / len(rest) for rest in rests], axis=0)
    weights = np.linalg.solve(shrunk(scatter, _STIFFNESS), means.T)
    return features @ weights - (means.T * weights).sum(axis=0) / 2


_NU = 0.1
_GAMMA = 0.25  # of the kernel, over the number of components, in scatters of the domain that is learnt
_LEARNT = 0.25  # of the segments
_MOST_LEARNT = 1000


def find_outliers(grid, n_groups=None):
    """Learn the most uniform part of an image with a one-class support vector machine, and make its outliers a domain.

    The quarter of the segments that are most alike teaches the machine. Minus the logarithms of its sums of kernels
    fall into two parts where there is a second domain, and a part of outliers counts only if the two are as far apart
    as two groups of `stemlib.domains.clustering.find_groups` must be.

    Parameters
    ----------
    grid : stemlib.domains.clustering.SegmentGrid
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
