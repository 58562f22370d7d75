"""The scale of a crystal's columns, taken from its sites: their distance, and the width of the peaks on them."""

import numpy as np
from scipy.spatial import cKDTree

from stemlib.column_width import fit_width

_ROUNDS = 4  # of fits of the width, each of which changes it by a third at most
_SETTLED = 0.03


def site_scale(image, sites, sigma, spacing):
    """Find the width of peaks on the sites of a crystal, and the distance of neighbouring sites.

    Where columns hardly stand out of the noise, peaks fitted where each seems to be come out too narrow, and noise
    taken for columns too close. At the sites, which the whole crystal tells, noise has nothing to choose.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W), float32
        Bright columns.
    sites : stemlib.sites.Sites
    sigma, spacing : float
        Standard deviation of the columns' peaks and distance of neighbours, px, to start from.

    Returns
    -------
    sigma, spacing : float
        As they were where there are fewer than two sites.

    Examples
    --------
    >>> from stemlib.lattice import find_lattice
    >>> from stemlib.sites import assign_sites
    >>> from stemlib.synthetic import crystal_image
    >>> scene = crystal_image("square", (128, 128), spacing=10, seed=0)
    >>> sites = assign_sites(scene.columns[["y", "x"]].to_numpy(), find_lattice(scene.image), 9.0)
    >>> [round(value, 1) for value in site_scale(scene.image, sites, 1.5, 9.0)]
    [2.2, 10.0]
    """
    if len(sites.positions) < 2:
        return sigma, spacing
    nearest = cKDTree(sites.positions).query(sites.positions, k=2)[0][:, 1]
    spacing = float(np.median(nearest))
    image = np.asarray(image, np.float64)
    for _ in range(_ROUNDS):
        before, sigma = sigma, fit_width(image, sites.positions, sigma, spacing)
        if abs(sigma - before) <= _SETTLED * before:
            break
    return sigma, spacing
