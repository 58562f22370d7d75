"""Public data sets: registry, download, splits and the formats of the human labels."""

from stemlib.datasets.formats import (
    parse_boxes_a,
    parse_boxes_b,
    parse_class_log,
    parse_imagej_ellipses,
    undo_enlargement,
)
from stemlib.datasets.labels import label_files, read_loop_labels
from stemlib.datasets.registry import (
    available,
    fetch,
    fetch_all,
    load_registry,
    public_address,
    subset_paths,
)
from stemlib.datasets.splits import image_set, leave_one_series_out, loop_images

__all__ = [
    "available",
    "fetch",
    "fetch_all",
    "image_set",
    "label_files",
    "leave_one_series_out",
    "load_registry",
    "loop_images",
    "parse_boxes_a",
    "parse_boxes_b",
    "parse_class_log",
    "parse_imagej_ellipses",
    "public_address",
    "read_loop_labels",
    "subset_paths",
    "undo_enlargement",
]
