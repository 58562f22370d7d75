"""Domains on micrographs beside what was drawn, and how well they are found over dose and tilt of the boundary."""

from dataclasses import dataclass

import numpy as np
from matplotlib.colors import to_rgba
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from stemlib.plot import style
from stemlib.plot.panels import legend_below, panel_grid, show_image, start_panel

# Domain -> colour; from the palette that colour-blind readers can tell apart, again from the start when it ends.
_COLOURS = (style.BLUE, style.ORANGE, style.GREEN, style.PURPLE, style.YELLOW, style.VERMILLION)
_OPACITY = 0.33
_FOUND, _DRAWN, _FOUND_FAULT, _FAULT = "found boundary", "drawn boundary", "found fault", "drawn fault"
# Colour, line style, width.
_LINES = {
    _FOUND: ("#FFFFFF", "-", 1.8),
    _DRAWN: (style.YELLOW, "--", 1.5),
    _FOUND_FAULT: ("#FF8AD8", "-", 1.4),
    _FAULT: (style.YELLOW, ":", 1.7),
}
_OUTLINED = (_FOUND, _FOUND_FAULT)
_METHODS = {
    "mixture": (style.BLUE, "o", "-", "classification of all segments"),
    "one-class": (style.VERMILLION, "s", "--", "one-class SVM, as published"),
}


@dataclass(frozen=True, eq=False)
class DomainPanel:
    """One image of a figure of domains.

    Attributes
    ----------
    name : str
    image : numpy.ndarray, shape (H, W), or None
        None draws the map of labels alone.
    labels : numpy.ndarray of int, shape (H, W), or None
        Domains found, -1 where undecided; None draws the image alone.
    boundaries, found_faults : iterable of numpy.ndarray, shape (N, 2)
        Found boundaries, and faults inside a domain, (y, x) px.
    drawn, faults : iterable of numpy.ndarray, shape (N, 2)
        Known boundaries, and faults.
    pixel_size_nm : float or None
        None where it is not sure: then there is no scale bar.
    note : str
        Second line of the title.
    """

    name: str
    image: np.ndarray | None = None
    labels: np.ndarray | None = None
    boundaries: tuple = ()
    drawn: tuple = ()
    faults: tuple = ()
    pixel_size_nm: float | None = None
    note: str = ""
    found_faults: tuple = ()

    @classmethod
    def of(cls, case, domains=None, *, name=None, note="", show_image=True, show_faults=False):
        """Return the panel of a `stemlib.evaluation.DomainCase` and its `Domains`; None: the image is not at hand.

        `show_image` False leaves the micrograph out, where its licence does not allow a picture, and says so;
        `show_faults` draws the faults found too.
        """
        if case.source is None or domains is None:
            return cls(name or case.name)
        if not show_image:
            note = f"{note}\nno licence stated, labels alone".removeprefix("\n")
        return cls(
            name or case.name,
            case.source.image if show_image else None,
            domains.labels,
            tuple(domains.boundaries),
            tuple(case.boundaries),
            tuple(case.faults),
            case.source.pixel_size_nm if case.pixel_size_sure else None,
            note,
            tuple(domains.faults) if show_faults else (),
        )


def domains_figure(panels, *, columns=3, panel_width=3.9, caption=""):
    """Draw found domains over images, and drawn boundaries over found ones.

    Parameters
    ----------
    panels : list of DomainPanel
    columns : int
        Panels per row.
    panel_width : float
        Inches.
    caption : str
        Credit and the like, below the panels.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If there are no panels.

    Examples
    --------
    >>> figure = domains_figure([DomainPanel("not here")], columns=1)
    >>> figure.axes[0].texts[0].get_text()
    'not available'
    """
    with style.styled():
        figure, grid = panel_grid(
            panels, columns=columns, panel_width=panel_width, title_height=0.4, kind="DomainPanel"
        )
        shown = {key for axes, panel in zip(grid, panels, strict=True) for key in _draw(axes, panel)}
        handles = [_handle(key) for key in sorted(k for k in shown if isinstance(k, int))]
        handles += [_handle(key) for key in ("undecided", *_LINES) if key in shown]
        if handles:
            per_row = max(2, min(len(handles), round(1.7 * min(columns, len(panels)))))
            legend_below(figure, handles, caption, per_row=per_row)
    return figure


def _draw(axes, panel):
    """Draw one panel and return what is in it: numbers of domains and kinds of lines."""
    there = panel.image is not None or panel.labels is not None
    if not start_panel(axes, panel.name, panel.note, available=there):
        return []
    shown = []
    if panel.image is not None:
        show_image(axes, panel.image, panel.pixel_size_nm)
    if panel.labels is not None:
        opacity = 1.0 if panel.image is None else _OPACITY
        axes.imshow(_coloured(panel.labels, opacity), interpolation="nearest", gid="labels")
        height, width = panel.labels.shape
        axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), aspect="equal")
        shown += np.unique(panel.labels[panel.labels >= 0] % len(_COLOURS)).tolist()
        if (panel.labels < 0).any():
            shown.append("undecided")
    for kind, lines in zip(
        _LINES, (panel.boundaries, panel.drawn, panel.found_faults, panel.faults), strict=True
    ):
        colour, line_style, width = _LINES[kind]
        for line in lines:
            axes.plot(
                line[:, 1],
                line[:, 0],
                line_style,
                color=colour,
                linewidth=width,
                gid=kind,
                path_effects=style.outlined(width) if kind in _OUTLINED else None,
            )
            shown.append(kind)
    return shown


def _coloured(labels, opacity):
    """Labels as RGBA; what is undecided is left as it is."""
    palette = np.array([to_rgba(colour, opacity) for colour in _COLOURS] + [(0, 0, 0, 0)])
    return palette[np.where(labels >= 0, labels % len(_COLOURS), len(_COLOURS))]


def _handle(key):
    if key == "undecided":
        return Patch(facecolor="none", edgecolor=style.GREY, label="not coloured: undecided, vacuum")
    if key in _LINES:
        colour, line_style, width = _LINES[key]
        effects = style.outlined(width) if key in _OUTLINED else None
        return Line2D([], [], color=colour, linestyle=line_style, lw=width, path_effects=effects, label=key)
    return Patch(facecolor=_COLOURS[key], alpha=0.6, label=f"domain {key + 1}")


def twin_figure(table):
    """Draw how well the twins are found over dose and over tilt of their boundary, method by method.

    Parameters
    ----------
    table : pandas.DataFrame
        As `stemlib.evaluation.twin_table` returns it; points are means, bars reach from the least to the greatest.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    KeyError
        If a column is missing.

    Examples
    --------
    >>> import pandas as pd
    >>> row = {
    ...     "over": "dose",
    ...     "dose_per_nm2": 1e6,
    ...     "tilt_deg": 0.0,
    ...     "method": "mixture",
    ...     "found": 2,
    ...     "expected": 2,
    ... }
    >>> table = pd.DataFrame([row | {"accuracy": 0.99, "distance_px": 3.0, "allowed_px": 25.0}])
    >>> twin_figure(table).axes[0].get_ylabel()
    'label accuracy'
    """
    with style.styled():
        figure = style.new_figure(8.2, 7.0)
        grid = figure.subplots(3, 2, sharey="row", sharex="col", height_ratios=[2, 2, 1.2])
        for column, (over, key) in enumerate((("dose", "dose_per_nm2"), ("tilt", "tilt_deg"))):
            part = table[table["over"] == over]
            for method, rows in part.groupby("method", sort=False):
                for axes, value in zip(grid[:, column], ("accuracy", "distance_px", "found"), strict=True):
                    _curve(axes, rows, key, value, method)
            if part["allowed_px"].notna().any():
                grid[1, column].axhline(
                    part["allowed_px"].max(), color=style.BLACK, linestyle=":", label="longer cell edge"
                )
            grid[0, column].axhline(0.99, color=style.GREY, linestyle=":")
        grid[0, 0].set(xscale="log", ylabel="label accuracy")
        grid[1, 0].set(ylabel="distance of boundaries (px)")
        grid[2, 0].set(ylabel="domains found")
        grid[2, 0].yaxis.get_major_locator().set_params(integer=True)
        grid[2, 0].set_xlabel("dose (electrons per nm²), boundary upright")
        grid[2, 1].set_xlabel("tilt of the boundary against the beam (°)")
        handles, labels = grid[1, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=max(1, len(handles)))
    return figure


def _curve(axes, rows, key, value, method):
    colour, marker, line_style, label = _METHODS[method]
    groups = rows.groupby(key)[value]
    mean, low, high = groups.mean(), groups.min(), groups.max()
    axes.errorbar(
        mean.index,
        mean,
        yerr=[mean - low, high - mean],
        color=colour,
        marker=marker,
        linestyle=line_style,
        capsize=2.5,
        label=label,
    )
