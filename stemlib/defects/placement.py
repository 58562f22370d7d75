"""Columns put on the sites of a crystal: those that were overlooked, their width, and where heights are compared."""

from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from stemlib.columns.gaussians import fit_columns
from stemlib.columns.heights import fit_heights
from stemlib.columns.peaks import nearest_distances
from stemlib.columns.width import fit_width
from stemlib.defects.interstitials import places_between
from stemlib.defects.segments import on_image
from stemlib.defects.significance import clipped_scatter
from stemlib.defects.sites import assign_sites

_SURE = 0.5  # of the usual height, from which on a column's own place is believed
# Standard deviations of a peak: so close to one of at least twice its height, or any other, a peak is none of its own.
_BESIDE_HIGHER, _BESIDE_LIKE = 2.5, 2.0
_SHOULDER = 0.5
_APART = 1.8  # standard deviations of a peak between places whose heights can be told apart
_FAR = 0.2  # over the spacing: a column that is not farther from its site is not astray
_OUTERMOST = 1.0  # over the spacing: columns closer to the edge have no neighbours beyond
_CUT = 1.65  # standard deviations of a peak: of those closer to an edge, a twentieth and more is cut off
_FEWEST = 6  # columns of a sublattice from which on its scatter is known
# Over the usual height, and over the scatter between columns: so high the image stands at a site with a column. A dim
# one must stand out of the noise.
_OVERLOOKED, _FAINT, _ABOVE_NOISE = 0.5, 0.2, 5.0


def complete_columns(image, columns, lattice, *, seed=0):
    """Put columns on the sites of a crystal, and add those that were overlooked.

    A column found for two that overlap lies between them. Where a site has no column though the image stands high
    there, one is added, and all columns are fitted anew beside each other.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W), float32
        Bright columns.
    columns : stemlib.columns.Columns
    lattice : stemlib.lattice.Lattice
    seed : int or numpy.random.Generator
        Chooses the places that tell the noise.

    Returns
    -------
    table : pandas.DataFrame
        ``y, x, probability`` (0 for columns that are added) ``, intensity, site`` of the cell (-1: none).
    sites : stemlib.defects.sites.Sites
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
    sites = assign_sites(image, positions, lattice, columns.spacing)
    taken = sites.columns >= 0
    if taken.any() and not taken.all():
        at = sites.positions.copy()
        at[taken] = positions[sites.columns[taken]]
        overlooked = ~taken & _stands_high(image, at, sites, columns, seed)
        if overlooked.any():
            start = np.vstack([positions, at[overlooked]])
            positions, intensity, _ = fit_columns(image, start, columns.spacing, sigma=columns.sigma)
            probability = np.append(table["probability"], np.zeros(overlooked.sum()))
            table = pd.DataFrame(positions, columns=["y", "x"])
            table = table.assign(probability=probability, intensity=intensity)
            sites = assign_sites(image, positions, lattice, columns.spacing)
    site = np.full(len(table), -1)
    taken = sites.columns >= 0
    site[sites.columns[taken]] = sites.kind[taken]
    return table.assign(site=site), sites


def _stands_high(image, at, sites, columns, seed):
    """Where, of columns and empty sites, the image stands so high that a column must be there."""
    between = places_between(at, columns.spacing, image.shape, seed)
    heights, _ = fit_heights(image, np.vstack([at, between]), columns.sigma, columns.spacing)
    heights, noise = heights[: len(at)], heights[len(at) :]
    usual = usual_of_kinds(heights, sites, sites.columns >= 0)[sites.kind]
    least = _OVERLOOKED * usual
    if np.isfinite(noise).sum() > 2:
        mean, sd, _ = clipped_scatter(noise[np.isfinite(noise)])
        least = np.minimum(np.maximum(_FAINT * usual, mean + _ABOVE_NOISE * sd), least)
    return heights > least


@dataclass(frozen=True, eq=False)
class Placed:
    """Where to fit heights.

    Parameters
    ----------
    at : numpy.ndarray, shape (N, 2)
        For every site, (y, x) px: the site itself where it is empty, where its column is lost in noise, cut by the
        edge, or so far off that both places show by themselves; else where the column is.
    own : numpy.ndarray, shape (N, 2)
        Where the column of every site is; the site, where it is empty.
    offsets : numpy.ndarray, shape (N, 2)
        Of columns from their sites, px; NaN where none is, or its place is not its own.
    astray : numpy.ndarray of bool, shape (N,)
        Columns so far off their sites that both places show by themselves.
    rim : numpy.ndarray of int, shape (N,)
        Along which edge of the image a column is one of the outermost: 1 to 4, 0 for those farther inside.
    cut : numpy.ndarray of bool, shape (N,)
        Where the edge or the mask cuts the peak.
    relative : numpy.ndarray, shape (N,)
        Height over what is usual for the kind of site.
    usual : numpy.ndarray, shape (S,)
        Median height of each kind of site; infinite where no column tells.
    extra : numpy.ndarray of int, shape (M,)
        Columns on no site that are not but the shoulder of another.
    between : numpy.ndarray, shape (B, 2)
        Places at which no column is.
    """

    at: np.ndarray
    own: np.ndarray
    offsets: np.ndarray
    astray: np.ndarray
    rim: np.ndarray
    cut: np.ndarray
    relative: np.ndarray
    usual: np.ndarray
    extra: np.ndarray
    between: np.ndarray


def place_columns(image, positions, sites, *, sigma, spacing, mask, seed=0):
    """Decide where heights are fitted to compare the columns of a crystal.

    At its own place the height of a peak in noise is too high, as noise chose the place; at its site it is not, and
    what moves a real column off its site by less than the width of its peak hardly changes its height there.

    Parameters
    ----------
    image, positions, sites, sigma, spacing, mask, seed
        As `stemlib.defects.column_statistics.compare_sites` takes them.

    Returns
    -------
    Placed

    References
    ----------
    An offset is believed by as much as it is larger than noise makes it: W. James & C. Stein, Proc. Fourth Berkeley
    Symp. Math. Statist. Prob. 1, 361 (1961).

    Examples
    --------
    >>> from stemlib.lattice.find import find_lattice
    >>> from stemlib.defects.sites import assign_sites
    >>> from stemlib.synthetic import crystal_image
    >>> from stemlib.synthetic import PointDefects
    >>> scene = crystal_image(
    ...     "square",
    ...     (128, 128),
    ...     spacing=10,
    ...     defects=PointDefects(displaced=0.02, relative_displacement=0.45),
    ...     seed=1,
    ... )
    >>> seen = scene.columns[["y", "x"]].to_numpy()
    >>> sites = assign_sites(scene.image, seen, find_lattice(scene.image), 10.0)
    >>> mask = np.ones(scene.image.shape, bool)
    >>> placed = place_columns(scene.image, seen, sites, sigma=2.2, spacing=10.0, mask=mask)
    >>> int(placed.astray.sum()), int((scene.columns["displaced"] > 0).sum())
    (2, 2)
    """
    own, taken = sites.positions.copy(), sites.columns >= 0
    own[taken] = positions[sites.columns[taken]]
    extra = sites.interstitials[on_image(positions[sites.interstitials], image.shape)]
    between = places_between(np.vstack([sites.positions, positions]), spacing, image.shape, seed)
    # A peak beside another that shares its site may be but the other half of one column: the site is asked first.
    halved = taken & (nearest_distances(positions[extra], sites.positions) < _BESIDE_HIGHER * sigma)
    own[halved] = sites.positions[halved]
    heights, _ = fit_heights(image, np.vstack([own, positions[extra], between]), sigma, spacing)
    heights, extra_heights = heights[: len(own)], heights[len(own) : len(own) + len(extra)]
    shoulders = _shoulders(positions[extra], extra_heights, own, heights, sigma)
    halved &= nearest_distances(positions[extra[shoulders]], sites.positions) < _BESIDE_HIGHER * sigma
    offsets = np.where(halved[:, None], np.nan, sites.offsets)
    usual = usual_of_kinds(heights, sites, taken)
    relative = heights / usual[sites.kind]
    rim, cut = _rim(own, mask, sigma, spacing)
    away = np.nan_to_num(np.linalg.norm(offsets, axis=1))
    astray = (away >= max(_APART * sigma, _FAR * spacing)) & ~cut
    at = _believed(sites, np.where((astray | cut)[:, None], np.nan, offsets), relative, sigma)
    return Placed(at, own, offsets, astray, rim, cut, relative, usual, extra[~shoulders], between)


def _shoulders(extra, extra_heights, at, heights, sigma):
    """Which columns on no site are but the shoulder of a peak so close that both have one maximum."""
    if not len(at) or not len(extra):
        return np.zeros(len(extra), bool)
    distance, nearest = cKDTree(at).query(extra)
    faint = extra_heights < _SHOULDER * heights[nearest]
    return distance < np.where(faint, _BESIDE_HIGHER, _BESIDE_LIKE) * sigma


def usual_of_kinds(heights, sites, taken):
    """Median height of each kind of site; infinite where no column tells."""
    result = np.full(len(sites.fractions), np.inf)
    for one in np.unique(sites.kind[taken & np.isfinite(heights)]):
        result[one] = np.median(heights[taken & np.isfinite(heights) & (sites.kind == one)])
    return result


def _believed(sites, offsets, relative, sigma):
    """Where heights are fitted: a faint column's own place is uncertain, as noise over height, its site's is not."""
    weight = np.clip(np.nan_to_num(relative) / _SURE, 0, 1) ** 2
    squares = np.nan_to_num((offsets**2).sum(axis=1))
    noise = _offset_noise(sites, relative, sigma)
    weight *= np.clip(1 - 2 * noise**2 / np.maximum(squares, 1e-12), 0, 1)
    return sites.positions + np.nan_to_num(weight[:, None] * offsets)


def _offset_noise(sites, relative, sigma):
    """Standard error of a fitted place along one axis: that of a Gaussian peak in white noise."""
    noise = np.full(len(relative), np.inf)
    for kind in np.unique(sites.kind):
        members = (sites.kind == kind) & (sites.columns >= 0) & np.isfinite(relative)
        if members.sum() >= _FEWEST:
            sd = clipped_scatter(relative[members])[1]
            noise[members] = np.sqrt(2) * sigma * sd / np.maximum(relative[members], 1e-3)
    return noise


def _rim(columns, mask, sigma, spacing):
    """Along which edge each column is one of the outermost: 1 to 4, 0 for those farther inside; and which are cut.

    The place of a peak of which edge or mask cut a twentieth is off by more than noise makes it: its background is a
    guess. Of the outermost, neighbours beyond throw their tails into the fit, in one direction all along an edge.
    """
    area = np.pad(mask.astype(np.uint8), 1)
    distance = cv2.distanceTransform(area, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1] - 0.5
    row, column = np.clip(np.rint(columns).astype(int), 0, np.array(mask.shape) - 1).T
    away = np.hstack([columns + 0.5, np.array(mask.shape) - 0.5 - columns])
    rim = np.where(away.min(axis=1) < _OUTERMOST * spacing, 1 + away.argmin(axis=1), 0)
    return rim, np.minimum(distance[row, column], away.min(axis=1)) < _CUT * sigma


_ROUNDS = 4  # of fits of the width, each of which changes it by a third at most
_SETTLED = 0.03


def scale_at_sites(image, sites, sigma, spacing):
    """Find the width of peaks on the sites of a crystal, and the distance of neighbouring sites.

    Where columns hardly stand out of the noise, peaks fitted where each seems to be come out too narrow, and noise
    taken for columns too close. At the sites, which the whole crystal tells, noise has nothing to choose.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W), float32
        Bright columns.
    sites : stemlib.defects.sites.Sites
    sigma, spacing : float
        Standard deviation of the columns' peaks and distance of neighbours, px, to start from.

    Returns
    -------
    sigma, spacing : float
        As they were where there are fewer than two sites.

    Examples
    --------
    >>> from stemlib.lattice.find import find_lattice
    >>> from stemlib.defects.sites import assign_sites
    >>> from stemlib.synthetic import crystal_image
    >>> from stemlib.synthetic import Recording
    >>> scene = crystal_image(
    ...     "square", (128, 128), spacing=10, recording=Recording(relative_sigma=0.22), seed=0
    ... )
    >>> sites = assign_sites(
    ...     scene.image, scene.columns[["y", "x"]].to_numpy(), find_lattice(scene.image), 9.0
    ... )
    >>> [round(value, 1) for value in scale_at_sites(scene.image, sites, 1.5, 9.0)]
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
