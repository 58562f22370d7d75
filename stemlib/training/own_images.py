"""A user's own labelled images: where somebody looked, and which labels are left out of training together."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import pandas as pd
from scipy.spatial import ConvexHull, cKDTree
from skimage.draw import polygon2mask

from stemlib.io.micrograph import as_micrograph, check_mask, to_uint8
from stemlib.loops.boxes import COLUMNS
from stemlib.loops.fcn import CELL
from stemlib.training.fcn import standardised_example
from stemlib.training.fcn_examples import NO, YES, Example
from stemlib.training.labels import read_labels

_PARTS = 3
_FEWEST = 4


@dataclass(frozen=True, eq=False)
class OwnImage:
    """An image with a user's labels.

    Parameters
    ----------
    grey : (H, W) uint8
    labels : DataFrame
        As `stemlib.training.labels.read_labels` returns them.
    looked : (H, W) bool
        Where the user looked.
    part : (N,) int
        Part of the cross-validation that each label belongs to.
    """

    grey: np.ndarray
    labels: pd.DataFrame
    looked: np.ndarray
    part: np.ndarray

    def nearest(self, positions):
        """Part of the label nearest to each position; -1 where there is no label."""
        if not len(self.labels):
            return np.full(len(positions), -1)
        return self.part[cKDTree(centres(self.labels)).query(positions)[1]]


def read_images(images, labels, regions, polarity):
    """Images with their labels and where anybody looked; and their pixel sizes."""
    if polarity not in ("dark", "bright"):
        raise ValueError(f"polarity={polarity!r} is not known; 'dark' or 'bright' would do")
    if not isinstance(images, list | tuple):
        images, labels, regions = [images], [labels], [regions]
    regions = [None] * len(images) if regions is None else regions
    if not len(images) == len(labels) == len(regions):
        raise ValueError(
            f"images holds {len(images)}, labels {len(labels)} and regions {len(regions)}; one of each would do"
        )
    read, scales = [], []
    for image, its, region in zip(images, labels, regions, strict=True):
        micrograph = as_micrograph(image)
        grey = to_uint8(micrograph.image if polarity == "dark" else -micrograph.image)
        table = read_labels(its, image, grey.shape)
        looked = _hull(table, grey.shape) if region is None else check_mask(region, grey.shape)
        read.append(OwnImage(grey, table, looked, np.empty(0, int)))
        scales.append(micrograph.pixel_size_nm)
    return read, scales


def _hull(table, shape):
    """Hull of the labels, wider by half a label: who labelled these saw what lies between them."""
    if not len(table):
        raise ValueError("labels of an image are none, and regions does not say where anybody looked")
    boxes = table[COLUMNS].to_numpy()
    margin = (boxes[:, 2:] - boxes[:, :2]).mean() / 2
    top, left, bottom, right = (boxes + [-margin, -margin, margin, margin]).T
    corners = np.concatenate(
        [np.stack(pair, 1) for pair in ((top, left), (top, right), (bottom, left), (bottom, right))]
    )
    return polygon2mask(shape, corners[ConvexHull(corners).vertices])


def check_kinds(kinds, read):
    """Return the kinds to learn, each with labels enough."""
    counts = pd.concat([one.labels["kind"] for one in read]).value_counts()
    kinds = sorted(counts.index) if kinds is None else [kinds] if isinstance(kinds, str) else list(kinds)
    for kind in kinds:
        if counts.get(kind, 0) < _FEWEST:
            raise ValueError(
                f"labels holds {counts.get(kind, 0)} of the kind {kind!r} (of {dict(counts)}); at least {_FEWEST} of "
                "each of kinds would do"
            )
    if not kinds:
        raise ValueError(f"labels holds none; at least {_FEWEST} of a kind would do")
    return kinds


def centres(table):
    """Return the (N, 2) centres (y, x) of boxes."""
    boxes = table[COLUMNS].to_numpy()
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def divided(read):
    """Give each label its part of the cross-validation: whole images where there are enough, else stretches of one."""
    with_labels = [number for number, one in enumerate(read) if len(one.labels)]
    n_labels = sum(len(one.labels) for one in read)
    n_parts = min(_PARTS, n_labels // 2)
    parts = []
    if len(with_labels) >= n_parts:
        part_of = {number: place % n_parts for place, number in enumerate(with_labels)}
        for number, one in enumerate(read):
            parts.append(replace(one, part=np.full(len(one.labels), part_of.get(number, 0))))
        return parts
    for one in read:
        part = np.zeros(len(one.labels), int)
        if len(part):
            centre = centres(one.labels)
            along = centre[:, np.ptp(centre, axis=0).argmax()]
            part[np.argsort(along, kind="stable")] = np.arange(len(part)) * n_parts // len(part)
        parts.append(replace(one, part=part))
    return parts


def example_of(one, kinds, pixel):
    """Return the image at the scale of its labels, as training takes it."""
    said = np.where(one.labels["kind"].to_numpy()[:, None] == np.array(kinds), YES, NO).astype(np.int8)
    asked = np.ones(len(kinds), bool)
    return standardised_example(
        Example(one.grey, one.labels[COLUMNS].to_numpy(), said, asked, one.looked), pixel
    )


def without_part(example, one, part, pixel):
    """The example without what is nearest to the labels of one part."""
    cells = tuple(-(-side // CELL) for side in example.looked.shape)
    positions = (np.indices(cells).reshape(2, -1).T + 0.5) * CELL * pixel - 0.5
    own = (one.nearest(positions) == part).reshape(cells).astype(np.uint8)
    own = cv2.resize(own, (CELL * cells[1], CELL * cells[0]), interpolation=cv2.INTER_NEAREST)
    looked = example.looked & (own[: example.looked.shape[0], : example.looked.shape[1]] == 0)
    kept = one.part != part
    return replace(example, boxes=example.boxes[kept], kinds=example.kinds[kept], looked=looked)
