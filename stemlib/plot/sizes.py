"""Sizes: distributions image by image, and one loop measured twice."""

import numpy as np
from matplotlib.lines import Line2D

from stemlib.plot import style

_LINES = {"cascade": "-", "fcn": "--", "B": "-.", "C": ":"}


def sizes_figure(objects, images, sources, *, columns=3):
    """Draw the size distributions image by image: the fraction of loops smaller than a diameter.

    Parameters
    ----------
    objects : pandas.DataFrame
        As `stemlib.evaluation.size_objects` returns it.
    images : list of str
        Which images, in order.
    sources : list of str
        Methods and label sets with axes.
    columns : int
        Panels per row.

    Returns
    -------
    matplotlib.figure.Figure
        In nm where the pixel size is sure, otherwise in px. Loops cut by the image edge are left out.

    Raises
    ------
    ValueError
        If `images` is empty.

    Examples
    --------
    >>> import pandas as pd
    >>> columns = {
    ...     "image": "a",
    ...     "source": "C",
    ...     "touches_edge": False,
    ...     "pixel_size_nm": 0.5,
    ...     "pixel_size_sure": True,
    ... }
    >>> figure = sizes_figure(pd.DataFrame({"diameter": [20.0, 30.0]}).assign(**columns), ["a"], ["C"])
    >>> figure.axes[0].get_xlabel()
    'diameter (nm)'
    """
    if not images:
        raise ValueError("images is empty; give at least one image name")
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    whole = objects[~objects["touches_edge"].astype(bool) & objects["diameter"].notna()]
    with style.styled():
        figure = style.new_figure(columns * 3.7, rows * 2.75 + 0.5)
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes, image in zip(grid.flat, images, strict=False):
            _draw_distributions(axes, whole[whole["image"] == image], sources)
            axes.set_title(style.short_name(image, 40), fontsize=8.5)
        for axes in grid.flat[len(images) :]:
            axes.set_axis_off()
        for axes in grid[:, 0]:
            axes.set_ylabel("fraction of loops smaller")
        handles = {}
        for axes in grid.flat:
            handles |= dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
        if handles:
            names = [style.title(source) for source in sources if style.title(source) in handles]
            mean = Line2D([], [], marker="^", linestyle="none", color=style.GREY)
            figure.legend(
                [*(handles[name] for name in names), mean],
                [*names, "mean"],
                loc="outside upper center",
                ncols=len(names) + 1,
            )
    return figure


def _draw_distributions(axes, objects, sources):
    if objects.empty:
        axes.text(0.5, 0.5, "not available", color=style.GREY, ha="center", transform=axes.transAxes)
        return
    sure, scale = bool(objects["pixel_size_sure"].iloc[0]), objects["pixel_size_nm"].iloc[0]
    factor = scale if sure else 1.0
    for source in sources:
        values = np.sort(objects.loc[objects["source"] == source, "diameter"].to_numpy() * factor)
        if not len(values):
            continue
        color, _ = style.SYSTEMS[source]
        fraction = np.arange(len(values) + 1) / len(values)
        axes.step(
            np.concatenate([values[:1], values]),
            fraction,
            where="post",
            color=color,
            linestyle=_LINES[source],
            linewidth=1.6,
            label=style.title(source),
        )
        axes.scatter(values.mean(), 0.03, marker="^", color=color, s=30, gid=f"mean {source}")
    unit = "nm" if sure else "px; scale not sure"
    axes.set(xlabel=f"diameter ({unit})", ylim=(0, 1.02))
    axes.set_xlim(left=0)


def axes_figure(pairs, errors, *, truth="C"):
    """Draw the major axis of matched loops, one panel per source, against the same person's.

    Parameters
    ----------
    pairs : dict of str to pandas.DataFrame
        Source -> as `stemlib.evaluation.axis_pairs` returns it.
    errors : dict of str to dict
        Source -> pooled `median_absolute_error` with its interval and `n_pairs`; sources that are missing
        have no pooled number.
    truth : str
        The label set on the horizontal axis.

    Returns
    -------
    matplotlib.figure.Figure
        With the line of equality and a band of 10 % around it.

    Raises
    ------
    ValueError
        If there are no pairs at all.

    Examples
    --------
    >>> import pandas as pd
    >>> pairs = {"fcn": pd.DataFrame({"truth": [20.0, 30.0], "found": [21.0, 29.0]})}
    >>> error = {"median_absolute_error": 0.04, "median_absolute_error_low": 0.03}
    >>> error |= {"median_absolute_error_high": 0.05, "n_pairs": 2}
    >>> len(axes_figure(pairs, {"fcn": error}).axes)
    1
    """
    if not any(len(pair) for pair in pairs.values()):
        raise ValueError("pairs holds no matched loops; nothing to draw")
    everything = np.concatenate([pair[["truth", "found"]].to_numpy(float).ravel() for pair in pairs.values()])
    ends = everything.min() * 0.8, everything.max() * 1.25
    line = np.array(ends)
    with style.styled():
        figure = style.new_figure(3.7 * len(pairs), 4.2)
        grid = figure.subplots(1, len(pairs), sharex=True, sharey=True, squeeze=False)
        for axes, (source, pair) in zip(grid.flat, pairs.items(), strict=True):
            color, marker = style.SYSTEMS[source]
            axes.fill_between(line, 0.9 * line, 1.1 * line, color="#dddddd", linewidth=0, label="within 10 %")
            axes.plot(line, line, color=style.BLACK, linewidth=0.8)
            axes.plot(
                pair["truth"], pair["found"], marker, color=color, markersize=4, alpha=0.7, markeredgewidth=0
            )
            axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends, aspect="equal")
            ticks = [tick for tick in (10, 20, 50, 100, 200, 500) if ends[0] <= tick <= ends[1]]
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_ticks(ticks, [str(tick) for tick in ticks])
                axis.set_minor_formatter("")
            axes.set_title(f"{style.title(source)}: {_error_text(errors.get(source))}")
            axes.set_xlabel(f"major axis, set {truth} (px)")
        grid[0, 0].set_ylabel("major axis measured (px)")
        grid[0, 0].legend(loc="upper left")
    return figure


def _error_text(error):
    if error is None:
        return "not all images at hand"
    value, low, high = (100 * error[f"median_absolute_error{end}"] for end in ("", "_low", "_high"))
    return (
        f"{error['n_pairs']} matched loops\nmedian absolute error {value:.1f} % ({low:.1f} to {high:.1f} %)"
    )
