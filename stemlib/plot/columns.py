"""Columns of atoms: what was found on images, the semantic image, and position error against dose."""

from dataclasses import dataclass

import numpy as np
from matplotlib.lines import Line2D

from stemlib.plot import style
from stemlib.plot.panels import legend_below, marker_size, middle_of, panel_grid, show_image, start_panel

# Marker, colour, size factor, label; shapes differ too, so that grey prints can be read.
_LOOKS = {
    "found": ("o", style.SKY, 1.0, "labelled column, found"),
    "missed": ("s", style.YELLOW, 1.7, "labelled column, missed"),
    "false": ("D", "#FF6A00", 1.5, "found, not labelled"),
    "column": ("o", style.SKY, 1.0, "column found"),
}
_METHODS = {"find_columns": (style.BLUE, "o", "-"), "Gaussian fits": (style.ORANGE, "s", "--")}


@dataclass(frozen=True, eq=False)
class ColumnPanel:
    """One image of a figure of columns.

    Attributes
    ----------
    name : str
    image : numpy.ndarray, shape (H, W), or None
        None where it is not at hand.
    found : numpy.ndarray, shape (M, 2)
        Columns found (y, x), px.
    truth : numpy.ndarray, shape (N, 2), or None
        Labelled columns; None where there are no labels.
    is_found, is_true : numpy.ndarray of bool
        For every row of `truth` and of `found`, whether it is matched.
    is_semantic : bool
        Whether `image` is a semantic image and not a micrograph.
    pixel_size_nm : float or None
        None where it is not sure: then there is no scale bar.
    note : str
        Second line of the title.
    spacing : float or None
        Nearest-neighbour distance, px; about 30 of them are shown across, from the middle of the image.
    """

    name: str
    image: np.ndarray | None
    found: np.ndarray | None = None
    truth: np.ndarray | None = None
    is_found: np.ndarray | None = None
    is_true: np.ndarray | None = None
    is_semantic: bool = False
    pixel_size_nm: float | None = None
    note: str = ""
    spacing: float | None = None

    @classmethod
    def of(cls, case, columns=None, match=None, *, semantic=False, show_image=True):
        """Return the panel of a `stemlib.evaluation.ColumnCase`, its `Columns` and their `Match`.

        `semantic` shows the semantic image in place of the micrograph; `show_image` False draws the columns on black,
        where the licence does not allow a picture, and says so; `columns` None: the image is not at hand.
        """
        if columns is None:
            return cls(case.name, None)
        note = f"{len(columns.table)} columns, {columns.spacing:.1f} px apart" if len(columns.table) else ""
        if match is not None:
            truth, true = match.is_found[match.in_truth], match.is_true[match.in_found]
            note = f"{truth.sum()} of {len(truth)} labelled found, {true.sum()} of {len(true)} found labelled"
        image = columns.semantic_image if semantic else case.source.image
        if not show_image:
            image, note = np.zeros_like(image), f"{note}; no licence stated".removeprefix("; ")
        return cls(
            case.name,
            image,
            columns.table[["y", "x"]].to_numpy(),
            None if match is None else case.labels[["y", "x"]].to_numpy(),
            None if match is None else match.is_found | ~match.in_truth,
            None if match is None else match.is_true | ~match.in_found,
            semantic or not show_image,
            case.source.pixel_size_nm if case.pixel_size_sure else None,
            note,
            columns.spacing,
        )


def columns_figure(panels, *, columns=3, panel_width=3.9, across=30, caption=""):
    """Draw found columns on the middle of each image, missed and unlabelled ones apart.

    Parameters
    ----------
    panels : list of ColumnPanel
    columns : int
        Panels per row.
    panel_width : float
        Inches.
    across : float
        Nearest-neighbour distances shown across each panel.
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
    >>> figure = columns_figure([ColumnPanel("not here", None)], columns=1)
    >>> figure.axes[0].texts[0].get_text()
    'not available'
    """
    columns = max(1, min(columns, len(panels)))
    with style.styled():
        figure, grid = panel_grid(
            panels, columns=columns, panel_width=panel_width, title_height=0.4, kind="ColumnPanel"
        )
        kinds = dict.fromkeys(
            kind for axes, panel in zip(grid, panels, strict=True) for kind in _draw(axes, panel, across)
        )
        handles = [
            Line2D(
                [], [], marker=marker, color=color, markersize=7, fillstyle="none", mew=1.8, lw=0, label=label
            )
            for kind, (marker, color, _, label) in _LOOKS.items()
            if kind in kinds
        ]
        if handles:
            legend_below(figure, handles, caption, per_row=len(handles) if columns >= 2 else 1)
    return figure


def _draw(axes, panel, across):
    """Draw one panel and return the kinds of markers in it."""
    if not start_panel(axes, panel.name, panel.note, available=panel.image is not None):
        return []
    spacing = panel.spacing or min(panel.image.shape) / across
    top, left, side = middle_of(panel.image.shape, across * spacing)
    part = panel.image[top : top + side, left : left + side]
    if panel.is_semantic:
        axes.imshow(part, cmap="magma", vmin=0, vmax=1, interpolation="nearest")
    else:
        show_image(axes, part, panel.pixel_size_nm)
    if panel.truth is None:
        groups = {"column": panel.found}
    else:
        groups = {
            "found": panel.found[panel.is_true],
            "missed": panel.truth[~panel.is_found],
            "false": panel.found[~panel.is_true],
        }
    size = marker_size(axes, spacing, side)
    for kind, positions in groups.items():
        marker, color, factor, _ = _LOOKS[kind]
        axes.plot(
            positions[:, 1] - left,
            positions[:, 0] - top,
            marker,
            color=color,
            markersize=factor * size,
            fillstyle="none",
            markeredgewidth=0.7 * factor,
            gid=kind,
        )
    axes.set(xlim=(-0.5, part.shape[1] - 0.5), ylim=(part.shape[0] - 0.5, -0.5), aspect="equal")
    return list(groups)


def position_error_figure(table):
    """Draw position error against dose, one panel per crystal, beside Gaussian fits and the limit.

    Parameters
    ----------
    table : pandas.DataFrame
        As `stemlib.evaluation.position_error_table` returns it.

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
    >>> row = {"crystal": "square", "counts_per_column": 100.0, "method": "find_columns"}
    >>> table = pd.DataFrame([row | {"error_rms_px": 0.4, "recall": 1.0, "limit_px": 0.3}])
    >>> position_error_figure(table).axes[0].get_title()
    'square'
    """
    crystals = list(dict.fromkeys(table["crystal"]))
    with style.styled():
        figure = style.new_figure(3.6 * len(crystals) + 0.4, 3.9)
        grid = figure.subplots(1, len(crystals), squeeze=False, sharey=True)[0]
        for axes, crystal in zip(grid, crystals, strict=True):
            part = table[table["crystal"] == crystal]
            for method, rows in part.groupby("method", sort=False):
                color, marker, line = _METHODS.get(method, (style.GREEN, "^", ":"))
                axes.plot(
                    rows["counts_per_column"],
                    rows["error_rms_px"],
                    line,
                    marker=marker,
                    color=color,
                    label=method,
                )
            limit = part.drop_duplicates("counts_per_column")
            axes.plot(
                limit["counts_per_column"],
                limit["limit_px"],
                ":",
                color=style.BLACK,
                label="limit (Cramér-Rao), lone column",
            )
            for _, row in part[part["method"] == "find_columns"].iterrows():
                if row["recall"] < 0.995:
                    axes.annotate(
                        f"{100 * row['recall']:.0f} % found",
                        (row["counts_per_column"], row["error_rms_px"]),
                        xytext=(6, 4),
                        textcoords="offset points",
                        fontsize=7.5,
                    )
            axes.set(xscale="log", yscale="log", title=crystal)
            axes.set_xlabel("dose, counts per column")
        grid[0].set_ylabel("position error, root mean square distance (px)")
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(handles))
    return figure
