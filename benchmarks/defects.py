"""Defects found in synthetic crystals beside a plain one-class method, false alarms in perfect ones, and time.

    python benchmarks/defects.py [--images 2] [--perfect 60] [--side 1024] [--output benchmarks/defects.json]

Every image is drawn from its seed. Defects count that a matched filter sees at a signal-to-noise ratio of 5 or more;
found ones match one to one within the shorter edge of the cell. The plain method is a one-class support vector machine
of fixed nu over Patterson functions of fixed square windows of the raw image; its threshold is also chosen afterwards,
for the highest F1 against the very truth it is scored on. Columns and lattice of an image are found once and used for
all rates.
"""

import argparse
import json
import os
import platform
import time
from pathlib import Path
from unittest import mock

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree
from scipy.stats import chi2
from sklearn.decomposition import PCA
from sklearn.svm import OneClassSVM

import stemlib
from stemlib.defects import find_columns, find_defects, find_lattice
from stemlib.patterson import patterson_descriptors
from stemlib.synthetic import crystal_image

CRYSTALS = ("hexagonal", "honeycomb", "1T'", "perovskite", "graphene", "dumbbell")
SPACINGS = {"hexagonal": 11.0, "1T'": 9.0, "graphene": 11.0}
RATES = (0.1, 1.0, 10.0)
LEAST_SNR = 5.0
PLAIN_WINDOW, PLAIN_STEP, PLAIN_NU = 32, 6, 0.05


def draw(crystal, side, seed, defective):
    """An image with drift, jitter and shear; with a hundredth of columns missing and displaced by a third."""
    rng = np.random.default_rng([seed, len(crystal)])
    shares = {"vacancies": 0.01, "displaced": 0.01, "displacement": 0.33} if defective else {}
    return crystal_image(
        crystal,
        (side, side),
        spacing=SPACINGS.get(crystal, 10.0),
        rotation_deg=rng.uniform(0, 180),
        snr=rng.uniform(14, 30),
        jitter=rng.uniform(0, 0.25),
        drift=rng.uniform(0, 2),
        shear=rng.uniform(-0.006, 0.006, (2, 2)),
        seed=rng,
        **shares,
    )


def found_once(image, runs):
    """Run `find_defects` with several options on one image, whose columns and lattice are found once."""
    columns, lattice = find_columns(image), find_lattice(image)
    with (
        mock.patch("stemlib.defects.find_columns", lambda *_, **__: columns),
        mock.patch("stemlib.defects.find_lattice", lambda *_, **__: lattice),
    ):
        return [find_defects(image, **options) for options in runs]


def pairs(truth, found, reach):
    """Indices of a one-to-one match, the closest in sum."""
    if not len(truth) or not len(found):
        return np.empty((0, 2), int)
    distance = np.linalg.norm(truth[:, None] - found, axis=-1)
    first, second = linear_sum_assignment(np.where(distance <= reach, distance, 1e6))
    kept = distance[first, second] <= reach
    return np.column_stack([first[kept], second[kept]])


def defects_of(scene):
    """Positions of the missing and the displaced columns that can be seen, and of those that cannot."""
    displaced = scene.columns[scene.columns["displaced"] > 0]
    groups = [
        table.loc[table["snr"] >= LEAST_SNR, ["y", "x"]].to_numpy() for table in (scene.missing, displaced)
    ]
    unseen = [
        table.loc[table["snr"] < LEAST_SNR, ["y", "x"]].to_numpy() for table in (scene.missing, displaced)
    ]
    return *groups, np.vstack(unseen)


def counts(scene, found, reach):
    """Found and missed of both kinds, and false ones; what cannot be seen counts neither way."""
    missing, displaced, unseen = defects_of(scene)
    truth = np.vstack([missing, displaced])
    matched = pairs(truth, found, reach)
    rest = np.delete(found, matched[:, 1], axis=0)
    false = len(rest) - len(pairs(unseen, rest, reach))
    is_missing = matched[:, 0] < len(missing)
    return np.array([len(missing), is_missing.sum(), len(displaced), (~is_missing).sum(), false])


def summary(total):
    """F1 of both kinds, false detections counted against each, and of all."""
    n_missing, hit_missing, n_displaced, hit_displaced, false = map(int, total)

    def f1(number, hit):
        return 2 * hit / (number + hit + false) if number else None

    return {
        "missing": n_missing,
        "missing_found": hit_missing,
        "displaced": n_displaced,
        "displaced_found": hit_displaced,
        "false": false,
        "f1_missing": f1(n_missing, hit_missing),
        "f1_displaced": f1(n_displaced, hit_displaced),
        "f1": f1(n_missing + n_displaced, hit_missing + hit_displaced),
    }


def plain_scores(image):
    """Centres and scores of fixed windows of the raw image; the machine flags scores above 0."""
    starts = [np.arange(0, side - PLAIN_WINDOW + 1, PLAIN_STEP) for side in image.shape]
    windows = np.lib.stride_tricks.sliding_window_view(image, (PLAIN_WINDOW, PLAIN_WINDOW))
    windows = windows[np.ix_(*starts)].reshape(-1, PLAIN_WINDOW, PLAIN_WINDOW)
    centres = np.stack(np.meshgrid(*starts, indexing="ij"), axis=-1).reshape(-1, 2) + (PLAIN_WINDOW - 1) / 2
    values = PCA(12, random_state=0).fit_transform(patterson_descriptors(windows))
    machine = OneClassSVM(nu=PLAIN_NU, gamma="scale").fit(values)
    return centres, -machine.decision_function(values)


def plain_found(centres, scores, threshold):
    """Centres of windows above a threshold, the highest of those that overlap by half."""
    kept = np.flatnonzero(scores > threshold)
    kept = kept[np.argsort(-scores[kept], kind="stable")]
    near = cKDTree(centres[kept]).query_ball_point(centres[kept], PLAIN_WINDOW / 2) if len(kept) else []
    free, chosen = np.ones(len(kept), bool), []
    for k, others in enumerate(near):
        if free[k]:
            chosen.append(k)
            free[others] = False
    return centres[kept[chosen]]


def recognise(n_images, side):
    """F1 of find_defects, both schemes, and of the plain method, crystal by crystal and pooled."""
    runs = {
        "default": {},
        "scheme columns": {"scheme": "columns"},
        "contrast": {"descriptor": "contrast"},
        "patterson": {"descriptor": "patterson"},
    }
    totals = {name: {} for name in (*runs, "plain", "plain, best threshold")}
    for crystal in CRYSTALS:
        plain = []
        for seed in range(n_images):
            scene = draw(crystal, side, 1000 + seed, True)
            reach = float(np.linalg.norm(scene.translations, axis=1).min())
            for name, found in zip(runs, found_once(scene.image, runs.values()), strict=True):
                one = counts(scene, found.table[["y", "x"]].to_numpy(float), reach)
                totals[name][crystal] = totals[name].get(crystal, 0) + one
            plain.append((scene, reach, *plain_scores(scene.image)))
        thresholds = np.quantile(np.concatenate([p[3] for p in plain]), np.linspace(0.7, 0.998, 40))
        by_threshold = {
            t: sum(counts(scene, plain_found(at, scores, t), reach) for scene, reach, at, scores in plain)
            for t in (0.0, *thresholds)
        }
        totals["plain"][crystal] = by_threshold[0.0]
        totals["plain, best threshold"][crystal] = max(by_threshold.values(), key=lambda c: summary(c)["f1"])
        print(crystal, {name: round(summary(t[crystal])["f1"], 3) for name, t in totals.items()}, flush=True)
    return {
        name: {**{c: summary(t) for c, t in found.items()}, "pooled": summary(sum(found.values()))}
        for name, found in totals.items()
    }


def calibrate(n_images, side):
    """False detections in perfect crystals, for each rate asked for."""
    numbers = {rate: [] for rate in RATES}
    for seed in range(n_images):
        image = draw(CRYSTALS[seed % len(CRYSTALS)], side, 5000 + seed, False).image
        for rate, found in zip(RATES, found_once(image, [{"false_alarms": r} for r in RATES]), strict=True):
            numbers[rate].append(len(found.table))
        if seed % 10 == 9:
            print(seed + 1, {rate: sum(n) for rate, n in numbers.items()}, flush=True)
    result = {}
    for rate, found in numbers.items():
        total = sum(found)
        low = float(chi2.ppf(0.05, 2 * total) / 2 / n_images) if total else 0.0
        result[f"{rate:g}"] = {
            "asked_for": rate,
            "mean": total / n_images,
            "lower_bound_95": low,
            "held": low <= rate,
            "images_with_any": int(np.count_nonzero(found)),
            "most": max(found),
        }
    return {"images": n_images, "side_px": side, "rates": result}


def time_it(side):
    """Seconds on one large image, after a first run that loads the network and compiles."""
    find_defects(draw("honeycomb", 128, 1, False).image)
    image = draw("honeycomb", side, 9000, True).image
    start = time.perf_counter()
    found = find_defects(image)
    return {"side_px": side, "seconds": time.perf_counter() - start, "columns": len(found.columns)}


def main():
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2, help="with defects, per crystal")
    parser.add_argument("--perfect", type=int, default=60, help="perfect images")
    parser.add_argument("--side", type=int, default=1024, help="side of the image that is timed, px")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    result = {
        "stemlib": stemlib.__version__,
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "least_snr": LEAST_SNR,
        "f1": recognise(options.images, 384),
        "false_alarms": calibrate(options.perfect, 256),
        "time": time_it(options.side),
    }
    options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
