"""Translation-invariant descriptors of image segments: Patterson functions."""

import numpy as np
from scipy import fft

_CHUNK = 4_000_000  # samples transformed at a time


def patterson_descriptors(windows, *, background=None):
    """Describe windows by their circular autocorrelations, which do not change when a window's content is shifted.

    The Patterson function is the Fourier transform of the power spectrum. The mean does not count, nor do, where
    `background` says so, the slowest waves; the function is divided by its value at the origin, the whole power, so
    that neither brightness nor contrast matters. It is centrosymmetric: one half of it, without the origin, is the
    descriptor.

    Parameters
    ----------
    windows : array_like, shape (N, S, T)
        Samples that repeat beyond the window's edges, as those of `stemlib.defects.segments.unit_cell_segments` do, or
        fade out towards them, as those of `stemlib.defects.segments.tapered_segments`.
    background : (int, int), optional
        Waves with fewer periods per window than this along both axes are background, and left out.

    Returns
    -------
    numpy.ndarray, shape (N, M), float32; M is about S * T / 2
        Values between -1 and 1; 0 for a window without contrast.

    Raises
    ------
    ValueError
        If `windows` is not (N, S, T) with at least two samples, or `background` leaves no wave.

    References
    ----------
    A. L. Patterson, Phys. Rev. 46, 372 (1934), https://doi.org/10.1103/PhysRev.46.372; Y. Guo et al., npj Comput.
    Mater. 7, 180 (2021), https://doi.org/10.1038/s41524-021-00642-1, for its use on segments of images.

    Examples
    --------
    >>> import numpy as np
    >>> window = np.random.default_rng(0).normal(size=(1, 8, 8))
    >>> shifted = 5 + 3 * np.roll(window, (2, 5), axis=(1, 2))
    >>> bool(np.allclose(patterson_descriptors(window), patterson_descriptors(shifted), atol=1e-5))
    True
    """
    windows = np.asarray(windows)
    if windows.ndim != 3 or windows.shape[1] * windows.shape[2] < 2 or windows.dtype.kind not in "uif":
        raise ValueError(
            f"windows is {windows.dtype} {windows.shape}; descriptors need numbers (N, S, T) with two samples at least"
        )
    shape = windows.shape[1:]
    counted = _counted(shape, background)
    half = _half(shape)
    descriptors = np.empty((len(windows), len(half)), np.float32)
    chunk = max(1, _CHUNK // (shape[0] * shape[1]))
    for start in range(0, len(windows), chunk):
        part = windows[start : start + chunk].astype(np.float32)
        part -= part.mean(axis=(1, 2), keepdims=True)
        spectrum = fft.rfft2(part)
        power = (spectrum.real**2 + spectrum.imag**2) * counted
        patterson = fft.irfft2(power, s=shape).reshape(len(part), -1)
        whole = patterson[:, :1]
        # Rounding leaves a trace of power in a constant window.
        least = 1e-10 * np.square(windows[start : start + chunk].astype(np.float32)).sum(axis=(1, 2))
        some = whole[:, 0] > np.maximum(least, 1e-30)
        np.divide(patterson[:, half], whole, out=descriptors[start : start + chunk], where=some[:, None])
        descriptors[start : start + chunk][~some] = 0
    return descriptors


def _counted(shape, background):
    """1 for the waves of the half spectrum that count, 0 for the others."""
    counted = np.ones((shape[0], shape[1] // 2 + 1), np.float32)
    counted[0, 0] = 0
    if background is not None:
        along, across = (np.abs(fft.fftfreq(n, 1 / n)) for n in shape)
        slow = (along[:, None] < background[0]) & (across[None, : counted.shape[1]] < background[1])
        counted[slow] = 0
    if not counted.any():
        raise ValueError(
            f"background={background!r} leaves no wave in windows of {shape[0]} x {shape[1]} samples"
        )
    return counted


def _half(shape):
    """Flat indices of one of each pair of opposite places, without the origin."""
    index = np.arange(shape[0] * shape[1])
    row, column = np.divmod(index, shape[1])
    opposite = (-row % shape[0]) * shape[1] + (-column % shape[1])
    return index[(index <= opposite) & (index > 0)]
