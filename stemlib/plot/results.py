"""Any finder's result on its whole image, in one panel: on axes that a user has, or on a figure of its own."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from stemlib.plot import style
from stemlib.plot.columns import ColumnPanel
from stemlib.plot.defects import DefectPanel
from stemlib.plot.domains import DomainPanel
from stemlib.plot.lattice import draw_cell
from stemlib.plot.loops import CUT, WHOLE, draw_ellipse
from stemlib.plot.panels import Look, Panel


@dataclass(frozen=True, eq=False)
class FoundLoops(Panel):
    """One image with the loops found, by kind, those at its edge apart; `table` as `stemlib.loops.Loops.table`."""

    table: pd.DataFrame | None = None

    looks: ClassVar = {
        "loop": WHOLE,
        "edge-on": Look("loop seen edge-on", style.ORANGE, "--"),
        "dot": Look("black dot", style.YELLOW, "-."),
        "other": Look("seen, not named", style.GREEN, (0, (4, 1, 1, 1, 1, 1))),
        "cut": CUT,
    }

    def draw_marks(self, axes, scale):
        """Draw the ellipses; kinds that a user named look like what has no name."""
        kinds = self.table.get("kind", pd.Series("loop", index=self.table.index))
        kinds = kinds.where(kinds.isin(list(self.looks)), "other")
        kinds = kinds.mask(self.table["touches_edge"].astype(bool), "cut").tolist()
        for loop, kind in zip(self.table.to_dict("records"), kinds, strict=True):
            draw_ellipse(axes, loop, kind, self.looks[kind])
        return [kind for kind in self.looks if kind in kinds]


class AllColumns(ColumnPanel):
    """The whole of one image with its columns."""

    def window(self):
        """Return all of the image."""
        return (0, 0), self.image.shape


@dataclass(frozen=True, eq=False)
class Cell(Panel):
    """One image with its unit cell; `lattice` as `stemlib.find_lattice` returns it."""

    lattice: object = None

    looks: ClassVar = {"cell": Look("unit cell", style.ORANGE, "-", width=2)}

    def draw_marks(self, axes, scale):
        """Draw the cell and its letters."""
        draw_cell(axes, self.lattice)
        return ["cell"]


def panel_of(result):
    """Return the panel that shows a result: a subclass of `Panel`."""
    shown = {"pixel_size_nm": result.pixel_size_nm, "ignored": result.ignored}
    image = result.view.micrograph.image
    match type(result).__name__:
        case "Loops":
            return FoundLoops("", image, table=result.table, **shown)
        case "Columns":
            found = result.table[["y", "x"]].to_numpy(float)
            return AllColumns("", image, found=found, spacing=result.spacing, **shown)
        case "Defects":
            return DefectPanel("", image, found=_known_kinds(result.table), **shown)
        case "Domains":
            lines = tuple(result.boundaries)
            return DomainPanel("", image, labels=result.labels, boundaries=lines, **shown)
        case _:
            return Cell("", image, lattice=result, **shown)


def _known_kinds(table):
    """Defects; those of a kind that a user made up look like structure."""
    return table.assign(kind=table["kind"].where(table["kind"].isin(list(DefectPanel.looks)), "structure"))


def draw_result(result, axes=None):
    """Draw a result on its image.

    Parameters
    ----------
    result : Loops, Defects, Columns, Lattice or Domains
        With its `view`.
    axes : matplotlib.axes.Axes, optional
        By default on a new figure of pyplot's.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> import stemlib
    >>> from stemlib.synthetic import crystal_image
    >>> columns = stemlib.find_columns(crystal_image("square", (96, 96), seed=0).image)
    >>> [float(end) for end in draw_result(columns).get_xlim()]
    [-0.5, 95.5]
    """
    if axes is None:
        from matplotlib import pyplot

        axes = pyplot.figure(layout="compressed").subplots()
    panel_of(result).draw(axes)
    return axes


def result_figure(result, *, width=5.4):
    """Draw a result on its image, on a figure of so many inches, with a legend: a matplotlib.figure.Figure."""
    height, across = result.view.mask.shape
    panel = panel_of(result)
    with style.new_figure(width, width * np.clip(height / across, 0.3, 3), images=True) as figure:
        kinds = panel.draw(figure.subplots())
        handles = [panel.looks[kind].handle() for kind in dict.fromkeys(kinds) if kind in panel.looks]
        if handles:
            style.legend_below(figure, handles)
    return figure
