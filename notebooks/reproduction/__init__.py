"""What the notebooks share: images with their labels, tables against people, and where numbers come from."""

from .candidate_curves import candidate_curve, recall_at
from .cases import LoopCase, drawn_cases, load_cases, load_steel_cases
from .column_positions import gaussian_fit, position_error_table, position_limit
from .column_scores import (
    ColumnCase,
    column_score_table,
    find_in_column_cases,
    load_column_cases,
    match_column_cases,
)
from .defect_cases import DefectCase, find_in_defect_cases, load_defect_cases
from .defect_scores import known_defect_table, match_known, rank_labelled, ranking_tables
from .domain_cases import DomainCase, load_domain_cases
from .domain_scores import (
    domain_score,
    domain_score_table,
    find_in_domain_cases,
    twin_table,
    zirconia_particle,
)
from .loop_axes import axis_pairs, axis_table
from .loop_scores import (
    compare_methods,
    find_in_cases,
    machine_boxes,
    match_cases,
    people_table,
    score_table,
)
from .loop_sizes import (
    density_table,
    longer_side_table,
    pooled_differences,
    size_objects,
    size_table,
)
from .provenance import (
    credit,
    data_checksums,
    file_checksum,
    weight_checksums,
    weight_files,
)
from .result_rows import interval_result, published_scores, score_results
from .simulated_defects import (
    DEFECT_METHODS,
    defect_score_table,
    draw_mowte2,
    drawn_defects,
    judge_defects,
    perfect_crystal_table,
)

__all__ = [
    "DEFECT_METHODS",
    "ColumnCase",
    "DefectCase",
    "DomainCase",
    "LoopCase",
    "axis_pairs",
    "axis_table",
    "candidate_curve",
    "column_score_table",
    "compare_methods",
    "credit",
    "data_checksums",
    "defect_score_table",
    "density_table",
    "domain_score",
    "domain_score_table",
    "draw_mowte2",
    "drawn_cases",
    "drawn_defects",
    "file_checksum",
    "find_in_cases",
    "find_in_column_cases",
    "find_in_defect_cases",
    "find_in_domain_cases",
    "gaussian_fit",
    "interval_result",
    "judge_defects",
    "known_defect_table",
    "load_cases",
    "load_column_cases",
    "load_defect_cases",
    "load_domain_cases",
    "load_steel_cases",
    "longer_side_table",
    "machine_boxes",
    "match_cases",
    "match_column_cases",
    "match_known",
    "people_table",
    "perfect_crystal_table",
    "pooled_differences",
    "position_error_table",
    "position_limit",
    "published_scores",
    "rank_labelled",
    "ranking_tables",
    "recall_at",
    "score_results",
    "score_table",
    "size_objects",
    "size_table",
    "twin_table",
    "weight_checksums",
    "weight_files",
    "zirconia_particle",
]
