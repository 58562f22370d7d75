"""Compare columns, and empty sites, with their own kind: intensity and position against those of their sublattice."""

import cv2
import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from stemlib.columns.gaussians import draw
from stemlib.columns.heights import fit_heights, leftover
from stemlib.defects.interstitials import judge_additional
from stemlib.defects.significance import (
    FEWEST_SCORES,
    Levels,
    Stabiliser,
    clipped_scatter,
    log_chances,
    normal_levels,
    weighted_chances,
)
from stemlib.defects.sites import on_image, place_columns
from stemlib.defects.sublattices import surrounded

_NEIGHBOURS = 24  # columns of the same sublattice that tell how bright it is around one of them
_EMPTY = 0.4  # of the usual height: what stands lower, on a site where no column is found, is none
_NOTHING = 0.15  # and on a site where one is found
_FEWEST = 6  # columns of a sublattice from which on it can be judged
_DIRECTIONS = {"missing": 0, "dim": 0, "bright": 1, "displaced": 2, "additional": 3}
_SHARES = (0.25, 0.25, 0.5)  # of the tests of sites, in the first three directions
_PRIOR = (0.25, 0.125, 0.25, 0.375)  # of the false alarms in each direction, until an image shows more of one
_LEAST_SCATTER = 0.02  # of the intensity: no fit is better than its model


def compare_columns(image, positions, sites, *, sigma, spacing, mask):
    """Compare every site of a crystal with the sites of its own kind.

    Intensities are heights of peaks at the places that `stemlib.defects.sites` tells, over the median of the nearest
    sites of the same kind: neither slow changes of thickness nor what the other sites hold matters. They are compared
    on a scale on which noise is the same for faint and for strong columns (`stemlib.defects.significance`). Where a
    kind of site holds a mixture, several levels are normal.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W), float32
        Bright columns.
    positions : numpy.ndarray, shape (C, 2)
        Columns, (y, x) px.
    sites : stemlib.defects.sublattices.Sites
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
    placed = place_columns(image, positions, sites, sigma=sigma, spacing=spacing, mask=mask)
    at, usual, n, column = placed.at, placed.usual, len(placed.at), sites.columns
    taken = column >= 0
    image = _without_beyond(image, sites, usual, sigma)
    shown = np.clip(np.rint(at).astype(int), 0, np.array(image.shape) - 1)
    usable = mask[shown[:, 0], shown[:, 1]] & on_image(at, image.shape)
    peaks = np.vstack([at, positions[placed.extra], placed.between, placed.own[placed.astray]])
    heights, errors = fit_heights(image, peaks, sigma, spacing)
    excess = _unexplained(image, peaks, heights, sigma, spacing, at)
    at_sites, at_extra, background, beside = np.split(
        heights, np.cumsum([n, len(placed.extra), len(placed.between)])
    )
    judged = pd.DataFrame({"y": at[:, 0], "x": at[:, 1], "column": column, "site": sites.kind})
    judged = judged.assign(
        intensity=at_sites,
        intensity_ratio=np.nan,
        content=excess / usual[sites.kind],
        offset=np.linalg.norm(placed.offsets, axis=1),
        log_p=offset_chances(
            np.where(placed.cut[:, None], np.nan, placed.offsets),
            sites.kind,
            placed.relative,
            placed.rim,
            spacing,
        ),
        kind="displaced",
    )
    known = np.zeros(n, bool)
    for kind in range(len(sites.fractions)):
        member = np.flatnonzero((sites.kind == kind) & usable & np.isfinite(at_sites))
        if taken[member].sum() >= _FEWEST:
            edge = np.where(placed.cut, placed.rim, 0)[member]
            _judge_intensity(judged, member, errors[member], taken[member], edge, _scatter(background))
            known[member] = True
    astray = np.flatnonzero(placed.astray)
    _tell_displaced(judged, astray, placed.own[astray], beside / usual[sites.kind[astray]])
    judged = _without_edges(judged[known], at[taken], spacing, image.shape)
    additional, n_places = judge_additional(
        image,
        positions,
        placed.extra,
        at_extra,
        background,
        sites,
        (at, at_sites),
        sigma=sigma,
        spacing=spacing,
    )
    tables = [table for table in (judged, additional) if len(table)]
    table = pd.concat(tables, ignore_index=True) if tables else additional
    n_sites = 2 * int(known.sum())
    if len(table):
        direction = table["kind"].map(_DIRECTIONS).to_numpy()
        tests = np.append(n_sites * np.array(_SHARES), n_places)
        table["log_p"] = weighted_chances(table["log_p"].to_numpy(float), direction, tests, _PRIOR)
    return table, n_sites + n_places


def _judge_intensity(judged, member, errors, taken, edge, empty_sd):
    """Fill in how unusual the intensities of one kind of site are, where they are less likely than offsets."""
    heights = judged["intensity"].to_numpy()[member]
    at, off = judged[["y", "x"]].to_numpy()[member], judged["log_p"].to_numpy()[member]
    ratio, levels, scale = _against_neighbours(at, heights, taken, empty_sd)
    values, errors = _along_edges(scale(ratio), levels, edge, errors / np.median(errors))
    log_p = levels.log_chance(values, errors)
    levels = Levels(scale.back(levels.means), levels.sds * scale.sd(scale.back(levels.means)), levels.counts)
    rows = judged.index[member]
    judged.loc[rows, "intensity_ratio"] = ratio
    judged.loc[rows, "content"] += ratio
    judged.loc[rows, "log_p"] = np.minimum(log_p, off)
    judged.loc[rows, "kind"] = _kinds(ratio, levels, taken, off < log_p)


def _along_edges(values, levels, edge, errors):
    """Values and errors of columns that an edge cuts, by what is usual for those along that edge.

    There, what distorts the first scan lines, and what is beyond, change all of them together.
    """
    values, errors, level = values.copy(), errors.copy(), levels.nearest(values)
    for one in np.unique(edge[edge > 0]):
        members = edge == one
        if members.sum() >= _FEWEST:
            away = (values[members] - levels.means[level[members]]) / levels.sds[level[members]]
            mean, sd, _ = clipped_scatter(away)
            values[members] -= mean * levels.sds[level[members]]
            errors[members] *= max(sd, 1.0)
    return values, errors


def _without_edges(judged, occupied, spacing, shape):
    """Without the empty sites at the edge of a crystal: they are not a row of vacancies."""
    suspect = (judged["kind"] == "missing").to_numpy() & (judged["log_p"] < np.log(1e-2)).to_numpy()
    kept = ~suspect
    kept[suspect] = surrounded(judged.loc[suspect, ["y", "x"]].to_numpy(), occupied, spacing, shape)
    return judged[kept].reset_index(drop=True)


def _without_beyond(image, sites, usual, sigma):
    """The image less what columns beyond its edge throw into it."""
    known = np.isfinite(usual[sites.beyond_kind])
    image = np.array(image, np.float64)
    draw(image, sites.beyond[known], -usual[sites.beyond_kind[known]], sigma)
    return image


def _tell_displaced(judged, rows, own, relative):
    """Say of columns far off their sites where they are and how high, unless that is noise beside an empty site."""
    real = (relative >= _EMPTY) & judged.loc[rows, "kind"].isin(["missing", "dim"]).to_numpy()
    real |= (judged.loc[rows, "kind"] == "displaced").to_numpy()
    rows = rows[real]
    judged.loc[rows, ["y", "x"]] = own[real]
    judged.loc[rows, "content"] += relative[real]
    judged.loc[rows, "intensity_ratio"] = relative[real]
    judged.loc[rows, "kind"] = "displaced"


def _scatter(heights):
    """Of heights where no columns are; infinite where too few tell."""
    heights = heights[np.isfinite(heights)]
    return clipped_scatter(heights)[1] if len(heights) >= _FEWEST else np.inf


def _unexplained(image, positions, heights, sigma, spacing, at):
    """What peaks leave over within half a spacing around columns, as the height of a peak that holds as much."""
    known = np.isfinite(heights)
    rest = leftover(image, positions[known], heights[known], sigma, spacing).astype(np.float32)
    wide = 0.5 * spacing
    sums = cv2.GaussianBlur(rest, (0, 0), wide, borderType=cv2.BORDER_REFLECT) * (1 + (wide / sigma) ** 2)
    row, column = np.clip(np.rint(at).astype(int), 0, np.array(image.shape) - 1).T
    return sums[row, column]


def _against_neighbours(at, heights, taken, empty_sd):
    """Heights over those usual around them, and their normal levels on a scale on which noise is the same for all."""
    usual = np.median(heights[taken])
    ratio = heights / usual
    # Empty sites too: some are but columns too faint to be found, and where a good share of the cells has none, as in
    # one of two phases, that is normal. Few vacancies do not count among the majority.
    levels = normal_levels(ratio)
    # Each column says how bright it is around it, by its own level.
    gain = ratio / levels.means[levels.nearest(ratio)]
    known = np.flatnonzero(taken)
    _, near = cKDTree(at[known]).query(at, k=np.arange(1, min(_NEIGHBOURS + 1, len(known)) + 1))
    around = np.sort(np.where(known[near] == np.arange(len(at))[:, None], np.inf, gain[known[near]]), axis=1)
    # The column itself, or on an empty site the farthest, is left out: the median of what comes before.
    around = around[:, : max(1, around.shape[1] - 1)]
    local = np.clip(np.median(around, axis=1), 0.2, 5.0)
    ratio = ratio / local
    level = normal_levels(ratio)
    scale = Stabiliser.between(empty_sd / usual, level.means[-1], level.sds[-1])
    levels = normal_levels(scale(ratio))
    usual = scale.back(levels.means)
    # A fit is never better than its model of a column.
    least = _LEAST_SCATTER * np.abs(usual) / scale.sd(usual)
    return ratio, Levels(levels.means, np.hypot(levels.sds, least), levels.counts), scale


def _kinds(ratio, levels: Levels, taken, displaced):
    dim = ratio < levels.means[levels.nearest(ratio)]
    missing = ratio < np.where(taken, _NOTHING, _EMPTY) * levels.means[0]
    kinds = np.where(dim, np.where(missing, "missing", "dim"), "bright")
    return np.where(displaced, "displaced", kinds).astype(object)


_LEAST_OFFSET = 0.01  # over the spacing: no fit is better than its model
_FAINTEST = 0.1  # of the usual height; below, a column's place is as uncertain as with this


def offset_chances(offsets, kind, relative, rim, spacing):
    """Logarithm of the chance that a normal column lies as far off its site.

    Columns are compared with those of their kind; the place of a faint one is less certain, as the error of a fit
    goes with noise over height. The outermost columns along an edge, which scan distortions such as flyback shift
    together and which have no neighbours beyond, are compared with each other. Where columns overlap, the errors of
    their places have longer tails than a Gaussian: the chance is not taken to be smaller than the tail of the majority
    foretells.

    Parameters
    ----------
    offsets : numpy.ndarray, shape (N, 2)
        (y, x), px; NaN where no column is, or none whose place can be judged.
    kind : numpy.ndarray of int, shape (N,)
        Which site of the cell each is on.
    relative : numpy.ndarray, shape (N,)
        Height of each column over what is usual for its kind.
    rim : numpy.ndarray of int, shape (N,)
        The edge of the image along which each is one of the outermost, from 1 on; 0 for all others.
    spacing : float
        Distance of neighbouring columns, px.

    Returns
    -------
    numpy.ndarray, shape (N,)
        0 where no column is, or none can be judged.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> offsets = rng.normal(0, 0.2, (400, 2))
    >>> offsets[7] = 1.0, 2.0
    >>> chances = offset_chances(offsets, np.zeros(400, int), np.ones(400), np.zeros(400, int), 10.0)
    >>> int(chances.argmin()), bool(chances[7] < np.log(1e-5))
    (7, True)
    """
    some = np.isfinite(offsets).all(axis=1)
    blur = 1 / np.clip(np.nan_to_num(relative, nan=1.0), _FAINTEST, 1.0)
    standard, freedom = np.zeros(offsets.shape), np.full(len(offsets), np.inf)
    for one in np.unique(kind):
        members, learnt = some & (kind == one), some & (kind == one) & (rim == 0)
        if learnt.sum() < _FEWEST:
            some &= ~members
            continue
        for axis in range(2):
            mean, sd, count = clipped_scatter(offsets[learnt, axis] / blur[learnt])
            error = np.hypot(sd * blur[members], _LEAST_OFFSET * spacing)
            standard[members, axis] = (offsets[members, axis] - mean) / error
            freedom[members] = np.minimum(freedom[members], count - 1)
    for one in np.unique(rim[rim > 0]):
        members = some & (rim == one)
        if members.sum() < _FEWEST:
            some &= ~members
            continue
        for axis in range(2):
            mean, sd, count = clipped_scatter(standard[members, axis])
            standard[members, axis] = (standard[members, axis] - mean) / max(sd, 1.0)
            freedom[members] = np.minimum(freedom[members], count - 1)
    squares = (standard[some] ** 2).sum(axis=1)
    # Hotelling's distribution for two components: exact for an estimated scatter.
    freedom = np.maximum(freedom[some] - 1, 1.0)
    chances = np.zeros(len(offsets))
    chances[some] = -freedom / 2 * np.log1p(squares / freedom)
    if some.sum() >= FEWEST_SCORES:
        chances[some] = np.maximum(chances[some], log_chances(squares))
    return chances
