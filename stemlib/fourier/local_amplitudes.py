"""Local amplitudes of the waves in an image, from one Fourier transform of it."""

import functools

import cv2
import numpy as np
from scipy import fft

_REACH = 3.2  # standard deviations of the filter in reciprocal space within which a coarse map keeps it
_WIDE = 4.0  # windows, in which proportions that change slowly are averaged
_FAR = 0.02  # share of such a window below which those of all places count more
_LEAST = np.float32(0.03)  # coverage of a window below which amplitudes fade out
_EXACT = 0.25  # windows: averages over so little are as good as pixels
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
    >>> middle = waves.amplitudes([(0.05, 0.1)])[0, 4:-4, 4:-4]
    >>> bool(np.allclose(abs(middle), 0.5, atol=0.01))
    True
    """

    def __init__(self, image, weights, sigma):
        self.shape = image.shape
        self.sigma = sigma
        # Zeros beyond the edges, so that opposite edges do not see each other.
        self.size = tuple(fft.next_fast_len(n + int(_REACH * sigma), real=True) for n in image.shape)
        self._spectrum = HalfSpectrum.of(image * weights, self.size)
        self._weights = weights
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

    def amplitudes(self, vectors):
        """Complex amplitudes of waves exp(2 pi i q . p) around each place, their phases counted from there.

        Parameters
        ----------
        vectors : array_like, shape (K, 2)
            q (y, x), cycles per px.

        Returns
        -------
        numpy.ndarray, shape (K, M, N), complex64
            Where the window is not covered, of what is.
        """
        return self._coarse(vectors) / np.maximum(self.coverage(), 0.05)

    def noise(self, vectors):
        """Mean squared amplitude that the noise around each wave has under a whole window: (K,)."""
        counts = [2 * max(3, round(2.2 / (2 * np.pi * self.sigma) * n)) + 1 for n in self.size]
        blocks = self._spectrum.blocks(self._corners(vectors, counts), counts)
        power = (blocks.real**2 + blocks.imag**2).reshape(len(blocks), -1)
        # The reflection itself fills the upper part; noise is distributed exponentially.
        floor = np.quantile(power, 0.3, axis=1) / -np.log(0.7)
        return floor / self.share / (4 * np.pi * self.sigma**2)

    def proportions(self, vectors, changing=False):
        """Root mean squares of the amplitudes of some waves, (K, 1, 1), or if they are `changing`, (K, M, N)."""
        coverage = self._fine_coverage
        fields, _ = self._filtered(vectors, _FINE_REACH)
        return self._usual(_power(fields) * _over(coverage) ** 2, coverage, changing)

    def continued(self, vectors, proportions=None, changing=False):
        """Rebuild the image from some waves, each continued with its phase at the rim where nothing counts.

        Phases and contrast are local; the proportions of the waves are the same everywhere, those of the mean, or
        change slowly, over several windows.

        Parameters
        ----------
        vectors : array_like, shape (K, 2)
            At least `reach` apart, or what they share is counted twice.
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
        coverage = self._fine_coverage
        fields, corners = self._filtered(vectors, _FINE_REACH)
        over = _over(coverage)
        power = _power(fields) * over**2
        size = np.sqrt(power)
        if proportions is None:
            mean = self._usual(power, coverage, changing)
            contrast = np.sqrt(power.sum(axis=0) / np.maximum((mean**2).sum(axis=0), 1e-30))
        else:
            mean = np.asarray(proportions)
            contrast = (mean * size).sum(axis=0) / np.maximum((mean**2).sum(axis=0), 1e-30)
        fields *= mean * (contrast * over) / np.maximum(size, 1e-30)
        blocks = fft.fft2(fields) * np.float32(np.prod(self.size) / coverage.size)
        spectrum = HalfSpectrum.empty(self.size)
        spectrum.add(blocks, corners)
        return spectrum.image()[: self.shape[0], : self.shape[1]], coverage

    def _usual(self, power, coverage, changing):
        """Roots of mean squared amplitudes: of all, (K, 1, 1), or around each node, (K, M, N)."""
        weighted = power * coverage
        whole = (weighted.sum(axis=(1, 2)) / max(coverage.sum(), 1e-30))[:, None, None]
        if not changing:
            return np.sqrt(whole)
        blurs = [
            _blur(count, _WIDE * self.sigma * count / size)
            for count, size in zip(coverage.shape, self.size, strict=True)
        ]
        near, around = (blurs[0] @ values @ blurs[1] for values in (coverage, weighted))
        # Far from every place that counts it is that of all.
        return np.sqrt((around + _FAR * whole) / (near + _FAR))

    @property
    def reach(self):
        """Distance of waves, cycles per px, from which on a window tells them apart."""
        return 2.5 / (2 * np.pi * self.sigma)

    def _counts(self, reach):
        """Rows and columns of the block of the spectrum that passes the filter."""
        widths = (int(2 * np.ceil(reach / (2 * np.pi * self.sigma) * n)) + 1 for n in self.size)
        return [min(n - 1, fft.next_fast_len(width)) for n, width in zip(self.size, widths, strict=True)]

    def _corners(self, vectors, counts):
        return np.rint(np.multiply(vectors, self.size)).astype(int) - np.array(counts) // 2

    def _filtered(self, vectors, reach):
        """Fields of waves (K, M, N) on the grid of their blocks, and the blocks' first frequencies (K, 2).

        A field's phases are counted from the wave of its block's first frequency.
        """
        counts = self._counts(reach)
        corners = self._corners(vectors, counts)
        blocks = self._spectrum.blocks(corners, counts)
        for axis, (count, size) in enumerate(zip(counts, self.size, strict=True)):
            off = (corners[:, axis, None] + np.arange(count)) / size - np.asarray(vectors)[:, axis, None]
            gauss = np.exp(-0.5 * (2 * np.pi * self.sigma * off) ** 2).astype(np.float32)
            blocks *= np.expand_dims(gauss, 2 - axis)
        fields = fft.ifft2(blocks, overwrite_x=True)
        fields *= np.float32(np.prod(counts) / np.prod(self.size))
        return fields, corners

    def _coarse(self, vectors):
        fields, corners = self._filtered(vectors, _REACH)
        fields = fields[:, : len(self.rows()), : len(self.columns())]
        for axis, (size, at) in enumerate(zip(self.size, self._grid, strict=True)):
            turns = np.exp(2j * np.pi * corners[:, axis, None] / size * at).astype(np.complex64)
            fields *= np.expand_dims(turns, 2 - axis)
        return fields

    @functools.cached_property
    def _coverage(self):
        return np.clip(self._covered(_REACH)[: len(self.rows()), : len(self.columns())], 0, 1)

    @functools.cached_property
    def _fine_coverage(self):
        return self._covered(_FINE_REACH)

    def _covered(self, reach):
        """The weights under a window around each node of a grid: (M, N), float32."""
        step = max(1, int(_EXACT * self.sigma))
        places = [-(-n // step) for n in self.shape]
        weights = cv2.resize(self._weights, places[::-1], interpolation=cv2.INTER_AREA)
        rows, columns = (
            _window(*lengths, self.sigma)
            for lengths in zip(self._counts(reach), self.size, places, self.shape, strict=True)
        )
        return rows @ weights @ columns.T

    @functools.cached_property
    def _grid(self):
        """Rows and columns of the maps."""
        grid = []
        for count, size, side in zip(self._counts(_REACH), self.size, self.shape, strict=True):
            at = np.arange(count) * (size / count)
            grid.append(at[at < side])
        return grid


def _power(fields):
    return fields.real**2 + fields.imag**2


def _over(coverage):
    """What amplitudes are multiplied by to be those of what is covered, fading out where hardly anything is."""
    return (coverage > 1e-3) / np.maximum(coverage, _LEAST)


@functools.lru_cache(maxsize=16)
def _blur(count, sigma):
    """The matrix (count, count) that blurs values with a Gaussian, nothing beyond the ends; quick on small maps."""
    apart = np.subtract.outer(np.arange(count), np.arange(count))
    return (np.exp(-0.5 * (apart / sigma) ** 2) / (np.sqrt(2 * np.pi) * sigma)).astype(np.float32)


@functools.lru_cache(maxsize=16)
def _window(count, size, places, side, sigma):
    """Windows around nodes, evenly over a padded side, at places, evenly over the side: (count, places), float32."""
    apart = np.subtract.outer(
        np.arange(count) * (size / count), (np.arange(places) + 0.5) * (side / places) - 0.5
    )
    # The last nodes beyond the image stand before its beginning.
    apart = (apart + size / 2) % size - size / 2
    height = side / places / (np.sqrt(2 * np.pi) * sigma)
    return (height * np.exp(-0.5 * (apart / sigma) ** 2)).astype(np.float32)


_LARGE = 2**20  # px


class HalfSpectrum:
    """Fourier transform of a real image, of which blocks are read, and to which blocks are added.

    A block lies anywhere in reciprocal space, also across the edges of the half that is stored: what is beyond them is
    the conjugate of what lies opposite.

    Parameters
    ----------
    values : numpy.ndarray, shape (H, W // 2 + 1), complex64
        As scipy.fft.rfft2 returns them.
    size : (int, int)
        (H, W) of the image.

    Examples
    --------
    >>> y, x = np.mgrid[:32, :40]
    >>> spectrum = HalfSpectrum.of(np.cos(2 * np.pi * (y / 8 - x / 10)), (32, 40))
    >>> spectrum.blocks([(4, -5), (-5, 4)], (2, 2)).real.round().astype(int).tolist()
    [[[0, 640], [0, 0]], [[0, 0], [640, 0]]]
    """

    def __init__(self, values, size):
        self.values, self.size = values, size

    @classmethod
    def of(cls, image, size):
        """Transform an image, with zeros added up to a size."""
        return cls(fft.rfft2(image.astype(np.float32, copy=False), s=size, workers=_workers(size)), size)

    @classmethod
    def empty(cls, size):
        """Return the spectrum of nothing."""
        return cls(np.zeros((size[0], size[1] // 2 + 1), np.complex64), size)

    def image(self):
        """Transform back: (H, W) float32."""
        return fft.irfft2(self.values, s=self.size, workers=_workers(self.size))

    def blocks(self, corners, shape):
        """Read blocks of one shape.

        Parameters
        ----------
        corners : iterable of (int, int)
            First row and column of each, K of them, counted from the wave of no frequency; their middles are in the
            square of the first Brillouin zone of pixels.
        shape : (int, int)
            (M, N), less than the image's.

        Returns
        -------
        numpy.ndarray, shape (K, M, N), complex64
        """
        result = np.empty((len(corners), *shape), np.complex64)
        for block, corner in zip(result, corners, strict=True):
            top, left, turned = _in_the_half(corner, shape)
            rows = np.arange(top, top + shape[0]) % self.size[0]
            for part, columns, opposite in self._pieces(left, shape[1]):
                if opposite:
                    np.conj(self.values[-rows, columns], out=block[:, part])
                else:
                    block[:, part] = self.values[rows, columns]
            if turned:
                block[:] = block[::-1, ::-1].conj()
        return result

    def add(self, blocks, corners):
        """Add blocks (K, M, N), and opposite of them their conjugates; where the corners are, `blocks` says."""
        shape = blocks.shape[1:]
        for block, corner in zip(blocks, corners, strict=True):
            top, left, turned = _in_the_half(corner, shape)
            block = block[::-1, ::-1].conj() if turned else block
            rows = np.arange(top, top + shape[0]) % self.size[0]
            for part, columns, opposite in self._pieces(left, shape[1]):
                if opposite:
                    self.values[-rows, columns] += block[:, part].conj()
                else:
                    self.values[rows, columns] += block[:, part]
            # These columns lie opposite of themselves.
            for column in {0, self.size[1] // 2} if self.size[1] % 2 == 0 else {0}:
                if left <= column < left + shape[1]:
                    self.values[-rows, column] += block[:, column - left].conj()

    def _pieces(self, left, count):
        """Columns of a block, where they are stored, and whether as their conjugates opposite: up to three of them."""
        width, stored = self.size[1], self.size[1] // 2 + 1
        below, inside = min(max(0, -left), count), min(count, stored - left)
        if below:
            yield np.s_[:below], np.s_[-left : -left - below : -1], True
        if inside > below:
            yield np.s_[below:inside], np.s_[left + below : left + inside], False
        if inside < count:
            yield np.s_[inside:], np.s_[width - left - inside : width - left - count : -1], True


def _workers(size):
    """Threads for one transform: for a small one they cost more than they save."""
    return -1 if np.prod(size) > _LARGE else 1


def _in_the_half(corner, shape):
    """A block's corner; or where its middle is beyond the half that is stored, that of the block opposite."""
    top, left = (int(value) for value in corner)
    if left + shape[1] // 2 >= 0:
        return top, left, False
    return 1 - top - shape[0], 1 - left - shape[1], True
