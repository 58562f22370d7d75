"""Which domain's crystal, continued to a place, explains it best: one round of drawing the domains' outlines."""

import cv2
import numpy as np

from stemlib.domains.distances import distance_to
from stemlib.fourier.local_amplitudes import LocalWaves
from stemlib.fourier.reflections import spread_out

_COMPARED = 0.4  # periods: standard deviation of the window in which crystals are compared
_PRESENT = 0.8  # periods: and in which a crystal and none are
_FINE = 0.5  # of the narrower one: places are at most so large
_REACHED = 0.02  # share of a window that must lie in a domain for its crystal to be continued there
UNREACHED = np.float32(1e30)
_LEAST_VARIANCE = np.float32(1e-9)  # of the greatest; what is masked has none
_LEAST_EXPLAINED = 0.05  # of what the crystal usually explains
_LEAST_SHARE = 0.2  # of the share of the local variance that it usually explains
_POOR = 0.5  # of that share, where another crystal may be that has some reflections in common
_FREE = 0.8  # periods: standard deviation of the window in which phases are those of the image
_MOST_FREE = 40  # waves of all crystals together, compared so
_NEAR = 3.0  # standard deviations of a segment's window from two domains: there labels may change so
_MARGIN = 0.01  # of the local variance, which a change has to explain more


class Contest:
    """An image's domains, compared at places that are some pixels wide, as fine as the windows ask for.

    Parameters
    ----------
    work : stemlib.domains.windows.WorkingImage
    sigma : float
        Standard deviation of the windows in which the crystals are measured, px.
    waves : dict of int to numpy.ndarray, shape (K, 2)
        Strong reflections of each domain, cycles per px.
    """

    def __init__(self, work, sigma, waves):
        self.work, self.sigma = work, sigma
        self.waves = {k: vectors for k, vectors in waves.items() if len(vectors)}
        step = max(1, int(_FINE * _COMPARED * work.period))
        self.shape = tuple(max(1, round(n / step)) for n in work.flat.shape)
        self.scale = work.flat.shape[0] / self.shape[0]
        variance = self._averaged(self._places(work.flat**2), _PRESENT)
        self.variance = np.maximum(variance, _LEAST_VARIANCE * variance.max() + np.float32(1e-30))
        self.usable = self._places(work.weights) > 0.5

    def places(self, labels):
        """Labels (M, N) of places, from those (H, W) of pixels."""
        return cv2.resize(labels.astype(np.int16), self.shape[::-1], interpolation=cv2.INTER_NEAREST)

    def measured(self, labels):
        """Continue each domain's crystal over its rim.

        Parameters
        ----------
        labels : numpy.ndarray of int, shape (M, N)
            Of the places; -1 for no domain.

        Returns
        -------
        misfits : dict of int to numpy.ndarray, shape (M, N)
            What a domain's crystal leaves unexplained around each place.
        best : numpy.ndarray of int, shape (M, N)
            The domain that leaves least, -1 where none reaches.
        present : numpy.ndarray of bool, shape (M, N)
            Whether it explains enough.
        """
        misfits, enough = {}, {}
        for k, vectors in self.waves.items():
            inside = (labels == k) & self.usable
            if inside.any():
                misfits[k], enough[k] = self._explained(inside, vectors)
        best = decided(misfits, self.shape)
        present = np.zeros(self.shape, bool)
        for k, where in enough.items():
            present |= where & (best == k)
        return misfits, best, present

    def shares(self, labels):
        """What share of the variance a domain's crystal explains around each place: dict of int to (M, N)."""
        found = {}
        for k, vectors in self.waves.items():
            inside = (labels == k) & self.usable
            if inside.any():
                rest, _ = self._unexplained(inside, vectors)
                found[k] = 1 - self._averaged(rest, _PRESENT) / self.variance
        return found

    def poorly_explained(self, labels):
        """Where the domains explain less than half of the share that they usually do, or there is none: (M, N) bool."""
        poor = labels < 0
        for k, share in self.shares(labels).items():
            inside = labels == k
            poor |= inside & (share < _POOR * np.median(share[inside]))
        return poor & self.usable

    def freed(self, labels):
        """Labels near boundaries by the proportions of the waves alone, their phases as the image shows them.

        A domain's phases are known best inside its own outline, even where that is drawn too wide: by them alone, it
        would keep what it has.

        Parameters
        ----------
        labels : numpy.ndarray of int, shape (M, N)

        Returns
        -------
        numpy.ndarray of int, shape (M, N)
        """
        numbers = [k for k in self.waves if (labels == k).any()]
        if len(numbers) < 2:
            return labels
        local = LocalWaves(self.work.flat, self.work.weights, _FREE * self.work.period)
        vectors = np.vstack([self.waves[k] for k in numbers])
        vectors = vectors[spread_out(vectors, local.reach, _MOST_FREE)]
        rests = np.stack([self._with_proportions_of(labels == k, local, vectors) for k in numbers])
        near = sum(self.scale * distance_to(labels == k) < _NEAR * self.sigma for k in numbers)
        own = np.full(labels.shape, np.inf)
        for k, rest in zip(numbers, rests, strict=True):
            own = np.where(labels == k, rest, own)
        better = (near > 1) & (labels >= 0) & (rests.min(axis=0) < own - _MARGIN)
        return np.where(better, np.array(numbers)[rests.argmin(axis=0)], labels)

    def pixels(self, values):
        """Values (H, W) of pixels, from those (M, N) of places."""
        return cv2.resize(values, self.work.flat.shape[::-1], interpolation=cv2.INTER_LINEAR)

    def area(self, where):
        """Area (H, W) of pixels, from that (M, N) of places, without their corners in its outline."""
        smooth = cv2.GaussianBlur(where.astype(np.float32), (0, 0), 1.0, borderType=cv2.BORDER_REFLECT)
        return self.pixels(smooth) > 0.5

    def _with_proportions_of(self, inside, local, vectors):
        """Share of the variance that waves leave unexplained in the proportions of a domain: (M, N)."""
        usual = LocalWaves(self.work.flat, self._mask(inside & self.usable), local.sigma)
        crystal, _ = local.continued(vectors, proportions=usual.proportions(vectors, changing=True))
        return self._averaged(self._places((self.work.flat - crystal) ** 2), _PRESENT) / self.variance

    def _unexplained(self, inside, vectors, *, changing=False):
        """Squared difference of the image and a domain's waves (M, N), and where these reach."""
        waves = LocalWaves(self.work.flat, self._mask(inside), self.sigma)
        crystal, coverage = waves.continued(vectors, changing=changing)
        whole = [round(n * m / size) for n, m, size in zip(waves.size, self.shape, waves.shape, strict=True)]
        reached = cv2.resize(coverage, whole[::-1])[: self.shape[0], : self.shape[1]] > _REACHED
        return self._places((self.work.flat - crystal) ** 2), reached

    def _explained(self, inside, vectors):
        rest, reached = self._unexplained(inside, vectors, changing=True)
        misfit = np.where(reached, self._averaged(rest, _COMPARED), UNREACHED)
        explained = self.variance - self._averaged(rest, _PRESENT)
        share = explained / self.variance
        enough = explained > _LEAST_EXPLAINED * np.median(explained[inside])
        return misfit, enough & (share > _LEAST_SHARE * np.median(share[inside]))

    def _places(self, values):
        return cv2.resize(values, self.shape[::-1], interpolation=cv2.INTER_AREA)

    def _averaged(self, values, periods):
        sigma = periods * self.work.period / self.scale
        return cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)

    def _mask(self, inside):
        size = self.work.flat.shape[::-1]
        return (
            cv2.resize(inside.astype(np.float32), size, interpolation=cv2.INTER_NEAREST) * self.work.weights
        )


def decided(misfits, shape):
    """Which domain explains each place best, -1 where none reaches.

    Parameters
    ----------
    misfits : dict of int to numpy.ndarray, shape (M, N)
    shape : (int, int)
        (M, N)

    Returns
    -------
    numpy.ndarray of int, shape (M, N)
    """
    numbers = np.array([-1, *misfits])
    return numbers[np.stack([np.full(shape, UNREACHED), *misfits.values()]).argmin(axis=0)]
