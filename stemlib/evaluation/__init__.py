"""What the notebooks share: images with their labels, tables against people, and where numbers come from."""

from stemlib.evaluation.axes import axis_pairs, axis_table
from stemlib.evaluation.cases import LoopCase, drawn_cases, load_cases, load_steel_cases
from stemlib.evaluation.column_positions import gaussian_fit, position_error_table, position_limit
from stemlib.evaluation.columns import (
    ColumnCase,
    column_score_table,
    find_in_column_cases,
    load_column_cases,
    match_column_cases,
)
from stemlib.evaluation.curves import candidate_curve, recall_at
from stemlib.evaluation.detection import (
    compare_methods,
    find_in_cases,
    machine_boxes,
    match_cases,
    people_table,
    score_table,
)
from stemlib.evaluation.provenance import credit, data_checksums, weight_checksums, weight_files
from stemlib.evaluation.results import interval_result, published_scores, score_results
from stemlib.evaluation.sizes import (
    density_table,
    longer_side_table,
    pooled_differences,
    size_objects,
    size_table,
)

__all__ = [
    "ColumnCase",
    "LoopCase",
    "axis_pairs",
    "axis_table",
    "candidate_curve",
    "column_score_table",
    "compare_methods",
    "credit",
    "data_checksums",
    "density_table",
    "drawn_cases",
    "find_in_cases",
    "find_in_column_cases",
    "gaussian_fit",
    "interval_result",
    "load_cases",
    "load_column_cases",
    "load_steel_cases",
    "longer_side_table",
    "machine_boxes",
    "match_cases",
    "match_column_cases",
    "people_table",
    "pooled_differences",
    "position_error_table",
    "position_limit",
    "published_scores",
    "recall_at",
    "score_results",
    "score_table",
    "size_objects",
    "size_table",
    "weight_checksums",
    "weight_files",
]
