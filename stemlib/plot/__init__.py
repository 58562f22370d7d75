"""Every figure's drawing: tables and arrays in, a matplotlib Figure out, nothing written and nothing shown."""

from stemlib.plot.atomic_scores import dose_figure, position_error_figure, ranking_figure, twin_figure
from stemlib.plot.columns import ColumnPanel
from stemlib.plot.defects import DefectPanel
from stemlib.plot.domains import DomainPanel
from stemlib.plot.lattice import lattice_figure
from stemlib.plot.loop_scores import annotators_figure, candidate_figure, score_figure
from stemlib.plot.loop_sizes import axes_figure, sizes_figure
from stemlib.plot.loops import LoopPanel
from stemlib.plot.panels import Panel, panels_figure
from stemlib.plot.results import draw_result, result_figure
from stemlib.plot.style import mark_simulated, title
from stemlib.plot.training import column_training_figure, training_figure

__all__ = [
    "ColumnPanel",
    "DefectPanel",
    "DomainPanel",
    "LoopPanel",
    "Panel",
    "axes_figure",
    "candidate_figure",
    "column_training_figure",
    "dose_figure",
    "draw_result",
    "lattice_figure",
    "mark_simulated",
    "panels_figure",
    "annotators_figure",
    "position_error_figure",
    "ranking_figure",
    "result_figure",
    "score_figure",
    "sizes_figure",
    "title",
    "training_figure",
    "twin_figure",
]
