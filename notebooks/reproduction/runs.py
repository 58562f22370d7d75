"""Which notebook runs on which images, and which of these images are at hand."""

import dataclasses
import sys
import time

from tqdm.auto import tqdm

from stemlib.datasets import atomic_images, fetch_all, image_set, loop_images, steel_316l_images

PROBE_S = 5.0  # without an answer from the public server
DOWNLOAD_S = 300.0  # for all of it


@dataclasses.dataclass(frozen=True)
class Run:
    """A notebook on one set of images; `whole`: only where every image of the set is at hand.

    `parameters` differ from the notebook's own. With `images=False` it reads no image, and so always runs: on what the
    weights' cards state, or on the image set "simulated", whose known truth is the point of the figure.
    """

    notebook: str
    image_set: str
    whole: bool = False
    images: bool = True
    parameters: dict = dataclasses.field(default_factory=dict)

    @property
    def name(self):
        return f"{self.notebook}-{self.image_set}"


RUNS = (
    Run("loop-detection", "six"),
    # Annotators are the same whatever the images: one run compares them.
    Run("loop-detection", "test28", whole=True, parameters={"annotators": False}),
    Run("loop-sizes", "c-nine"),
    Run("loop-steel", "316l"),
    Run("columns", "atomic"),
    # Where a column is to a fraction of a pixel is known in simulated images only.
    Run("columns", "simulated", images=False),
    Run("mowte2-defects", "simulated", images=False),
    Run("tmd-defects", "atomic"),
    Run("zro2-twin", "simulated", images=False),
    Run("phases", "atomic"),
    Run("phases", "simulated", images=False),
    Run("train-columns", "simulated", images=False),
    # What the cards of the weights state of the image series left out.
    Run("train-loops", "training", images=False),
)
# What the notebooks read besides their images: every label, the authors' cascades, images with two label sets.
ALSO = (
    "size-test",
    "fecral-loops/cascades_2018",
    "fecral-loops/boxes_a",
    "fecral-loops/labels_b",
    "fecral-loops/ellipses_c",
)


def images_at_hand(image_sets):
    """Return image set -> (images on this machine, images in it)."""
    others = {"316l": steel_316l_images, "atomic": atomic_images}
    loops = loop_images()["available"]
    chosen = {
        name: others[name]()["available"] if name in others else loops[image_set(name)] for name in image_sets
    }
    return {name: (int(available.sum()), len(available)) for name, available in chosen.items()}


def plan(runs, at_hand):
    """Return the runs that the images at hand allow, and a line for each that they do not.

    `at_hand` is what `images_at_hand` returns. A notebook that has no image at all runs on synthetic ones.
    """
    chosen, lines = [], []
    for run in runs:
        found, wanted = at_hand[run.image_set] if run.images else (0, 0)
        if found == wanted:
            chosen.append(run)
        elif found and not run.whole:
            chosen.append(run)
            lines.append(f"{run.name}: {found} of {wanted} images at hand, the others are not available")
        else:
            lines.append(f"{run.name}: not available, {found} of {wanted} images at hand")
    for notebook in dict.fromkeys(run.notebook for run in runs if run.images):
        if not any(run.notebook == notebook and run.images for run in chosen):
            chosen.append(Run(notebook, "synthetic"))
            lines.append(f"{notebook}: runs on SYNTHETIC images instead")
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
