"""How far found columns are from drawn ones, against dose, beside fits of Gaussians and the limit of any method."""

import numpy as np
import pandas as pd

import stemlib
from stemlib.agreement import match_columns, score_columns
from stemlib.synthetic import Imaging, named_crystal, record
from stemlib.synthetic.crystals import lattice_points

# Kinds of lattice: one column in the cell, two equal, two unequal.
CRYSTALS = ("square", "graphene", "perovskite")
# Width of the drawn columns over their spacing, background over the height of the strongest column.
RELATIVE_SIGMA = 0.22
BACKGROUND = 0.1

_FIT_STEPS = 60


def gaussian_fit(image, starts, radius):
    """Fit a round Gaussian on a constant background to each bright column by itself, by least squares.

    The usual way to positions below a pixel, and the yardstick for others.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W)
    starts : array_like, shape (N, 2)
        Positions (y, x) to start from, px.
    radius : float
        Of the disc of pixels that each fit sees, px.

    Returns
    -------
    numpy.ndarray of float64, shape (N, 2)
        Centres (y, x), px; the start where the fit leaves its disc, or sees too few pixels.

    Examples
    --------
    >>> from stemlib.synthetic import render_columns
    >>> image = render_columns([(10.3, 9.6)], [1.0], (20, 20), 2.0)
    >>> gaussian_fit(image, [(10, 10)], 5.0).round(3)
    array([[10.3,  9.6]])
    """
    starts = np.asarray(starts, dtype=np.float64).reshape(-1, 2)
    reach = int(np.ceil(radius))
    middle = np.rint(starts).astype(int)
    dy, dx = (axis.ravel() for axis in np.mgrid[-reach : reach + 1, -reach : reach + 1])
    y, x = middle[:, :1] + dy, middle[:, 1:] + dx
    seen = (y >= 0) & (x >= 0) & (y < image.shape[0]) & (x < image.shape[1])
    seen &= np.hypot(y - starts[:, :1], x - starts[:, 1:]) <= radius
    values = image[np.clip(y, 0, image.shape[0] - 1), np.clip(x, 0, image.shape[1] - 1)].astype(np.float64)
    enough = seen.sum(axis=1) >= 6
    seen &= enough[:, None]
    high = np.where(enough, np.where(seen, values, -np.inf).max(axis=1, initial=-np.inf), 1.0)
    low = np.where(enough, np.where(seen, values, np.inf).min(axis=1, initial=np.inf), 0.0)
    # Centre, logarithm of the width, height and background, all fits at once.
    p = np.column_stack([starts, np.full(len(starts), np.log(radius / 2)), high - low, low])
    damping = np.full(len(p), 1e-2)
    off, slope = _off_gaussian(p, y, x, values, seen)
    for _ in range(_FIT_STEPS):
        normal = np.einsum("nik,nil->nkl", slope, slope)
        diagonal = np.einsum("nkk->nk", normal)
        damped = normal + (damping[:, None] * diagonal + 1e-12)[:, :, None] * np.eye(5)
        step = np.linalg.solve(damped, -np.einsum("nik,ni->nk", slope, off)[..., None])[..., 0]
        tried = p + step
        off_tried, slope_tried = _off_gaussian(tried, y, x, values, seen)
        better = (off_tried**2).sum(axis=1) < (off**2).sum(axis=1)
        p = np.where(better[:, None], tried, p)
        off = np.where(better[:, None], off_tried, off)
        slope = np.where(better[:, None, None], slope_tried, slope)
        damping = np.clip(np.where(better, damping / 5, damping * 5), 1e-9, 1e9)
    near = np.hypot(*(p[:, :2] - starts).T) <= radius
    return np.where(near[:, None], p[:, :2], starts)


def _off_gaussian(p, y, x, values, seen):
    """Return model less values (N, P) and its derivatives (N, P, 5), 0 where a pixel is not seen."""
    cy, cx, log_width, height, background = (column[:, None] for column in p.T)
    # Within limits that keep exponentials finite.
    inverse = np.exp(-2 * np.clip(log_width, -3, 6))
    dy, dx = y - cy, x - cx
    squared = (dy**2 + dx**2) * inverse
    peak = np.exp(-0.5 * np.minimum(squared, 600))
    drawn = height * peak
    slope = np.stack(
        [drawn * dy * inverse, drawn * dx * inverse, drawn * squared, peak, np.ones_like(peak)], 2
    )
    return np.where(seen, drawn + background - values, 0), np.where(seen[..., None], slope, 0)


def position_error_table(
    doses, *, spacing=10.0, n_images=2, side_px=256, crystals=CRYSTALS, weights=None, device="auto", seed=0
):
    """Return how far found positions are from drawn ones, against dose, beside Gaussian fitting.

    The Gaussian fits start at the true positions, so that they lose no column and none is found for another: what
    they give is the best that fitting column by column can do. Columns nearer than one spacing to the edge are left
    out.

    Parameters
    ----------
    doses : iterable of float
        Counts per pixel at the centre of the strongest kind of column.
    spacing : float
        Nearest-neighbour distance, px.
    n_images, side_px : int
        Images drawn of each crystal at each dose, and their side, px.
    crystals : iterable of str
        Names that `stemlib.synthetic.crystal_image` knows.
    weights, device
        As `stemlib.find_columns` takes them.
    seed : int

    Returns
    -------
    pandas.DataFrame
        One row per crystal, dose and method ("find_columns", "Gaussian fits"): `crystal`, `dose`,
        `counts_per_column` (in the whole peak of the strongest kind), `method`, `n_truth`, `recall`,
        `precision`, `error_rms_px` (root mean square distance), `error_median_px` and `limit_px` (Cramér-Rao
        bound of the distance, for a lone column of the strongest kind whose shape and height are known).

    Examples
    --------
    >>> table = position_error_table([50], n_images=1, side_px=96, crystals=["square"])
    >>> table["method"].to_list()
    ['find_columns', 'Gaussian fits']
    """
    sigma = RELATIVE_SIGMA * spacing
    shape, edge = (side_px, side_px), side_px - 1 - spacing
    inside = np.array([[spacing, spacing], [spacing, edge], [edge, edge], [edge, spacing]])
    rows = []
    for kind, name in enumerate(crystals):
        crystal = named_crystal(name)
        for step, dose in enumerate(doses):
            matches = {"find_columns": [], "Gaussian fits": []}
            for number in range(n_images):
                rng = np.random.default_rng([seed, kind, step, number])
                truth, site, _ = lattice_points(
                    crystal,
                    shape,
                    spacing=spacing,
                    rotation_deg=rng.uniform(0, 90),
                    offset=rng.uniform(0, spacing, 2),
                    margin=4 * sigma,
                )
                imaging = Imaging(sigma=sigma, background=BACKGROUND, dose=float(dose))
                image, _ = record(truth, crystal.intensities[site], shape, imaging, rng)
                found = {
                    "find_columns": stemlib.find_columns(image, weights=weights, device=device).table,
                    "Gaussian fits": gaussian_fit(image, truth, 0.4 * spacing),
                }
                for method, positions in found.items():
                    matches[method].append(match_columns(truth, positions, region=inside))
            for method, group in matches.items():
                score = score_columns(group)
                kept = ("n_truth", "recall", "precision", "error_rms_px", "error_median_px")
                rows.append(
                    {
                        "crystal": name,
                        "dose": float(dose),
                        "counts_per_column": 2 * np.pi * sigma**2 * float(dose),
                        "method": method,
                        **{key: score[key] for key in kept},
                        "limit_px": position_limit(sigma, float(dose)),
                    }
                )
    return pd.DataFrame(rows)


def position_limit(sigma, dose, *, background=BACKGROUND):
    """Return the Cramér-Rao bound of the distance between true and found position of a lone Gaussian column.

    Parameters
    ----------
    sigma : float
        Standard deviation of the peak, px.
    dose : float
        Counts per pixel at its centre, with Poisson noise.
    background : float
        Constant background, relative to the peak's height.

    Returns
    -------
    float
        Root mean square distance, px, that no unbiased estimate of the position stays below.

    References
    ----------
    R. J. Ober, S. Ram & E. S. Ward, "Localization accuracy in single-molecule microscopy", Biophys. J. 86, 1185
    (2004), https://doi.org/10.1016/S0006-3495(04)74193-4

    Examples
    --------
    Without background, it is the width over the root of the counts, in each of two directions.

    >>> (
    ...     round(position_limit(2.0, 100.0, background=0.0), 4),
    ...     round((2 * 2.0**2 / (2 * np.pi * 4 * 100)) ** 0.5, 4),
    ... )
    (0.0564, 0.0564)
    """
    u = np.linspace(0, 9, 4001)
    g = np.exp(-0.5 * u**2)
    information = dose * np.pi * np.trapezoid(u**3 * g**2 / (g + background), u)
    return float(np.sqrt(2 / information))
