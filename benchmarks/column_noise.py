"""Vacancies that `stemlib.find_columns` fills in, columns it keeps and displaced ones it reports, against noise.

Crystals are simulated in counting noise and in white noise so strong that a matched filter sees the faintest columns at
a signal-to-noise ratio of 5 to 8. Counting noise is lower in vacancies, white noise is not: the harder case.
"""

from __future__ import annotations

import math

import numpy as np

import stemlib
from stemlib.agreement import match_columns
from stemlib.synthetic import (
    CrystalImage,
    PointDefects,
    Recording,
    crystal_image,
    named_crystal,
    random_crystal,
)
from stemlib.synthetic.crystals import NAMES

# Signal-to-noise ratios of single columns, and of the columns that are missing.
BANDS = ((5.0, 5.5), (5.5, 6.5), (6.5, 8.0), (8.0, math.inf))
KINDS = ("counting", "white")
DISPLACEMENT = 1 / 3  # over the spacing: 1 angstrom where neighbours are 3 angstroms apart
TOLERANCE = 0.2 * DISPLACEMENT


def noisy_scene(kind: str, seed: int) -> tuple[CrystalImage, np.ndarray, float]:
    """Simulate a crystal whose faintest columns only just stand out: its truth, the image, and a peak's sigma."""
    # Another stream of random numbers than those of training, card and tests.
    rng = np.random.default_rng([seed, KINDS.index(kind), 2611])
    crystal = named_crystal(rng.choice(NAMES)) if seed % 2 else random_crystal(rng)
    spacing = math.exp(rng.uniform(math.log(5), math.log(25)))
    relative_sigma = rng.uniform(0.16, 0.26)
    faintest = rng.uniform(5, 8)
    rotation_deg, side = rng.uniform(0, 360), int(24 * spacing)
    least, sigma = crystal.intensities.min(), relative_sigma * spacing
    # A lone column's ratio; among others, their tails add noise.
    snr = 1.1 * faintest / least if kind == "counting" else 1e4
    scene = crystal_image(
        crystal,
        (side, side),
        spacing=spacing,
        rotation_deg=rotation_deg,
        defects=PointDefects(vacancies=0.08, displaced=0.04, relative_displacement=DISPLACEMENT),
        recording=Recording(relative_sigma=relative_sigma, snr=snr, jitter=0.02 * spacing),
        seed=rng,
    )
    if kind == "counting":
        return scene, scene.image, sigma
    noise = least * math.sqrt(math.pi) * sigma / faintest
    for table in (scene.columns, scene.missing):
        table["snr"] = crystal.intensities[table["site"]] * math.sqrt(math.pi) * sigma / noise
    return scene, scene.image + rng.normal(0, noise, scene.image.shape), sigma


def count(kind: str, seed: int) -> np.ndarray:
    """For each band: vacancies, filled ones, columns, found ones, displaced ones, reported, near enough, expected."""
    scene, image, sigma = noisy_scene(kind, seed)
    found = stemlib.find_columns(image, device="cpu").table
    rim = math.ceil(scene.spacing / 2)
    inner = np.zeros(image.shape, bool)
    inner[rim:-rim, rim:-rim] = True
    vacancies = match_columns(scene.missing, found, reach_px=scene.spacing / 4)
    columns = match_columns(scene.columns, found, reach_px=scene.spacing / 4, region=inner)
    near = match_columns(scene.columns, found, reach_px=TOLERANCE * scene.spacing, region=inner)
    moved = columns.in_truth & (scene.columns["displaced"].to_numpy() > 0)
    snr, missing_snr = scene.columns["snr"].to_numpy(), scene.missing["snr"].to_numpy()
    # The best that any finder can do: an error of sqrt(2) sigma over the ratio along each axis, which is the bound of
    # Cramer and Rao for a peak of known width beside known neighbours.
    possible = 1 - np.exp(-((TOLERANCE * scene.spacing * snr / sigma) ** 2) / 4)
    rows = []
    for low, high in BANDS:
        empty = (missing_snr >= low) & (missing_snr < high)
        here = columns.in_truth & (snr >= low) & (snr < high)
        rows.append(
            [
                empty.sum(),
                (vacancies.is_found & empty).sum(),
                here.sum(),
                (columns.is_found & here).sum(),
                (moved & here).sum(),
                (columns.is_found & moved & here).sum(),
                (near.is_found & moved & here).sum(),
                possible[moved & here].sum(),
            ]
        )
    return np.array(
        [*rows, [0] * 5 + [columns.in_found.sum(), (columns.is_true & columns.in_found).sum(), 0]]
    )


def noise_scores(kind: str, scenes: int, first_seed: int) -> dict:
    """Add up the counts of many crystals."""
    counts = sum(count(kind, seed) for seed in range(first_seed, first_seed + scenes))
    names = (
        "n_vacancies",
        "filled",
        "n_columns",
        "found",
        "n_displaced",
        "displaced_reported",
        "displaced_within_tolerance",
        "displaced_within_tolerance_at_best",
    )
    bands = [
        {"snr_from": low, "snr_to": None if math.isinf(high) else high}
        | {
            name: float(value) if "best" in name else int(value)
            for name, value in zip(names, row, strict=True)
        }
        for (low, high), row in zip(BANDS, counts, strict=False)
    ]
    total = counts[: len(BANDS)].sum(axis=0)
    return {
        "scenes": scenes,
        "first_seed": first_seed,
        "tolerance_over_spacing": TOLERANCE,
        "filled_share": float(total[1] / total[0]),
        "recall": float(total[3] / total[2]),
        "precision": float(counts[-1][6] / counts[-1][5]),
        "displaced_reported_share": float(total[5] / total[4]),
        "bands": bands,
    }
