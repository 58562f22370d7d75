"""The half of a real image's Fourier transform that says all, and blocks of it anywhere in reciprocal space."""

import numpy as np
from scipy import fft

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
