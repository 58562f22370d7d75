"""What look-alikes foretell: where a column should be, and how high, going by the rest of the image."""

from dataclasses import dataclass

import cv2
import numba
import numpy as np
from scipy.spatial import cKDTree

_RINGS = (0.7, 2.3)  # over the spacing: surroundings begin and end
_STEP = 0.45  # over the spacing: between the points at which surroundings are sampled
_COMPONENTS = 10
_MOST_EXAMPLES = 4000
_ROWS = 16384
_NEIGHBOURS, _LIKE = 8, 9  # neighbours that are asked, and look-alikes of each
_REACH = 0.4  # over the spacing: how far from a point its site may be
_PASSES = 3  # of usual heights on to look-alikes of look-alikes, whose noise is another
_AGREE = 0.2  # over the spacing: votes that are closer to each other agree


@dataclass(frozen=True, eq=False)
class Foretold:
    """Sites near given points, as neighbours' look-alikes foretell them.

    Parameters
    ----------
    sites : numpy.ndarray, shape (N, 2)
        (y, x), px.
    heights, likelihood : numpy.ndarray, shape (N,)
        Median height of the columns on such sites, and median probability. NaN without votes.
    share : numpy.ndarray, shape (N,)
        Share of the votes that agree on a column there, 0..1.
    """

    sites: np.ndarray
    heights: np.ndarray
    likelihood: np.ndarray
    share: np.ndarray


def foretell(image, positions, heights, likelihood, spacing, points, own=None):
    """Foretell the site near a point, and the height of its column, from places of the image that look the same.

    Crystals repeat themselves. Each of the eight likely columns nearest to the point is compared with the others of the
    image, by what surrounds it within 2.3 spacings. Where those nine that are most like it have a column in the
    direction of the point, the point's neighbour is taken to have one at the same vector. Votes that agree within 0.2
    spacings make the site.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W), float32
        Smoothed over a column's width.
    positions : numpy.ndarray, shape (N, 2)
        Of the columns, (y, x), px. At least ten must be likely.
    heights, likelihood : numpy.ndarray, shape (N,)
        Of the columns, and the network's probability of each.
    spacing : float
        Distance of neighbouring columns, px.
    points : numpy.ndarray, shape (M, 2)
        Where sites are asked for, (y, x), px.
    own : numpy.ndarray of int, shape (M,), optional
        The column that is at each point, which is not its own neighbour.

    Returns
    -------
    Foretold
        M sites.

    References
    ----------
    A. Buades, B. Coll, J.-M. Morel, "A non-local algorithm for image denoising", CVPR (2005),
    https://doi.org/10.1109/CVPR.2005.38, for the use of what looks alike elsewhere in an image.

    Examples
    --------
    >>> import numpy as np
    >>> grid = np.mgrid[10:110:10, 10:110:10].reshape(2, -1).T.astype(float)
    >>> seen = grid.copy()
    >>> seen[44] += [2, -1]
    >>> ones, own = np.ones(100), np.array([44])
    >>> foretold = foretell(np.zeros((120, 120), np.float32), seen, ones, ones, 10, seen[own], own)
    >>> foretold.sites.round(1).tolist() == [grid[44].tolist()]
    True
    """
    own = np.full(len(points), -1) if own is None else own
    likely = np.flatnonzero(likelihood >= 0.5)
    neighbours = _others(cKDTree(positions[likely]), points, likely, own, _NEIGHBOURS)
    voters, row = np.unique(neighbours, return_inverse=True)
    alike = _look_alikes(image, positions, voters, likely, spacing)[row.reshape(neighbours.shape)]
    # The point as a look-alike sees it: (M, neighbours, look-alikes, 2).
    places = positions[alike] + (points[:, None] - positions[neighbours])[:, :, None]
    places = places.reshape(len(points), -1, 2)
    distance, column = cKDTree(positions).query(places, distance_upper_bound=_REACH * spacing)
    votes = np.isfinite(distance)
    column = np.where(votes, column, 0)
    offsets = positions[column] - places
    agreeing = _largest_group(offsets, votes, _AGREE * spacing)
    inside = ((places >= 0) & (places <= np.array(image.shape) - 1)).all(axis=-1)
    n_agreeing, n_votes = agreeing.sum(axis=1), (votes | inside).sum(axis=1)
    mean = np.where(agreeing[..., None], offsets, 0).sum(axis=1) / np.maximum(n_agreeing, 1)[:, None]
    return Foretold(
        points + mean,
        _median_of(heights[column], agreeing),
        _median_of(likelihood[column], agreeing),
        n_agreeing / np.maximum(n_votes, 1),
    )


def usual_heights(image, positions, heights, likelihood, spacing):
    """Find the median height of each column's look-alikes: those with the same surroundings.

    As surroundings begin at 0.7 spacings, it does not depend on the noise of the column itself.

    Parameters
    ----------
    image, positions, heights, likelihood, spacing
        As in `foretell`.

    Returns
    -------
    numpy.ndarray, shape (N,)

    Examples
    --------
    >>> from stemlib.synthetic import render_columns
    >>> places = np.mgrid[8:90:8, 8:90:8].reshape(2, -1).T.astype(float)
    >>> there = np.arange(len(places)) != 50
    >>> image = render_columns(places[there], np.ones(there.sum()), (96, 96), 1.8).astype("float32")
    >>> float(usual_heights(image, places, there.astype(float), np.ones(len(places)), 8.0)[50])
    1.0
    """
    likely = np.flatnonzero(likelihood >= 0.5)
    alike = _look_alikes(image, positions, np.arange(len(positions)), likely, spacing)
    usual = np.median(heights[alike], axis=1)
    for _ in range(_PASSES):
        usual = usual[alike].mean(axis=1)
    return usual


def _others(tree, points, members, own, count):
    """The `count` members nearest to each point, but not itself: (N, count) of `members`."""
    _, nearest = tree.query(points, k=count + 1)
    found = members[nearest]
    itself = found == own[:, None]
    # Where it is no member, the farthest goes instead.
    itself[~itself.any(axis=1), -1] = True
    return found[~itself].reshape(len(points), count)


def _look_alikes(image, positions, voters, likely, spacing):
    """For each voter the likely columns with the same surroundings: (V, 9) of the columns."""
    # A fixed choice, evenly through the image: enough to find look-alikes, and the cost stays linear.
    examples = likely[np.unique(np.linspace(0, len(likely) - 1, _MOST_EXAMPLES).astype(int))]
    around_examples = _surroundings(image, positions[examples], spacing)
    mean = around_examples.mean(axis=0)
    _, axes = np.linalg.eigh(np.cov(around_examples.T))
    # The last axes are those of the largest variance.
    components = axes[:, -_COMPONENTS:]
    around = _surroundings(image, positions[voters], spacing)
    tree = cKDTree((around_examples - mean) @ components)
    return _others(tree, (around - mean) @ components, examples, voters, _LIKE)


def _surroundings(image, positions, spacing):
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
            image, places[..., 1], places[..., 0], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )
    return samples


@numba.njit(cache=True)
def _largest_group(offsets, votes, reach):
    """Votes within reach of the one that most others are near to."""
    group = np.zeros(votes.shape, np.bool_)
    for m in range(len(votes)):
        best, most = -1, 0
        for i in range(votes.shape[1]):
            if not votes[m, i]:
                continue
            count = 0
            for j in range(votes.shape[1]):
                if votes[m, j] and _close(offsets[m, i], offsets[m, j], reach):
                    count += 1
            if count > most:
                best, most = i, count
        for j in range(votes.shape[1]):
            group[m, j] = best >= 0 and votes[m, j] and _close(offsets[m, best], offsets[m, j], reach)
    return group


@numba.njit(cache=True)
def _close(one, other, reach):
    return (one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2 < reach * reach


def _median_of(values, chosen):
    """Median of the chosen values of each row; NaN without."""
    ordered = np.sort(np.where(chosen, values, np.inf), axis=1)
    count = chosen.sum(axis=1)
    rows = np.arange(len(values))
    low, high = np.maximum(count - 1, 0) // 2, count // 2
    middle = (ordered[rows, low] + ordered[rows, np.minimum(high, values.shape[1] - 1)]) / 2
    return np.where(count > 0, middle, np.nan)
