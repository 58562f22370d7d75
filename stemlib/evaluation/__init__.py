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
from stemlib.evaluation.defect_cases import DefectCase, find_in_defect_cases, load_defect_cases
from stemlib.evaluation.defects import known_defect_table, match_known, rank_labelled, ranking_tables
from stemlib.evaluation.detection import (
    compare_methods,
    find_in_cases,
    machine_boxes,
    match_cases,
    people_table,
    score_table,
)
from stemlib.evaluation.domain_cases import DomainCase, load_domain_cases
from stemlib.evaluation.domains import (
    domain_score,
    domain_score_table,
    find_in_domain_cases,
    twin_table,
    zirconia_particle,
)
from stemlib.evaluation.drawn_defects import (
    DEFECT_METHODS,
    defect_score_table,
    draw_mowte2,
    drawn_defects,
    judge_defects,
    perfect_crystal_table,
)
from stemlib.evaluation.panels import column_panel, defect_panel, domain_panel, loop_panel
from stemlib.evaluation.provenance import (
    credit,
    data_checksums,
    file_checksum,
    weight_checksums,
    weight_files,
)
from stemlib.evaluation.results import interval_result, published_scores, score_results
from stemlib.evaluation.sizes import (
    density_table,
    longer_side_table,
    pooled_differences,
    size_objects,
    size_table,
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
    "column_panel",
    "column_score_table",
    "compare_methods",
    "credit",
    "data_checksums",
    "defect_panel",
    "defect_score_table",
    "density_table",
    "domain_panel",
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
    "loop_panel",
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
