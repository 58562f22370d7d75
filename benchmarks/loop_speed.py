"""Time of the three modules beside the authors' Module I in OpenCV, same images, same threads, everything loaded.

    STEMLIB_DATA=FOLDER python benchmarks/loop_speed.py [--threads 1 2] [--repeats 5] [--output FILE]

Each figure is the ratio of two times measured in turn in the same run: machines differ, and so does one machine
from minute to minute. Peak memory (read on Linux) is that of a fresh process which does nothing but find the loops of
one image of 2048 x 2048 px.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numba
import numpy as np
import torch

from stemlib import datasets, find_loops, read
from stemlib.io.files import write_atomically

AUTHORS = "fecral-loops/cascades_2018/loopDetector_v13_45_stage.xml"
PEAK = "import sys; from benchmarks.loop_speed import print_peak; print_peak(sys.argv[1])"


def set_threads(number: int) -> None:
    """Let every library use so many threads."""
    cv2.setNumThreads(number)
    torch.set_num_threads(number)
    numba.set_num_threads(number)


def measure(images: dict[str, np.ndarray], threads: int, repeats: int) -> dict:
    """Return seconds an image, the median over repeats, of both and their ratio, image by image and over all."""
    set_threads(threads)
    authors = cv2.CascadeClassifier(str(datasets.fetch(AUTHORS)))
    runs = {
        "authors": lambda image: authors.detectMultiScale(image, 1.1, 4, 0, (32, 32)),
        "cascade": lambda image: find_loops(image, method="cascade", device="cpu"),
        "fcn": lambda image: find_loops(image, method="fcn", device="cpu"),
    }
    seconds = {name: {key: [] for key in images} for name in runs}
    for run in runs.values():
        run(next(iter(images.values())))  # loads the models and compiles
    for _ in range(repeats):
        for key, image in images.items():
            for name, run in runs.items():
                start = time.perf_counter()
                run(image)
                seconds[name][key].append(time.perf_counter() - start)
    median = {name: {key: float(np.median(t)) for key, t in times.items()} for name, times in seconds.items()}
    total = {name: sum(times.values()) for name, times in median.items()}
    return {
        "threads": threads,
        "repeats": repeats,
        "seconds_per_image": {name: value / len(images) for name, value in total.items()},
        "authors_over_cascade": total["authors"] / total["cascade"],
        "authors_over_fcn": total["authors"] / total["fcn"],
        "images": {
            key: {**{name: median[name][key] for name in runs}, "shape": list(image.shape)}
            for key, image in images.items()
        },
    }


def print_peak(method: str) -> None:
    """Find the loops of a 2048 x 2048 px image and print the process's peak memory in bytes."""
    from stemlib.synthetic import loop_micrograph

    image = loop_micrograph((1024, 1024), n_loops=60, seed=0).image.repeat(2, axis=0).repeat(2, axis=1)
    find_loops(image, method=method, device="cpu")
    # Unlike getrusage's, this peak does not count what the parent held before it started this process.
    status = Path("/proc/self/status").read_text()
    print(1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]))


def peak_memory(method: str) -> int:
    """Return the peak memory, bytes, of a process that finds the loops of one 2048 x 2048 px image."""
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(
        [sys.executable, "-c", PEAK, method], cwd=root, capture_output=True, text=True, check=True
    )
    return int(done.stdout.split()[-1])


def main() -> None:
    """Measure, print and write what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    table = datasets.loop_images()
    images = {
        name: read(datasets.fetch(table.loc[name, "path"])).image.astype(np.uint8)
        for name in datasets.image_set("six")
    }
    result = {
        "machine": f"{platform.system()} {platform.machine()}",
        "opencv": cv2.__version__,
        "torch": torch.__version__.split("+")[0],
        "peer": f"{AUTHORS}, detectMultiScale(1.1, 4, 0, 32 x 32)",
        "runs": [measure(images, threads, options.repeats) for threads in options.threads],
        "peak_memory_bytes_2048": {method: peak_memory(method) for method in ("cascade", "fcn")},
    }
    write_atomically(options.output, json.dumps(result, indent=1) + "\n")
    for run in result["runs"]:
        print(
            f"{run['threads']} thread(s): three modules {run['authors_over_cascade']:.1f} times, fcn "
            f"{run['authors_over_fcn']:.2f} times as fast as the authors' Module I in OpenCV; s an image: "
            + ", ".join(f"{name} {value:.3f}" for name, value in run["seconds_per_image"].items())
        )
    print({name: f"{value / 2**20:.0f} MiB" for name, value in result["peak_memory_bytes_2048"].items()})


if __name__ == "__main__":
    main()
