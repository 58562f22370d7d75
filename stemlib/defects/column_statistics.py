"""Compare columns, and empty sites, with their own kind: intensity and position against those of their sublattice."""

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from stemlib.columns.gaussians import add_peaks
from stemlib.columns.heights import fit_heights, matched_filter
from stemlib.defects.interstitials import judge_interstitials
from stemlib.defects.placement import place_columns
from stemlib.defects.segments import on_image
from stemlib.defects.significance import (
    FEWEST_SCORES,
    Levels,
    VarianceStabilisation,
    clipped_scatter,
    log_p_values,
    normal_levels,
    weighted_p_values,
)
from stemlib.defects.sites import surrounded

_NEIGHBOURS = 24  # columns of the same sublattice that tell how bright it is around one of them
EMPTY = 0.4  # of the usual height: what stands lower, on a site where no column is found, is none
_NOTHING = 0.15  # and on a site where one is found
_FEWEST = 6  # columns of a sublattice from which on it can be judged
_DIRECTIONS = {"missing": 0, "dim": 0, "bright": 1, "displaced": 2, "interstitial": 3}
_SHARES = (0.25, 0.25, 0.5)  # of the tests of sites, in the first three directions
_PRIOR = (0.25, 0.125, 0.25, 0.375)  # of the false alarms in each direction, until an image shows more of one
_SPILLED = 0.1  # of a peak that a Gaussian does not explain, and that is spread over a spacing around it
_ORDINARY = 1.5  # times the usual height of the brightest kind of site, beyond which a column's spill counts
_SPILL_REACH = 4.0  # over the spacing
_LEAST_SCATTER = 0.02  # of the intensity: no fit is better than its model


def compare_sites(image, positions, sites, *, sigma, spacing, mask, seed=0):
    """Compare every site of a crystal with the sites of its own kind.

    Intensities are heights of peaks at the places that `stemlib.defects.placement` tells, over the median of the
    nearest sites of the same kind: neither slow changes of thickness nor what the other sites hold matters. They are
    compared on a scale on which noise is the same for faint and for strong columns (`stemlib.defects.significance`).
    Where a kind of site holds a mixture, several levels are normal.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W), float32
        Bright columns.
    positions : numpy.ndarray, shape (C, 2)
        Columns, (y, x) px.
    sites : stemlib.defects.sites.Sites
    sigma, spacing : float
        Standard deviation of the columns' peaks and distance of neighbours, px.
    mask : numpy.ndarray of bool, shape (H, W)
    seed : int or numpy.random.Generator
        Chooses the places that tell the noise.

    Returns
    -------
    table : pandas.DataFrame
        One row per site that can be judged, and per column on no site: ``y, x`` px; ``column`` (index into
        `positions`, -1 on an empty site); ``site`` of the cell (-1: none); ``intensity``, in units of the image;
        ``intensity_ratio`` over what is usual for such a site there (NaN on no site); ``content``, the same of all
        that stands within half a spacing; ``offset`` from the site, px; ``log_p`` of the less likely of intensity and
        position, weighted by how often the image shows such changes; ``kind``: "missing", "dim", "bright",
        "displaced" or "interstitial", which is what the row would be if it is a defect.
    n_tried : int
        Tests that were made.
    """
    placed = place_columns(image, positions, sites, sigma=sigma, spacing=spacing, mask=mask, seed=seed)
    image = _without_beyond(image, sites, placed.usual, sigma)
    places = [
        placed.at,
        positions[placed.extra],
        placed.between,
        placed.own[placed.astray],
        positions[sites.beside],
    ]
    peaks = np.vstack(places)
    heights, errors = fit_heights(image, peaks, sigma, spacing)
    # Ordinary columns differ by noise, and by how thick the crystal is; what they spill is in their scatter.
    ordinary = _ORDINARY * placed.usual[np.isfinite(placed.usual)].max(initial=0)
    ends = np.cumsum([len(p) for p in places[:-1]])
    at_sites, at_extra, background, at_own, beside = np.split(heights, ends)
    at_sites_spilled, at_extra_spilled, _, _, beside_spilled = np.split(
        _spilled(peaks, heights - ordinary, spacing), ends
    )
    row, column = np.clip(np.rint(placed.at).astype(int), 0, np.array(image.shape) - 1).T
    # What all peaks leave over within half a spacing counts as content of a site.
    rest = matched_filter(image, peaks, heights, sigma, spacing, 0.5 * spacing)[row, column]
    doubt = at_sites_spilled / placed.usual[sites.kind]
    judged = _site_table(placed, sites, at_sites, rest, doubt * sigma, spacing)
    usable = mask[row, column] & on_image(placed.at, image.shape) & np.isfinite(at_sites)
    taken, known = sites.columns >= 0, np.zeros(len(judged), bool)
    edge, empty_sd = np.where(placed.cut, placed.rim, 0), _scatter(background)
    for kind in range(len(sites.fractions)):
        member = np.flatnonzero((sites.kind == kind) & usable)
        if taken[member].sum() >= _FEWEST:
            _judge_intensity(
                judged, member, errors[member], doubt[member], taken[member], edge[member], empty_sd
            )
            known[member] = True
    astray = np.flatnonzero(placed.astray)
    _tell_displaced(judged, astray, placed.own[astray], at_own / placed.usual[sites.kind[astray]])
    judged = _without_edges(judged[known], placed.at[taken], spacing, image.shape)
    seen = matched_filter(image, placed.at, at_sites, sigma, spacing, sigma)
    interstitials, n_places = judge_interstitials(
        seen,
        positions[placed.extra],
        at_extra - at_extra_spilled,
        background,
        sites,
        sigma=sigma,
        spacing=spacing,
    )
    interstitials["column"] = placed.extra[: len(interstitials)]
    tables = [judged, interstitials, _brighter(positions, sites, beside - beside_spilled, judged)]
    return _weighted(tables, 2 * int(known.sum()) + len(sites.beside), n_places)


def _spilled(places, excess, spacing):
    """What brighter columns than usual throw over the places around them, beyond what a Gaussian of their height does.

    A probe has tails, and no Gaussian is the peak of a column exactly: beside one many times as bright as others, what
    is left of it is as high as they are.
    """
    bright = np.flatnonzero(excess > 0)
    if not len(bright):
        return np.zeros(len(places))
    tree = cKDTree(places[bright])
    apart = cKDTree(places).sparse_distance_matrix(tree, _SPILL_REACH * spacing, output_type="coo_matrix")
    other = apart.row != bright[apart.col]
    share = np.exp(-((apart.data[other] / spacing) ** 2) / 2) * excess[bright[apart.col[other]]]
    return _SPILLED * np.bincount(apart.row[other], share, len(places))


def _brighter(positions, sites, heights, judged):
    """Columns beside the crystal that are brighter than those of its brightest kind of site; dimmer ones are usual."""
    table = pd.DataFrame(positions[sites.beside], columns=["y", "x"]).assign(
        column=sites.beside, site=-1, intensity=heights, intensity_ratio=np.nan, content=np.nan, offset=np.nan
    )
    known = judged[judged["column"] >= 0].groupby("site")["intensity"]
    if not len(known):
        return table[:0].assign(log_p=0.0, kind="bright")
    levels = Levels.single(known.get_group(known.median().idxmax()).to_numpy())
    log_p = np.where(heights > levels.means[0], levels.log_p(np.nan_to_num(heights)), 0.0)
    return table.assign(log_p=log_p, kind="bright")


def _site_table(placed, sites, heights, rest, doubt, spacing):
    """One row per site, judged by its column's offset alone."""
    offsets = np.where(placed.cut[:, None], np.nan, placed.offsets)
    return pd.DataFrame(placed.at, columns=["y", "x"]).assign(
        column=sites.columns,
        site=sites.kind,
        intensity=heights,
        intensity_ratio=np.nan,
        content=rest / placed.usual[sites.kind],
        offset=np.linalg.norm(placed.offsets, axis=1),
        log_p=offset_log_p(offsets, sites.kind, placed.relative, placed.rim, spacing, doubt=doubt),
        kind="displaced",
    )


def _weighted(tables, n_sites, n_places):
    """The tables in one, their log p-values weighted by direction, and the number of tests."""
    filled = [table for table in tables if len(table)]
    table = pd.concat(filled, ignore_index=True) if filled else tables[-1]
    if len(table):
        direction = table["kind"].map(_DIRECTIONS).to_numpy()
        tests = np.append(n_sites * np.array(_SHARES), n_places)
        table["log_p"] = weighted_p_values(table["log_p"].to_numpy(float), direction, tests, _PRIOR)
    return table, n_sites + n_places


def _judge_intensity(judged, member, errors, doubt, taken, edge, empty_sd):
    """Fill in how unusual the intensities of one kind of site are, where they are less likely than offsets."""
    heights = judged["intensity"].to_numpy()[member]
    at, off = judged[["y", "x"]].to_numpy()[member], judged["log_p"].to_numpy()[member]
    ratio, levels, scale = _against_neighbours(at, heights, taken, empty_sd)
    values, errors = _along_edges(scale(ratio), levels, edge, errors / np.median(errors))
    # Of a level, what is spilled from brighter neighbours adds to the scatter that it has.
    nearest = levels.nearest(values)
    doubt = doubt / (levels.sds * scale.sd(scale.back(levels.means)))[nearest]
    log_p = levels.log_p(values, np.hypot(errors, doubt))
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
    add_peaks(image, sites.beyond[known], -usual[sites.beyond_kind[known]], sigma)
    return image


def _tell_displaced(judged, rows, own, relative):
    """Say of columns far off their sites where they are and how high, unless that is noise beside an empty site."""
    real = (relative >= EMPTY) & judged.loc[rows, "kind"].isin(["missing", "dim"]).to_numpy()
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


def _against_neighbours(at, heights, taken, empty_sd):
    """Heights over those usual around them, and their normal levels on a scale on which noise is the same for all."""
    usual = np.median(heights[taken])
    ratio = heights / usual
    # Empty sites too: some are but columns too faint to be found, and where a good share of the cells has none, as in
    # one of two phases, that is normal. Few vacancies do not change what is usual.
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
    scale = VarianceStabilisation.between(empty_sd / usual, level.means[-1], level.sds[-1])
    levels = normal_levels(scale(ratio))
    usual = scale.back(levels.means)
    # A fit is never better than its model of a column.
    least = _LEAST_SCATTER * np.abs(usual) / scale.sd(usual)
    return ratio, Levels(levels.means, np.hypot(levels.sds, least), levels.counts), scale


def _kinds(ratio, levels: Levels, taken, displaced):
    dim = ratio < levels.means[levels.nearest(ratio)]
    missing = ratio < np.where(taken, _NOTHING, EMPTY) * levels.means[0]
    kinds = np.where(dim, np.where(missing, "missing", "dim"), "bright")
    return np.where(displaced, "displaced", kinds).astype(object)


_LEAST_OFFSET = 0.01  # over the spacing: no fit is better than its model
_FAINTEST = 0.1  # of the usual height; below, a column's place is as uncertain as with this


def offset_log_p(offsets, kind, relative, rim, spacing, *, doubt=0.0):
    """Log p-values of columns' offsets: that a normal column lies as far off its site.

    Columns are compared with those of their kind; the place of a faint one is less certain, as the error of a fit
    goes with noise over height. The outermost columns along an edge, which scan distortions such as flyback shift
    together and which have no neighbours beyond, are compared with each other. Where columns overlap, the errors of
    their places have longer tails than a Gaussian: the p-value is not taken to be smaller than the null distribution
    of the offsets themselves says.

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
    doubt : float or numpy.ndarray, shape (N,)
        By how much brighter neighbours may have moved each, px.

    Returns
    -------
    numpy.ndarray, shape (N,)
        0 where no column is, or none can be judged.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> offsets = rng.normal(0, 0.2, (400, 2))
    >>> offsets[7] = 1.0, 2.0
    >>> log_p = offset_log_p(offsets, np.zeros(400, int), np.ones(400), np.zeros(400, int), 10.0)
    >>> int(log_p.argmin()), bool(log_p[7] < np.log(1e-5))
    (7, True)
    """
    some, doubt = np.isfinite(offsets).all(axis=1), np.broadcast_to(doubt, len(offsets))
    blur = 1 / np.clip(np.nan_to_num(relative, nan=1.0), _FAINTEST, 1.0)
    standard, freedom = np.zeros(offsets.shape), np.full(len(offsets), np.inf)
    for one in np.unique(kind):
        members, learnt = some & (kind == one), some & (kind == one) & (rim == 0)
        if learnt.sum() < _FEWEST:
            some &= ~members
            continue
        for axis in range(2):
            mean, sd, count = clipped_scatter(offsets[learnt, axis] / blur[learnt])
            error = np.hypot(np.hypot(sd * blur[members], doubt[members]), _LEAST_OFFSET * spacing)
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
    log_p = np.zeros(len(offsets))
    log_p[some] = -freedom / 2 * np.log1p(squares / freedom)
    if some.sum() >= FEWEST_SCORES:
        log_p[some] = np.maximum(log_p[some], log_p_values(squares))
    return log_p
