"""Local amplitudes of the waves in an image, from one Fourier transform of it."""

import functools

import numpy as np
from scipy import fft, ndimage

_REACH = 3.2  # standard deviations of the filter in reciprocal space within which a coarse map keeps it
_WIDE = 4.0  # windows, in which proportions that change slowly are averaged
_FAR = 0.02  # share of such a window below which those of all places count more
_FINE_REACH = 4.5  # and one that is divided by the coverage before it goes back to an image


class LocalWaves:
    """The spectrum of an image, out of which each wave's local amplitude is cut.

    A wave's amplitude under a Gaussian window around every place is the image filtered around the wave's place in
    reciprocal space. What passes the filter is a small block of the spectrum, whose inverse transform is the map on
    a grid just fine enough for it, so that a map costs next to nothing.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W), float32
        Without the slow background.
    weights : numpy.ndarray, shape (H, W), float32
        0 where not to look, 1 where to.
    sigma : float
        Standard deviation of the Gaussian window, px.

    Examples
    --------
    >>> y, x = np.mgrid[:96, :96].astype(np.float32)
    >>> waves = LocalWaves(np.cos(2 * np.pi * (0.1 * x + 0.05 * y)), np.ones((96, 96), np.float32), 8.0)
    >>> middle = waves.amplitudes((0.05, 0.1))[4:-4, 4:-4]
    >>> bool(np.allclose(abs(middle), 0.5, atol=0.01))
    True
    """

    def __init__(self, image, weights, sigma):
        self.shape = image.shape
        self.sigma = sigma
        # Zeros beyond the edges, so that opposite edges do not see each other.
        self.size = tuple(fft.next_fast_len(n + int(_REACH * sigma), real=True) for n in image.shape)
        self.spectrum = self._transformed(image * weights)
        self._shares = self._transformed(weights)
        self.share = float(weights.sum())

    def rows(self):
        """Where the rows of the maps lie, px."""
        return self._grid[0]

    def columns(self):
        """Where the columns of the maps lie, px."""
        return self._grid[1]

    def coverage(self):
        """Share of the window around each place that lies in the image and counts: (M, N), 0 to 1."""
        return self._coverage

    def amplitudes(self, vector):
        """Complex amplitude of the wave exp(2 pi i vector . p) around each place, its phase counted from there.

        Parameters
        ----------
        vector : (float, float)
            (y, x), cycles per px.

        Returns
        -------
        numpy.ndarray, shape (M, N), complex
            Where the window is not covered, of what is.
        """
        return self._coarse(self.spectrum, vector) / np.maximum(self.coverage(), 0.05)

    def noise(self, vector):
        """Mean squared amplitude that the noise around a wave has under a whole window."""
        half = [max(3, round(2.2 / (2 * np.pi * self.sigma) * n)) for n in self.size]
        index = [np.arange(-h, h + 1) + round(q * n) for h, q, n in zip(half, vector, self.size, strict=True)]
        power = np.abs(_cut(self.spectrum, self.size, *index)) ** 2
        # The reflection itself fills the upper part; noise is distributed exponentially.
        floor = np.quantile(power, 0.3) / -np.log(0.7)
        return float(floor / self.share / (4 * np.pi * self.sigma**2))

    def proportions(self, vectors, least=0.03, changing=False):
        """Root mean squares of the amplitudes of some waves, (K, 1, 1), or if they are `changing`, (K, M, N)."""
        coverage = np.maximum(self._fine(self._shares, (0.0, 0.0))[0].real, 0)
        usual = [
            self._fine(self.spectrum, v)[0] / np.maximum(coverage, least) * (coverage > 1e-3) for v in vectors
        ]
        return self._usual(np.stack(usual), coverage, changing)

    def continued(self, vectors, least=0.03, proportions=None, changing=False):
        """Rebuild the image from some waves, each continued with its phase at the rim where nothing counts.

        Phases and contrast are local; the proportions of the waves are the same everywhere, those of the mean, or
        change slowly, over several windows.

        Parameters
        ----------
        vectors : array_like, shape (K, 2)
            At least `reach` apart, or what they share is counted twice.
        least : float
            Coverage of a window below which the amplitude fades out.
        proportions : array_like, shape (K, 1, 1) or (K, M, N), optional
            Of the waves' amplitudes, those of another crystal, as `proportions` returns them.
        changing : bool
            Whether the crystal's own proportions change slowly, as order does.

        Returns
        -------
        image : numpy.ndarray, shape (H, W), float32
        coverage : numpy.ndarray, shape (M, N), float32
            On a grid of evenly spaced nodes over the padded image, the first at its first pixel.
        """
        coverage = np.maximum(self._fine(self._shares, (0.0, 0.0))[0].real, 0)
        parts = [self._fine(self.spectrum, vector) for vector in vectors]
        index = [part[1] for part in parts]
        amplitudes = np.stack([part[0] for part in parts]) / np.maximum(coverage, least) * (coverage > 1e-3)
        if proportions is None:
            mean = self._usual(amplitudes, coverage, changing)
            contrast = np.sqrt(
                (np.abs(amplitudes) ** 2).sum(axis=0) / np.maximum((mean**2).sum(axis=0), 1e-30)
            )
        else:
            mean = np.asarray(proportions)
            contrast = (mean * np.abs(amplitudes)).sum(axis=0) / np.maximum((mean**2).sum(axis=0), 1e-30)
        amplitudes *= mean * contrast / np.maximum(np.abs(amplitudes), 1e-30)
        spectrum = np.zeros_like(self.spectrum)
        for amplitude, where in zip(amplitudes, index, strict=True):
            block = fft.fftshift(fft.fft2(amplitude)) * (np.prod(self.size) / amplitude.size)
            _put(spectrum, self.size, *where, block)
        whole = fft.irfft2(spectrum, s=self.size, workers=-1)
        return whole[: self.shape[0], : self.shape[1]], coverage.astype(np.float32)

    def _usual(self, amplitudes, coverage, changing):
        """Root mean squares of amplitudes: of all, (K, 1, 1), or around each node, (K, M, N)."""
        power = np.abs(amplitudes) ** 2
        whole = np.average(power, axis=(1, 2), weights=np.broadcast_to(coverage, power.shape))[:, None, None]
        if not changing:
            return np.sqrt(whole)
        sigma = [_WIDE * self.sigma * n / size for n, size in zip(coverage.shape, self.size, strict=True)]
        near = _averaged(coverage, sigma)
        around = np.stack([_averaged(p * coverage, sigma) for p in power])
        # Far from every place that counts it is that of all.
        return np.sqrt((around + _FAR * whole) / (near + _FAR))

    @property
    def reach(self):
        """Distance of waves, cycles per px, from which on a window tells them apart."""
        return 2.5 / (2 * np.pi * self.sigma)

    def _transformed(self, image):
        return fft.rfft2(image.astype(np.float32, copy=False), s=self.size, workers=-1)

    def _index(self, vector, reach):
        index = []
        for q, n in zip(vector, self.size, strict=True):
            count = min(n, fft.next_fast_len(int(2 * np.ceil(reach / (2 * np.pi * self.sigma) * n)) + 1))
            index.append(np.arange(count) - count // 2 + round(q * n))
        return index

    def _filtered(self, spectrum, vector, index):
        gauss = [
            np.exp(-0.5 * (2 * np.pi * self.sigma * (i / n - q)) ** 2).astype(np.float32)
            for i, n, q in zip(index, self.size, vector, strict=True)
        ]
        return _cut(spectrum, self.size, *index) * np.outer(*gauss)

    def _coarse(self, spectrum, vector):
        index = self._index(vector, _REACH)
        block = self._filtered(spectrum, vector, index)
        field = fft.ifft2(fft.ifftshift(block)) * (block.size / np.prod(self.size))
        rows, columns = self.rows(), self.columns()
        # The block's middle has become the wave of no frequency.
        turns = [
            np.exp(2j * np.pi * i[len(i) // 2] / n * at)
            for i, n, at in zip(index, self.size, (rows, columns), strict=True)
        ]
        return field[: len(rows), : len(columns)] * np.outer(*turns).astype(np.complex64)

    def _fine(self, spectrum, vector):
        index = self._index(vector, _FINE_REACH)
        block = self._filtered(spectrum, vector, index)
        return fft.ifft2(fft.ifftshift(block)) * (block.size / np.prod(self.size)), index

    @functools.cached_property
    def _coverage(self):
        return np.clip(np.abs(self._coarse(self._shares, (0.0, 0.0))), 0, 1)

    @functools.cached_property
    def _grid(self):
        """Rows and columns of the maps."""
        grid = []
        for index, size, side in zip(self._index((0.0, 0.0), _REACH), self.size, self.shape, strict=True):
            at = np.arange(len(index)) * (size / len(index))
            grid.append(at[at < side])
        return grid


def _averaged(values, sigma):
    return ndimage.gaussian_filter(values, sigma, mode="constant")


def _halved(size, rows, columns):
    """Where in the half spectrum of a real image a block lies, and what of it as its conjugate."""
    column = columns % size[1]
    mirrored = column > size[1] // 2
    column = np.where(mirrored, size[1] - column, column)
    row = np.where(mirrored[None, :], -rows[:, None], rows[:, None]) % size[0]
    return row, np.broadcast_to(column, row.shape), mirrored


def _cut(spectrum, size, rows, columns):
    row, column, mirrored = _halved(size, rows, columns)
    block = spectrum[row, column]
    return np.where(mirrored, np.conj(block), block)


def _put(spectrum, size, rows, columns, block):
    """Add a block and its conjugate on the other side of the origin."""
    for i, j, values in ((rows, columns, block), (-rows, -columns, np.conj(block))):
        inside = (j % size[1]) <= size[1] // 2
        spectrum[np.ix_(i % size[0], j[inside] % size[1])] += values[:, inside]
