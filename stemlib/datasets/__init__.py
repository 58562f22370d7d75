"""Public data sets: registry, download, splits and the formats of the human labels."""

from stemlib.datasets.atomic import (
    atomic_images,
    atomic_labels,
    parse_points,
    read_atomic_image,
)
from stemlib.datasets.drawings import drawn_boundaries, drawn_polygon, drawn_vacancies
from stemlib.datasets.formats import (
    parse_boxes_a,
    parse_boxes_b,
    parse_class_log,
    parse_imagej_ellipses,
    undo_enlargement,
)
from stemlib.datasets.labels import label_files, label_sets, read_loop_labels
from stemlib.datasets.registry import fetch, load_registry, public_address
from stemlib.datasets.splits import image_set, leave_one_series_out, loop_images
from stemlib.datasets.steel import coco_boxes, read_316l_labels, steel_316l_images
from stemlib.datasets.subsets import available, fetch_all, subset_paths

__all__ = [
    "atomic_images",
    "atomic_labels",
    "available",
    "coco_boxes",
    "drawn_boundaries",
    "drawn_polygon",
    "drawn_vacancies",
    "fetch",
    "fetch_all",
    "image_set",
    "label_files",
    "label_sets",
    "leave_one_series_out",
    "load_registry",
    "loop_images",
    "parse_boxes_a",
    "parse_boxes_b",
    "parse_class_log",
    "parse_imagej_ellipses",
    "parse_points",
    "public_address",
    "read_316l_labels",
    "read_atomic_image",
    "read_loop_labels",
    "steel_316l_images",
    "subset_paths",
    "undo_enlargement",
]
