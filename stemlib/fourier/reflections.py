"""Reflections of an image: what stands out of its power spectrum, against the noise floor around."""

from dataclasses import dataclass

import cv2
import numpy as np
from scipy import fft, special
from scipy.spatial.distance import cdist

from stemlib.fourier.filters import median, summits, threads_for
from stemlib.fourier.triplets import find_triplets

_FALSE_PEAKS = 0.02  # noise peaks expected in a spectrum
_LARGEST_TILE = 2048
_SMALLEST_TILE = 128
_MOST_PEAKS = 150


@dataclass(frozen=True, eq=False)
class Reflections:
    """The reflections in one half of reciprocal space, the strongest first.

    Parameters
    ----------
    vectors : numpy.ndarray, shape (N, 2)
        (y, x), cycles per px.
    ratios : numpy.ndarray, shape (N,)
        Power over the noise floor at that place.
    resolution : float
        Distance in reciprocal space that the spectrum resolves, cycles per px.
    """

    vectors: np.ndarray
    ratios: np.ndarray
    resolution: float

    def only(self, kept):
        """Return those where `kept` (N,) is True, or those of a slice."""
        return Reflections(self.vectors[kept], self.ratios[kept], self.resolution)


def find_reflections(flat):
    """Find the reflections of a flattened image, at the resolution at which they stand out most.

    A crystal that is distorted or in grains reflects more sharply in small parts of the image; the power spectra
    of the parts are averaged (Welch, https://doi.org/10.1109/TAU.1967.1161901).

    Parameters
    ----------
    flat : numpy.ndarray, shape (H, W), float32
        As `flatten` returns it.

    Returns
    -------
    Reflections
        Without any where nothing stands out.

    Examples
    --------
    >>> y, x = np.mgrid[:128, :128].astype(np.float32)
    >>> noise = np.random.default_rng(0).normal(size=(128, 128)).astype(np.float32)
    >>> find_reflections(np.cos(2 * np.pi * (0.1 * x + 0.05 * y)) + noise).vectors.round(2)
    array([[0.05, 0.1 ]])
    """
    side = min(_LARGEST_TILE, max(flat.shape))
    best, best_score = None, -1.0
    while True:
        tile = tuple(min(side, n) for n in flat.shape)
        found = _peaks(*_spectrum(flat, tile))
        strongest = np.sort(np.log(found.ratios))[::-1][:12]
        # Fewer peaks than looked at count as none: the sum, not the mean.
        score = float(strongest.sum())
        if score > best_score:
            best, best_score = found, score
        side //= 2
        if side < max(_SMALLEST_TILE, max(flat.shape) / 8):
            return best


def _spectrum(flat, tile):
    """Power spectrum, (tile[0], tile[1] // 2 + 1), summed over tiles that overlap by half; how many count."""
    window = np.hanning(tile[0] + 2)[1:-1, None] * np.hanning(tile[1] + 2)[None, 1:-1]
    window = window.astype(np.float32)
    starts = [
        np.unique(np.linspace(0, size - side, max(1, round(2 * size / side) - 1)).astype(int))
        for size, side in zip(flat.shape, tile, strict=True)
    ]
    power = np.zeros((tile[0], tile[1] // 2 + 1), np.float32)
    energies = []
    for top in starts[0]:
        parts = np.stack([flat[top : top + tile[0], left : left + tile[1]] * window for left in starts[1]])
        energy = np.array([np.vdot(part, part) for part in parts])
        energies += energy.tolist()
        for wave in fft.rfft2(parts[energy > 0], workers=threads_for(parts.shape)):
            power += wave.real**2 + wave.imag**2
    # Tiles that the mask or vacuum leaves empty average no noise out.
    count = max(1.0, sum(energies) ** 2 / max(float(np.dot(energies, energies)), 1e-30))
    return fft.fftshift(power, axes=0), tile, count


def _peaks(power, tile, count):
    """Local maxima of a half-plane spectrum (rows shifted, columns from 0) that the noise floor does not explain."""
    logarithm = np.log(power + np.float32(1e-12 * max(float(power.max()), 1e-30)))
    level = logarithm - _floor(logarithm)
    # Of the power of white noise, exponentially distributed, the median is log 2 of the mean.
    level += np.float32(np.log(special.gammaincinv(count, 0.5) / count))
    threshold = np.log(special.gammainccinv(count, _FALSE_PEAKS / power.size) / count)
    resolution = 1 / min(tile)
    largest = cv2.dilate(logarithm, np.ones((3, 3), np.uint8))
    at = np.argwhere((logarithm >= largest) & (level > threshold))
    row, column = (at - [len(power) // 2, 0]).T
    far = np.hypot(row / tile[0], column / tile[1]) > 2.5 * resolution
    at = at[far & ((column > 0) | (row > 0))]
    at = at[np.argsort(-level[tuple(at.T)])][: 4 * _MOST_PEAKS]
    # Beyond the left edge lies the conjugate half; a peak there is refined along y only.
    vectors = (summits(logarithm, at) - [len(power) // 2, 0]) / np.array(tile)
    ratios = np.exp(level[tuple(at.T)].astype(float))
    strength = np.exp(logarithm[tuple(at.T)].astype(float))
    kept = _not_a_tail(vectors, strength, resolution) & ~copies_of_lines(vectors, strength, resolution)
    return Reflections(vectors[kept][:_MOST_PEAKS], ratios[kept][:_MOST_PEAKS], resolution)


def _floor(logarithm):
    """Typical logarithm of the power around: in the square around, above and below, left and right."""
    height, width = logarithm.shape
    side = int(np.clip(height // 12, 9, 41)) | 1
    # The half plane continues beyond its left edge, turned by 180 degrees.
    fold = min(side, width - 1)
    left = np.roll(logarithm[::-1, 1 : fold + 1][:, ::-1], 1 - height % 2, axis=0)
    wide = np.hstack([left, logarithm])
    low, high = float(wide.min()), float(wide.max())
    step = max((high - low) / 255, 1e-6)
    levels = ((wide - low) / step).astype(np.uint8)
    square = cv2.medianBlur(levels, side)[:, fold:].astype(np.float32) * np.float32(step) + np.float32(
        low + step / 2
    )
    # Shifted scan lines smear reflections along y, a border of the crystal along its normal.
    return np.maximum(square, np.maximum(_line_median(logarithm, side), _line_median(logarithm.T, side).T))


def _line_median(values, length):
    """Median over stretches along the first axis, interpolated between them."""
    n = max(1, values.shape[0] // length)
    medians = np.stack([median(stretch, 0) for stretch in np.array_split(values, n)])
    return cv2.resize(medians, values.shape[::-1], interpolation=cv2.INTER_LINEAR)


def _not_a_tail(vectors, power, resolution):
    """Which peaks are more than the tail of a stronger one, which the shape of the crystal spreads around it."""
    apart = cdist(vectors, vectors) / resolution
    np.fill_diagonal(apart, np.inf)
    tail = power[None] * 0.3 / np.maximum(apart, 1) ** 2.5
    return (tail < power[:, None]).all(axis=1)


def copies_of_lines(vectors, power, resolution, axis=0):
    """Which peaks are copies of stronger ones, half a cycle per px off across lines: those of alternate directions.

    The lines are rows (`axis` 0), or columns (`axis` 1) in an image that was turned.
    """
    copies = np.zeros(len(vectors), bool)
    half = 0.5 * np.eye(2)[axis]
    for sign in (1, -1):
        for step in (half, -half):
            off = cdist(vectors, sign * vectors + step)
            copies |= ((off < 1.5 * resolution) & (power[None] > power[:, None])).any(axis=1)
    return copies


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
