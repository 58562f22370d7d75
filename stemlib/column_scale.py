"""The scale of an atomic-resolution image: the distance of neighbouring columns, found without a parameter."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial import cKDTree

from stemlib.column_network import probability_map, standardised
from stemlib.column_peaks import find_peaks

WORKING_SPACING = 7.0  # px between neighbours at which the network is asked
_LADDER = np.geomspace(4.0, 80.0, 9)
_PIECES, _PIECE = 5, 96  # how many pieces are tried, and their side at the network's scale, px
_SMALLEST = 8  # px
_ACCEPTED = (4.0, 12.5)  # px
_NEAREST = 3.5  # px
_LEAST_FILLED = 0.08
_GOOD_PART = 0.4


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
        image = cv2.GaussianBlur(
            image, (0, 0), 0.42 * np.sqrt(1 / factor**2 - 1) + 1e-3, borderType=cv2.BORDER_REFLECT
        )
    return cv2.warpAffine(
        image,
        matrix,
        (shape[1], shape[0]),
        flags=(cv2.INTER_LINEAR if factor < 0.5 else cv2.INTER_CUBIC) | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT,
    )


@dataclass(frozen=True)
class _Trial:
    """What the network found at one scale: the columns' distance, and how much of the image they fill."""

    spacing: float
    filled: float


def find_spacing(image, network):
    """Find the distance of neighbouring columns in an image of unknown scale.

    The network answers only where neighbours are 4 to 13 px apart. It is tried on pieces of the image resampled to a
    ladder of scales; the finest at which the columns found fill a good part of what they fill at any is taken, and
    refined.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W), float32
    network : stemlib.column_network.ColumnNetwork

    Returns
    -------
    float or None
        Median distance of nearest neighbours, px; None where no columns are found at any scale.

    Examples
    --------
    >>> import numpy as np
    >>> from stemlib.column_network import load_column_network
    >>> noise = np.random.default_rng(0).normal(size=(128, 128)).astype("float32")
    >>> find_spacing(noise, load_column_network(device="cpu")) is None
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
            best = min((t for t in trials if t.filled > _GOOD_PART * most), key=lambda trial: trial.spacing)
            refined = _try(image, network, WORKING_SPACING / best.spacing, n_pieces)
            return (refined or best).spacing
    return None


def _try(image, network, factor, n_pieces):
    """Find columns in pieces of the image at one scale; None where they are none, or not at the network's distance."""
    side = math.ceil(_PIECE / factor)
    if min(image.shape) * factor < 2 * _SMALLEST or (n_pieces and side * side > image.size * 4):
        n_pieces = None
    distances, area, weight = [], 0.0, 0.0
    for piece in _pieces(image, side, n_pieces):
        small = standardised(resample(piece, factor))
        positions, likelihood = find_peaks(probability_map(network, small), least=0.4)
        area += small.size
        if len(positions) >= 4:
            nearest = cKDTree(positions).query(positions, k=2)[0][:, 1]
            distances.append(nearest)
            weight += likelihood.sum()
    if not distances:
        return None
    distance = float(np.median(np.concatenate(distances)))
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
