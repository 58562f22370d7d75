"""How large loops are: distributions of diameters image by image, and the axes of loops measured twice."""

import numpy as np
from matplotlib.lines import Line2D

from stemlib.plot import style


def sizes_figure(objects, images, sources, *, columns=3):
    """Draw the size distributions image by image: the fraction of loops smaller than a diameter.

    Parameters
    ----------
    objects : pandas.DataFrame
        As `reproduction.loop_sizes.size_objects` returns it.
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
    >>> row = {"image": "a", "source": "C", "diameter": 20.0, "touches_edge": False}
    >>> objects = pd.DataFrame([row | {"pixel_size_nm": 0.5, "pixel_size_sure": True}])
    >>> figure = sizes_figure(objects, ["a"], ["C"])
    >>> figure.axes[0].get_xlabel()
    'diameter (nm)'
    """
    if not images:
        raise ValueError("images is empty; give at least one image name")
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    whole = objects[~objects["touches_edge"].astype(bool) & objects["diameter"].notna()]
    with style.new_figure(columns * 3.7, rows * 2.75 + 0.5) as figure:
        grid = style.grid(figure, len(images), columns)
        for axes, image in zip(grid, images, strict=True):
            _draw_distributions(axes, whole[whole["image"] == image], sources)
            axes.set_title(style.short_name(image, 40), fontsize=8.5)
        for axes in grid[::columns]:
            axes.set_ylabel("fraction of loops smaller")
        mean = Line2D([], [], marker="^", linestyle="none", color=style.GREY, label="mean")
        style.legend_below(figure, [*style.labelled(figure), mean])
    return figure


def _draw_distributions(axes, objects, sources):
    if objects.empty:
        style.not_available(axes)
        return
    sure, scale = bool(objects["pixel_size_sure"].iloc[0]), objects["pixel_size_nm"].iloc[0]
    factor = scale if sure else 1.0
    for source in sources:
        values = objects.loc[objects["source"] == source, "diameter"] * factor
        if len(values):
            title, color, _, line = style.system(source)
            axes.ecdf(values, color=color, linestyle=line, linewidth=1.6, label=title)
            axes.scatter(values.mean(), 0.03, marker="^", color=color, s=30, gid=f"mean {source}")
    unit = "nm" if sure else "px; scale not sure"
    axes.set(xlabel=f"diameter ({unit})", ylim=(0, 1.02))
    axes.set_xlim(left=0)


def axes_figure(pairs, errors, *, truth="C"):
    """Draw the major axis of matched loops, one panel per source, against the same annotator's.

    Parameters
    ----------
    pairs : dict of str to pandas.DataFrame
        Source -> as `reproduction.loop_sizes.axis_pairs` returns it.
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
    ticks = [tick for tick in (10, 20, 50, 100, 200, 500) if ends[0] <= tick <= ends[1]]
    with style.new_figure(3.7 * len(pairs), 4.2) as figure:
        grid = style.grid(figure, len(pairs), len(pairs), sharex=True, sharey=True)
        for axes, (source, pair) in zip(grid, pairs.items(), strict=True):
            title, color, marker, _ = style.system(source)
            axes.fill_between(line, 0.9 * line, 1.1 * line, color="#dddddd", linewidth=0, label="within 10 %")
            axes.plot(line, line, color=style.BLACK, linewidth=0.8)
            look = {"color": color, "markersize": 4, "alpha": 0.7, "markeredgewidth": 0}
            axes.plot(pair["truth"], pair["found"], marker, **look)
            axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends, aspect="equal")
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_ticks(ticks, [str(tick) for tick in ticks])
                axis.set_minor_formatter("")
            axes.set(title=f"{title}: {_error_text(errors.get(source))}")
            axes.set_xlabel(f"major axis, set {truth} (px)")
        grid[0].set_ylabel("major axis measured (px)")
        grid[0].legend(loc="upper left")
    return figure


def _error_text(error):
    if error is None:
        return "not all images at hand"
    n_pairs = error["n_pairs"]
    value, low, high = (100 * error[f"median_absolute_error{end}"] for end in ("", "_low", "_high"))
    error = f"median absolute error {value:.1f} % ({low:.1f} to {high:.1f} %)"
    return f"{n_pairs} matched loops\n{error}"
