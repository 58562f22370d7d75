"""Which areas of a division are crystals of their own, and which are but bands along stacking faults."""

import numpy as np
from scipy import ndimage

from stemlib.domains.distances import depth_in
from stemlib.fourier.filters import blurred
from stemlib.fourier.local_amplitudes import LocalWaves
from stemlib.fourier.reflections import spread_out

_DEEP = 3.5  # standard deviations of a window from the outline: no band along faults is so broad
_SHALLOW = 1.5  # and no domain that is long is so narrow
_LONG = 6.0  # times the square of its greatest depth is the area of a band; a disk's is 3.1
_NARROW = 0.8  # periods: standard deviation of the window in which two crystals are compared
_AVERAGED = 0.7  # periods: and of that over which what they leave is averaged
_ENOUGH = 12.0  # periods around the deepest place of a large area, which stand for it
_EVEN = 0.4  # of what a crystal explains more than its neighbour in most of an area, everywhere in it
_QUANTILES = (0.3, 0.5, 0.7)
# Of the local variance: less is no difference. Drawn single crystals reach 0.016 at most, pairs have 0.04.
_TOLD_APART = 0.02
_MOST_WAVES = 40
_QUANTILES_OF = 20_000  # places at most


def only_crystals(work, sigma, waves, labels, *, is_sure, by_powers):
    """Give areas that are no crystals of their own to the domain beside them.

    Windows that show a stacking fault show the crystal on both sides at once, some of its reflections weaker by
    interference: a band of another crystal, as it seems. In a domain, its own crystal explains more than its
    neighbour's, shifted as it may be, and does so everywhere; in a band only along the faults, and nowhere if a single
    crystal was divided by chance. Windows so narrow do not tell crystals apart that differ by a small turn; an area
    that is no band stays without this test where the segments are sure.

    Parameters
    ----------
    work : stemlib.domains.windows.WorkingImage
    sigma : float
        Standard deviation of the windows that the labels rest on, px.
    waves : dict of int to numpy.ndarray, shape (K, 2)
        Strong reflections of each domain, cycles per px.
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
    usual = _Proportions(work, waves, labels)
    crystals = set()
    # The smallest first; what is given away may join others.
    areas = _areas(labels)
    while (found := next((a for a in areas if a[:2] not in crystals), None)) is not None:
        number, _, corner, area = found
        box = _widened(corner, labels.shape, 4 * _NARROW * work.period)
        inside = np.zeros([part.stop - part.start for part in box], bool)
        place = tuple(slice(c.start - b.start, c.stop - b.start) for c, b in zip(corner, box, strict=True))
        inside[place] = area
        neighbour = _neighbour(labels[box], inside, number)
        if neighbour is None or _is_crystal(
            work.flat[box], inside, sigma, usual, (number, neighbour), is_sure, by_powers
        ):
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


def _is_crystal(flat, area, sigma, usual, pair, is_sure, by_powers):
    """Whether an area is a crystal of its own: because it is no band, or its crystal explains it better all over."""
    depth = depth_in(area)
    deepest = depth.max()
    is_narrow = deepest < _DEEP * sigma and area.sum() > _LONG * deepest**2
    if is_narrow and deepest < _SHALLOW * sigma:
        return False
    sure = is_sure(*pair)
    if sure and not is_narrow and deepest > _SHALLOW * sigma:
        return True
    core = _around(depth, _ENOUGH * usual.period) if deepest > _DEEP * sigma else np.s_[:, :]
    low, middle, high = _gain(flat[core], area[core], usual, *pair)
    if is_narrow and high > _TOLD_APART and low < _EVEN * high:
        return False
    return bool(middle >= _TOLD_APART or (sure and not by_powers))


class _Proportions:
    """Usual amplitudes of waves in each domain, as the labels are at the time."""

    def __init__(self, work, waves, labels):
        self.period = work.period
        self.waves = waves
        self._work, self._labels, self._local = work, labels, {}

    def of(self, number, vectors):
        if number not in self._local:
            inside = (self._labels == number).astype(np.float32)
            self._local[number] = LocalWaves(self._work.flat, inside, _NARROW * self.period)
        return self._local[number].proportions(vectors)

    def forget(self, number):
        self._local.pop(number, None)


def _widened(box, shape, margin):
    return tuple(
        slice(max(0, int(part.start - margin)), min(size, int(part.stop + margin) + 1))
        for part, size in zip(box, shape, strict=True)
    )


def _around(depth, reach):
    """A box around the deepest place."""
    at = np.unravel_index(depth.argmax(), depth.shape)
    return tuple(slice(max(0, int(a - reach)), int(a + reach) + 1) for a in at)


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
