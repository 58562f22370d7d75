"""Which notebook runs on which images, and which of these images are at hand."""

import dataclasses
import sys
import time

from tqdm.auto import tqdm

from stemlib.datasets import fetch_all, image_set, loop_images

PROBE_S = 5.0  # without an answer from the public server
DOWNLOAD_S = 300.0  # for all of it


@dataclasses.dataclass(frozen=True)
class Run:
    """A notebook on one set of images; `whole`: only where every image of the set is at hand."""

    notebook: str
    image_set: str
    whole: bool = False

    @property
    def name(self):
        return f"{self.notebook}-{self.image_set}"


RUNS = (
    Run("loop-detection", "six"),
    Run("loop-detection", "test28", whole=True),
    Run("loop-sizes", "c-nine"),
)
# What the notebooks read besides their images: every label, the authors' cascades, the second material.
ALSO = (
    "fecral-loops/cascades_2018",
    "fecral-loops/boxes_a",
    "fecral-loops/labels_b",
    "fecral-loops/ellipses_c",
    "316l",
)


def images_at_hand(image_sets):
    """Return image set -> (images on this machine, images in it)."""
    available = loop_images()["available"]
    return {name: (int(available[image_set(name)].sum()), len(image_set(name))) for name in image_sets}


def plan(runs, at_hand):
    """Return the runs that the images at hand allow, and a line for each that they do not.

    `at_hand` is what `images_at_hand` returns. A notebook that has no image at all runs on synthetic ones.
    """
    chosen, lines = [], []
    for run in runs:
        found, wanted = at_hand[run.image_set]
        if found == wanted:
            chosen.append(run)
        elif found and not run.whole:
            chosen.append(run)
            lines.append(f"{run.name}: {found} of {wanted} images at hand, the others are not available")
        else:
            lines.append(f"{run.name}: not available, {found} of {wanted} images at hand")
    for notebook in dict.fromkeys(run.notebook for run in runs):
        if not any(run.notebook == notebook for run in chosen):
            chosen.append(Run(notebook, "synthetic"))
            lines.append(f"{notebook}: runs on SYNTHETIC images instead, for figures/synthetic/")
    return chosen, lines


def download(subsets):
    """Try once to bring the public data here; return whether the server had an answer to everything."""
    end = time.monotonic() + DOWNLOAD_S
    for subset in subsets:
        reached = [0, 0]  # files done, files to download
        with tqdm(
            desc=f"public data, {subset}", unit=" files", leave=False, disable=not sys.stderr.isatty()
        ) as bar:

            def progress(done, total, bar=bar, reached=reached):
                bar.total = total
                bar.update(done - reached[0])
                reached[:] = done, total

            fetch_all(subset, PROBE_S, budget_s=max(end - time.monotonic(), 0), progress=progress)
        # It gives up early where nobody answers: then the next subset has no better prospects.
        if reached[0] < reached[1]:
            return False
    return True
