"""From columns to a recorded image: probe, scan, background and noise."""

import math
from dataclasses import dataclass

import cv2
import numba
import numpy as np

_TAIL = 2.5  # width of the probe's side lobes over that of the peak


def render_columns(positions, intensities, shape, sigma, *, astigmatism=(1.0, 0.0), row_shifts=None):
    """Render columns as Gaussian peaks.

    Parameters
    ----------
    positions : array_like, shape (N, 2)
        Centres (y, x), px; they may lie outside the image.
    intensities : array_like, shape (N,)
        Heights of the peaks.
    shape : tuple of int
        Height and width of the image, px.
    sigma : float
        Standard deviation of a peak, px.
    astigmatism : (float, float)
        Ratio of the peak's long to its short axis, at the same area, and the angle of the long one in degrees,
        counter-clockwise from +x.
    row_shifts : array_like, shape (H,), optional
        By how much each scan line is shifted to the right, px.

    Returns
    -------
    numpy.ndarray, shape (H, W), float32

    Examples
    --------
    >>> image = render_columns([(4, 4)], [2.0], (9, 9), sigma=1.5)
    >>> image.argmax(), image.max()
    (np.int64(40), np.float32(2.0))
    """
    ratio, angle = astigmatism[0], math.radians(astigmatism[1])
    long, short = sigma * math.sqrt(ratio), sigma / math.sqrt(ratio)
    cos, sin = math.cos(angle), -math.sin(angle)
    # Inverse covariance of the peak in (y, x).
    yy = sin**2 / long**2 + cos**2 / short**2
    xx = cos**2 / long**2 + sin**2 / short**2
    yx = sin * cos * (1 / long**2 - 1 / short**2)
    shifts = np.zeros(shape[0]) if row_shifts is None else np.asarray(row_shifts, float)
    image = np.zeros(shape, np.float32)
    _add_peaks(
        image,
        np.ascontiguousarray(positions, dtype=float).reshape(-1, 2),
        np.ascontiguousarray(intensities, dtype=float),
        shifts,
        (yy, xx, yx),
        4.0 * long,
    )
    return image


@numba.njit(cache=True)
def _add_peaks(image, positions, intensities, shifts, form, reach):
    height, width = image.shape
    yy, xx, yx = form
    widest = np.abs(shifts).max() if height else 0.0
    for k in range(len(positions)):
        y, x = positions[k]
        if x < -reach - widest or x > width - 1 + reach + widest:
            continue
        for row in range(max(0, math.ceil(y - reach)), min(height - 1, math.floor(y + reach)) + 1):
            dy, here = row - y, x + shifts[row]
            for column in range(
                max(0, math.ceil(here - reach)), min(width - 1, math.floor(here + reach)) + 1
            ):
                dx = column - here
                image[row, column] += intensities[k] * math.exp(
                    -0.5 * (yy * dy * dy + xx * dx * dx) - yx * dy * dx
                )


@dataclass(frozen=True)
class Imaging:
    """How columns are imaged; lengths in px, intensities relative to a column of intensity 1.

    Parameters
    ----------
    sigma : float
        Standard deviation of a column's peak: probe, source and thermal motion together.
    tail : float
        Share of the intensity that is spread around columns, over 2.5 times `sigma`.
    astigmatism : (float, float)
        As in `render_columns`.
    jitter : float
        Standard deviation of the random shifts of the scan lines.
    line_noise : float
        Standard deviation of the brightness of scan lines, as a share of the image's mean.
    background : float
        Constant background, in which the shot noise has its part.
    speckle : float
        Standard deviation of the intensity of an amorphous film.
    dose : float
        Counts per px where the intensity is 1; infinite is no shot noise.
    readout : float
        Standard deviation of the detector's noise.
    """

    sigma: float
    tail: float = 0.0
    astigmatism: tuple[float, float] = (1.0, 0.0)
    jitter: float = 0.0
    line_noise: float = 0.0
    background: float = 0.1
    speckle: float = 0.0
    dose: float = math.inf
    readout: float = 0.0

    @property
    def seen(self):
        """Signal-to-noise ratio of a column with its tail, seen by a filter of just that profile, over that without.

        Examples
        --------
        >>> Imaging(sigma=2.0).seen, round(Imaging(sigma=2.0, tail=0.2).seen, 2)
        (1.0, 0.85)
        """
        # Sums of products of the peak and its blurred copy, whose variance is 1 + _TAIL^2 times as large.
        wide = 1 + _TAIL**2
        core = 1 - self.tail
        return math.sqrt(core**2 + 4 * core * self.tail / (1 + wide) + self.tail**2 / wide)


def record(positions, intensities, shape, imaging, rng, *, film=None):
    """Record an image of columns.

    Parameters
    ----------
    positions : array_like, shape (N, 2)
        (y, x), px.
    intensities : array_like, shape (N,)
    shape : tuple of int
        Height and width, px.
    imaging : Imaging
    rng : numpy.random.Generator
    film : array_like, shape (H, W), optional
        What else scatters: contamination, thickness. Added before the noise.

    Returns
    -------
    image : numpy.ndarray, shape (H, W), float32
    noise : numpy.ndarray, shape (N,)
        For each position: the intensity of a column which a matched filter of its peak
        would see there at a signal-to-noise ratio of 1, if it had no tail (see `Imaging.seen`). The filter knows the
        noise but not the film's speckle.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> image, noise = record([(16, 16)], [1.0], (32, 32), Imaging(sigma=2.0, dose=100), rng)
    >>> round(float(noise[0]), 3)
    0.025
    """
    shifts = imaging.jitter * rng.standard_normal(shape[0])
    image = render_columns(
        positions, intensities, shape, imaging.sigma, astigmatism=imaging.astigmatism, row_shifts=shifts
    )
    if imaging.tail:
        image = (1 - imaging.tail) * image + imaging.tail * _blurred(image, _TAIL * imaging.sigma)
    image += imaging.background
    if film is not None:
        image += np.asarray(film, np.float32)
    if imaging.speckle:
        image += imaging.speckle * speckle(shape, 0.7 * imaging.sigma, rng)
    image = np.maximum(image, 0)
    noise = _noise(image, np.reshape(positions, (-1, 2)), imaging)
    if imaging.line_noise:
        image *= np.maximum(1 + imaging.line_noise * rng.standard_normal((shape[0], 1)), 0)
    if math.isfinite(imaging.dose):
        image = rng.poisson(image * imaging.dose) / imaging.dose
    if imaging.readout:
        image = image + imaging.readout * rng.standard_normal(shape)
    return image.astype(np.float32), noise


def speckle(shape, correlation, rng):
    """Random field of mean 0 and standard deviation 1, correlated over a Gaussian of standard deviation in px.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(speckle((64, 64), 3, np.random.default_rng(0)).std()), 6)
    1.0
    """
    field = _blurred(rng.standard_normal(shape).astype(np.float32), correlation)
    return (field - field.mean()) / max(field.std(), 1e-12)


def _blurred(image, sigma):
    return cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)


def _noise(image, positions, imaging):
    # The filter's weights are the profile g, so its variance is the sum of g^2 times that of a px, and its answer to
    # a column of intensity 1 is the sum of g^2, which is pi sigma^2. g^2 is a Gaussian of sigma / sqrt(2).
    local = _blurred(image, imaging.sigma / math.sqrt(2))
    row, column = np.clip(np.rint(positions).astype(int), 0, np.array(image.shape) - 1).T
    variance = local[row, column] / imaging.dose + imaging.readout**2
    return np.sqrt(variance / math.pi, dtype=float) / imaging.sigma
