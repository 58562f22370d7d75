"""Columns that were overlooked, on sites of the crystal where the image stands high enough."""

import numpy as np
import pandas as pd

from stemlib.columns.gaussians import fit_columns
from stemlib.columns.heights import fit_heights
from stemlib.defects.interstitials import places_between
from stemlib.defects.significance import clipped_scatter
from stemlib.defects.sublattices import assign_sites

# Over the usual height, and over the scatter between columns: so high the image stands at a site with a column. A dim
# one must stand out of the noise.
_OVERLOOKED, _FAINT, _ABOVE_NOISE = 0.5, 0.2, 5.0


def complete_columns(image, columns, lattice):
    """Put columns on the sites of a crystal, and add those that were overlooked.

    A column found for two that overlap lies between them. Where a site has no column though the image stands high
    there, one is added, and all columns are fitted anew beside each other.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W), float32
        Bright columns.
    columns : stemlib.columns.Columns
    lattice : stemlib.lattice.Lattice

    Returns
    -------
    table : pandas.DataFrame
        ``y, x, probability`` (0 for columns that are added) ``, intensity, site`` of the cell (-1: none).
    sites : stemlib.defects.sublattices.Sites
        With the rows of the table.

    Examples
    --------
    >>> from stemlib.columns.find import Columns
    >>> from stemlib.lattice.find import find_lattice
    >>> from stemlib.synthetic import crystal_image
    >>> scene = crystal_image("square", (128, 128), spacing=10, seed=0)
    >>> seen = scene.columns.drop(index=70).assign(probability=1.0)
    >>> table, _ = complete_columns(
    ...     scene.image, Columns(seen, scene.image, 10.0, 2.2, None), find_lattice(scene.image)
    ... )
    >>> len(table) - len(seen)
    1
    """
    table = columns.table[["y", "x", "probability", "intensity"]]
    positions = table[["y", "x"]].to_numpy()
    sites = assign_sites(positions, lattice, columns.spacing)
    empty = sites.columns < 0
    if empty.any() and not empty.all():
        at = sites.positions.copy()
        at[~empty] = positions[sites.columns[~empty]]
        overlooked = empty & _stands_high(image, at, empty, sites.kind, columns)
        if overlooked.any():
            start = np.vstack([positions, at[overlooked]])
            positions, intensity, *_ = fit_columns(image, start, columns.spacing, sigma=columns.sigma)
            probability = np.append(table["probability"], np.zeros(overlooked.sum()))
            table = pd.DataFrame(
                {
                    "y": positions[:, 0],
                    "x": positions[:, 1],
                    "probability": probability,
                    "intensity": intensity,
                }
            )
            sites = assign_sites(positions, lattice, columns.spacing)
    site = np.full(len(table), -1)
    taken = sites.columns >= 0
    site[sites.columns[taken]] = sites.kind[taken]
    return table.assign(site=site), sites


def _stands_high(image, at, empty, kind, columns):
    """Where the image stands so high that a column must be there."""
    between = places_between(at, columns.spacing, image.shape)
    heights, _ = fit_heights(image, np.vstack([at, between]), columns.sigma, columns.spacing)
    heights, noise = heights[: len(at)], heights[len(at) :]
    usual = np.full(kind.max() + 1, np.inf)
    for one in np.unique(kind[~empty]):
        usual[one] = np.nanmedian(heights[~empty & (kind == one)])
    least = _OVERLOOKED * usual[kind]
    if np.isfinite(noise).sum() > 2:
        mean, sd, _ = clipped_scatter(noise[np.isfinite(noise)])
        least = np.minimum(np.maximum(_FAINT * usual[kind], mean + _ABOVE_NOISE * sd), least)
    return heights > least
