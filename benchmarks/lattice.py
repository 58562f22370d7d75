"""How often `stemlib.find_lattice` finds the right cell of random crystals, how exactly, how fast, in how much memory.

    python benchmarks/lattice.py [--crystals 100] [--first-seed 0] [--output FILE]

The crystals are any Bravais lattice with one to eight columns of different intensity, nearest neighbours 5 to 40 px
apart, at least six of the longer translations across the image, with noise, vacancies, shear, and in part scan jitter,
drift, vacuum and contamination. A cell is right if its lattice is that of the crystal: neither larger nor smaller nor
another one, and within 3 % (drift bends the lattice of an image). Peak memory (read on Linux) is that of a fresh
process which does nothing but find one cell.
"""

from __future__ import annotations

import json

import cv2
import harness
import numpy as np

from stemlib import find_lattice
from stemlib.fourier.unit_cell import reduce_cell
from stemlib.synthetic import PointDefects, Recording, crystal_image, random_crystal


def random_scene(seed: int) -> tuple[np.ndarray, np.ndarray, dict]:
    """Draw an image of a random crystal: the image, its true translations and how it was drawn."""
    rng = np.random.default_rng(seed)
    while True:
        crystal = random_crystal(rng)
        spacing = float(np.exp(rng.uniform(np.log(5), np.log(40))))
        longest = np.linalg.norm(reduce_cell(crystal.cell), axis=1).max() * spacing
        if 6 * longest <= 1024:
            break
    side = int(max(64, rng.uniform(6, 12) * longest))
    side = min(side, 1024)
    how = {
        "columns": len(crystal.sites),
        "spacing": spacing,
        "shape": [side, side],
        "snr": float(np.exp(rng.uniform(np.log(8), np.log(40)))),
        "relative_sigma": float(max(0.8 / spacing, rng.uniform(0.17, 0.28))),
        "rotation_deg": float(rng.uniform(0, 360)),
        "vacancies": float(rng.choice([0, 0.02, 0.06])),
        "mixed": float(rng.choice([0, 0, 0.3])),
        "jitter": float(rng.choice([0, 0.03]) * spacing),
        "drift": float(rng.choice([0, 0, 0.15]) * spacing),
        "shear": rng.choice([-0.01, 0, 0.01], (2, 2)).tolist(),
        "vacuum": bool(rng.random() < 0.15 and side > 9 * longest),
        "contamination": bool(rng.random() < 0.15),
    }
    y, x = np.mgrid[:side, :side] / side
    film = 0.3 * x + 0.2 * y**2
    if how["contamination"]:
        film = film + 2 * np.exp(-((y - rng.uniform(0, 1)) ** 2 + (x - rng.uniform(0, 1)) ** 2) / 0.01)
    angle = rng.uniform(0, 2 * np.pi)
    crystalline = (y - 0.5) * np.sin(angle) + (x - 0.5) * np.cos(angle) < 0.15 if how["vacuum"] else None
    scene = crystal_image(
        crystal,
        (side, side),
        spacing=spacing,
        rotation_deg=how["rotation_deg"],
        crystalline=crystalline,
        defects=PointDefects(vacancies=how["vacancies"], mixed=how["mixed"]),
        recording=Recording(
            film=film, **{name: how[name] for name in ("snr", "relative_sigma", "jitter", "drift", "shear")}
        ),
        seed=rng,
    )
    return scene.image, scene.translations, how


def compare(cell: np.ndarray, truth: np.ndarray) -> tuple[bool, float, float]:
    """Whether two cells are of one lattice; largest relative error of a length; error of the angle in degrees."""
    steps = cell @ np.linalg.inv(truth)
    whole = np.round(steps)
    if abs(round(np.linalg.det(whole))) != 1 or np.abs(steps - whole).max() > 0.08:
        return False, np.nan, np.nan
    same = whole @ truth
    lengths, true_lengths = (np.linalg.norm(c, axis=1) for c in (cell, same))
    angles = [np.degrees(np.arccos(c[0] @ c[1] / np.linalg.norm(c, axis=1).prod())) for c in (cell, same)]
    return True, float(np.abs(lengths / true_lengths - 1).max()), float(abs(angles[0] - angles[1]))


def random_cells(count: int, first_seed: int) -> dict:
    """Find the cells of random crystals."""
    rows, wrong, weak = [], [], 0
    for seed in range(first_seed, first_seed + count):
        image, truth, how = random_scene(seed)
        try:
            lattice, seconds = harness.timed(find_lattice, image)
        except ValueError as error:
            wrong.append({"seed": seed, "found": str(error), **how})
            continue
        right, length, angle = compare(lattice.cell, truth)
        if not right:
            # Sites that hardly differ are a superstructure, reported beside the cell.
            lattice = lattice.with_superstructure()
            right, length, angle = compare(lattice.cell, truth)
            weak += right
        if not right:
            times = abs(np.linalg.det(lattice.cell) / np.linalg.det(truth))
            wrong.append({"seed": seed, "found": f"{times:.3g} times the area", **how})
            continue
        steps = np.round(lattice.cell @ np.linalg.inv(truth)) @ truth
        pulls = ((lattice.cell - steps) / [lattice.a_error, lattice.b_error]).ravel()
        rows.append((length, angle, seconds, how["drift"] > 0, *pulls))
    rows = np.array(rows)
    still = rows[rows[:, 3] == 0]
    return {
        "crystals": count,
        "first_seed": first_seed,
        "right": len(rows),
        "of_these_by_their_superstructure": weak,
        "refused": sum("times the area" not in row["found"] for row in wrong),
        "wrong": wrong,
        "without_drift": {
            "crystals": len(still),
            "median_length_error_percent": float(100 * np.median(still[:, 0])),
            "quantile_95_length_error_percent": float(100 * np.quantile(still[:, 0], 0.95)),
            "median_angle_error_deg": float(np.median(still[:, 1])),
            "quantile_95_angle_error_deg": float(np.quantile(still[:, 1], 0.95)),
            "rms_error_over_stated_error": float(np.sqrt((still[:, 4:] ** 2).mean())),
        },
        "median_seconds": float(np.median(rows[:, 2])),
    }


def sheared_cells() -> dict:
    """Errors on images with 1 % shear and scan jitter of 3 % of the spacing."""
    lengths, angles = [], []
    names = ("square", "hexagonal", "honeycomb", "graphene", "perovskite", "1T'")
    for index, name in enumerate(names):
        for repeat in range(3):
            spacing = (7.0, 11.0, 17.0)[repeat]
            scene = crystal_image(
                name,
                (512, 512),
                spacing=spacing,
                rotation_deg=10 + 17 * index,
                defects=PointDefects(vacancies=0.02),
                recording=Recording(
                    shear=((0, 0), (0.01, 0)) if repeat % 2 else ((0, 0.01), (0, 0)), jitter=0.03 * spacing
                ),
                seed=100 * index + repeat,
            )
            _, length, angle = compare(find_lattice(scene.image).cell, scene.translations)
            lengths.append(length)
            angles.append(angle)
    return {
        "images": len(lengths),
        "largest_length_error_percent": float(100 * np.max(lengths)),
        "largest_angle_error_deg": float(np.max(angles)),
    }


def seconds(side: int, spacing: float, repeats: int = 5) -> float:
    """Median time for an image of ``side x side`` px."""
    recording = Recording(jitter=0.2, drift=1.0)
    image = crystal_image("honeycomb", (side, side), spacing=spacing, recording=recording, seed=1).image
    return float(np.median([harness.timed(find_lattice, image)[1] for _ in range(repeats)]))


def find_in_large_image(spacing: float) -> None:
    """Find the cell of a 4096 x 4096 px image."""
    spacing = 1024 / round(1024 / spacing)
    recording = Recording(snr=1000)
    tile = crystal_image("square", (1024, 1024), spacing=spacing, recording=recording, seed=1).image
    image = np.tile(tile, (4, 4))
    # The tile's own noise repeats; this does not.
    image += 0.1 * np.random.default_rng(0).standard_normal(image.shape, dtype=np.float32)
    find_lattice(image)


def main() -> None:
    """Measure, print and write what was found."""
    parser = harness.parser(__file__, __doc__)
    parser.add_argument("--crystals", type=int, default=100)
    parser.add_argument("--first-seed", type=int, default=0)
    options = parser.parse_args()
    result = {
        **harness.environment(opencv=cv2, numpy=np),
        "random_crystals": random_cells(options.crystals, options.first_seed),
        "shear_and_jitter": sheared_cells(),
        "seconds_1024": {f"spacing {s} px": seconds(1024, s) for s in (6.0, 20.0)},
        "peak_memory_bytes_4096": {
            f"spacing {s} px": harness.in_fresh_process(find_in_large_image, s)[1] for s in (6.0, 40.0)
        },
    }
    harness.write(options.output, result)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
