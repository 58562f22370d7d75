"""How completely loops are labelled: the authors' Module I against one team, and against either of two.

    STEMLIB_DATA=FOLDER python benchmarks/label_completeness.py [--output FILE]

One detector, run as its authors did, on the images of the roles training and validation that sets A and B both label.
Its precision is known on test images as well; where it is lower at the same recall, labels miss more loops. The
threshold of Modules I and II is chosen accordingly: see `stemlib.training.left_out.best_threshold`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
from tqdm.auto import tqdm

from stemlib import datasets, read
from stemlib.agreement import match, pool
from stemlib.io.files import write_atomically
from stemlib.training.images import loops_of_teams

AUTHORS = "fecral-loops/cascades_2018/trained_Cascade_Object_Detector.xml"
# Read from the comments of the authors' code; against set A, the same detector and settings.
PUBLISHED_TEST28 = {"recall": 0.893, "precision": 0.658}


def authors_boxes(cascade: cv2.CascadeClassifier, image: np.ndarray) -> np.ndarray:
    """Return what the authors' Module I finds, run as they did: top, left, bottom, right, px."""
    found = np.array(cascade.detectMultiScale(image, 1.1, 4, 0, (32, 32)), float).reshape(-1, 4)
    left, top, width, height = found.T
    return np.column_stack([top, left, top + height, left + width]) - 0.5


def main() -> None:
    """Measure, print and write what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    table = datasets.loop_images()
    names = [*datasets.image_set("training"), *datasets.image_set("validation")]
    cascade = cv2.CascadeClassifier(str(datasets.fetch(AUTHORS)))
    matches = []
    for name in tqdm([name for name in names if "B" in table.loc[name, "label_sets"]]):
        loops, disputed = loops_of_teams(name)
        image = read(datasets.fetch(table.loc[name, "path"])).image.astype(np.uint8)
        matches.append(match(loops, authors_boxes(cascade, image), rule="published", other=disputed))
    pooled = pool(matches)
    on_disputed = pooled.on_class >= 0
    result = {
        "detector": f"{AUTHORS}, detectMultiScale(1.1, 4, 0, 32 x 32)",
        "rule": "published: box centres within 20 px in y and in x",
        "n_images": len(matches),
        "n_loops": len(pooled.is_found),
        "n_found": len(pooled.is_true),
        "recall": float(pooled.is_found.mean()),
        "precision": {
            "set A": float(pooled.is_true.mean()),
            "set A, detections on loops that only B marks left out": float(
                pooled.is_true[~on_disputed].mean()
            ),
            "set A or B": float((pooled.is_true | on_disputed).mean()),
        },
        "published, 28 test images, set A": PUBLISHED_TEST28,
    }
    write_atomically(options.output, json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
