"""How well columns, defects and domains are found: against dose and tilt where they are simulated, and by rank."""

from stemlib.plot import style

_ENDS = {"mean": "", "min": "_low", "max": "_high"}


def position_error_figure(table):
    """Draw position error against dose, one panel per crystal, beside Gaussian fits and the limit.

    Parameters
    ----------
    table : pandas.DataFrame
        As `reproduction.column_scores.position_error_table` returns it.

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
    with style.new_figure(3.6 * len(crystals) + 0.4, 3.9) as figure:
        grid = style.grid(figure, len(crystals), len(crystals), sharey=True)
        for axes, crystal in zip(grid, crystals, strict=True):
            part = table[table["crystal"] == crystal]
            for rows, look in _methods(part):
                axes.plot(rows["counts_per_column"], rows["error_rms_px"], **look)
            limit = part.drop_duplicates("counts_per_column")
            look = {"color": style.BLACK, "label": "limit (Cramér-Rao), lone column"}
            axes.plot(limit["counts_per_column"], limit["limit_px"], ":", **look)
            # Where not every column is found, the error is that of the clearer ones.
            few = part[(part["method"] == "find_columns") & (part["recall"] < 0.995)]
            for at, error, recall in few[["counts_per_column", "error_rms_px", "recall"]].to_numpy():
                look = {"xytext": (6, 4), "textcoords": "offset points", "fontsize": 7.5}
                axes.annotate(f"{100 * recall:.0f} % found", (at, error), **look)
            axes.set(xscale="log", yscale="log", title=crystal, xlabel="dose, counts per column")
        grid[0].set_ylabel("position error, root mean square distance (px)")
        style.legend_below(figure, style.labelled(figure))
    return figure


def dose_figure(table, *, caption=""):
    """Draw recall of missing and of misplaced columns, and precision, against dose, one line per method.

    Parameters
    ----------
    table : pandas.DataFrame
        As `reproduction.simulated_defects.defect_score_table` returns it.
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
    middle = (table["method"].nunique() - 1) / 2
    with style.new_figure(11.0, 4.1) as figure:
        for axes, (key, title) in zip(style.grid(figure, 3, 3, sharey=True), titles.items(), strict=True):
            for number, (rows, look) in enumerate(_methods(table)):
                # Side by side, so that intervals of equal values can be told apart.
                dose = rows["dose_per_nm2"] * 1.04 ** (number - middle)
                style.intervals(axes, dose, rows, key, markersize=5, elinewidth=0.8, **look)
            axes.set(title=title, xscale="log", ylim=(-0.02, 1.04), xlabel="dose, electrons per nm²")
        style.legend_below(figure, style.labelled(figure), caption)
    return figure


def twin_figure(table):
    """Draw how well the twins are found over dose and over tilt of their boundary, method by method.

    Parameters
    ----------
    table : pandas.DataFrame
        As `reproduction.domain_scores.twin_table` returns it; points are means, bars reach from the least to the
        greatest.

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
    >>> row = {"over": "dose", "dose_per_nm2": 1e6, "tilt_deg": 0.0, "method": "mixture", "found": 2}
    >>> table = pd.DataFrame([row | {"accuracy": 0.99, "distance_px": 3.0, "allowed_px": 25.0}])
    >>> twin_figure(table).axes[0].get_ylabel()
    'label accuracy'
    """
    values = {"accuracy": "label accuracy", "distance_px": "distance of boundaries (px)"}
    values |= {"found": "domains found"}
    with style.new_figure(8.2, 7.0) as figure:
        grid = figure.subplots(3, 2, sharey="row", sharex="col", height_ratios=[2, 2, 1.2])
        for column, over, key in zip(grid.T, ("dose", "tilt"), ("dose_per_nm2", "tilt_deg"), strict=True):
            part = table[table["over"] == over]
            for rows, look in _methods(part):
                means = rows.groupby(key)[list(values)].agg(["mean", "min", "max"])
                means.columns = [f"{value}{_ENDS[kind]}" for value, kind in means.columns]
                for axes, value in zip(column, values, strict=True):
                    style.intervals(axes, means.index, means, value, capsize=2.5, **look)
            column[0].axhline(0.99, color=style.GREY, linestyle=":")
            if part["allowed_px"].notna().any():
                look = {"color": style.BLACK, "linestyle": ":", "label": "longer cell edge"}
                column[1].axhline(part["allowed_px"].max(), **look)
        for axes, label in zip(grid[:, 0], values.values(), strict=True):
            axes.set_ylabel(label)
        grid[0, 0].set_xscale("log")
        grid[2, 0].yaxis.get_major_locator().set_params(integer=True)
        grid[2, 0].set_xlabel("dose (electrons per nm²), boundary upright")
        grid[2, 1].set_xlabel("tilt of the boundary against the beam (°)")
        style.legend_below(figure, style.labelled(figure))
    return figure


def ranking_figure(ranking, curves):
    """Draw precision against recall of dopants ranked by score, one panel per image, one line per kind of site.

    Parameters
    ----------
    ranking, curves : pandas.DataFrame
        As `reproduction.defect_scores.ranking_tables` returns them.

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
    >>> row = {"image": "simulated", "sites": "all columns"}
    >>> curve = pd.DataFrame([row | {"recall": r, "precision": 1.0} for r in (1.0, 0.0)])
    >>> scores = {"average_precision": 1.0, "n_minority": 3, "n_columns": 30}
    >>> ranking_figure(pd.DataFrame([row | scores]), curve).axes[0].get_title()
    'simulated'
    """
    if not len(ranking):
        raise ValueError("ranking is empty; it needs one row per image and kind of site")
    images = list(dict.fromkeys(ranking["image"]))
    with style.new_figure(3.7 * len(images) + 0.3, 3.9) as figure:
        grid = style.grid(figure, len(images), len(images), sharey=True)
        for axes, image in zip(grid, images, strict=True):
            axes.set(title=image, xlim=(0, 1.01), ylim=(0, 1.03))
            axes.set_xlabel("recall of labelled minority columns")
            rows = ranking[ranking["image"] == image]
            if rows["average_precision"].isna().any():
                style.not_available(axes)
                continue
            _draw_ranking(axes, rows, curves[curves["image"] == image])
        grid[0].set_ylabel("precision")
    return figure


def _methods(table):
    """Yield the rows of each method and how they are drawn."""
    for number, (method, rows) in enumerate(table.groupby("method", sort=False)):
        label, color, marker, line = style.system(method, number)
        yield rows, {"label": label, "color": color, "marker": marker, "linestyle": line}


def _draw_ranking(axes, rows, curves):
    # Every other look, since the looks come in pairs of a colour.
    for number, row in enumerate(rows.to_dict("records")):
        sites, color, _, line = style.system(row["sites"], 2 * number)
        curve = curves[curves["sites"] == row["sites"]]
        counts = f"({row['n_minority']:.0f} of {row['n_columns']:.0f} columns)"
        label = f"{sites}: {row['average_precision']:.3f}\n{counts}"
        look = {"color": color, "linestyle": line, "drawstyle": "steps-post", "label": label}
        axes.plot(curve["recall"], curve["precision"], **look)
    ground = {"frameon": True, "framealpha": 0.9, "edgecolor": "none"}
    axes.legend(loc="lower left", title="average precision", alignment="left", **ground)
