"""Segments of an image that may show several crystals, and their Patterson functions in terms of reflections."""

import functools
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from stemlib.fourier.filters import flatten, median
from stemlib.fourier.local_amplitudes import LocalWaves
from stemlib.fourier.reflections import (
    close_together,
    copies_of_lines,
    find_reflections,
    have_multiples,
    in_triplets,
    not_far_out,
    spread_out,
)
from stemlib.lattice.refinement import reduced

_PERIODS_PER_SIDE = 8  # a period that the image holds fewer times is not told from background
_LEAST_RATIO = 15.0  # power over noise of a reflection that may set the window
_ALWAYS_SURE = 4  # the strongest ones
_LONGEST = 4.5  # period, over that of the strongest reflections
_FINEST = 0.3  # cycles per px that the finest of the strong reflections may have after reduction of the image
_SIGMA = 1.6  # of a segment's window, over the longest period
_LEAST_SIGMA = 0.8  # so that reflections of one crystal stay apart
_FINEST_SIGMA = 0.55  # and of narrow windows, where strong reflections begin to reach their neighbours
_WINDOWS_PER_SIDE = 16  # standard deviations of a window, where the period allows it
_MOST_REFLECTIONS = 60
_SAME = 0.5  # of the standard deviation of a window in reciprocal space: closer reflections are one
_CLOSE = 1.0  # and those that are closer show one crystal's reflection, or those of two grains
_COVERED = 0.2  # of a window, from which on it is a segment
_TRUSTED = 0.6  # and from which on others are judged by it
_LEAST_CONTRAST = 0.04  # of the power of strong segments
_LEAST_SIGNIFICANCE = 3.0
_WIDER = 2.5  # standard deviations of a window, over which amplitudes are averaged
_LEAST_COHERENCE = 0.4
_FEWEST_TOGETHER = 9  # whole segments: chance is less steady
_SCATTER = 0.04  # of an amplitude's logarithm in a perfect crystal: dopants, tilt
_NOISE_FLOOR = 3.0
_RELATIVE_FLOOR = 0.07


class NoReflectionsError(ValueError):
    """Nothing in the image is periodic."""


@dataclass(frozen=True, eq=False)
class WorkingImage:
    """An image without background, reduced by a whole number where its columns are large, and its reflections.

    Parameters
    ----------
    flat : numpy.ndarray, shape (H, W), float32
    weights : numpy.ndarray, shape (H, W), float32
        1 where to look, else 0.
    vectors : numpy.ndarray, shape (K, 2)
        Reflections (y, x), cycles per px, the strongest first.
    period : float
        Longest distance that repeats, px.
    factor : int
        By which the image was reduced.
    """

    flat: np.ndarray
    weights: np.ndarray
    vectors: np.ndarray
    period: float
    factor: int


@dataclass(frozen=True, eq=False)
class LocalSegments:
    """What Gaussian windows on a grid show of each reflection.

    Parameters
    ----------
    waves : stemlib.fourier.local_amplitudes.LocalWaves
    vectors : numpy.ndarray, shape (K, 2)
        Reflections (y, x), cycles per px of the working image.
    amplitudes : numpy.ndarray, shape (K, M, N), complex
        Their phases are counted from each window's centre.
    noise : numpy.ndarray, shape (K, M, N)
        Mean squared amplitude of noise alone.
    period : float
        Longest distance that repeats, px.
    usable : numpy.ndarray of bool, shape (M, N)
        Whether a window lies in the image and shows reflections.
    trusted : numpy.ndarray of bool, shape (M, N)
        Whether it does so without an edge that disturbs it.
    coherence : numpy.ndarray, shape (M, N)
        What is left of the power of the reflections if amplitudes are averaged over wider windows: 1 in a crystal.
    """

    waves: LocalWaves
    vectors: np.ndarray
    amplitudes: np.ndarray
    noise: np.ndarray
    period: float
    usable: np.ndarray
    trusted: np.ndarray
    coherence: np.ndarray

    @functools.cached_property
    def powers(self):
        """Squared amplitudes, (K, M, N)."""
        return np.abs(self.amplitudes) ** 2

    @functools.cached_property
    def total(self):
        """Power of all reflections above noise, (M, N)."""
        return np.maximum(self.powers - self.noise, 0).sum(axis=0)


def working_image(image, mask):
    """Take the background off an image and find its reflections.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W), float32
    mask : numpy.ndarray of bool, shape (H, W)

    Returns
    -------
    WorkingImage

    Raises
    ------
    NoReflectionsError
        If fewer than two reflections stand out of the noise.

    Examples
    --------
    >>> from stemlib.synthetic import crystal_image
    >>> image = crystal_image("square", (128, 128), spacing=9, seed=0).image
    >>> round(working_image(image, np.ones(image.shape, bool)).period, 1)
    9.0
    """
    weights = mask.astype(np.float32)
    found = find_reflections(flatten(image, weights, min(image.shape) / 8))
    found = found.only(~copies_of_lines(found.vectors, found.ratios, found.resolution, axis=1))
    lengths = np.linalg.norm(found.vectors, axis=1)
    if len(lengths) < 2:
        raise NoReflectionsError
    usual = np.median(lengths[:4])
    slow = max(usual / _LONGEST, _PERIODS_PER_SIDE / min(image.shape) if len(lengths) > 4 else 0.0)
    kept = lengths > min(slow, usual)
    vectors, ratios, lengths = found.vectors[kept], found.ratios[kept], lengths[kept]
    if len(lengths) < 2:
        raise NoReflectionsError
    sure = (ratios > _LEAST_RATIO) & in_triplets(vectors, 2 * found.resolution)
    sure &= have_multiples(vectors, 2 * found.resolution)
    sure[:_ALWAYS_SURE] = True
    period = 1 / lengths[sure].min()
    factor = max(1, int(_FINEST / lengths[:12].max()))
    if factor > 1:
        shares = reduced(weights, factor)
        image = reduced(image * mask, factor) / np.maximum(shares, 1e-6)
        weights = (shares > 0.5).astype(np.float32)
        image = np.where(weights > 0, image, 0).astype(np.float32)
    vectors, period = vectors * factor, period / factor
    vectors = vectors[np.abs(vectors).max(axis=1) < 0.47]
    if len(vectors) < 2:
        raise NoReflectionsError
    return WorkingImage(flatten(image, weights, 1.2 * period), weights, vectors, float(period), factor)


def window_sigma(work):
    """Standard deviation of the Gaussian window of a segment, px: several periods, fewer in a small image."""
    room = max(_LEAST_SIGMA * work.period, min(work.flat.shape) / _WINDOWS_PER_SIDE)
    return min(_SIGMA * work.period, room)


def cut_segments(work, *, finer=1.0):
    """Measure the reflections under Gaussian windows all over an image.

    Parameters
    ----------
    work : WorkingImage
    finer : float
        Standard deviation of the windows over the usual one.

    Returns
    -------
    LocalSegments
    """
    least = _LEAST_SIGMA if finer == 1 else _FINEST_SIGMA
    sigma = max(least * work.period, window_sigma(work) * finer)
    waves = LocalWaves(work.flat, work.weights, sigma)
    apart = _SAME / (2 * np.pi * waves.sigma)
    vectors = work.vectors[spread_out(work.vectors, apart, _MOST_REFLECTIONS)]
    coverage = waves.coverage()
    amplitudes = waves.amplitudes(vectors)
    noise = waves.noise(vectors)[:, None, None] / np.maximum(coverage, 0.05)
    # Where a mask is full of holes, no window is covered so far.
    whole = coverage >= min(_TRUSTED, coverage.max())
    near = not_far_out(vectors, (np.abs(amplitudes) ** 2 - noise)[:, whole].mean(axis=1))
    vectors, amplitudes, noise = vectors[near], amplitudes[near], noise[near]
    total = np.maximum(np.abs(amplitudes) ** 2 - noise, 0).sum(axis=0)
    usable = coverage > _COVERED
    strong = np.quantile(total[usable], 0.9) if usable.any() else 0.0
    usable &= total > _LEAST_CONTRAST * strong
    usable &= total > _LEAST_SIGNIFICANCE * np.sqrt((noise**2).sum(axis=0))
    coherence = _coherence(waves, vectors, amplitudes, noise, coverage)
    usable &= coherence > _LEAST_COHERENCE
    areas, _ = ndimage.label(usable)
    usable &= np.bincount(areas.ravel(), coverage.ravel())[areas] >= _FEWEST_TOGETHER
    trusted = usable & (coverage > _TRUSTED)
    return LocalSegments(waves, vectors, amplitudes, noise, work.period, usable, trusted, coherence)


def _coherence(waves, vectors, amplitudes, noise, coverage):
    """What is left of the power of reflections if amplitudes are averaged over wider windows: (M, N).

    Nearly 1 in a crystal, half of it at its edge, and 0.15 where the phases of neighbouring windows are random. Of
    reflections that lie close together, as those of two grains do, the one counts that is the most coherent there.
    """
    nodes = waves.rows(), waves.columns()
    rows, columns = (_averaging(len(n), _WIDER * waves.sigma / n[1]) for n in nodes)
    weight = np.maximum(rows @ coverage @ columns.T, 1e-6)
    turns = [
        np.exp(-2j * np.pi * np.outer(q, n)).astype(np.complex64)
        for q, n in zip(vectors.T, nodes, strict=True)
    ]
    in_phase = amplitudes * coverage * turns[0][:, :, None] * turns[1][:, None]
    parts = np.stack([in_phase.real, in_phase.imag])
    kept = ((rows @ parts @ columns.T) ** 2).sum(axis=0) / weight**2
    power = np.maximum(np.abs(amplitudes) ** 2 - noise, 0)
    whole = rows @ (power * coverage) @ columns.T / weight
    best = np.array(
        [
            group[kept[group].argmax(axis=0)]
            for group in close_together(vectors, _CLOSE / (2 * np.pi * waves.sigma))
        ]
    )
    kept, whole = (np.take_along_axis(values, best, axis=0).sum(axis=0) for values in (kept, whole))
    return kept / np.maximum(whole, 1e-30)


def _averaging(count, sigma):
    """Matrix (count, count) that averages over a Gaussian along an axis, zeros beyond its ends."""
    return ndimage.gaussian_filter1d(np.eye(count, dtype=np.float32), sigma, axis=0, mode="constant")


def patterson_features(segments):
    """Describe segments by the powers of their reflections, which is what their Patterson functions are made of.

    The Patterson function of a segment of a crystal is a sum of cosine waves, one for each reflection, with its power
    as the coefficient (https://doi.org/10.1103/PhysRev.46.372): these numbers say all that it says, and nothing that
    depends on where the segment begins. Powers are divided by their sum, so that contrast does not matter; their
    logarithms, levelled off in the noise, so that a change of weak reflections counts like one of strong ones; and
    each by its scatter in a perfect crystal, which is that of the noise and a little more.

    Parameters
    ----------
    segments : LocalSegments

    Returns
    -------
    numpy.ndarray, shape (N, K), float
        One row for each usable segment, row by row of the grid; one standard deviation of noise is about 1.
    """
    total = np.maximum(segments.total[segments.usable], 1e-30)
    power = segments.powers[:, segments.usable] / total
    noise = segments.noise[:, segments.usable] / total
    usual = np.quantile(np.sort(power, axis=1), 0.95, axis=1)[:, None]
    floor = np.maximum(_NOISE_FLOOR * median(noise, 1)[:, None], _RELATIVE_FLOOR * usual)
    logarithm = 0.5 * np.log((power + floor) / (usual + floor))
    variance = (2 * power * noise + noise**2) / (2 * (power + floor)) ** 2
    scatter = np.sqrt(median(variance, 1)[:, None] + _SCATTER**2)
    return (logarithm / scatter).T
