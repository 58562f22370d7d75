"""Columns of atoms on micrographs and on semantic images: found, missed and unlabelled ones."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from stemlib.plot import style
from stemlib.plot.panels import Look, Panel, square_around

_ACROSS = 30  # nearest-neighbour distances shown across a panel


@dataclass(frozen=True, eq=False)
class ColumnPanel(Panel):
    """The middle of one image with its columns; name, image and scale as in `Panel`.

    Attributes
    ----------
    found : numpy.ndarray, shape (M, 2)
        Columns found (y, x), px.
    truth : numpy.ndarray, shape (N, 2), or None
        Labelled columns; None where there are no labels.
    is_found, is_true : numpy.ndarray of bool
        For every row of `truth` and of `found`, whether it is matched.
    spacing : float or None
        Nearest-neighbour distance, px; about 30 of them are shown across. None shows the whole image.
    """

    found: np.ndarray | None = None
    truth: np.ndarray | None = None
    is_found: np.ndarray | None = None
    is_true: np.ndarray | None = None
    spacing: float | None = None

    looks: ClassVar = {
        "found": Look("labelled column, found", style.SKY, marker="o", width=0.7),
        "missed": Look("labelled column, missed", style.YELLOW, marker="s", width=1.2, size=8.5),
        "false": Look("found, not labelled", "#FF6A00", marker="D", width=1.05, size=7.5),
        "column": Look("column found", style.SKY, marker="o", width=0.7),
    }
    semantic_colours: ClassVar = "magma"

    def window(self):
        """Return the window of the middle of the image."""
        shape = np.array(self.image.shape)
        return square_around((shape - 1) / 2, _ACROSS * (self.spacing or np.inf), shape)

    def draw_marks(self, axes, scale):
        """Draw a marker half a neighbour distance wide on every column, larger ones where labels disagree."""
        if self.truth is None:
            groups = {"column": self.found}
        else:
            groups = {
                "found": self.found[self.is_true],
                "missed": self.truth[~self.is_found],
                "false": self.found[~self.is_true],
            }
        across = (self.window()[1][0] / self.spacing) if self.spacing else _ACROSS
        width_pt = 0.9 * 72 * axes.figure.get_figwidth() / axes.get_gridspec().ncols
        scale *= np.clip(0.5 * width_pt / across, 1.5, 9) / self.looks["column"].size
        for kind, positions in groups.items():
            self.mark(axes, kind, *positions.T, scale)
        return list(groups)
