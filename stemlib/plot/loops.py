"""Loops on micrographs: found, missed and falsely found ones beside each other."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd
from matplotlib.patches import Ellipse, Rectangle

from stemlib.plot import style
from stemlib.plot.panels import Look, Panel

_FOUND, _MISSED, _FALSE, _OTHER = "found", "missed", "false", "on another class"
_LOOKS = {
    _FOUND: Look("loop of {truth}, found", style.SKY, "-"),
    _MISSED: Look("loop of {truth}, missed (box)", style.YELLOW, "--"),
    _FALSE: Look("found, no loop of {truth}", "#FF6A00", "-."),
    _OTHER: Look("found, black dot or closed loop of set B or C", "#FF8AD8", ":", width=1.6),
}
WHOLE = replace(_LOOKS[_FOUND], label="loop")
CUT = replace(_LOOKS[_OTHER], label="loop cut by the image edge, not in the sizes")


@dataclass(frozen=True, eq=False)
class LoopPanel(Panel):
    """One image with its loops: what was found, missed and falsely found; name, image and scale as in `Panel`.

    Attributes
    ----------
    truth : pandas.DataFrame
        The annotators' loops: edges `top`, `left`, `bottom`, `right`, px.
    found : pandas.DataFrame
        The machine's: `y`, `x`, `major`, `minor` (px) and `angle_deg`.
    is_found, is_true : numpy.ndarray of bool
        For every row of `truth` and of `found`, whether it is matched.
    on_class : numpy.ndarray of int
        For every row of `found`, as `stemlib.agreement.Match.on_class`.
    """

    truth: pd.DataFrame | None = None
    found: pd.DataFrame | None = None
    is_found: np.ndarray | None = None
    is_true: np.ndarray | None = None
    on_class: np.ndarray | None = None

    looks: ClassVar = _LOOKS
    truth_name: ClassVar = "set A"

    def draw_marks(self, axes, scale):
        """Draw found loops as ellipses and missed ones as boxes; black dots and the like count only where there are."""
        for box in self.truth[~self.is_found].to_dict("records"):
            height, width = box["bottom"] - box["top"], box["right"] - box["left"]
            look = _LOOKS[_MISSED].of_line() | {"fill": False, "gid": _MISSED}
            axes.add_patch(Rectangle((box["left"], box["top"]), width, height, **look))
        kinds = np.where(self.is_true, _FOUND, np.where(self.on_class > 0, _OTHER, _FALSE)).tolist()
        for loop, kind in zip(self.found.to_dict("records"), kinds, strict=True):
            draw_ellipse(axes, loop, kind, _LOOKS[kind])
        return [_FOUND, _MISSED, _FALSE, *({_OTHER} & set(kinds))]


def draw_ellipse(axes, loop, kind, look):
    """Draw a loop, of `y, x, major, minor, angle_deg`, as a kind looks."""
    # The y axis points down, so what people see as counter-clockwise is clockwise in data coordinates.
    look = look.of_line() | {"angle": -loop["angle_deg"], "fill": False, "gid": kind}
    axes.add_patch(Ellipse((loop["x"], loop["y"]), loop["major"], loop["minor"], **look))
