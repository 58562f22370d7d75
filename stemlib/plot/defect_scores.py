"""How well scores rank dopants, and what is found of drawn defects against dose."""

import numpy as np

from stemlib.plot import style
from stemlib.plot.panels import legend_below

_LINES = (
    (style.BLUE, "o", "-"),
    (style.SKY, "s", "--"),
    (style.VERMILLION, "^", "-"),
    (style.ORANGE, "D", "--"),
    (style.GREEN, "v", ":"),
    (style.BLACK, "P", "-."),
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
    >>> import pandas as pd
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
                    f"({row['n_minority']:.0f} of {row['n_columns']:.0f} columns)"
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
                axes.legend(
                    loc="lower left",
                    title="average precision",
                    alignment="left",
                    frameon=True,
                    framealpha=0.9,
                    edgecolor="none",
                )
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
    >>> import pandas as pd
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
