"""Agreement of found domains with known ones: which pixels have the right label, and how far boundaries are apart."""

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree


def label_accuracy(truth, found, *, band=0.0, boundaries=(), undecided=None):
    """Share of the pixels of known domains that have the right label, for the best assignment of labels.

    Found labels are assigned to true ones one to one, so that a domain found in two pieces counts with one of them. A
    pixel of a domain that is found to be undecided (-1) is wrong. Pixels that are -1 in the truth are not counted.

    Parameters
    ----------
    truth : array_like of int, shape (H, W)
        0, 1, ... in the domains, -1 elsewhere.
    found : array_like of int, shape (H, W)
        Labels as `stemlib.find_domains` gives them.
    band : float
        Pixels this near to a change of label in the truth or to `boundaries` are not counted, px.
    boundaries : iterable of array_like, shape (N, 2)
        Further lines (y, x), px, such as a second drawing of the same boundary.
    undecided : array_like of bool, shape (H, W), optional
        True where nobody can say: not counted.

    Returns
    -------
    float
        0 to 1; NaN where no pixel counts.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> truth = np.repeat([[0, 0, 1, 1]], 2, axis=0)
    >>> label_accuracy(truth, 1 - truth), label_accuracy(truth, np.zeros((2, 4), int))
    (1.0, 0.5)
    """
    truth, found = np.asarray(truth, int), np.asarray(found, int)
    if truth.shape != found.shape:
        raise ValueError(f"found: its shape {found.shape} must be the truth's, {truth.shape}")
    counted = (truth >= 0) & ~near_boundary(truth, band, boundaries)
    if undecided is not None:
        counted &= ~np.asarray(undecided, bool)
    if not counted.any():
        return float("nan")
    true, seen = truth[counted], found[counted]
    table = np.zeros((true.max() + 1, max(seen.max(), 0) + 1), int)
    np.add.at(table, (true[seen >= 0], seen[seen >= 0]), 1)
    rows, columns = linear_sum_assignment(-table)
    return float(table[rows, columns].sum() / len(true))


def near_boundary(labels, band, boundaries=()):
    """Return where a map of labels is within a distance, px, of a change of label or of lines; nowhere for 0.

    Examples
    --------
    >>> near_boundary([[0, 0, 0, 1, 1]], 1.0).tolist()
    [[False, False, True, True, False]]
    """
    labels = np.asarray(labels)
    if band <= 0:
        return np.zeros(labels.shape, bool)
    # Changes lie between pixels: half a px from both.
    far = np.full(labels.shape, np.inf)
    for axis in (0, 1):
        change = np.diff(labels, axis=axis) != 0
        pad = [(0, 0), (0, 0)]
        for side in ((0, 1), (1, 0)):
            pad[axis] = side
            edge = np.pad(change, pad)
            if edge.any():
                far = np.minimum(far, distance_transform_edt(~edge) + 0.5)
    for line in boundaries:
        tree = cKDTree(resampled(line))
        points = np.stack(np.indices(labels.shape), axis=-1).reshape(-1, 2)
        far = np.minimum(far, tree.query(points, distance_upper_bound=band + 1)[0].reshape(labels.shape))
    return far <= band


def boundary_distance(truth, found):
    """Mean distance between two sets of lines, from each to the other and averaged over both ways.

    Parameters
    ----------
    truth, found : iterable of array_like, shape (N, 2)
        Lines by their vertices (y, x), px; those of less than two vertices are left out.

    Returns
    -------
    float
        Px; NaN where either has no line.

    Examples
    --------
    >>> boundary_distance([[(0, 0), (0, 10)]], [[(3, 0), (3, 10)]])
    3.0
    """
    sets = [[resampled(line) for line in lines if len(line) > 1] for lines in (truth, found)]
    if not all(sets):
        return float("nan")
    points = [np.vstack(lines) for lines in sets]
    there, back = (cKDTree(points[1 - k]).query(points[k])[0].mean() for k in (0, 1))
    return float((there + back) / 2)


def resampled(line, step=0.5):
    """Points along a line, equally spaced and at most `step` px apart.

    Parameters
    ----------
    line : array_like, shape (N, 2)
    step : float

    Returns
    -------
    numpy.ndarray, shape (M, 2)

    Examples
    --------
    >>> resampled([(0, 0), (0, 1)]).tolist()
    [[0.0, 0.0], [0.0, 0.5], [0.0, 1.0]]
    """
    line = np.asarray(line, float).reshape(-1, 2)
    along = np.append(0, np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1)))
    at = np.linspace(0, along[-1], int(np.ceil(along[-1] / step)) + 1)
    return np.column_stack([np.interp(at, along, line[:, 0]), np.interp(at, along, line[:, 1])])
