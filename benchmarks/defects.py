"""Defects found in synthetic crystals beside a plain one-class method, false alarms in perfect ones, time and memory.

    python benchmarks/defects.py [--images 3] [--perfect 200] [--output benchmarks/defects.json]

Every image is drawn from its seed; development saw none of the seeds used here. Defects count that a matched filter
sees at a signal-to-noise ratio of 5 or more, and that lie farther from the image's edge than columns are displaced,
for a column may have left across it; found ones match one to one within the shorter edge of the cell. The plain method
is a one-class support vector machine of fixed nu over Patterson functions of fixed square windows of the raw image; its
threshold is also chosen afterwards, for the highest F1 against the very truth it is scored on. Columns and lattice of
an image are found once and used for all rates.
"""

import argparse
import itertools
import json
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree
from scipy.stats import chi2, spearmanr
from sklearn.decomposition import PCA
from sklearn.svm import OneClassSVM

import stemlib
from stemlib.defects.find import find_columns, find_defects, find_lattice
from stemlib.defects.one_class import one_class_scores
from stemlib.defects.patterson import patterson_descriptors
from stemlib.defects.segments import unit_cell_segments
from stemlib.synthetic import crystal_image
from stemlib.synthetic.material_images import material_image

MATERIALS = ("MoWTe2 bilayer", "WSe2 monolayer", "WTe2 1T'", "SrTiO3", "graphene", "ZrO2")
CRYSTALS = ("hexagonal", "honeycomb", "1T'", "perovskite", "graphene", "dumbbell")
RATES = (0.1, 1.0, 10.0)
LEAST_SNR = 5.0
STRONGEST_SNR = (7, 8, 10, 15, 25)
DISPLACED_NM = 0.1
PLAIN_WINDOW, PLAIN_STEP, PLAIN_NU = 32, 6, 0.05
SEEDS = {"development": [77, 78, 79, 83, 6173, 8209, 9437], "reported": 10331}


def draw_material(material, side, seed, defective, snr=None):
    """A published crystal at conditions drawn anew; with a hundredth of columns missing and displaced by 1 angstrom."""
    rng = np.random.default_rng([SEEDS["reported"], seed, MATERIALS.index(material)])
    shares = {"vacancies": 0.01, "displaced": 0.01, "displacement_nm": DISPLACED_NM} if defective else {}
    # The dose is set by the signal-to-noise ratio with which a matched filter sees the strongest columns.
    usual = material_image(material, (64, 64), jitter_nm=0, seed=0).columns["snr"].max()
    return material_image(
        material,
        (side, side),
        pixel_size_nm=rng.uniform(0.014, 0.022),
        rotation_deg=rng.uniform(0, 180),
        dose_per_nm2=1e7 * ((snr or rng.uniform(12, 40)) / usual) ** 2,
        source_fwhm_nm=rng.uniform(0.05, 0.09),
        jitter_nm=rng.uniform(0, 0.006),
        drift_nm=rng.uniform(0, 0.03),
        shear=rng.uniform(-0.006, 0.006, (2, 2)),
        contamination=rng.uniform(0, 0.05),
        background=rng.uniform(0.02, 0.2),
        seed=rng,
        **shares,
    )


def draw_perfect(side, seed):
    """A perfect crystal: every other one published, the others simple, overlapping at small spacings, under a film."""
    if seed % 2:
        return draw_material(MATERIALS[seed // 2 % len(MATERIALS)], side, 1000 + seed, False)
    rng = np.random.default_rng([SEEDS["reported"], seed])
    y, x = np.mgrid[:side, :side] / side
    slope, patch = rng.uniform(-0.3, 0.3, 2), rng.random(2)
    film = 0.3 + slope[0] * y + slope[1] * x
    film += rng.uniform(0, 0.4) * np.exp(-((x - patch[0]) ** 2 + (y - patch[1]) ** 2) / 0.05)
    return crystal_image(
        CRYSTALS[seed // 2 % len(CRYSTALS)],
        (side, side),
        spacing=rng.uniform(5, 14),
        rotation_deg=rng.uniform(0, 180),
        relative_sigma=rng.uniform(0.18, 0.26),
        snr=rng.uniform(12, 35),
        jitter=rng.uniform(0, 0.3),
        drift=rng.uniform(0, 2),
        shear=rng.uniform(-0.006, 0.006, (2, 2)),
        film=film - min(film.min(), 0),
        seed=rng,
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
    """Positions of the missing and the displaced columns that count, and of those that count neither way."""
    displaced = scene.columns[scene.columns["displaced"] > 0]
    edge = DISPLACED_NM / scene.pixel_size_nm
    groups, others = [], []
    for table in (scene.missing, displaced):
        at = table[["y", "x"]].to_numpy()
        inner = _inner(at, scene, edge) & (table["snr"] >= LEAST_SNR).to_numpy()
        groups.append(at[inner])
        others.append(at[~inner])
    return *groups, np.vstack(others)


def _inner(at, scene, edge):
    return ((at >= edge) & (at <= np.array(scene.image.shape) - 1 - edge)).all(axis=1)


def counts(scene, found, reach):
    """Found and missed of both kinds, and false ones; what cannot be seen counts neither way."""
    missing, displaced, unseen = defects_of(scene)
    truth = np.vstack([missing, displaced])
    matched = pairs(truth, found, reach)
    rest = np.delete(found, matched[:, 1], axis=0)
    rest = np.delete(rest, pairs(unseen, rest, reach)[:, 1], axis=0)
    false = _inner(rest, scene, DISPLACED_NM / scene.pixel_size_nm).sum()
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


def by_noise(n_images, side):
    """F1 of find_defects at its defaults against the signal-to-noise ratio of the strongest columns, pooled."""
    result = []
    for snr in STRONGEST_SNR:
        total = 0
        for material, seed in itertools.product(MATERIALS, range(n_images)):
            scene = draw_material(material, side, 3000 + seed, True, snr)
            reach = float(np.linalg.norm(scene.translations, axis=1).min())
            total = total + counts(scene, find_defects(scene.image).table[["y", "x"]].to_numpy(float), reach)
        result.append({"strongest_snr": snr} | summary(total))
        print(result[-1], flush=True)
    return result


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
    """F1 of find_defects, both schemes, and of the plain method, material by material and pooled."""
    runs = {
        "default": {},
        "scheme columns": {"scheme": "columns"},
        "contrast": {"descriptor": "contrast"},
        "patterson": {"descriptor": "patterson"},
    }
    totals = {name: {} for name in (*runs, "plain", "plain, best threshold")}
    for crystal in MATERIALS:
        plain = []
        for seed in range(n_images):
            scene = draw_material(crystal, side, seed, True)
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
        image = draw_perfect(side, seed).image
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


def agree(n_images, side):
    """How the machine of linear cost ranks and picks segments, against the exact one."""
    rows = []
    for seed in range(n_images):
        scene = draw_material(MATERIALS[seed % len(MATERIALS)], side, 2000 + seed, True)
        lattice = find_lattice(scene.image)
        steps = np.maximum(1, np.rint(lattice.lengths / scene.spacing)).astype(int)
        cells = np.maximum(1, np.rint(3 * scene.spacing / lattice.lengths)).astype(int)
        sampling = scene.spacing / 7
        segments = unit_cell_segments(scene.image, lattice, cells=cells, steps=steps, sampling=sampling)
        descriptors = patterson_descriptors(segments.windows)
        exact, linear = (one_class_scores(descriptors, method=method) for method in ("exact", "linear"))
        top = len(exact) // 20
        both = np.intersect1d(np.argsort(-exact)[:top], np.argsort(-linear)[:top])
        rows.append((len(exact), spearmanr(exact, linear).statistic, len(both) / top))
    segments, rank, shared = np.array(rows).T
    return {
        "images": n_images,
        "segments": segments.astype(int).tolist(),
        "rank_correlation": {"median": float(np.median(rank)), "lowest": float(rank.min())},
        "top_twentieth_shared": {"median": float(np.median(shared)), "lowest": float(shared.min())},
    }


def measure_cost(side):
    """Seconds and peak memory on one large image, after a first run that loads the network and compiles; printed."""
    find_defects(draw_material("WSe2 monolayer", 192, 1, False).image)
    image = draw_material("WSe2 monolayer", side, 9000, True).image
    start, start_cpu = time.perf_counter(), time.process_time()
    found = find_defects(image)
    seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    # Unlike getrusage's, this peak does not count what the parent held before it started this process.
    peak = 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])
    cost = {"side_px": side, "seconds": seconds, "cpu_seconds": cpu, "peak_bytes": peak}
    # On a machine that others use too, only the processor's seconds tell.
    cost["load_average"] = os.getloadavg()[0]
    print(json.dumps(cost | {"columns": len(found.columns)}))


def cost(side):
    """Seconds and peak memory of a process of its own."""
    command = [sys.executable, __file__, "--measure-cost", str(side)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


PARTS = {
    "f1": lambda options: recognise(options.images, 512),
    "f1_by_noise": lambda _: by_noise(2, 384),
    "false_alarms": lambda options: calibrate(options.perfect, 256),
    "linear_machine": lambda _: agree(6, 512),
    "cost": lambda _: [cost(1024), cost(4096)],
}


def main():
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=3, help="with defects, per material")
    parser.add_argument("--perfect", type=int, default=200, help="perfect images")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--measure-cost", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    if options.measure_cost:
        measure_cost(options.measure_cost)
        return
    before = json.loads(options.output.read_text(encoding="utf-8")) if options.output.is_file() else {}
    result = {
        "stemlib": stemlib.__version__,
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "seeds": SEEDS,
        "least_snr": LEAST_SNR,
        "displaced_nm": DISPLACED_NM,
    } | {part: before[part] for part in PARTS if part in before}
    for part in options.parts:
        result[part] = PARTS[part](options)
        options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
