"""How many drawn defects are found and how many found ones are false, against dose, for several ways to look."""

import numpy as np
import pandas as pd

import stemlib
from stemlib.agreement import match_columns, wilson_interval
from stemlib.synthetic import material_image
from stemlib.synthetic.materials import mowte2_bilayer

# The published descriptor on the semantic image, and what find_defects does by default, by either scheme.
DEFECT_METHODS = {
    "default, unit cell": {"scheme": "unit-cell"},
    "default, columns": {"scheme": "columns"},
    "Patterson, unit cell": {"scheme": "unit-cell", "descriptor": "patterson", "source": "semantic"},
    "Patterson, columns": {"scheme": "columns", "descriptor": "patterson", "source": "semantic"},
}
KINDS = ("missing", "displaced")
LEAST_SNR = 5.0
_COUNTS = [f"{kind}{end}" for kind in KINDS for end in ("", "_found")] + ["found", "false", "refused"]


def draw_mowte2(side_px, *, share=0.01, tungsten=0.5, dose_per_nm2=3e6, seed):
    """Draw bilayer 2H-MoWTe2 with random Mo and W, turned at random, with missing and misplaced columns.

    Parameters
    ----------
    side_px : int
    share : float
        Of columns that are missing, and as many misplaced by 1 angstrom.
    tungsten : float
        Share of the metal atoms that are W.
    dose_per_nm2 : float
        Incident electrons.
    seed : int or list of int

    Returns
    -------
    stemlib.synthetic.CrystalImage

    Raises
    ------
    ValueError
        If a value makes no sense; see `stemlib.synthetic.material_image`.

    Examples
    --------
    >>> len(draw_mowte2(96, share=0.0, seed=0).missing)
    0
    """
    rng = np.random.default_rng(seed)
    return material_image(
        mowte2_bilayer(tungsten),
        (side_px, side_px),
        rotation_deg=float(rng.uniform(0, 180)),
        vacancies=share,
        displaced=share,
        dose_per_nm2=dose_per_nm2,
        seed=rng,
    )


def drawn_defects(scene):
    """Return the missing and misplaced columns of a drawn crystal.

    Parameters
    ----------
    scene : stemlib.synthetic.CrystalImage

    Returns
    -------
    pandas.DataFrame
        `y`, `x` px, `kind` ("missing" or "displaced") and `is_visible`: a matched filter sees the column at a
        signal-to-noise ratio of 5 or more. Others count neither way.

    Examples
    --------
    >>> drawn_defects(draw_mowte2(96, share=0.02, seed=1))["is_visible"].all()
    np.True_
    """
    displaced = scene.columns[scene.columns["displaced"] > 0]
    table = pd.concat([scene.missing.assign(kind="missing"), displaced.assign(kind="displaced")])
    table["is_visible"] = table["snr"] >= LEAST_SNR
    return table[["y", "x", "kind", "is_visible"]].reset_index(drop=True)


def judge_defects(scene, found):
    """Match found defects one to one with drawn ones, within the shorter edge of the cell.

    Parameters
    ----------
    scene : stemlib.synthetic.CrystalImage
    found : pandas.DataFrame
        Columns `y` and `x`, px.

    Returns
    -------
    truth : pandas.DataFrame
        As `drawn_defects` returns it, the visible ones only, with `is_found`.
    is_true, is_false : numpy.ndarray of bool
        For every one found; both False on a defect that cannot be seen.

    Examples
    --------
    >>> scene = draw_mowte2(128, share=0.02, seed=1)
    >>> truth, is_true, is_false = judge_defects(scene, drawn_defects(scene))
    >>> bool(truth["is_found"].all()), bool(is_true.all()), bool(is_false.any())
    (True, True, False)
    """
    truth = drawn_defects(scene)
    unseen, truth = truth[~truth["is_visible"]], truth[truth["is_visible"]].reset_index(drop=True)
    reach = float(np.linalg.norm(scene.translations, axis=1).min())
    matched = match_columns(truth, found, reach_px=reach)
    is_false = ~matched.is_true
    is_false[is_false] = ~match_columns(unseen, found[is_false], reach_px=reach).is_true
    return truth.assign(is_found=matched.is_found), matched.is_true, is_false


def defect_score_table(
    doses, *, n_images=3, side_px=384, share=0.01, tungsten=0.5, false_alarms=1.0, weights=None, seed=0
):
    """Return recall and precision against dose, both schemes and both ways to look, in drawn bilayer 2H-MoWTe2.

    Parameters
    ----------
    doses : iterable of float
        Incident electrons per nm².
    n_images, side_px : int
        Images drawn at each dose, and their side.
    share, tungsten : float
        As `draw_mowte2` takes them.
    false_alarms, weights
        As `stemlib.find_defects` takes them.
    seed : int

    Returns
    -------
    pandas.DataFrame
        One row per dose and method (`DEFECT_METHODS`), counts pooled over images: `missing`, `missing_found`,
        `displaced`, `displaced_found`, `found`, `false`, `refused` (images without a lattice or columns, in which
        nothing is found) and, with `_low` and `_high` (Wilson, 95 %), `recall_missing`, `recall_displaced` and
        `precision`.

    Examples
    --------
    >>> table = defect_score_table([1e7], n_images=1, side_px=128)
    >>> len(table) == len(DEFECT_METHODS)
    True
    """
    rows = []
    for dose in doses:
        totals = {name: dict.fromkeys(_COUNTS, 0) for name in DEFECT_METHODS}
        for number in range(n_images):
            scene = draw_mowte2(
                side_px, share=share, tungsten=tungsten, dose_per_nm2=dose, seed=[seed, number]
            )
            for name, options in DEFECT_METHODS.items():
                one = _counts(scene, options | {"false_alarms": false_alarms, "weights": weights})
                totals[name] = {key: totals[name][key] + one[key] for key in _COUNTS}
        rows += [{"dose_per_nm2": float(dose), "method": name} | total for name, total in totals.items()]
    return pd.DataFrame([row | _rates(row) for row in rows])


def _counts(scene, options):
    try:
        found, refused = stemlib.find_defects(scene.image, **options).table, 0
    except ValueError:
        found, refused = pd.DataFrame({"y": [], "x": []}, dtype=float), 1
    truth, is_true, is_false = judge_defects(scene, found)
    counts = {"found": int((is_true | is_false).sum()), "false": int(is_false.sum()), "refused": refused}
    for kind in KINDS:
        of_kind = truth[truth["kind"] == kind]
        counts |= {kind: len(of_kind), f"{kind}_found": int(of_kind["is_found"].sum())}
    return counts


def _rates(row):
    rates = {}
    shares = {f"recall_{kind}": (row[f"{kind}_found"], row[kind]) for kind in KINDS}
    shares["precision"] = row["found"] - row["false"], row["found"]
    for name, (part, whole) in shares.items():
        rates[name] = part / whole if whole else np.nan
        rates[f"{name}_low"], rates[f"{name}_high"] = wilson_interval(part, whole)
    return rates


def perfect_crystal_table(
    dose_per_nm2, *, n_images=8, side_px=384, tungsten=0.5, false_alarms=1.0, weights=None, seed=0
):
    """Return how many defects are found in drawn MoWTe2 that has none but its mixed chemistry.

    Parameters
    ----------
    dose_per_nm2 : float
    n_images, side_px, tungsten, false_alarms, weights, seed
        As in `defect_score_table`.

    Returns
    -------
    pandas.DataFrame
        One row per method: `method`, `images`, `found` (in all of them) and `found_per_image`.

    Examples
    --------
    >>> table = perfect_crystal_table(1e7, n_images=1, side_px=128).set_index("method")
    >>> int(table.loc["default, columns", "found"])
    0
    """
    scenes = [
        draw_mowte2(side_px, share=0.0, tungsten=tungsten, dose_per_nm2=dose_per_nm2, seed=[seed, 1, number])
        for number in range(n_images)
    ]
    rows = []
    for name, options in DEFECT_METHODS.items():
        options = options | {"false_alarms": false_alarms, "weights": weights}
        found = sum(_counts(scene, options)["found"] for scene in scenes)
        rows.append({"method": name, "images": n_images, "found": found, "found_per_image": found / n_images})
    return pd.DataFrame(rows)
