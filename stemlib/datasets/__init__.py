"""Public data sets: registry, download, splits and the formats of the human labels."""

from stemlib.datasets.atomic import (
    atomic_images,
    atomic_labels,
    read_atomic_image,
)
from stemlib.datasets.fecral import image_set, label_files, label_sets, loop_images, read_loop_labels
from stemlib.datasets.registry import fetch, load_registry
from stemlib.datasets.steel import read_316l_labels, steel_316l_images
from stemlib.datasets.subsets import available, fetch_all

__all__ = [
    "atomic_images",
    "atomic_labels",
    "available",
    "fetch",
    "fetch_all",
    "image_set",
    "label_files",
    "label_sets",
    "load_registry",
    "loop_images",
    "read_316l_labels",
    "read_atomic_image",
    "read_loop_labels",
    "steel_316l_images",
]
