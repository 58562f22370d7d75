"""How many defects of each kind there are, per area in which they would have been seen."""

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from stemlib.defects.merging import nearest_values
from stemlib.io.density import number_density


def judged_area(columns, segments, shape):
    """Return where defects would have been seen: within a spacing of what was compared with others of its kind.

    Parameters
    ----------
    columns, segments : pandas.DataFrame
        As `Defects.columns` and `Defects.segments`; columns of score 0 could not be judged.
    shape : tuple of int
        Height and width of the image, px.

    Returns
    -------
    numpy.ndarray of bool, shape (H, W)

    Examples
    --------
    >>> y, x = np.divmod(np.arange(100), 10) * np.array([[4.0], [4.0]])
    >>> columns = pd.DataFrame({"y": y, "x": x, "score": np.where(x < 20, 0.3, 0.0)})
    >>> judged_area(columns, columns[:0], (40, 40)).mean(axis=0)[[0, 10, 30]]
    array([1., 1., 0.])
    """
    at = columns[["y", "x"]].to_numpy()
    if len(at) < 2:
        return np.zeros(shape, bool)
    spacing = np.median(cKDTree(at).query(at, k=2)[0][:, 1])
    return np.isfinite(nearest_values([columns[columns["score"] > 0], segments], shape, spacing))


def densities(table, judged, pixel_size_nm):
    """Return the density of all defects and of each kind, with exact 95 % Poisson intervals.

    Parameters
    ----------
    table : pandas.DataFrame
        Defects, with their `kind`.
    judged : numpy.ndarray of bool, shape (H, W)
        Where they would have been seen.
    pixel_size_nm : float or None

    Returns
    -------
    pandas.DataFrame
        One row per kind and "all", its index: ``count, area, per_area, low, high`` (px² and per px²) and, with a pixel
        size, ``area_nm2, per_nm2, low_per_nm2, high_per_nm2``; without rows where nothing was judged.

    Examples
    --------
    >>> defects = pd.DataFrame({"kind": ["missing", "dim", "missing"]})
    >>> found = densities(defects, np.ones((20, 20), bool), 0.1)
    >>> found["count"].to_dict(), found["per_nm2"].round(3).to_dict()
    ({'all': 3, 'dim': 1, 'missing': 2}, {'all': 0.75, 'dim': 0.25, 'missing': 0.5})
    """
    area = int(judged.sum())
    counts = {"all": len(table)} | table["kind"].value_counts().sort_index().to_dict()
    rows = {
        kind: vars(number_density(int(count), area, pixel_size_nm=pixel_size_nm))
        for kind, count in counts.items()
        if area
    }
    result = pd.DataFrame.from_dict(rows, orient="index").dropna(axis=1, how="all")
    return result.rename_axis("kind")
