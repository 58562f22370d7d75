"""Columns found on the labelled images beside a peak finder and Atomap tuned on the labels; time and memory.

    STEMLIB_DATA=FOLDER PYTHONPATH=notebooks python benchmarks/columns.py [--atomap-python PYTHON]
        [--methods find_columns] [--output FILE]

`find_columns` gets nothing but the image. The Laplacian-of-Gaussian peak finder gets the width, distance and threshold
with the highest F1 against the very labels it is scored on, and so does Atomap its options, where it is installed for
PYTHON. A method that is left out keeps the scores it has in the output file. Each match is one-to-one within a quarter
of the labels' spacing, inside the polygon drawn on the image. Peak memory (read on Linux) is that of a fresh process
that does nothing but find the columns of one image of 4096 x 4096 px. What simulated crystals say about vacancies and
displaced columns in strong noise is measured by `column_noise`.
"""

from __future__ import annotations

import os
import time

import column_noise
import column_peers
import harness
import numpy as np
import skimage
import torch

import stemlib
from reproduction.drawings import drawn_polygon
from stemlib import datasets
from stemlib.agreement import column_spacing, match_columns, score_columns

METHODS = ["find_columns", "log", "atomap"]
IMAGES = ("wse2-ti/adf1", "wse2-ti/adf2", "wse2-cr", "mose2-40kv", "ws2te2-edge")


def compare(name: str, methods: list[str], atomap_python: str | None) -> dict:
    """Return what the finders score on one image: method -> scores and parameters."""
    image = datasets.read_atomic_image(name).image
    labels = datasets.atomic_labels(name)[["y", "x"]].to_numpy()
    region = drawn_polygon(name)
    finders = {
        "find_columns": lambda: (stemlib.find_columns(image).table, {}),
        "log": lambda: column_peers.best_log(image, labels, region),
        "atomap": lambda: (
            column_peers.best_atomap(image, labels, region, atomap_python) if atomap_python else None
        ),
    }
    scores = {}
    for method in methods:
        found = finders[method]()
        if found is not None:
            reach = column_spacing(labels) / 4
            match = match_columns(labels, found[0], reach_px=reach, region=region)
            scores[method] = {**score_columns(match), "reach_px": reach, "parameters": found[1]}
    return scores


def pooled(images: dict) -> dict:
    """Return what each finder scores on all labels together, where it has been scored on every image."""
    result = {}
    for method in METHODS:
        if not all(method in scores for scores in images.values()):
            continue
        keys = ("n_truth", "n_found", "truth_found", "found_true")
        counts = {key: sum(scores[method][key] for scores in images.values()) for key in keys}
        recall, precision = (
            counts["truth_found"] / counts["n_truth"],
            counts["found_true"] / counts["n_found"],
        )
        f1 = 2 * recall * precision / (recall + precision)
        result[method] = {**counts, "recall": recall, "precision": precision, "f1": f1}
    return result


def speed_image(side: int) -> np.ndarray:
    """Return a crystal of `side` x `side` px: one simulated piece, repeated."""
    from stemlib.synthetic import crystal_image

    piece = crystal_image("honeycomb", (512, 512), spacing=10.0, seed=0).image
    return np.tile(piece, (side // 512, side // 512))


def seconds(threads: int, repeats: int) -> dict:
    """Return the median time to find the columns of 1024 x 1024 px, everything loaded."""
    harness.set_threads(threads)
    image = speed_image(1024)
    n_columns = len(stemlib.find_columns(image, device="cpu").table)
    times, processor = [], []
    for _ in range(repeats):
        busy = time.process_time()
        times.append(harness.timed(stemlib.find_columns, image, device="cpu")[1])
        processor.append(time.process_time() - busy)
    return {
        "threads": threads,
        "repeats": repeats,
        "n_columns": n_columns,
        "median_s": float(np.median(times)),
        "fastest_s": min(times),
        # On a busy machine the seconds above say little; with one thread these are what a quiet one takes.
        "processor_median_s": float(np.median(processor)),
        "load_average": os.getloadavg()[0],
    }


def find_in_large_image() -> int:
    """Find the columns of a 4096 x 4096 px image; return their number."""
    return len(stemlib.find_columns(speed_image(4096), device="cpu").table)


def main() -> None:
    """Measure, print and write what was found."""
    parser = harness.parser(__file__, __doc__)
    parser.add_argument("--atomap-python", help="an interpreter that has Atomap; left out where not given")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--noisy-scenes", type=int, default=160)
    parser.add_argument("--first-seed", type=int, default=1000, help="of the noisy scenes")
    options = parser.parse_args()
    result = {"images": {}, **harness.read(options.output)}
    result |= harness.environment(torch=torch, **{"scikit-image": skimage})
    for name in IMAGES:
        scores = result["images"].get(name, {}) | compare(name, options.methods, options.atomap_python)
        result["images"][name] = {method: scores[method] for method in METHODS if method in scores}
        for method, score in result["images"][name].items():
            print(f"{name:13} {method:13} recall {score['recall']:.4f} precision {score['precision']:.4f}")
    result["pooled"] = pooled(result["images"])
    for method, score in result["pooled"].items():
        print(
            f"{'all labels':13} {method:13} recall {score['recall']:.4f} precision {score['precision']:.4f}"
        )
    harness.write(options.output, result)
    if "find_columns" in options.methods:
        result["seconds_1024"] = [seconds(threads, options.repeats) for threads in options.threads]
        result["peak_memory_bytes_4096"] = harness.in_fresh_process(find_in_large_image)[1]
        result["noise"] = {
            kind: column_noise.noise_scores(kind, options.noisy_scenes, options.first_seed)
            for kind in column_noise.KINDS
        }
    harness.write(options.output, result)
    for run in result.get("seconds_1024", []):
        print(f"1024 x 1024 px, {run['threads']} thread(s): {run['median_s']:.2f} s")
    if "peak_memory_bytes_4096" in result:
        print(f"4096 x 4096 px: {result['peak_memory_bytes_4096'] / 2**20:.0f} MiB")
    for kind, scores in result.get("noise", {}).items():
        print(
            f"{kind} noise: {scores['filled_share']:.4f} of the vacancies filled in, recall {scores['recall']:.4f}, "
            f"precision {scores['precision']:.4f}"
        )


if __name__ == "__main__":
    main()
