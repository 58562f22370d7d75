"""Defects on micrographs and semantic images, how well scores rank dopants, and what is found against dose."""

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
    "missing": ("o", _RED, "missing column"),
    "dim": ("v", style.ORANGE, "dim column"),
    "bright": ("^", style.YELLOW, "bright column"),
    "displaced": ("D", style.PURPLE, "displaced column"),
    "additional": ("P", style.GREEN, "additional column"),
    "structure": ("s", "#FF6A00", "structure, by the Patterson function alone"),
}
_DOT = ("o", _RED, "defect found")
# What is known: marker, colour, label.
_TRUTH = {True: ("o", style.SKY, "{truth}, found"), False: ("s", "#FFFFFF", "{truth}, not found")}
_LINES = (
    (style.BLUE, "o", "-"),
    (style.SKY, "s", "--"),
    (style.VERMILLION, "^", "-"),
    (style.ORANGE, "D", "--"),
    (style.GREEN, "v", ":"),
    (style.BLACK, "P", "-."),
)


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
        Whether `image` is a semantic image and not a micrograph.
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


def defects_figure(panels, *, columns=3, panel_width=4.2, truth="known defect", caption=""):
    """Draw found defects on images, red dots or by kind, and around them what is known.

    Parameters
    ----------
    panels : list of DefectPanel
    columns : int
        Panels per row.
    panel_width : float
        Inches.
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
            panels, columns=columns, panel_width=panel_width, title_height=0.4, kind="DefectPanel"
        )
        shown = dict.fromkeys(
            look for axes, panel in zip(grid, panels, strict=True) for look in _draw(axes, panel)
        )
        handles = [
            _handle(look, truth) for look in (_DOT, *_KINDS.values(), *_TRUTH.values()) if look in shown
        ]
        if handles:
            per_row = min(len(handles), max(1, round(1.6 * columns)))
            legend_below(figure, handles, caption, per_row=per_row, size=9)
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
        path_effects=style.outlined(1.6) if hollow else None,
        lw=0,
        label=label.format(truth=truth),
    )


def _draw(axes, panel):
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
                _scatter(axes, rows, look, 10, f"truth {'found' if found else 'missed'}", hollow=True)
    if panel.found is not None:
        unknown = sorted(set(panel.found["kind"]) - set(_KINDS))
        if unknown:
            raise ValueError(f"found holds defects of kind {unknown[0]!r}; it must be one of {list(_KINDS)}")
        for kind, look in {"defect": _DOT}.items() if panel.as_dots else _KINDS.items():
            rows = panel.found if panel.as_dots else panel.found[panel.found["kind"] == kind]
            if len(rows):
                looks.append(look)
                _scatter(axes, rows, look, 4.6, kind)
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
        path_effects=style.outlined(1.3) if hollow else None,
        gid=gid,
    )


def ranking_figure(ranking, curves):
    """Draw precision against recall of dopants ranked by score, one panel per kind of comparison.

    Parameters
    ----------
    ranking, curves : pandas.DataFrame
        As `stemlib.evaluation.ranking_tables` returns them.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If there is nothing to draw.

    Examples
    --------
    >>> row = {"image": "drawn", "sites": "all columns"}
    >>> curve = pd.DataFrame([row | {"recall": r, "precision": 1.0} for r in (1.0, 0.0)])
    >>> scores = {"average_precision": 1.0, "n_minority": 3, "n_columns": 30}
    >>> ranking_figure(pd.DataFrame([row | scores]), curve).axes[0].get_title()
    'drawn'
    """
    if not len(ranking):
        raise ValueError("ranking is empty; it needs one row per image and kind of site")
    images = list(dict.fromkeys(ranking["image"]))
    with style.styled():
        figure = style.new_figure(3.7 * len(images) + 0.3, 3.9)
        grid = figure.subplots(1, len(images), squeeze=False, sharey=True)[0]
        for axes, image in zip(grid, images, strict=True):
            axes.set(
                title=image, xlim=(0, 1.01), ylim=(0, 1.03), xlabel="recall of labelled minority columns"
            )
            rows = ranking[ranking["image"] == image].to_dict("records")
            for row, (color, _, line) in zip(rows, _LINES[::2] * len(rows), strict=False):
                if np.isnan(row["average_precision"]):
                    axes.text(0.5, 0.5, "not available", ha="center", va="center", color=style.GREY)
                    break
                part = curves[(curves["image"] == image) & (curves["sites"] == row["sites"])]
                label = (
                    f"{row['sites']}: {row['average_precision']:.3f}\n"
                    f"({row['n_minority']} of {row['n_columns']} columns)"
                )
                axes.plot(
                    part["recall"],
                    part["precision"],
                    color=color,
                    linestyle=line,
                    drawstyle="steps-post",
                    label=label,
                )
            else:
                axes.legend(loc="lower left", title="average precision", alignment="left")
        grid[0].set_ylabel("precision")
    return figure


def dose_figure(table, *, caption=""):
    """Draw recall of missing and of misplaced columns, and precision, against dose, one line per method.

    Parameters
    ----------
    table : pandas.DataFrame
        As `stemlib.evaluation.defect_score_table` returns it.
    caption : str

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    KeyError
        If a column is missing.

    Examples
    --------
    >>> keys = ["recall_missing", "recall_displaced", "precision"]
    >>> row = {key + end: 0.9 for key in keys for end in ("", "_low", "_high")}
    >>> figure = dose_figure(pd.DataFrame([row | {"method": "default, unit cell", "dose_per_nm2": 1e6}]))
    >>> [axes.get_title() for axes in figure.axes]
    ['recall, missing columns', 'recall, columns 1 Å off', 'precision']
    """
    titles = {
        "recall_missing": "recall, missing columns",
        "recall_displaced": "recall, columns 1 Å off",
        "precision": "precision",
    }
    methods = list(dict.fromkeys(table["method"]))
    with style.styled():
        figure = style.new_figure(11.0, 4.1)
        grid = figure.subplots(1, 3, sharey=True)
        for axes, (key, title) in zip(grid, titles.items(), strict=True):
            for number, (method, look) in enumerate(zip(methods, _LINES, strict=False)):
                color, marker, line = look
                rows = table[table["method"] == method]
                # Side by side, so that intervals of equal values can be told apart.
                dose = rows["dose_per_nm2"] * 1.04 ** (number - (len(methods) - 1) / 2)
                ends = [rows[key] - rows[f"{key}_low"], rows[f"{key}_high"] - rows[key]]
                axes.errorbar(
                    dose,
                    rows[key],
                    np.maximum(ends, 0),
                    color=color,
                    marker=marker,
                    linestyle=line,
                    markersize=5,
                    elinewidth=0.8,
                    label=method,
                    gid=method,
                )
            axes.set(title=title, xscale="log", ylim=(-0.02, 1.04), xlabel="dose, electrons per nm²")
        handles, _ = grid[0].get_legend_handles_labels()
        legend_below(figure, handles, caption, per_row=len(methods), size=8.5)
    return figure
