"""Where the heights of a crystal's columns are compared: at the column, at its site, or at both."""

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial import cKDTree

from stemlib.columns.heights import fit_heights
from stemlib.columns.peaks import nearest_distances
from stemlib.defects.interstitials import places_between
from stemlib.defects.segments import on_image

# Standard deviations of a peak: so close to one of at least twice its height, or any other, a peak is none of its own.
_BESIDE_HIGHER, _BESIDE_LIKE = 2.5, 2.0
_SHOULDER = 0.5
_APART = 1.8  # standard deviations of a peak between places whose heights can be told apart
_FAR = 0.2  # over the spacing: a column that is not farther from its site is not astray
_OUTERMOST = 1.0  # over the spacing: columns closer to the edge have no neighbours beyond
_CUT = 1.65  # standard deviations of a peak: of those closer to an edge, a twentieth and more is cut off


@dataclass(frozen=True, eq=False)
class Placed:
    """Where to fit heights.

    Parameters
    ----------
    at : numpy.ndarray, shape (N, 2)
        For every site, (y, x) px: the site itself where it is empty, where its column is cut by the edge, seen as two
        halves, or so far off that both places show by themselves; else where the column is.
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

    Parameters
    ----------
    image, positions, sites, sigma, spacing, mask, seed
        As `stemlib.defects.column_statistics.compare_sites` takes them.

    Returns
    -------
    Placed

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
    at = np.where((astray | cut | halved)[:, None], sites.positions, own)
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
