"""Defects on micrographs and on semantic images."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon

from stemlib.plot import style
from stemlib.plot.panels import legend_below, panel_grid, show_image, start_panel

_RED = "#E8000B"
# Kind -> marker, colour, label; shapes differ too, so that grey prints can be read.
_KINDS = {
    "missing": ("X", _RED, "missing column"),
    "dim": ("v", style.ORANGE, "dim column"),
    "bright": ("^", "#FFFFFF", "bright column"),
    "displaced": ("D", style.PURPLE, "displaced column"),
    "additional": ("P", style.GREEN, "additional column"),
    "structure": ("s", "#FF6A00", "structure, by the Patterson function alone"),
}
_DOT = ("o", _RED, "defect found")
# What is known: marker, colour, label.
_TRUTH = {True: ("o", style.SKY, "{truth}, found"), False: ("s", style.YELLOW, "{truth}, not found")}


@dataclass(frozen=True, eq=False)
class DefectPanel:
    """One image of a figure of defects.

    Attributes
    ----------
    name : str
    image : numpy.ndarray, shape (H, W), or None
        None where it is not at hand.
    found : pandas.DataFrame or None
        Defects: `y`, `x` px and `kind`; None draws the image alone.
    truth : pandas.DataFrame or None
        Known defects: `y`, `x` px and `is_found`.
    is_semantic : bool
        Whether `image` is a semantic image, from 0 to 1, and not a micrograph.
    as_dots : bool
        Whether all kinds of defect are the same red dots.
    region : numpy.ndarray, shape (V, 2), or None
        Polygon inside which defects count.
    pixel_size_nm : float or None
        None where it is not sure: then there is no scale bar.
    note : str
        Second line of the title.
    """

    name: str
    image: np.ndarray | None
    found: pd.DataFrame | None = None
    truth: pd.DataFrame | None = None
    is_semantic: bool = False
    as_dots: bool = False
    region: np.ndarray | None = None
    pixel_size_nm: float | None = None
    note: str = ""

    @classmethod
    def of(cls, case, defects=None, match=None, *, show_image=True):
        """Return the panel of a `stemlib.evaluation.DefectCase`, its `Defects` and what `match_known` says of them.

        `show_image` False draws the defects on an even grey, where the licence does not allow a picture, and says so;
        `defects` None: the image is not at hand.
        """
        if defects is None:
            return cls(case.name, None)
        truth, note = None, f"{len(defects.table)} found"
        if match is not None:
            truth, is_known, counts = match
            note = (
                f"{truth['is_found'].sum()} of {len(truth)} known found, {(counts & ~is_known).sum()} others"
            )
        return cls(
            case.name,
            case.source.image if show_image else np.full(case.source.image.shape, 0.5, np.float32),
            defects.table,
            truth,
            is_semantic=not show_image,
            region=case.region if case.sites else None,
            pixel_size_nm=case.source.pixel_size_nm if case.pixel_size_sure else None,
            note=note + ("" if show_image else "\nno licence stated, defects alone"),
        )


def defects_figure(panels, *, columns=3, panel_width=4.2, size=1.0, truth="known defect", caption=""):
    """Draw found defects on images, red dots or by kind, and around them what is known.

    Parameters
    ----------
    panels : list of DefectPanel
    columns : int
        Panels per row.
    panel_width : float
        Inches.
    size : float
        Of the markers; smaller where columns are close.
    truth : str
        What the known defects are, for the legend.
    caption : str
        Credit and the like, below the panels.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If there are no panels, or a defect is of an unknown kind.

    Examples
    --------
    >>> figure = defects_figure([DefectPanel("not here", None)], columns=1)
    >>> figure.axes[0].texts[0].get_text()
    'not available'
    """
    columns = max(1, min(columns, len(panels)))
    with style.styled():
        figure, grid = panel_grid(
            panels,
            columns=columns,
            panel_width=panel_width,
            title_height=0.4,
            legend_height=0.95,
            kind="DefectPanel",
        )
        shown = dict.fromkeys(
            look for axes, panel in zip(grid, panels, strict=True) for look in _draw(axes, panel, size)
        )
        handles = [
            _handle(look, truth) for look in (_DOT, *_KINDS.values(), *_TRUTH.values()) if look in shown
        ]
        if handles:
            per_row = min(len(handles), max(1, round(1.6 * columns)))
            legend_below(figure, handles, caption, per_row=per_row, size=9)
        elif caption:
            figure.supxlabel(caption, fontsize=7.5)
    return figure


def _handle(look, truth):
    marker, color, label = look
    hollow = look in _TRUTH.values()
    return Line2D(
        [],
        [],
        marker=marker,
        color=color,
        markersize=10 if hollow else 6,
        fillstyle="none" if hollow else "full",
        markeredgecolor=color if hollow else "black",
        markeredgewidth=1.6 if hollow else 0.5,
        linestyle="none",
        label=label.format(truth=truth),
    )


def _draw(axes, panel, size):
    """Draw one panel and return the looks of the markers in it."""
    if not start_panel(axes, panel.name, panel.note, available=panel.image is not None):
        return []
    if panel.is_semantic:
        axes.imshow(panel.image, cmap="gray", vmin=0, vmax=1, interpolation="antialiased")
        if panel.pixel_size_nm is not None:
            style.add_scale_bar(axes, panel.image.shape, panel.pixel_size_nm)
    else:
        show_image(axes, panel.image, panel.pixel_size_nm)
    if panel.region is not None:
        axes.add_patch(
            Polygon(panel.region[:, ::-1], fill=False, edgecolor=style.SKY, lw=1.0, ls="--", gid="region")
        )
    looks = []
    if panel.truth is not None:
        for found, look in _TRUTH.items():
            rows = panel.truth[panel.truth["is_found"] == found]
            if len(rows):
                looks.append(look)
                _scatter(axes, rows, look, 10 * size, f"truth {'found' if found else 'missed'}", hollow=True)
    if panel.found is not None:
        unknown = sorted(set(panel.found["kind"]) - set(_KINDS))
        if unknown:
            raise ValueError(f"found holds defects of kind {unknown[0]!r}; it must be one of {list(_KINDS)}")
        for kind, look in {"defect": _DOT}.items() if panel.as_dots else _KINDS.items():
            rows = panel.found if panel.as_dots else panel.found[panel.found["kind"] == kind]
            if len(rows):
                looks.append(look)
                _scatter(axes, rows, look, 4.6 * size, kind)
    height, width = panel.image.shape
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), aspect="equal")
    return looks


def _scatter(axes, rows, look, size, gid, *, hollow=False):
    marker, color, _ = look
    axes.plot(
        rows["x"],
        rows["y"],
        marker,
        color=color,
        markersize=size,
        fillstyle="none" if hollow else "full",
        markeredgecolor=color if hollow else "black",
        markeredgewidth=1.3 if hollow else 0.4,
        gid=gid,
    )
