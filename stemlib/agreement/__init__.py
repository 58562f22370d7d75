"""Agreement between truth and what was found, or between two labellers: matching, scores and sizes."""

from stemlib.agreement.matching import Match, longer_side, match, pool, touches_edge
from stemlib.agreement.scores import compare_systems, score, score_images, wilson_interval
from stemlib.agreement.sizes import axis_errors, compare_sizes, size_statistics

__all__ = [
    "Match",
    "axis_errors",
    "compare_sizes",
    "compare_systems",
    "longer_side",
    "match",
    "pool",
    "score",
    "score_images",
    "size_statistics",
    "touches_edge",
    "wilson_interval",
]
