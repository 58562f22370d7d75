"""Agreement between truth and what was found, or between two annotators: matching, scores and sizes."""

from stemlib.agreement.corrected import Corrected, corrected_density, corrected_diameter
from stemlib.agreement.domains import boundary_distance, label_accuracy
from stemlib.agreement.matching import Match, match, match_columns, pool
from stemlib.agreement.objects import column_spacing, longer_side, touches_edge
from stemlib.agreement.scores import compare_systems, score, score_columns, score_images, wilson_interval
from stemlib.agreement.sizes import axis_errors, compare_sizes, size_statistics

__all__ = [
    "Corrected",
    "Match",
    "axis_errors",
    "boundary_distance",
    "column_spacing",
    "compare_sizes",
    "compare_systems",
    "corrected_density",
    "corrected_diameter",
    "label_accuracy",
    "longer_side",
    "match",
    "match_columns",
    "pool",
    "score",
    "score_columns",
    "score_images",
    "size_statistics",
    "touches_edge",
    "wilson_interval",
]
