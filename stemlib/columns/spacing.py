"""The scale of an atomic-resolution image: the distance of neighbouring columns, found without a parameter."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial import cKDTree

from stemlib.columns.network import probability_map, standardised
from stemlib.columns.peaks import find_peaks
from stemlib.fourier.patterson import significant_cells

WORKING_SPACING = 7.0  # px between neighbours at which the network is asked
_LADDER = 4.0 * 20.0 ** (np.arange(13) / 8)  # to 360 px
_PIECES, _PIECE = 5, 96  # how many pieces are tried, and their side at the network's scale, px
_SMALLEST = 8  # px
_ACCEPTED = (4.0, 12.5)  # px
_NEAREST = 3.5  # px
_LEAST_FILLED = 0.08
_GOOD_PART = 0.4
# Of the smallest distances: how many neighbours are looked at, how far, in what steps, and how far they are averaged.
_NEIGHBOURS, _FAR, _BIN, _ALIKE = 8, 1.6, 0.04, 0.12
_CLIMBS = 8
_ENOUGH = 4000  # columns; OpenCV maps fewer than 32768 points at a time


def resample(image, factor):
    """Enlarge or reduce an image.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W), float32
    factor : float
        New size over old. Position p of the image becomes (p + 0.5) * factor - 0.5.

    Returns
    -------
    numpy.ndarray, shape (about factor * H, about factor * W), float32
        Means over areas where it is reduced, so that noise averages out; cubic where it is enlarged.

    Examples
    --------
    >>> import numpy as np
    >>> resample(np.ones((64, 32), np.float32), 0.3).shape
    (19, 10)
    """
    if factor == 1:
        return image
    shape = [max(1, round(side * factor)) for side in image.shape]
    matrix = np.array([[1 / factor, 0, 0.5 / factor - 0.5], [0, 1 / factor, 0.5 / factor - 0.5]])
    if factor < 1:
        # A low-pass of the new pixel's size, then sampling: exact in position for any factor.
        image = cv2.GaussianBlur(image, (0, 0), resampling_blur(factor) + 1e-3, borderType=cv2.BORDER_REFLECT)
    return cv2.warpAffine(
        image,
        matrix,
        (shape[1], shape[0]),
        flags=(cv2.INTER_LINEAR if factor < 0.5 else cv2.INTER_CUBIC) | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT,
    )


def resampling_blur(factor):
    """Standard deviation of the Gaussian, px of the image, by which `resample` blurs it; 0 where it enlarges.

    Examples
    --------
    >>> round(resampling_blur(0.5), 2), resampling_blur(2.0)
    (0.73, 0.0)
    """
    return 0.42 * math.sqrt(1 / factor**2 - 1) if factor < 1 else 0.0


def nearest_distance(groups):
    """Find the usual distance of nearest neighbours, without the part that noise takes off.

    The nearest of several neighbours is the one whose noise brings it nearest, so that the median of such distances
    is too short, by a tenth in strong noise. Here the vector to each neighbour is first replaced by the usual one
    among all that are alike: the place where vectors are most frequent, within about an eighth of the distance.

    Parameters
    ----------
    groups : sequence of numpy.ndarray, each of shape (N, 2)
        Positions of columns (y, x), px, in one or several images.

    Returns
    -------
    float
        Median over columns, px; NaN without two in one group.

    Examples
    --------
    >>> import numpy as np
    >>> grid = np.mgrid[0:300:10, 0:300:10].reshape(2, -1).T
    >>> noisy = grid + np.random.default_rng(0).normal(0, 1, grid.shape)
    >>> round(nearest_distance([noisy]))
    10
    """
    vectors = [_to_neighbours(positions) for positions in groups if len(positions) > 1]
    if not vectors:
        return math.nan
    vectors = np.concatenate(vectors)
    vectors = vectors[np.unique(np.linspace(0, len(vectors) - 1, _ENOUGH).astype(int))]
    plain = float(np.median(np.linalg.norm(vectors[:, 0], axis=-1)))
    # NaN, for a neighbour that is not there, compares false.
    near = np.linalg.norm(vectors, axis=-1) < _FAR * plain
    places = vectors[near] / (_BIN * plain)
    half = math.ceil((_FAR + 3 * _ALIKE) / _BIN)
    usual = _climb(places + half, 2 * half + 1) - half
    distance = np.full(near.shape, np.inf)
    distance[near] = np.linalg.norm(usual, axis=-1) * _BIN * plain
    return float(np.median(distance.min(axis=1)))


def _to_neighbours(positions):
    """Vectors to the nearest neighbours, nearest first: (N, 8, 2), NaN where there are fewer."""
    _, nearest = cKDTree(positions).query(positions, k=_NEIGHBOURS + 1)
    padded = np.vstack([positions, np.full(2, np.nan)])
    return padded[nearest[:, 1:]] - positions[:, None]


def _climb(points, size):
    """Move points (N, 2) uphill in their density, smoothed by a Gaussian, on a grid of `size` bins a side."""
    spread = _ALIKE / _BIN
    row, column = np.rint(points).astype(int).T
    density = np.zeros((size, size))
    np.add.at(density, (row, column), 1.0)
    grid = np.mgrid[:size, :size].astype(float)

    def smoothed(values):
        return cv2.GaussianBlur(values, (0, 0), spread, borderType=cv2.BORDER_CONSTANT)

    weight = np.maximum(smoothed(density), 1e-9)
    means = np.stack([smoothed(density * axis) / weight for axis in grid], axis=-1).astype(np.float32)
    for _ in range(_CLIMBS):
        at = points.astype(np.float32)
        points = cv2.remap(means, at[:, 1:], at[:, :1], cv2.INTER_LINEAR)[:, 0]
    return points


@dataclass(frozen=True)
class _Trial:
    """What the network found at one scale: the columns' distance, and how much of the image they fill."""

    spacing: float
    filled: float


def find_spacing(image, network):
    """Find the distance of neighbouring columns in an image of unknown scale.

    The network answers only where neighbours are 4 to 13 px apart. It is tried on pieces of the image resampled to a
    ladder of scales; the finest at which the columns found fill a good part of what they fill at any is taken, if
    something repeats at that scale or at none, and refined.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W), float32
    network : stemlib.columns.network.ColumnNetwork

    Returns
    -------
    float or None
        Median distance of nearest neighbours, px; None where no columns are found at any scale.

    Examples
    --------
    >>> import numpy as np
    >>> from stemlib.columns.network import ColumnNetwork
    >>> noise = np.random.default_rng(0).normal(size=(128, 128)).astype("float32")
    >>> find_spacing(noise, ColumnNetwork.load(device="cpu")) is None
    True
    """
    # Pieces first; the whole image only where the crystal may lie between them.
    for n_pieces in (_PIECES, None):
        trials = [_try(image, network, WORKING_SPACING / spacing, n_pieces) for spacing in _LADDER]
        trials = [trial for trial in trials if trial is not None]
        if trials:
            most = max(trial.filled for trial in trials)
            # The finest scale that explains a good part: at coarser ones, groups of columns look like one, and
            # faint columns between strong ones are left out.
            good = sorted(
                (t for t in trials if t.filled > _GOOD_PART * most), key=lambda trial: trial.spacing
            )
            best = next((t for t in good if len(good) == 1 or _repeats(image, t.spacing)), good[0])
            refined = _try(image, network, WORKING_SPACING / best.spacing, n_pieces, exactly=True)
            return (refined or best).spacing
    return None


def _repeats(image, spacing):
    """Whether anything repeats at this scale, which the noise of an enlarged image does not."""
    small = resample(image, WORKING_SPACING / spacing)
    return next(significant_cells(small, np.ones_like(small), WORKING_SPACING), None) is not None


def _try(image, network, factor, n_pieces, *, exactly=False):
    """Find columns in pieces of the image at one scale; None where they are none, or not at the network's distance."""
    side = math.ceil(_PIECE / factor)
    if min(image.shape) * factor < 2 * _SMALLEST or (n_pieces and side * side > image.size * 4):
        n_pieces = None
    groups, area, weight = [], 0.0, 0.0
    for piece in _pieces(image, side, n_pieces):
        small = standardised(resample(piece, factor))
        positions, likelihood = find_peaks(probability_map(network, small), least=0.4)
        area += small.size
        if len(positions) >= 4:
            groups.append(positions)
            weight += likelihood.sum()
    if not groups:
        return None
    if exactly:
        distance = nearest_distance(groups)
    else:
        nearest = [cKDTree(group).query(group, k=2)[0][:, 1] for group in groups]
        distance = float(np.median(np.concatenate(nearest)))
    if not _ACCEPTED[0] <= distance <= _ACCEPTED[1]:
        return None
    trial = _Trial(distance / factor, weight * distance**2 / area)
    # What is nearer than any columns are sought is the noise of an enlarged image.
    return trial if trial.filled > _LEAST_FILLED and trial.spacing > _NEAREST else None


def _pieces(image, side, n_pieces):
    """Squares at the centre and towards the corners; the image itself where it is hardly larger, or for None."""
    if n_pieces is None or min(image.shape) <= 1.5 * side:
        return [image]
    height, width = image.shape
    room = np.array([height - min(side, height), width - min(side, width)])
    places = [(0.5, 0.5), (0.2, 0.2), (0.8, 0.8), (0.2, 0.8), (0.8, 0.2)][:n_pieces]
    corners = [(room * place).astype(int) for place in places]
    return [image[top : top + side, left : left + side] for top, left in corners]
