"""Medians of many short rows."""

import numpy as np


def median(values, axis):
    """Median along an axis, by sorting: what numpy.median returns, several times faster where it is taken often.

    Parameters
    ----------
    values : numpy.ndarray
        Floating-point numbers, at least one along the axis.
    axis : int

    Returns
    -------
    numpy.ndarray
        Without the axis.

    Examples
    --------
    >>> median(np.array([[1.0, 9.0, 2.0], [4.0, 3.0, 0.0]]), 1).tolist()
    [2.0, 3.0]
    """
    ordered = np.sort(values, axis=axis)
    count = ordered.shape[axis]
    return (np.take(ordered, (count - 1) // 2, axis) + np.take(ordered, count // 2, axis)) / 2
