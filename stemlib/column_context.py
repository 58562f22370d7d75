"""Doubtful columns judged by their like: others of the image whose surroundings look the same."""

import cv2
import numpy as np
from scipy.spatial import cKDTree

_RINGS = (0.7, 2.3)  # over the spacing: surroundings begin and end
_STEP = 0.45  # over the spacing: between the points at which surroundings are sampled
_COMPONENTS = 10
_MOST_EXAMPLES = 4000
_ROWS = 16384
_LIKE = 9  # how many of its like a column is compared with
_PLAIN = 4.0  # standard errors: a likely peak this high needs no witness
_HALF = 0.5  # of what its like have: less is nearer to nothing than to a column


def credible(image, positions, heights, errors, likelihood, spacing, sigma):
    """Tell columns from noise where a peak alone does not.

    A likely peak of four standard errors is a column. Another one is compared with the nine others of the image whose
    surroundings, without the peak itself, look most alike: crystals repeat themselves. It must reach half of their
    median height, as a matched filter would ask that knows what to expect, and either be likely itself or have likely
    ones for company. So a bump of noise in a vacancy is dropped, whose like are full columns, and an equally high
    column of a faint sublattice is kept, whose like are as faint.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W), float32
        Standardised.
    positions : numpy.ndarray, shape (N, 2)
        (y, x), px.
    heights, errors : numpy.ndarray, shape (N,)
        Fitted height of each peak and its standard error.
    likelihood : numpy.ndarray, shape (N,)
        The network's probability.
    spacing, sigma : float
        Distance of neighbouring columns, and standard deviation of their peaks, px.

    Returns
    -------
    numpy.ndarray of bool, shape (N,)

    References
    ----------
    A. Buades, B. Coll, J.-M. Morel, "A non-local algorithm for image denoising", CVPR (2005),
    https://doi.org/10.1109/CVPR.2005.38, for the use of what looks alike elsewhere in an image.

    Examples
    --------
    >>> import numpy as np
    >>> grid = np.mgrid[10:70:10, 10:70:10].reshape(2, -1).T.astype(float)
    >>> heights = np.ones(36)
    >>> heights[14] = 0.2
    >>> kept = credible(np.zeros((80, 80), np.float32), grid, heights, np.full(36, 0.25), np.ones(36), 10, 2)
    >>> np.flatnonzero(~kept).tolist()
    [14]
    """
    kept = (heights >= _PLAIN * errors) & (likelihood >= 0.5)
    doubtful = np.flatnonzero(~kept)
    if not len(doubtful) or len(positions) <= 2 * _LIKE:
        kept[doubtful] = likelihood[doubtful] >= 0.5
        return kept
    # A fixed choice, evenly through the image: enough to find look-alikes, and the cost stays linear.
    examples = np.unique(np.linspace(0, len(positions) - 1, _MOST_EXAMPLES).astype(int))
    smooth = cv2.GaussianBlur(image, (0, 0), sigma)
    around_examples = _surroundings(smooth, positions[examples], spacing)
    mean = around_examples.mean(axis=0)
    _, axes = np.linalg.eigh(np.cov(around_examples.T))
    # The last axes are those of the largest variance.
    components = axes[:, -_COMPONENTS:]
    around_doubtful = _surroundings(smooth, positions[doubtful], spacing)
    tree = cKDTree((around_examples - mean) @ components)
    _, nearest = tree.query((around_doubtful - mean) @ components, k=_LIKE + 1)
    like = examples[nearest]
    itself = like == doubtful[:, None]
    # Where it is not its own nearest example, the farthest of the ten goes instead.
    itself[~itself.any(axis=1), -1] = True
    like = like[~itself].reshape(len(doubtful), _LIKE)
    typical = np.median(heights[like], axis=1)
    company = np.median(likelihood[like], axis=1)
    kept[doubtful] = (heights[doubtful] >= _HALF * typical) & (
        np.maximum(likelihood[doubtful], company) >= 0.5
    )
    return kept


def _surroundings(smooth, positions, spacing):
    """The image around each column, but not the column: (N, K)."""
    reach = np.arange(-np.ceil(_RINGS[1] / _STEP), np.ceil(_RINGS[1] / _STEP) + 1) * _STEP
    offsets = np.stack(np.meshgrid(reach, reach, indexing="ij"), axis=-1).reshape(-1, 2)
    away = np.linalg.norm(offsets, axis=1)
    offsets = spacing * offsets[(away >= _RINGS[0]) & (away <= _RINGS[1])]
    samples = np.empty((len(positions), len(offsets)), np.float32)
    # OpenCV maps fewer than 32768 rows at a time.
    for start in range(0, len(positions), _ROWS):
        places = (positions[start : start + _ROWS, None] + offsets).astype(np.float32)
        samples[start : start + _ROWS] = cv2.remap(
            smooth, places[..., 1], places[..., 0], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )
    return samples
