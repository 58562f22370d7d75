"""Many images: two processes beside one, memory over the frames of a movie, and links of wandering objects.

    python benchmarks/many.py [--images 60] [--frames 1000] [--repeats 3] [--output FILE]

The ratio is that of two times measured in turn, over the same simulated micrographs, start of the processes included:
of few images, that is much of it. Other work on the machine makes it smaller: ``load`` tells how many processes wanted
to run when it was measured, and the processors' own seconds what the work cost nevertheless. Memory (read on Linux) is
that of the process that calls `stemlib.batch` and of its workers, halfway and at the end.
"""

from __future__ import annotations

import os
import re
import resource
import tempfile
import threading
from pathlib import Path

import harness
import numpy as np
import pandas as pd

import stemlib
from stemlib.many.tracks import link_frames
from stemlib.synthetic import crystal_image, loop_micrograph


def speed(n_images: int, repeats: int) -> dict:
    """Return seconds for all images with one process and with two, the median over repeats, and their ratio."""
    images = [loop_micrograph((512, 512), n_loops=12, seed=seed).image for seed in range(n_images)]
    seconds, cpu, load = {1: [], 2: []}, {1: [], 2: []}, []
    for _ in range(repeats):
        for workers, times in seconds.items():
            load.append(os.getloadavg()[0])
            before = _cpu_of_children()
            with tempfile.TemporaryDirectory() as folder:
                times.append(harness.timed(stemlib.batch, images, "loops", output=folder, workers=workers)[1])
            cpu[workers].append(_cpu_of_children() - before)
    median = {workers: float(np.median(times)) for workers, times in seconds.items()}
    return {
        "images": n_images,
        "shape": [512, 512],
        "repeats": repeats,
        "seconds_1_worker": median[1],
        "seconds_2_workers": median[2],
        "ratio": median[1] / median[2],
        "cpu_seconds_1_worker": float(np.median(cpu[1])),
        "cpu_seconds_2_workers": float(np.median(cpu[2])),
        "load": float(np.mean(load)),
    }


def _cpu_of_children() -> float:
    """Seconds of processors that ended processes have used, whatever else the machine did meanwhile."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def memory(n_frames: int) -> dict:
    """Return the memory of this process and of its workers when half of the frames are done, and at the end, bytes."""
    import dask.array

    frame = crystal_image("square", (256, 256), spacing=10, seed=0).image
    movie = dask.array.stack(
        [
            dask.array.from_delayed(_frame(frame, number), frame.shape, frame.dtype)
            for number in range(n_frames)
        ]
    )
    with tempfile.TemporaryDirectory() as folder:
        samples, ended = [], threading.Event()
        thread = threading.Thread(target=_sample, args=(Path(folder), samples, ended))
        thread.start()
        stemlib.batch(movie, "domains", output=folder, workers=2, pictures=False)
        ended.set()
        thread.join()
    table = pd.DataFrame(samples, columns=["done", "bytes"])
    return {
        "frames": n_frames,
        "shape": list(frame.shape),
        "halfway_bytes": int(
            table.loc[table["done"].between(0.45 * n_frames, 0.55 * n_frames), "bytes"].median()
        ),
        "end_bytes": int(table.loc[table["done"] > 0.9 * n_frames, "bytes"].median()),
    }


def _frame(frame, number):
    import dask

    return dask.delayed(np.roll)(frame, number, axis=1)


def _sample(folder, samples, ended):
    while not ended.wait(1.0):
        done = len(os.listdir(folder / "images" / "image")) if (folder / "images" / "image").is_dir() else 0
        samples.append((done, sum(map(_resident, [os.getpid(), *_children()]))))


def _children():
    path = Path(f"/proc/{os.getpid()}/task")
    return [int(pid) for task in path.iterdir() for pid in (task / "children").read_text().split()]


def _resident(pid):
    try:
        return 1024 * int(re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1])
    except (OSError, TypeError):  # it has just ended
        return 0


def linking(steps=(3.0, 6.0, 9.0, 12.0), *, n_seeds=5) -> list[dict]:
    """Return the share of right links, both ways, of objects that wander at random: some appear, vanish, are missed."""
    found = []
    for step in steps:
        counts = np.sum([_links(step, seed) for seed in range(n_seeds)], axis=0)
        found.append(
            {
                "step_over_neighbour_distance": step / counts[3] * n_seeds,
                "links": int(counts[1]),
                "recall": counts[0] / counts[1],
                "precision": counts[0] / counts[2],
            }
        )
    return found


def _links(step, seed, *, n_objects=60, n_frames=20, apart=40.0):
    """Right, true and found links of one movie, and the median distance of its neighbours, px."""
    rng = np.random.default_rng(seed)
    places = np.empty((0, 2))
    while len(places) < n_objects:
        new = rng.uniform(0, 700, 2)
        if not len(places) or np.linalg.norm(places - new, axis=1).min() > apart:
            places = np.vstack([places, new])
    first = np.where(rng.random(n_objects) < 0.2, rng.integers(1, n_frames, n_objects), 0)
    last = np.where(rng.random(n_objects) < 0.2, rng.integers(0, n_frames, n_objects), n_frames)
    rows = []
    for frame in range(n_frames):
        seen = (first <= frame) & (frame <= last) & (rng.random(n_objects) > 0.02)
        rows += [(frame, *places[who], who) for who in np.flatnonzero(seen)]
        places = places + rng.normal(0, step / np.sqrt(2), places.shape)
    table = pd.DataFrame(rows, columns=["frame", "y", "x", "who"]).assign(image="movie")
    tracks = link_frames(table, {"movie": n_frames})
    true, found = (_pairs(table, "who"), _pairs(tracks.table, "track"))
    return len(true & found), len(true), len(found), 2 * tracks.search_range["movie"]


def _pairs(table, key):
    pairs = set()
    for _, one in table.groupby(key):
        gaps = np.diff(one["frame"])
        pairs |= {(a, b) for a, b, gap in zip(one.index, one.index[1:], gaps, strict=False) if gap == 1}
    return pairs


def main() -> None:
    """Measure, print and write what was found."""
    parser = harness.parser(__file__, __doc__)
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    result = {
        **harness.environment(),
        "speed": speed(options.images, options.repeats),
        "memory": memory(options.frames),
        "linking": linking(),
    }
    harness.write(options.output, result)
    print(result)


if __name__ == "__main__":
    main()
