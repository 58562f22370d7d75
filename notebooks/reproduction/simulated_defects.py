"""How many simulated defects are found and how many found ones are false, against dose, for several ways to look."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

import stemlib
from stemlib.agreement import match_columns, wilson_interval
from stemlib.synthetic import DarkField, PointDefects, material_image
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


@dataclass(frozen=True)
class MoWTe2:
    """Bilayer 2H-MoWTe2 with random Mo and W, turned at random, with missing and misplaced columns.

    Attributes
    ----------
    side_px : int
        Height and width of the images.
    share : float
        Of columns that are missing, and as many misplaced by 1 angstrom.
    tungsten : float
        Share of the metal atoms that are W.
    """

    side_px: int = 384
    share: float = 0.01
    tungsten: float = 0.5

    def image(self, dose_per_nm2, seed):
        """Simulate one image at so many incident electrons per nm²: a `stemlib.synthetic.CrystalImage`."""
        rng = np.random.default_rng(seed)
        return material_image(
            mowte2_bilayer(self.tungsten),
            (self.side_px, self.side_px),
            rotation_deg=float(rng.uniform(0, 180)),
            defects=PointDefects(vacancies=self.share, displaced=self.share, displacement_nm=0.1),
            recording=DarkField(dose_per_nm2=dose_per_nm2),
            seed=rng,
        )


def true_defects(scene):
    """Return the missing and misplaced columns of a `stemlib.synthetic.CrystalImage`.

    Columns: `y`, `x` px, `kind` ("missing" or "displaced") and `is_visible`: a matched filter sees the column at a
    signal-to-noise ratio of 5 or more. Others count neither way.
    """
    displaced = scene.columns[scene.columns["displaced"] > 0]
    table = pd.concat([scene.missing.assign(kind="missing"), displaced.assign(kind="displaced")])
    table["is_visible"] = table["snr"] >= LEAST_SNR
    return table[["y", "x", "kind", "is_visible"]].reset_index(drop=True)


def judge_defects(scene, found):
    """Match found defects (`y`, `x` px) one to one with true ones, within the shorter edge of the cell.

    Returns what `true_defects` returns, the visible ones only, with `is_found`; and for every one found whether it is
    true and whether it is false, which one on a defect that cannot be seen is not either.
    """
    truth = true_defects(scene)
    unseen, truth = truth[~truth["is_visible"]], truth[truth["is_visible"]].reset_index(drop=True)
    reach = float(np.linalg.norm(scene.translations, axis=1).min())
    matched = match_columns(truth, found, reach_px=reach)
    is_false = ~matched.is_true
    is_false[is_false] = ~match_columns(unseen, found[is_false], reach_px=reach).is_true
    return truth.assign(is_found=matched.is_found), matched.is_true, is_false


def defect_score_table(doses, crystal, *, n_images=3, seed=0, **options):
    """Return recall and precision against dose, both schemes and both ways to look, in a `MoWTe2`.

    `options` are those of `stemlib.find_defects`, for every method. One row per dose (electrons per nm²) and method of
    `DEFECT_METHODS`, counts pooled over images: `missing`, `missing_found`, `displaced`, `displaced_found`, `found`,
    `false`, `refused` (images without a lattice or columns, in which nothing is found) and, with `_low` and `_high`
    (Wilson, 95 %), `recall_missing`, `recall_displaced` and `precision`.
    """
    rows = []
    for dose in doses:
        totals = {name: dict.fromkeys(_COUNTS, 0) for name in DEFECT_METHODS}
        for number in range(n_images):
            scene = crystal.image(dose, [seed, number])
            for name, method in DEFECT_METHODS.items():
                one = _counts(scene, method | options)
                totals[name] = {key: totals[name][key] + one[key] for key in _COUNTS}
        rows += [{"dose_per_nm2": float(dose), "method": name} | total for name, total in totals.items()]
    return pd.DataFrame([row | _rates(row) for row in rows])


def perfect_crystal_table(dose_per_nm2, crystal, *, n_images=8, seed=0, **options):
    """Return how many defects are found in MoWTe2 that has none but its mixed chemistry.

    `crystal` is a `MoWTe2` with share 0. One row per method: `method`, `images`, `found` (in all of them) and
    `found_per_image`.
    """
    scenes = [crystal.image(dose_per_nm2, [seed, 1, number]) for number in range(n_images)]
    rows = []
    for name, method in DEFECT_METHODS.items():
        found = sum(_counts(scene, method | options)["found"] for scene in scenes)
        rows.append({"method": name, "images": n_images, "found": found, "found_per_image": found / n_images})
    return pd.DataFrame(rows)


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
