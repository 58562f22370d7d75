"""How trained models score: recall against precision, calibration, and the series left out."""

import numpy as np

from stemlib.plot import style


def training_figure(curves, *, calibration=None, series=None):
    """Draw what the cards of trained models state.

    Parameters
    ----------
    curves : dict of str to dict
        Model -> `curve` (list of dicts with `recall` and `precision`), `recall` and `precision` (at the chosen
        threshold).
    calibration : list of dict, optional
        `probability` (mean in a bin), `fraction` (that were loops) and `n`.
    series : dict of str to list of dict, optional
        Model -> rows with `series` and `f1`: each series scored by weights that never saw it.

    Returns
    -------
    matplotlib.figure.Figure
        One panel for each of the three that is given.

    Raises
    ------
    ValueError
        If nothing is given.

    Examples
    --------
    >>> point = {"recall": 0.8, "precision": 0.9}
    >>> len(training_figure({"fcn": point | {"curve": [point]}}).axes)
    1
    """
    panels = [name for name, given in (("curve", curves), ("bins", calibration), ("series", series)) if given]
    if not panels:
        raise ValueError("curves, calibration and series are all empty; nothing to draw")
    with style.styled():
        figure = style.new_figure(4.3 * len(panels), 4.0)
        for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False).flat, panels, strict=True):
            if panel == "curve":
                _draw_curves(axes, curves)
            elif panel == "bins":
                _draw_calibration(axes, calibration)
            else:
                _draw_series(axes, series)
    return figure


def _draw_curves(axes, curves):
    for model, scores in curves.items():
        color, marker = style.SYSTEMS.get(model, (style.BLACK, "o"))
        points = np.array([[point["recall"], point["precision"]] for point in scores["curve"]])
        axes.plot(*points.T, color=color, linewidth=1.5, label=style.title(model))
        axes.plot(scores["recall"], scores["precision"], marker=marker, color=color, markersize=7)
    axes.set(xlabel="recall", ylabel="precision", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.set_title("series not seen (each system its own images)")
    axes.legend(loc="lower left", title="mark: the threshold chosen")


def _draw_calibration(axes, bins):
    probability = [one["probability"] for one in bins]
    axes.plot([0, 1], [0, 1], color=style.BLACK, linewidth=0.8, label="perfect")
    axes.plot(probability, [one["fraction"] for one in bins], "o-", color=style.BLUE, label="Module II")
    for one in bins:
        axes.annotate(
            str(one["n"]),
            (one["probability"], one["fraction"]),
            xytext=(5, -9),
            textcoords="offset points",
            fontsize=7,
        )
    axes.set(xlabel="probability said", ylabel="fraction that are loops", xlim=(0, 1.02), ylim=(0, 1.02))
    axes.set_title("calibration, with candidates per bin")
    axes.legend(loc="upper left")


def _draw_series(axes, series):
    names = list(dict.fromkeys(row["series"] for rows in series.values() for row in rows))
    for number, (model, rows) in enumerate(series.items()):
        color, marker = style.SYSTEMS.get(model, (style.BLACK, "o"))
        place = [names.index(row["series"]) + 0.2 * number for row in rows]
        axes.plot(
            [row["f1"] for row in rows],
            place,
            linestyle="none",
            marker=marker,
            color=color,
            label=style.title(model),
        )
        axes.axvline(np.mean([row["f1"] for row in rows]), color=color, linestyle="--", linewidth=0.9)
    axes.set_yticks(range(len(names)), names)
    axes.set(
        xlabel="F1, published rule", xlim=(-0.02, 1.02), title="each series left out in turn (dashed: mean)"
    )
    axes.grid(axis="y", visible=False)
    axes.margins(y=0.15)
    axes.legend(loc="best")
