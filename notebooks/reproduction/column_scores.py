"""How found columns agree with labelled ones, and how far they are from true ones, against dose."""

import numpy as np
import pandas as pd

import stemlib
from stemlib.agreement import match_columns, score_columns
from stemlib.synthetic import Imaging, named_crystal, record
from stemlib.synthetic.crystals import lattice_points

from .gaussian_fits import gaussian_fit

# Kinds of lattice: one column in the cell, two equal, two unequal.
CRYSTALS = ("square", "graphene", "perovskite")
# Width of the simulated columns over their spacing, background over the height of the strongest column.
RELATIVE_SIGMA = 0.22
BACKGROUND = 0.1


def match_column_cases(cases, found):
    """Return name -> ColumnMatch of every image that has labels and was searched."""
    return {
        case.name: match_columns(case.labels, found[case.name].table, region=case.region)
        for case in cases
        if case.labels is not None and case.name in found
    }


def column_score_table(cases, matches):
    """Return recall, precision and distances image by image, and pooled over the images at hand.

    Columns: `image`, `role` and what `stemlib.agreement.score_columns` returns; the last row is "pooled".
    """
    rows = [
        {"image": case.name, "role": case.role, **score_columns(matches[case.name])}
        for case in cases
        if case.name in matches
    ]
    if matches:
        rows.append({"image": "pooled", "role": "", **score_columns(matches.values())})
    return pd.DataFrame(rows)


def position_error_table(
    doses, *, spacing=10.0, n_images=2, side_px=256, crystals=CRYSTALS, weights=None, seed=0
):
    """Return how far found positions are from true ones, against dose, beside Gaussian fitting.

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
        Images simulated of each crystal at each dose, and their side, px.
    crystals : iterable of str
        Names that `stemlib.synthetic.crystal_image` knows.
    weights
        As `stemlib.find_columns` takes them.
    seed : int

    Returns
    -------
    pandas.DataFrame
        One row per crystal, dose and method ("find_columns", "Gaussian fits"): `crystal`, `dose`, `counts_per_column`
        (in the whole peak of the strongest kind), `method`, `n_truth`, `recall`, `precision`, `error_rms_px` (root mean
        square distance), `error_median_px` and `limit_px` (`position_limit` of a column of the strongest kind).
    """
    sigma = RELATIVE_SIGMA * spacing
    rows = []
    for kind, name in enumerate(crystals):
        for step, dose in enumerate(map(float, doses)):
            matches = {"find_columns": [], "Gaussian fits": []}
            for number in range(n_images):
                rng = np.random.default_rng([seed, kind, step, number])
                image, truth = _crystal_at(dose, named_crystal(name), spacing, side_px, rng)
                found = {
                    "find_columns": stemlib.find_columns(image, weights=weights).table,
                    "Gaussian fits": gaussian_fit(image, truth, 0.4 * spacing),
                }
                for method, positions in found.items():
                    matches[method].append(match_columns(truth, positions, region=_inside(side_px, spacing)))
            for method, group in matches.items():
                score = score_columns(group)
                kept = ("n_truth", "recall", "precision", "error_rms_px", "error_median_px")
                rows.append(
                    {
                        "crystal": name,
                        "dose": dose,
                        "counts_per_column": 2 * np.pi * sigma**2 * dose,
                        "method": method,
                        **{key: score[key] for key in kept},
                        "limit_px": position_limit(sigma, dose),
                    }
                )
    return pd.DataFrame(rows)


def position_limit(sigma, dose, *, background=BACKGROUND):
    """Return the Cramér-Rao bound of the distance between true and found position of a lone Gaussian column.

    That is the root mean square distance, px, that no unbiased estimate of the position stays below, where height and
    width are known. `sigma` is the peak's standard deviation, px, `dose` the counts per pixel at its centre, with
    Poisson noise, `background` relative to the peak's height.

    References
    ----------
    R. J. Ober, S. Ram & E. S. Ward, "Localization accuracy in single-molecule microscopy", Biophys. J. 86, 1185
    (2004), https://doi.org/10.1016/S0006-3495(04)74193-4
    """
    u = np.linspace(0, 9, 4001)
    g = np.exp(-0.5 * u**2)
    information = dose * np.pi * np.trapezoid(u**3 * g**2 / (g + background), u)
    return float(np.sqrt(2 / information))


def _crystal_at(dose, crystal, spacing, side_px, rng):
    """Simulate a crystal, turned and shifted at random; return the image and its true positions (y, x), px."""
    shape, sigma = (side_px, side_px), RELATIVE_SIGMA * spacing
    truth, site, _ = lattice_points(
        crystal,
        shape,
        spacing=spacing,
        rotation_deg=rng.uniform(0, 90),
        offset=rng.uniform(0, spacing, 2),
        margin=4 * sigma,
    )
    imaging = Imaging(sigma=sigma, background=BACKGROUND, dose=dose)
    return record(truth, crystal.intensities[site], shape, imaging, rng)[0], truth


def _inside(side_px, edge):
    far = side_px - 1 - edge
    return np.array([[edge, edge], [edge, far], [far, far], [far, edge]])
