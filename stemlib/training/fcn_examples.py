"""Labelled frames that the fully convolutional detector learns from: kinds of two teams' labels on one image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stemlib import datasets
from stemlib.loops.boxes import COLUMNS, overlap
from stemlib.training.images import read_example

KINDS = ("loop", "edge-on", "dot", "other")
# What a box says of a kind: here is one, here is none, or nothing.
YES, NO, UNSURE = 1, 0, -1
_SAME = 0.3  # intersection over union from which on boxes of two teams are one object
# Classes of label set B; all others are ambiguous to those who drew them.
_OF_CLASS = {
    0: (UNSURE, NO, NO, YES),
    1: (NO, NO, YES, YES),
    2: (NO, YES, NO, YES),
}
_AMBIGUOUS = (NO, UNSURE, UNSURE, YES)
_LOOP = (YES, NO, NO, YES)


@dataclass(frozen=True, eq=False)
class Example:
    """A micrograph with what people marked in it.

    Parameters
    ----------
    image : (H, W) uint8
    boxes : (N, 4) float
        ``top, left, bottom, right``, px.
    kinds : (N, K) int8
        Of each box and kind: `YES`, `NO` or `UNSURE`.
    asked : (K,) bool
        Kinds that were looked for, so that where none is marked none is.
    looked : (H, W) bool, optional
        Where anybody looked; by default everywhere. Elsewhere nothing is known.
    """

    image: np.ndarray
    boxes: np.ndarray
    kinds: np.ndarray
    asked: np.ndarray
    looked: np.ndarray | None = None


def kinds_example(name: str) -> Example:
    """Return an image of the FeCrAl set with its kinds: open loops of set A, edge-on loops and dots of set B.

    Without set B only open loops were looked for. The kind "other" is whatever anybody marked. An open loop of B that
    A lacks is unsure, and so are B's ambiguous classes for the kinds that A did not look for.

    Parameters
    ----------
    name : str
        As in `stemlib.datasets.loop_images`.

    Raises
    ------
    ValueError, FileNotFoundError
        As `stemlib.datasets.read_loop_labels`.

    Examples
    --------
    >>> if datasets.available("loops"):
    ...     example = kinds_example("K713_300kx_store4_grid1_0025.jpg")
    """
    image, loops, disputed = read_example(name)
    kinds = np.tile(np.int8(_LOOP), (len(loops), 1))
    if disputed is None:
        return Example(image, loops, kinds, np.array([True, False, False, False]))
    labels = datasets.read_loop_labels(name, "B")
    classes, theirs = labels["class"].to_numpy(int), labels[COLUMNS].to_numpy(float)
    # An open loop of both teams stands once, as A drew it.
    known = (overlap(theirs, loops) > _SAME).any(axis=1) & (classes == 0)
    said = np.int8([_OF_CLASS.get(one, _AMBIGUOUS) for one in classes[~known]]).reshape(-1, len(KINDS))
    boxes, kinds = np.vstack([loops, theirs[~known]]), np.vstack([kinds, said])
    return Example(image, boxes, kinds, np.ones(len(KINDS), bool))


def plain_example(image, boxes) -> Example:
    """Return an image with boxes of open loops, the only kind looked for.

    Examples
    --------
    >>> plain_example(np.zeros((64, 64), np.uint8), [[1, 1, 9, 9]]).kinds.tolist()
    [[1]]
    """
    boxes = np.asarray(boxes, float).reshape(-1, 4)
    return Example(image, boxes, np.full((len(boxes), 1), YES, np.int8), np.ones(1, bool))
