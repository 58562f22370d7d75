"""Unit cells in standard form, the cells of a lattice within a rectangle, and its reflections."""

import numpy as np


def reduce_cell(cell):
    """Bring a cell into its reduced form (Lagrange and Gauss).

    Parameters
    ----------
    cell : array_like, shape (2, 2)
        Two translations as rows, (y, x).

    Returns
    -------
    numpy.ndarray, shape (2, 2)
        The two shortest translations a, b, |a| <= |b|, at an angle of 90 to 120 degrees; a points to the right
        (or straight up).

    Examples
    --------
    >>> reduce_cell([[0, 10], [10, 9]]).tolist()
    [[0.0, 10.0], [10.0, -1.0]]
    """
    a, b = np.array(cell, float)
    while True:
        if a @ a > b @ b:
            a, b = b, a
        steps = np.round((a @ b) / (a @ a))
        shorter = b - steps * a
        # Also where a is zero, and this not a number.
        if not shorter @ shorter < b @ b:
            break
        b = shorter
    if a[1] < 0 or (a[1] == 0 and a[0] > 0):
        a = -a
    if a @ b > 0:
        b = -b
    return np.array([a, b])


def cells_between(cell, origin, low, high, *, margin=0):
    """Find the cells of a lattice that a rectangle touches.

    Parameters
    ----------
    cell : numpy.ndarray, shape (2, 2)
    origin, low, high : array_like, shape (2,)
        (y, x) of a lattice point and of the rectangle's corners.
    margin : int
        Cells more on each side.

    Returns
    -------
    numpy.ndarray of int, shape (N, 2)
        How many translations from the origin, row by row, of a parallelogram of cells around the rectangle.

    Examples
    --------
    >>> cells_between(np.eye(2), (0, 0), (0, 0), (1, 2)).tolist()
    [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]
    """
    corners = np.array([low, [low[0], high[1]], [high[0], low[1]], high]) - origin
    steps = corners @ np.linalg.inv(cell)
    first = np.floor(steps.min(axis=0)).astype(int) - margin
    last = np.ceil(steps.max(axis=0)).astype(int) + margin
    return np.mgrid[first[0] : last[0] + 1, first[1] : last[1] + 1].reshape(2, -1).T


_FINEST = 2.0  # cycles per spacing up to which a crystal's columns reflect


def reflections_of(cell, spacing):
    """Find the reflections of a lattice that its columns can show, one of each pair.

    Parameters
    ----------
    cell : numpy.ndarray, shape (2, 2)
        Translations as rows, (y, x), px.
    spacing : float
        Distance of neighbouring columns, px; nothing finer than half of it shows.

    Returns
    -------
    indices : numpy.ndarray of int, shape (N, 2)
    vectors : numpy.ndarray, shape (N, 2)
        (y, x), cycles per px.

    Examples
    --------
    >>> reflections_of(np.array([[0.0, 10.0], [10.0, 0.0]]), 16.0)[0].tolist()
    [[0, 1], [1, 0]]
    """
    finest = _FINEST / spacing
    far = np.ceil(finest * np.linalg.norm(cell, axis=1)).astype(int)
    indices = np.mgrid[0 : far[0] + 1, -far[1] : far[1] + 1].reshape(2, -1).T
    indices = indices[(indices[:, 0] > 0) | (indices[:, 1] > 0)]
    vectors = indices @ np.linalg.inv(cell).T
    near = np.linalg.norm(vectors, axis=1) <= finest
    return indices[near], vectors[near]
