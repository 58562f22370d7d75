"""Defects on micrographs and on semantic images, red dots or by kind, and around them what is known."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from matplotlib.patches import Polygon

from stemlib.plot import style
from stemlib.plot.panels import Look, Panel

_RED = "#E8000B"


def _small(label, color, marker):
    return Look(label, color, marker=marker, size=4.6, filled=True)


_KINDS = {
    "missing": _small("missing column", _RED, "X"),
    "dim": _small("dim column", style.ORANGE, "v"),
    "bright": _small("bright column", "#FFFFFF", "^"),
    "displaced": _small("displaced column", style.PURPLE, "D"),
    "interstitial": _small("interstitial column", style.GREEN, "P"),
    "structure": _small("structure, by the Patterson function alone", "#FF6A00", "s"),
}


@dataclass(frozen=True, eq=False)
class DefectPanel(Panel):
    """One image with its defects; name, image and scale as in `Panel`.

    Attributes
    ----------
    found : pandas.DataFrame or None
        Defects: `y`, `x` px and `kind`; None draws the image alone.
    truth : pandas.DataFrame or None
        Known defects: `y`, `x` px and `is_found`.
    as_dots : bool
        Whether all kinds of defect are the same red dots.
    region : numpy.ndarray, shape (V, 2), or None
        Polygon inside which defects count.
    """

    found: pd.DataFrame | None = None
    truth: pd.DataFrame | None = None
    as_dots: bool = False
    region: np.ndarray | None = None

    looks: ClassVar = {
        "defect": _small("defect found", _RED, "o"),
        **_KINDS,
        "truth found": Look("{truth}, found", style.SKY, marker="o", size=10),
        "truth missed": Look("{truth}, not found", style.YELLOW, marker="s", size=10),
    }
    truth_name: ClassVar = "known defect"

    def draw_marks(self, axes, scale):
        """Draw the region, what is known and then what is found, so that small markers lie inside larger ones."""
        groups = {}
        if self.region is not None:
            outline = {"fill": False, "edgecolor": style.SKY, "linewidth": 1.0, "linestyle": "--"}
            axes.add_patch(Polygon(self.region[:, ::-1], gid="region", **outline))
        if self.truth is not None:
            is_found = self.truth["is_found"].astype(bool)
            groups |= {"truth found": self.truth[is_found], "truth missed": self.truth[~is_found]}
        if self.found is not None:
            unknown = sorted(set(self.found["kind"]) - set(_KINDS))
            if unknown:
                allowed = list(_KINDS)
                raise ValueError(f"found holds defects of kind {unknown[0]!r}; it must be one of {allowed}")
            by_kind = {kind: self.found[self.found["kind"] == kind] for kind in _KINDS}
            groups |= {"defect": self.found} if self.as_dots else by_kind
        groups = {kind: rows for kind, rows in groups.items() if len(rows)}
        for kind, rows in groups.items():
            self.mark(axes, kind, rows["y"], rows["x"], scale)
        return list(groups)
