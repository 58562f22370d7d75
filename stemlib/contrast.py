"""Compare columns, and empty sites, with their own kind: intensity and position against those of their sublattice."""

import cv2
import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from stemlib._peaks import draw
from stemlib.additional_columns import judge_additional, places_between
from stemlib.column_heights import fit_heights, leftover
from stemlib.column_offsets import offset_chances
from stemlib.majority import LEAST_SHARE, Levels, normal_levels
from stemlib.sites import surrounded
from stemlib.weighted_chances import weighted_chances

_NEIGHBOURS = 24  # columns of the same sublattice that tell how bright it is around one of them
_EMPTY = 0.4  # of the usual height: what stands lower, on a site where no column is found, is none
_NOTHING = 0.15  # and on a site where one is found
_SURE = 0.5  # of the usual height, from which on a column's own place is believed
# Standard deviations of a peak: so close to one of at least twice its height, or any other, a peak is none of its own.
_BESIDE_HIGHER, _BESIDE_LIKE = 2.5, 2.0
_SHOULDER = 0.5
_FEWEST = 6  # columns of a sublattice from which on it can be judged
_DIRECTIONS = {"missing": 0, "dim": 0, "bright": 1, "displaced": 2}
_SHARES = (0.25, 0.25, 0.5)  # of normal columns below a threshold
_LEAST_SCATTER = 0.02  # of the intensity: no fit is better than its model


def compare_columns(image, positions, sites, *, sigma, spacing, mask):
    """Compare every site of a crystal with the sites of its own kind.

    Intensities are heights of peaks fitted at fixed places, where a site is empty at the site itself, over the median
    of the nearest sites of the same kind: neither slow changes of thickness nor what the other sites hold matters.
    Where a kind of site holds a mixture, several levels are normal.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W), float32
        Bright columns.
    positions : numpy.ndarray, shape (C, 2)
        Columns, (y, x) px.
    sites : stemlib.sites.Sites
    sigma, spacing : float
        Standard deviation of the columns' peaks and distance of neighbours, px.
    mask : numpy.ndarray of bool, shape (H, W)

    Returns
    -------
    table : pandas.DataFrame
        One row per site that can be judged, and per column on no site: ``y, x`` px; ``column`` (index into
        `positions`, -1 on an empty site); ``site`` of the cell (-1: none); ``intensity``, in units of the image;
        ``intensity_ratio`` over what is usual for such a site there (NaN on no site); ``content``, the same of all
        that stands within half a spacing; ``offset`` from the site, px; ``log_p`` of the less likely of intensity and
        position, weighted by how often the image shows such changes; ``kind``: "missing", "dim", "bright",
        "displaced" or "additional", which is what the row would be if it is a defect.
    n_tried : int
        Tests that were made.
    """
    at, column = sites.positions.copy(), sites.columns
    taken = column >= 0
    at[taken] = positions[column[taken]]
    extra = sites.additional[_on_image(positions[sites.additional], image.shape)]
    between = places_between(np.vstack([sites.positions, positions]), spacing, image.shape)
    n = len(at)
    heights, _ = fit_heights(image, np.vstack([at, positions[extra], between]), sigma, spacing)
    extra = extra[~_shoulders(positions[extra], heights[n : n + len(extra)], at, heights[:n], sigma)]
    others, m = np.vstack([positions[extra], between]), len(extra)
    usual = _usual(heights[:n], sites, taken)
    relative = heights[:n] / usual[sites.kind]
    at = _believed(sites.positions, at, relative)
    image = _without_beyond(image, sites, usual, sigma)
    shown = np.clip(np.rint(at).astype(int), 0, np.array(image.shape) - 1)
    usable = mask[shown[:, 0], shown[:, 1]] & _on_image(at, image.shape)
    heights, errors = fit_heights(image, np.vstack([at, others]), sigma, spacing)
    excess = _unexplained(image, np.vstack([at, others]), heights, sigma, spacing, at)
    off = offset_chances(sites.offsets, sites.kind, relative, at, spacing, image.shape)
    judged = pd.DataFrame({"y": at[:, 0], "x": at[:, 1], "column": column, "site": sites.kind})
    judged = judged.assign(
        intensity=heights[:n],
        intensity_ratio=np.nan,
        content=excess / usual[sites.kind],
        offset=np.linalg.norm(sites.offsets, axis=1),
        log_p=off,
        kind="displaced",
    )
    known = np.zeros(n, bool)
    for kind in range(len(sites.fractions)):
        member = np.flatnonzero((sites.kind == kind) & usable & np.isfinite(heights[:n]))
        if taken[member].sum() >= _FEWEST:
            _judge_intensity(judged, member, errors[member], taken[member])
            known[member] = True
    judged = _without_edges(judged[known], at[taken], spacing, image.shape)
    if len(judged):
        direction = judged["kind"].map(_DIRECTIONS).to_numpy()
        judged["log_p"] = weighted_chances(judged["log_p"].to_numpy(), direction, _SHARES)
    additional, n_places = judge_additional(
        image,
        positions,
        extra,
        heights[n : n + m],
        heights[n + m :],
        sites,
        (at, heights[:n]),
        sigma=sigma,
        spacing=spacing,
    )
    tables = [table for table in (judged, additional) if len(table)]
    table = pd.concat(tables, ignore_index=True) if tables else additional
    return table, 2 * int(known.sum()) + n_places


def _judge_intensity(judged, member, errors, taken):
    """Fill in how unusual the intensities of one kind of site are, where they are less likely than offsets."""
    heights = judged["intensity"].to_numpy()[member]
    ratio, levels = _against_neighbours(judged[["y", "x"]].to_numpy()[member], heights, taken)
    log_p, off = levels.log_chance(ratio, errors / np.median(errors)), judged["log_p"].to_numpy()[member]
    rows = judged.index[member]
    judged.loc[rows, "intensity_ratio"] = ratio
    judged.loc[rows, "content"] += ratio
    judged.loc[rows, "log_p"] = np.minimum(log_p, off)
    judged.loc[rows, "kind"] = _kinds(ratio, levels, taken, off < log_p)


def _without_edges(judged, occupied, spacing, shape):
    """Without the empty sites at the edge of a crystal: they are not a row of vacancies."""
    suspect = (judged["kind"] == "missing").to_numpy() & (judged["log_p"] < np.log(1e-2)).to_numpy()
    kept = ~suspect
    kept[suspect] = surrounded(judged.loc[suspect, ["y", "x"]].to_numpy(), occupied, spacing, shape)
    return judged[kept].reset_index(drop=True)


def _shoulders(extra, extra_heights, at, heights, sigma):
    """Which columns on no site are but the shoulder of a peak so close that both have one maximum."""
    if not len(at) or not len(extra):
        return np.zeros(len(extra), bool)
    distance, nearest = cKDTree(at).query(extra)
    faint = extra_heights < _SHOULDER * heights[nearest]
    return distance < np.where(faint, _BESIDE_HIGHER, _BESIDE_LIKE) * sigma


def _usual(heights, sites, taken):
    """Median height of each kind of site; infinite where no column tells."""
    result = np.full(len(sites.fractions), np.inf)
    for one in np.unique(sites.kind[taken & np.isfinite(heights)]):
        result[one] = np.median(heights[taken & np.isfinite(heights) & (sites.kind == one)])
    return result


def _without_beyond(image, sites, usual, sigma):
    """The image less what columns beyond its edge throw into it."""
    known = np.isfinite(usual[sites.beyond_kind])
    image = np.array(image, np.float64)
    draw(image, sites.beyond[known], -usual[sites.beyond_kind[known]], sigma)
    return image


def _believed(sites, columns, relative):
    """Where heights are fitted: a faint column's own place is uncertain, as noise over height, its site's is not."""
    weight = np.clip(np.nan_to_num(relative) / _SURE, 0, 1) ** 2
    return sites + weight[:, None] * (columns - sites)


def _unexplained(image, positions, heights, sigma, spacing, at):
    """What peaks leave over within half a spacing around columns, as the height of a peak that holds as much."""
    known = np.isfinite(heights)
    rest = leftover(image, positions[known], heights[known], sigma, spacing).astype(np.float32)
    wide = 0.5 * spacing
    sums = cv2.GaussianBlur(rest, (0, 0), wide, borderType=cv2.BORDER_REFLECT) * (1 + (wide / sigma) ** 2)
    row, column = np.clip(np.rint(at).astype(int), 0, np.array(image.shape) - 1).T
    return sums[row, column]


def _against_neighbours(at, heights, taken):
    """Heights over those usual around them, and their normal levels."""
    ratio = heights / np.median(heights[taken])
    # A site that is empty in a good share of the cells, as in one of two phases, is normal when it is empty.
    learnt = taken if (~taken).mean() < LEAST_SHARE else np.ones(len(taken), bool)
    levels = normal_levels(ratio[learnt])
    # Each column says how bright it is around it, by its own level.
    gain = ratio / levels.means[levels.nearest(ratio)]
    known = np.flatnonzero(taken)
    _, near = cKDTree(at[known]).query(at, k=np.arange(1, min(_NEIGHBOURS + 1, len(known)) + 1))
    around = np.sort(np.where(known[near] == np.arange(len(at))[:, None], np.inf, gain[known[near]]), axis=1)
    # The column itself, or on an empty site the farthest, is left out: the median of what comes before.
    around = around[:, : max(1, around.shape[1] - 1)]
    local = np.clip(np.median(around, axis=1), 0.2, 5.0)
    ratio = ratio / local
    return ratio, _widened(normal_levels(ratio[learnt]), _LEAST_SCATTER)


def _widened(levels, least):
    """Levels with no less scatter than this: a fit is never better than its model of a column."""
    return Levels(levels.means, np.hypot(levels.sds, least * np.abs(levels.means)), levels.counts)


def _on_image(at, shape):
    """Whether columns lie on the image: at its edge a fit may end up beyond it."""
    return ((at >= -0.5) & (at <= np.array(shape) - 0.5)).all(axis=1)


def _kinds(ratio, levels: Levels, taken, displaced):
    dim = ratio < levels.means[levels.nearest(ratio)]
    missing = ratio < np.where(taken, _NOTHING, _EMPTY) * levels.means[0]
    kinds = np.where(dim, np.where(missing, "missing", "dim"), "bright")
    return np.where(displaced, "displaced", kinds).astype(object)
