"""Module I alone: how many loops it proposes for how many candidates, ours beside the authors'."""

import cv2
import numpy as np
import pandas as pd

from stemlib.agreement import pool, score
from stemlib.io.micrograph import to_uint8
from stemlib.loops import candidates
from stemlib.loops.cascade import raw_windows
from stemlib.loops.tiling import resampled
from stemlib.training.images import usual_pixel

from .loop_scores import match_cases

# Neighbours demanded of the authors' candidates; theirs is 4. Grouping is slow, so not every number.
_LEVELS = (1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 30)


def candidate_curve(cases, cascade, *, published=False, truth="A"):
    """Return recall against the number of candidates of Module I alone, the published rule.

    Candidates are ranked by how many windows agreed on them; the curve runs from few well-supported candidates to
    every one. `published` runs a `stemlib.loops.cascade.Cascade` as the authors ran theirs: OpenCV's windows at a scale
    factor of 1.1 of at least 32 px, grouped by OpenCV; else it runs as in `stemlib.find_loops`. `truth` is the label
    set. Columns: `min_neighbours`, `per_image`, `n_found`, `n_truth`, `recall` and `precision` with their intervals,
    the most demanding first. No image at hand is a ValueError.
    """
    here = [case for case in cases if case.available and truth in case.labels]
    if not here:
        raise ValueError(f"cases holds {len(cases)} images, none at hand with labels of set {truth}")
    grouped = _opencv_groups if published else _own_groups
    found = {case.name: grouped(cascade, case.image()) for case in here}
    levels = sorted({level for by_level in found.values() for level in by_level})
    rows = []
    for level in reversed(levels):
        boxes = {name: _at(by_level, level) for name, by_level in found.items()}
        result = score(pool(match_cases(here, boxes, "published", truth=truth).values()), n_resamples=1)
        rows.append(
            {"min_neighbours": level, "per_image": result["n_found"] / len(here)}
            | {key: result[key] for key in ("n_found", "n_truth", "recall", "recall_low", "recall_high")}
            | {key: result[key] for key in ("precision", "precision_low", "precision_high")}
        )
    return pd.DataFrame(rows)


def recall_at(curve, per_image):
    """Return the recall of a candidate curve at so many candidates per image, with its interval where it has one.

    Between two points of the curve it is interpolated linearly: what is to be expected if, of the candidates with equal
    support, as many as allowed are taken at random. Outside the curve, which says nothing of fewer or more candidates
    than it has, all but `per_image` is None.
    """
    at = curve["per_image"].to_numpy(float)
    keys = [key for key in ("recall", "recall_low", "recall_high") if key == "recall" or key in curve]
    if not at.min() <= per_image <= at.max():
        return {"per_image": float(per_image)} | dict.fromkeys(keys)
    order = np.argsort(at, kind="stable")
    return {"per_image": float(per_image)} | {
        key: float(np.interp(per_image, at[order], curve[key].to_numpy(float)[order])) for key in keys
    }


def _at(by_level, level):
    # Beyond its own last level an image has no candidate left.
    higher = [one for one in by_level if one >= level]
    return by_level[min(higher)] if higher else np.empty((0, 4))


def _own_groups(cascade, image):
    """Return the candidates at each demand on support, number of windows -> boxes."""
    grey = to_uint8(image)
    factor = usual_pixel(grey.shape)
    working = resampled(grey, factor)
    boxes, strength = candidates.find_candidates(cascade, working)
    boxes = (boxes + 0.5) * factor - 0.5
    return {int(level): boxes[strength >= level] for level in np.unique(strength)}


def _opencv_groups(cascade, image):
    """Return the same as the authors' code has it: OpenCV's windows and OpenCV's groups."""
    windows = raw_windows(cascade, image.astype(np.uint8), scale_factor=1.1, min_size=32)
    as_opencv = windows[:, [1, 0, 3, 2]].tolist()
    by_level = {}
    for level in _LEVELS:
        grouped = np.array(cv2.groupRectangles(as_opencv, level, 0.2)[0], float).reshape(-1, 4)
        left, top, width, height = grouped.T
        by_level[level] = np.column_stack([top, left, top + height, left + width]) - 0.5
    return by_level
