"""Where a crystal is interrupted: lines along stacking faults, and the bands along them that are no domains."""

import math

import numpy as np
from scipy import fft, ndimage
from scipy.stats import median_abs_deviation
from skimage.filters import apply_hysteresis_threshold
from skimage.graph import route_through_array
from skimage.morphology import skeletonize

from stemlib.domains.maps import around_deepest, distance_to, extent
from stemlib.fourier.filters import blurred
from stemlib.fourier.local_amplitudes import LocalWaves
from stemlib.fourier.reflections import spread_out

_CONTINUED = 1.3  # periods: standard deviation of the window in which a crystal is measured
_AVERAGED = 0.7  # periods: and of that over which what it leaves is averaged
_LEAST_VARIANCE = np.float32(1e-9)  # of the greatest; what is masked has none
_AROUND = 4.0  # periods: and over which the misfit is usual
_HIGHEST = 4.0  # times the usual misfit: a point defect must not outweigh a line
_STEP = 0.2  # periods: grid on which lines are looked for
_ACROSS, _ALONG = 0.6, 4.0  # periods: standard deviations of the filter across a line and along it
_DIRECTIONS = 24
_QUIET = 0.25  # quantile of the directions' scatters: a fault raises that of its own direction
_LIKELY, _SURE = 4.0, 7.0  # times the scatter of the filtered misfit: all along a line, and in its best place
_RAISED = 0.015  # share of the variance that a line leaves more than what surrounds it
_TYPICAL = 0.5  # median over mean of the ridge along a line; a few point defects in a row have less
_BESIDE = 1.5  # periods: what surrounds a line
_LONG = 8.0  # periods: shorter lines are point defects
_STRAIGHT = 0.7  # length from end to end over the number of px on the line
_RIM = 1.5  # periods from a domain's outline within which nothing is told

_DEEP = 3.5  # standard deviations of a window from the outline: no band along faults is so broad
_SHALLOW = 1.5  # and no domain that is long is so narrow
_ELONGATED = 6.0  # times the square of its greatest depth is the area of a band; a disk's is 3.1
_NARROW = 0.8  # periods: standard deviation of the window in which two crystals are compared
_ENOUGH = 12.0  # periods around the deepest place of a large area, which stand for it
_EVEN = 0.4  # of what a crystal explains more than its neighbour in most of an area, everywhere in it
_QUANTILES = (0.3, 0.5, 0.7)
# Of the local variance: less is no difference. Simulated single crystals reach 0.016 at most, pairs have 0.04.
_TOLD_APART = 0.02
_MOST_WAVES = 40
_QUANTILES_OF = 20_000  # places at most


def unexplained_share(competition, labels):
    """What share of the image's local variance the domains' crystals leave unexplained.

    Parameters
    ----------
    competition : stemlib.domains.pixel_labels.LabelCompetition
        The domains' crystals.
    labels : numpy.ndarray of int, shape (H, W)

    Returns
    -------
    numpy.ndarray, shape (H, W), float32
        NaN where there is no domain.
    """
    work = competition.work
    result = np.full(labels.shape, np.nan, np.float32)
    variance = blurred(work.flat**2, _AVERAGED * work.period)
    variance = np.maximum(variance, _LEAST_VARIANCE * variance.max() + np.float32(1e-30))
    for number, vectors in competition.waves.items():
        inside = labels == number
        if not inside.any():
            continue
        window = LocalWaves(work.flat, inside.astype(np.float32), _CONTINUED * work.period)
        crystal, _ = window.continued(vectors)
        rest = blurred((work.flat - crystal) ** 2, _AVERAGED * work.period)
        result[inside] = (rest / variance)[inside]
    return result


def misfit_map(share, labels):
    """The unexplained share over its median in each domain, so that 1 is usual: (H, W) float32."""
    result = np.full(labels.shape, np.nan, np.float32)
    for number in np.unique(labels[np.isfinite(share)]):
        inside = labels == number
        result[inside] = share[inside] / max(float(np.median(share[inside])), 1e-30)
    return result


def fault_lines(share, labels, period):
    """Trace the lines along which a crystal leaves more unexplained than beside them.

    The share is filtered for ridges that are long and narrow, in all directions: averaged along a fault, which is
    straight over several periods, what it leaves stands out of noise that hides it in a round window.

    Parameters
    ----------
    share : numpy.ndarray, shape (H, W), float32
        As `unexplained_share` returns it.
    labels : numpy.ndarray of int, shape (H, W)
    period : float
        Longest period of the crystals, px.

    Returns
    -------
    list of numpy.ndarray, shape (N, 2)
        Vertices (y, x), px. Lines shorter than eight periods, rows of point defects, and what lies near a domain's
        outline or the image's edge are left out.

    References
    ----------
    Filters that are second derivatives across a line and long along it: W. T. Freeman and E. H. Adelson, IEEE Trans.
    Pattern Anal. 13, 891 (1991), https://doi.org/10.1109/34.93808

    Examples
    --------
    >>> y, x = np.mgrid[:200, :200]
    >>> noise = 0.01 * np.random.default_rng(0).normal(size=(200, 200))
    >>> share = (0.2 + 0.1 * np.exp(-0.5 * ((x - 90) / 8.0) ** 2) + noise).astype(np.float32)
    >>> lines = fault_lines(share, np.zeros(share.shape, int), 10.0)
    >>> len(lines), round(lines[0][:, 1].mean() / 10)
    (1, 9)
    """
    known = np.isfinite(share)
    outline = ndimage.grey_dilation(labels, 3) != ndimage.grey_erosion(labels, 3)
    inner = ndimage.distance_transform_edt(np.pad(~outline & known, 1))[1:-1, 1:-1] > _RIM * period
    step = max(1, int(_STEP * period))
    inner = inner[::step, ::step]
    if not inner.any():
        return []
    relative, around = (values[::step, ::step] for values in _relative(share, known, period))
    raised, scatter, direction = _ridges(relative, inner, period / step)
    crest = _crests(raised, direction) & inner & (raised * around > _RAISED)
    crest = apply_hysteresis_threshold(np.where(crest, raised, 0), _LIKELY * scatter, _SURE * scatter)
    # Crests that turn from one direction to the next are linked.
    thin = skeletonize(ndimage.binary_dilation(crest, np.ones((3, 3))) & inner)
    lines = _traced(thin, _LONG * period / step)
    return [step * line for line in lines if _is_even(relative, line, direction, _BESIDE * period / step)]


def _relative(share, known, period):
    """The share over what is usual around, 1 where it is not known, and what is usual."""
    usual = float(np.median(share[known]))
    share = np.minimum(np.where(known, share, 0), _HIGHEST * usual)
    weight = np.maximum(blurred(known.astype(np.float32), _AROUND * period), 1e-6)
    around = np.maximum(blurred(share, _AROUND * period) / weight, 1e-6)
    return np.where(known, share / around, 1).astype(np.float32), around


def _ridges(relative, inner, period):
    """How much each place is raised over both sides, in the direction that raises it most; the usual scatter."""
    margin = int(3 * _ALONG * period)
    wide = np.pad(relative - 1, margin, mode="symmetric")
    size = [fft.next_fast_len(n, real=True) for n in wide.shape]
    spectrum = fft.rfft2(wide, s=size, workers=-1)
    y, x = fft.fftfreq(size[0])[:, None], fft.rfftfreq(size[1])[None]
    inside = tuple(slice(margin, margin + n) for n in relative.shape)
    raised, direction = np.zeros(relative.shape, np.float32), np.zeros(relative.shape, int)
    scatters = []
    for k in range(_DIRECTIONS):
        dy, dx = _normals(k)
        along, across = (f * 2 * np.pi * period for f in (x * dy - y * dx, y * dy + x * dx))
        # A Gaussian's second derivative across the line, averaged along it.
        kept = (_ACROSS * across) ** 2 * np.exp(-0.5 * ((_ACROSS * across) ** 2 + (_ALONG * along) ** 2))
        found = fft.irfft2(spectrum * kept.astype(np.float32), s=size, workers=-1)[inside]
        scatters.append(median_abs_deviation(found[inner], scale="normal"))
        direction[found > raised] = k
        raised = np.maximum(raised, found)
    return raised, max(float(np.quantile(scatters, _QUIET)), 1e-9), direction


def _normals(direction):
    """Unit vectors (y, x) across some of the directions, given by their numbers."""
    angle = np.pi * direction / _DIRECTIONS
    return np.stack([np.cos(angle), -np.sin(angle)])


def _at(values, y, x):
    return ndimage.map_coordinates(values, [y, x], order=1, mode="nearest")


def _crests(raised, direction):
    """Where a ridge is highest, across its direction."""
    y, x = np.indices(raised.shape)
    dy, dx = _normals(direction)
    return (raised >= _at(raised, y + dy, x + dx)) & (raised >= _at(raised, y - dy, x - dx))


def _traced(thin, shortest):
    """Paths along thin lines (M, N) from end to end, of those that are long and straight."""
    pieces, _ = ndimage.label(thin, np.ones((3, 3)))
    lines = []
    for number, box in enumerate(ndimage.find_objects(pieces), start=1):
        at = np.argwhere(pieces[box] == number)
        ends = _ends(at)
        if np.linalg.norm(ends[0] - ends[1]) < shortest:
            continue
        cost = np.where(pieces[box] == number, 1.0, 1e6)
        path = np.array(route_through_array(cost, *ends, fully_connected=True)[0], float)
        if np.linalg.norm(path[0] - path[-1]) > _STRAIGHT * len(path):
            lines.append(path + [box[0].start, box[1].start])
    return lines


def _is_even(relative, line, direction, beside):
    """Whether a line is raised all along, not in a few places."""
    y, x = line.T
    dy, dx = beside * _normals(direction[tuple(line.astype(int).T)])
    height = _at(relative, y, x) - (_at(relative, y + dy, x + dx) + _at(relative, y - dy, x - dx)) / 2
    return bool(np.median(height) > _TYPICAL * height.mean())


def _ends(points):
    """The two points of a line that are farthest apart, about."""
    first = points[np.linalg.norm(points - points[0], axis=1).argmax()]
    return first, points[np.linalg.norm(points - first, axis=1).argmax()]


def only_crystals(competition, labels, *, is_sure, by_powers):
    """Give areas that are no crystals of their own to the domain beside them.

    Windows that show a stacking fault show the crystal on both sides at once, some of its reflections weaker by
    interference: a band of another crystal, as it seems. In a domain, its own crystal explains more than its
    neighbour's, shifted as it may be, and does so everywhere; in a band only along the faults, and nowhere if a single
    crystal was divided by chance. Windows so narrow do not tell crystals apart that differ by a small turn; an area
    that is no band stays without this test where the segments are sure.

    Parameters
    ----------
    competition : stemlib.domains.pixel_labels.LabelCompetition
        The domains' crystals.
    labels : numpy.ndarray of int, shape (H, W)
        -1 for no domain.
    is_sure : callable
        Whether the segments of two domains, whose numbers it takes, leave no doubt that they are two crystals.
    by_powers : bool
        Whether the powers of reflections have to tell domains apart; triplet phases may do so where powers do not.

    Returns
    -------
    numpy.ndarray of int, shape (H, W)
        A domain may have vanished.
    """
    labels = labels.copy()
    usual = _Proportions(competition, labels)
    crystals = set()
    # The smallest first; what is given away may join others.
    areas = _areas(labels)
    while (found := next((a for a in areas if a[:2] not in crystals), None)) is not None:
        number, _, corner, area = found
        inside = np.zeros(labels.shape, bool)
        inside[corner] = area
        box = extent(inside, math.ceil(4 * _NARROW * usual.period))
        inside = inside[box]
        neighbour = _neighbour(labels[box], inside, number)
        if neighbour is None or _is_crystal(usual, box, inside, (number, neighbour), is_sure, by_powers):
            crystals.add(found[:2])
        else:
            labels[box][inside] = neighbour
            usual.forget(neighbour)
            areas = _areas(labels)
    return labels


def _areas(labels):
    """Connected areas of the domains, the smallest first: label, first pixel, box, and which of its pixels."""
    found = []
    for number in range(labels.max() + 1):
        areas, _ = ndimage.label(labels == number)
        for index, box in enumerate(ndimage.find_objects(areas), start=1):
            area = areas[box] == index
            first = box[0].start, box[1].start + int(area[0].argmax())
            found.append((number, first, box, area))
    return sorted(found, key=lambda one: one[3].sum())


def _is_crystal(usual, box, area, pair, is_sure, by_powers):
    """Whether an area is a crystal of its own: because it is no band, or its crystal explains it better all over."""
    depth, sigma = distance_to(~area), usual.sigma
    deepest = depth.max()
    is_narrow = deepest < _DEEP * sigma and area.sum() > _ELONGATED * deepest**2
    if is_narrow and deepest < _SHALLOW * sigma:
        return False
    sure = is_sure(*pair)
    if sure and not is_narrow and deepest > _SHALLOW * sigma:
        return True
    core = around_deepest(depth, _ENOUGH * usual.period) if deepest > _DEEP * sigma else np.s_[:, :]
    low, middle, high = _gain(usual.flat[box][core], area[core], usual, *pair)
    if is_narrow and high > _TOLD_APART and low < _EVEN * high:
        return False
    return bool(middle >= _TOLD_APART or (sure and not by_powers))


class _Proportions:
    """Usual amplitudes of waves in each domain, as the labels are at the time."""

    def __init__(self, competition, labels):
        self.flat, self.period = competition.work.flat, competition.work.period
        self.sigma, self.waves = competition.sigma, competition.waves
        self._labels, self._local = labels, {}

    def of(self, number, vectors):
        if number not in self._local:
            inside = (self._labels == number).astype(np.float32)
            self._local[number] = LocalWaves(self.flat, inside, _NARROW * self.period)
        return self._local[number].proportions(vectors)

    def forget(self, number):
        self._local.pop(number, None)


def _neighbour(labels, area, number):
    """The domain that most of an area's outline touches; None where most of it touches none, or other parts of its own.

    Other parts of its own lie across a corner, or across masked pixels.
    """
    rim = ndimage.binary_dilation(area, iterations=2) & ~area
    touched = labels[rim]
    if not len(touched) or (touched >= 0).mean() < 0.5:
        return None
    most = int(np.bincount(touched[touched >= 0]).argmax())
    return None if most == number else most


def _gain(flat, area, usual, first, second):
    """How much more of the variance in an area the first crystal explains than the second: quantiles over its places.

    Their phases are free, and measured in the area; the proportions of the waves are those of each crystal.
    """
    local = LocalWaves(flat, area.astype(np.float32), _NARROW * usual.period)
    vectors = np.vstack([usual.waves[k] for k in (first, second)])
    vectors = vectors[spread_out(vectors, local.reach, _MOST_WAVES)]
    left = []
    for k in (first, second):
        crystal, _ = local.continued(vectors, proportions=usual.of(k, vectors))
        left.append(blurred((flat - crystal) ** 2, _AVERAGED * usual.period)[area])
    variance = blurred(flat**2, _AVERAGED * usual.period)[area]
    gain = (left[1] - left[0]) / np.maximum(variance, 1e-30)
    return np.quantile(gain[:: 1 + len(gain) // _QUANTILES_OF], _QUANTILES)
