"""The crystal of each domain: its reflections, its cell, and which domains are one phase in several orientations."""

import functools
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.distance import cdist

from stemlib.domains.maps import inner
from stemlib.fourier.patterson import Patterson
from stemlib.fourier.reflections import Reflections, spread_out
from stemlib.fourier.strain import mean_vectors
from stemlib.fourier.triplets import find_triplets

_LEAST_RATIO = 6.0  # of a reflection's mean power in the domain, over noise
_MOST = 30
_MOST_FOR_CELL = 14
_BY_CHANCE = 1e-3  # probability that the points of a cell stand out no more than places beside them
_ALIKE = 0.4  # distance of two lists of amplitudes, each of length 1, from which on they are different phases
_BETTER = 0.5  # what a turn must leave of the distance without it
_STRETCHED = 0.03  # relative error of a reflection's place: distortion of the scan
_LEAST_TURN_DEG = 2.0
_MOST_WAVES = 24  # that a crystal is rebuilt from
_LEAST_WAVE = 3.0  # power of a wave in the domain, over noise
# Of what a window tells apart: the image's reflection, where the group has its own; farther off it is another one.
_OFF = 0.4


@dataclass(frozen=True, eq=False)
class DomainCrystal(Reflections):
    """What a domain's segments show of its crystal: its reflections, at the resolution of the domain's size.

    Parameters
    ----------
    vectors, ratios, resolution
        As of `stemlib.fourier.reflections.Reflections`; the ratios are means over the domain.
    amplitudes : numpy.ndarray, shape (N,)
        Root mean square over the domain, noise subtracted.
    segments : numpy.ndarray of bool, shape (M, N)
        Which segments are inside the domain.
    """

    amplitudes: np.ndarray
    segments: np.ndarray

    @functools.cached_property
    def cell(self):
        """Reduced cell, translations (y, x) as rows (2, 2), px; None where the reflections have none."""
        if len(self.vectors) < 2:
            return None
        used = self.only(np.s_[:_MOST_FOR_CELL])
        patterson = Patterson.of_waves(used.vectors, np.log(used.ratios))
        cell = patterson.find_cell()
        # Waves along one line repeat in one direction only.
        return None if cell is None or patterson.p_value(cell) > _BY_CHANCE else cell.vectors

    def enlarged(self, factor):
        """The same crystal in an image whose pixels are smaller by a factor."""
        return replace(self, vectors=self.vectors / factor, resolution=self.resolution / factor)

    @property
    def lengths(self):
        """Lengths of the cell's translations a and b, px; NaN without a cell."""
        return np.full(2, np.nan) if self.cell is None else np.linalg.norm(self.cell, axis=1)

    @property
    def angle_deg(self):
        """Angle between a and b; NaN without a cell."""
        if self.cell is None:
            return np.nan
        return float(np.degrees(np.arccos(self.cell[0] @ self.cell[1] / self.lengths.prod())))

    @property
    def orientation_deg(self):
        """Direction of a, counter-clockwise from +x as seen; NaN without a cell."""
        return (
            np.nan if self.cell is None else float(np.degrees(np.arctan2(-self.cell[0, 0], self.cell[0, 1])))
        )


def domain_crystal(segments, groups, number):
    """Measure the reflections of a domain.

    Parameters
    ----------
    segments : stemlib.domains.windows.LocalSegments
    groups : numpy.ndarray of int, shape (M, N)
    number : int

    Returns
    -------
    DomainCrystal
        In px of the working image.
    """
    inside = _inside(segments, groups == number)
    power, noise = (values[:, inside].mean(axis=1) for values in (segments.powers, segments.noise))
    order = np.argsort(-power / noise)
    order = order[(power > _LEAST_RATIO * noise)[order]][:_MOST]
    amplitudes = np.sqrt(np.maximum(power - noise, 0))[order]
    size = max(inside.sum(), 4) * segments.waves.steps[0] * segments.waves.steps[1]
    vectors = mean_vectors(segments, order, inside)
    return DomainCrystal(vectors, (power / noise)[order], 1 / np.sqrt(size), amplitudes, inside)


def strong_waves(segments, groups):
    """The reflections that each group's crystal is rebuilt from: dict of int to array (K, 2), cycles per px."""
    return {k: _waves_of(segments, groups == k) for k in np.unique(groups[groups >= 0]).tolist()}


def _waves_of(segments, members):
    """The strong reflections of a group of segments, far enough from each other, the strongest first."""
    inside = _inside(segments, members)
    ratio = (segments.powers[:, inside] / segments.noise[:, inside]).mean(axis=1)
    order = np.argsort(-ratio)
    order = order[ratio[order] > _LEAST_WAVE]
    vectors, own = segments.vectors[order], mean_vectors(segments, order, inside)
    off = np.linalg.norm(own - vectors, axis=1)
    vectors = np.where(off[:, None] < _OFF * segments.waves.reach, own, vectors)
    return vectors[spread_out(vectors, segments.waves.reach, _MOST_WAVES)]


def _inside(segments, members):
    """The trusted segments in the middle of some (M, N); all of these where there are none."""
    inside = inner(np.where(members, 0, -1)) & segments.trusted
    return inside if inside.any() else members


def same_phases(crystals, segments):
    """Number the phases: domains that are one crystal in several orientations have one number.

    Two domains are one phase if a turn, or a mirror image and a turn, brings the reflections of one onto those of the
    other, amplitudes included, far better than no turn does; or, as a turn by 180 degrees changes no power, if their
    triplet phases are opposite.

    Parameters
    ----------
    crystals : list of DomainCrystal
    segments : stemlib.domains.windows.LocalSegments

    Returns
    -------
    list of int
    """
    numbers = list(range(len(crystals)))
    for j in range(len(crystals)):
        for i in range(j):
            if _one_phase(crystals[i], crystals[j], segments):
                numbers = [numbers[i] if n == numbers[j] else n for n in numbers]
    order = list(dict.fromkeys(numbers))
    return [order.index(n) for n in numbers]


def _one_phase(first, second, segments):
    if not len(first.vectors) or not len(second.vectors):
        return False
    straight = _distance(first, second, np.eye(2), segments)
    turned = min((_distance(first, second, turn, segments) for turn in _turns(first, second)), default=np.inf)
    if turned < _ALIKE and turned < _BETTER * straight:
        return True
    return straight < _ALIKE and _opposite_triplets(first, second, segments)


def _turns(first, second):
    """Turns, with a mirror image or without, that bring the strongest reflection of one onto one of the other."""
    others = np.vstack([second.vectors, -second.vectors])
    stretch = np.linalg.norm(others, axis=1) / np.linalg.norm(first.vectors[0])
    others = others[np.abs(stretch - 1) <= _STRETCHED]
    for mirror in ([1.0, 1.0], [1.0, -1.0]):
        start = first.vectors[0] * mirror
        for angle in np.arctan2(others[:, 0], others[:, 1]) - np.arctan2(start[0], start[1]):
            if mirror[1] < 0 or abs(np.degrees(angle)) >= _LEAST_TURN_DEG:
                sine, cosine = np.sin(angle), np.cos(angle)
                yield np.array([[cosine, sine], [-sine, cosine]]) * mirror


def _distance(first, second, turn, segments):
    """Distance of two lists of amplitudes, each of length 1, after a turn of the first; at most the root of 2."""
    moved = first.vectors @ turn.T
    gaps = np.minimum(cdist(moved, second.vectors), cdist(moved, -second.vectors))
    limit = _STRETCHED * np.linalg.norm(moved, axis=1) + 0.1 * segments.waves.reach
    a, b = (c.amplitudes / np.linalg.norm(c.amplitudes) for c in (first, second))
    matched = np.zeros((len(a), len(b)), bool)
    nearest = gaps.argmin(axis=1)
    matched[np.arange(len(a)), nearest] = gaps.min(axis=1) < limit
    rest = (a[:, None] - b)[matched] ** 2
    alone = (a[~matched.any(axis=1)] ** 2).sum() + (b[~matched.any(axis=0)] ** 2).sum()
    return float(np.sqrt(rest.sum() + alone))


def _opposite_triplets(first, second, segments):
    strengths = np.sqrt(np.quantile(segments.powers[:, first.segments | second.segments], 0.5, axis=1))
    indices, signs = find_triplets(segments.vectors, strengths, 0.2 / segments.work.period)
    if not len(indices):
        return False
    means = []
    for crystal in (first, second):
        unit = segments.amplitudes[:, crystal.segments]
        unit = unit / np.maximum(np.abs(unit), 1e-30)
        parts = np.where(signs[:, :, None] > 0, unit[indices], np.conj(unit[indices]))
        means.append(parts.prod(axis=1).mean(axis=1))
    return bool(np.linalg.norm(means[0] - means[1].conj()) < _BETTER * np.linalg.norm(means[0] - means[1]))
