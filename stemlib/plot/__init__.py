"""Every figure's drawing: tables and arrays in, a matplotlib Figure out, nothing written and nothing shown."""

from stemlib.plot.agreement import candidate_figure, people_figure, score_figure
from stemlib.plot.column_training import column_training_figure
from stemlib.plot.lattice import lattice_figure
from stemlib.plot.overlays import Panel, loops_figure, overlay_figure
from stemlib.plot.sizes import axes_figure, sizes_figure
from stemlib.plot.style import title
from stemlib.plot.training import training_figure

__all__ = [
    "Panel",
    "axes_figure",
    "candidate_figure",
    "column_training_figure",
    "lattice_figure",
    "loops_figure",
    "overlay_figure",
    "people_figure",
    "score_figure",
    "sizes_figure",
    "title",
    "training_figure",
]
