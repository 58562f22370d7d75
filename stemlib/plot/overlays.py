"""Micrographs with what was found drawn on them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse, Rectangle

from stemlib.plot import style
from stemlib.plot.panels import legend_below, panel_grid, show_image, start_panel

_FOUND, _MISSED, _FALSE, _OTHER = "found", "missed", "false", "on another class"
_LOOKS = {
    _FOUND: (style.SKY, "-", 1.3, "loop of {truth}, found"),
    _MISSED: (style.YELLOW, "--", 1.3, "loop of {truth}, missed (box)"),
    _FALSE: ("#FF6A00", "-.", 1.3, "found, no loop of {truth}"),
    _OTHER: ("#FF8AD8", ":", 1.6, "found, black dot or closed loop of set B or C"),
}


@dataclass(frozen=True, eq=False)
class Panel:
    """One image of an overlay figure.

    Attributes
    ----------
    name : str
    image : numpy.ndarray, shape (H, W), or None
        None where it is not at hand.
    truth : pandas.DataFrame
        People's loops: edges `top`, `left`, `bottom`, `right`, px.
    found : pandas.DataFrame
        The machine's: `y`, `x`, `major`, `minor` (px) and `angle_deg`.
    is_found, is_true : numpy.ndarray of bool
        For every row of `truth` and of `found`, whether it is matched.
    on_class : numpy.ndarray of int
        For every row of `found`, as `stemlib.agreement.Match.on_class`.
    pixel_size_nm : float or None
        None where it is not sure: then there is no scale bar.
    note : str
        Second line of the title, such as the scores.
    """

    name: str
    image: np.ndarray | None
    truth: pd.DataFrame | None = None
    found: pd.DataFrame | None = None
    is_found: np.ndarray | None = None
    is_true: np.ndarray | None = None
    on_class: np.ndarray | None = None
    pixel_size_nm: float | None = None
    note: str = ""

    @classmethod
    def of(cls, case, loops=None, match=None, *, truth="A"):
        """Return the panel of a `stemlib.evaluation.LoopCase`, its `Loops` and their `Match`; None: not at hand."""
        if loops is None:
            return cls(case.name, None)
        note = (
            f"{match.is_found.sum()} of {len(match.is_found)} loops found, "
            f"{match.is_true.sum()} of {len(match.is_true)} found are true"
        )
        scale = case.pixel_size_nm if case.pixel_size_sure else None
        flags = match.is_found, match.is_true, match.on_class
        return cls(case.name, case.image(), case.loops(truth), loops.table, *flags, scale, note)


def overlay_figure(panels, *, columns=3, panel_width=4.2, truth="set A", caption=""):
    """Draw what was found, missed and falsely found on the micrographs.

    Parameters
    ----------
    panels : list of Panel
    columns : int
        Panels per row.
    panel_width : float
        Inches.
    truth : str
        Whose loops are the truth, for the legend.
    caption : str
        Credit and the like, below the legend.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If there are no panels.

    Examples
    --------
    >>> figure = overlay_figure([Panel("not here.jpg", None)], columns=1)
    >>> figure.axes[0].texts[0].get_text()
    'not available'
    """
    columns = max(1, min(columns, len(panels)))
    with style.styled():
        figure, grid = panel_grid(
            panels, columns=columns, panel_width=panel_width, title_height=0.45, kind="Panel"
        )
        for axes, panel in zip(grid, panels, strict=True):
            _draw_panel(axes, panel)
        handles = [
            Line2D(
                [],
                [],
                color=color,
                linestyle=line,
                linewidth=2,
                path_effects=style.outlined(2),
                label=label.format(truth=truth),
            )
            for kind, (color, line, _, label) in _LOOKS.items()
            if kind != _OTHER or any(axes.findobj(lambda artist: artist.get_gid() == _OTHER) for axes in grid)
        ]
        per_row = len(handles) if columns >= 3 else columns
        legend_below(figure, handles, caption, per_row=per_row, size=10, caption_size=8)
    return figure


def _draw_panel(axes, panel):
    name = style.short_name(panel.name, 46)
    if not start_panel(axes, name, panel.note, available=panel.image is not None):
        return
    show_image(axes, panel.image, panel.pixel_size_nm)
    for box, found in zip(panel.truth.to_dict("records"), panel.is_found, strict=True):
        if not found:
            _draw_box(axes, box, _MISSED)
    flags = zip(panel.found.to_dict("records"), panel.is_true, panel.on_class, strict=True)
    for loop, is_true, on_class in flags:
        _draw_ellipse(axes, loop, _FOUND if is_true else _OTHER if on_class > 0 else _FALSE)


def _draw_ellipse(axes, loop, kind):
    color, line, width, _ = _LOOKS[kind]
    # The y axis points down, so what people see as counter-clockwise is clockwise in data coordinates.
    ellipse = Ellipse(
        (loop["x"], loop["y"]),
        loop["major"],
        loop["minor"],
        angle=-loop["angle_deg"],
        fill=False,
        edgecolor=color,
        linestyle=line,
        linewidth=width,
        gid=kind,
        path_effects=style.outlined(width) if line == "-" else None,
    )
    axes.add_patch(ellipse)


def _draw_box(axes, box, kind):
    color, line, width, _ = _LOOKS[kind]
    axes.add_patch(
        Rectangle(
            (box["left"], box["top"]),
            box["right"] - box["left"],
            box["bottom"] - box["top"],
            fill=False,
            edgecolor=color,
            linestyle=line,
            linewidth=width,
            gid=kind,
        )
    )


def loops_figure(image, table, *, name="", pixel_size_nm=None, note="", rejected=None):
    """Draw the loops of one image, those at its edge apart, beside the distribution of their diameters.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W)
    table : pandas.DataFrame
        As `stemlib.loops.Loops.table`.
    name, note : str
        Title.
    pixel_size_nm : float, optional
        For the scale bar and the histogram's axis; px otherwise.
    rejected : pandas.DataFrame, optional
        Boxes that the screening turned down, drawn faintly.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    KeyError
        If the table lacks a column.

    Examples
    --------
    >>> columns = ["y", "x", "major", "minor", "angle_deg", "touches_edge"]
    >>> figure = loops_figure(np.zeros((64, 64)), pd.DataFrame(columns=columns))
    >>> len(figure.axes)
    2
    """
    with style.styled():
        figure = style.new_figure(11.5, 6.9)
        left, right = figure.subplots(1, 2, width_ratios=[2.1, 1])
        show_image(left, np.asarray(image), pixel_size_nm)
        left.set(xticks=[], yticks=[])
        left.grid(False)
        left.set_title(style.short_name(name, 60) + (f"\n{note}" if note else ""))
        for box in () if rejected is None else rejected.to_dict("records"):
            _draw_box(left, box, _MISSED)
        for loop in table.to_dict("records"):
            _draw_ellipse(left, loop, _OTHER if loop["touches_edge"] else _FOUND)
        labels = {_FOUND: "loop", _OTHER: "loop cut by the image edge, not in the sizes"}
        labels |= {} if rejected is None else {_MISSED: "candidate turned down"}
        handles = [
            Line2D(
                [], [], color=_LOOKS[kind][0], linestyle=_LOOKS[kind][1], lw=2, path_effects=style.outlined(2)
            )
            for kind in labels
        ]
        left.legend(
            handles, labels.values(), loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=len(labels)
        )
        whole = table.loc[~table["touches_edge"].astype(bool), "major"].astype(float)
        scale, unit = (1.0, "px") if pixel_size_nm is None else (pixel_size_nm, "nm")
        if len(whole):
            right.hist(
                whole * scale,
                bins=min(20, max(5, int(len(whole) ** 0.5) + 2)),
                color=style.BLUE,
                edgecolor="white",
            )
            right.yaxis.get_major_locator().set_params(integer=True)
            right.axvline(whole.mean() * scale, color=style.BLACK, linestyle="--", gid="mean")
            mean, spread = whole.mean() * scale, whole.std(ddof=1) * scale if len(whole) > 1 else np.nan
            right.set_title(
                f"mean {mean:.3g} {unit}, standard deviation {spread:.3g} {unit}\n{len(whole)} loops"
            )
        right.set(xlabel=f"diameter, full major axis ({unit})", ylabel="loops")
        right.set_box_aspect(1.2)
    return figure
