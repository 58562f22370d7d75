"""What the cards of trained models state: scores of the loop models, and of the column network beside its examples."""

import numpy as np
from matplotlib.colors import to_rgb

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
    given = [(_draw_curves, curves), (_draw_calibration, calibration), (_draw_series, series)]
    panels = [(draw, values) for draw, values in given if values]
    if not panels:
        raise ValueError("curves, calibration and series are all empty; nothing to draw")
    with style.new_figure(4.3 * len(panels), 4.0) as figure:
        for axes, (draw, values) in zip(style.grid(figure, len(panels), 3), panels, strict=True):
            draw(axes, values)
    return figure


def column_training_figure(examples, curve, chosen):
    """Draw training images with the answers wanted, and scores over the smallest probability of a column.

    Parameters
    ----------
    examples : list of (image, target, weight)
        Arrays (S, S), as `stemlib.training.column_scenes.training_example` gives them; three to a column.
    curve : list of dict
        Rows with ``threshold``, ``recall``, ``precision`` and ``filled``.
    chosen : dict
        The row of the threshold taken.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If there is no example, or no row.

    Examples
    --------
    >>> import numpy as np
    >>> row = {"threshold": 0.5, "recall": 0.99, "precision": 0.98, "filled": 0.001}
    >>> len(column_training_figure([(np.zeros((8, 8)), np.zeros((8, 8)), np.ones((8, 8)))], [row], row).axes)
    3
    """
    if not examples or not curve:
        raise ValueError("examples and curve must hold one entry at least")
    rows = min(3, len(examples))
    columns = -(-len(examples) // rows)
    with style.new_figure(1.75 * columns + 4.6, 1.75 * rows) as figure:
        left, right = figure.subfigures(1, 2, width_ratios=[1.75 * columns, 4.6])
        for axes, example in zip(style.grid(left, len(examples), columns), examples, strict=True):
            axes.imshow(_overlay(*example), interpolation="nearest")
            axes.set_axis_off()
        scores, filled = right.subplots(2, 1, sharex=True, height_ratios=[2, 1])
        _draw_column_scores(scores, filled, curve, chosen)
    return figure


def _draw_curves(axes, curves):
    for model, scores in curves.items():
        title, color, marker, _ = style.system(model)
        points = np.array([[point["recall"], point["precision"]] for point in scores["curve"]])
        axes.plot(*points.T, color=color, linewidth=1.5, label=title)
        axes.plot(scores["recall"], scores["precision"], marker=marker, color=color, markersize=7)
    axes.set(xlabel="recall", ylabel="precision", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.set_title("series not seen (each system its own images)")
    axes.legend(loc="lower left", title="mark: the threshold chosen")


def _draw_calibration(axes, bins):
    probability = [one["probability"] for one in bins]
    axes.plot([0, 1], [0, 1], color=style.BLACK, linewidth=0.8, label="perfect")
    axes.plot(probability, [one["fraction"] for one in bins], "o-", color=style.BLUE, label="Module II")
    for one in bins:
        look = {"xytext": (5, -9), "textcoords": "offset points", "fontsize": 7}
        axes.annotate(str(one["n"]), (one["probability"], one["fraction"]), **look)
    axes.set(xlabel="probability said", ylabel="fraction that are loops", xlim=(0, 1.02), ylim=(0, 1.02))
    axes.set_title("calibration, with candidates per bin")
    axes.legend(loc="upper left")


def _draw_series(axes, series):
    names = list(dict.fromkeys(row["series"] for rows in series.values() for row in rows))
    for number, (model, rows) in enumerate(series.items()):
        title, color, marker, _ = style.system(model)
        f1 = [row["f1"] for row in rows]
        place = [names.index(row["series"]) + 0.2 * number for row in rows]
        axes.plot(f1, place, linestyle="none", marker=marker, color=color, label=title)
        axes.axvline(np.mean(f1), color=color, linestyle="--", linewidth=0.9)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="F1, published rule", xlim=(-0.02, 1.02))
    axes.set_title("each series left out in turn (dashed: mean)")
    axes.grid(axis="y", visible=False)
    axes.margins(y=0.15)
    axes.legend(loc="best")


def _overlay(image, target, weight):
    low, high = np.percentile(image, [1, 99.5])
    picture = np.repeat(np.clip((image - low) / max(high - low, 1e-6), 0, 1)[..., None], 3, axis=2)
    for share, color in ((0.75 * target, style.ORANGE), (0.6 * (weight == 0), style.SKY)):
        picture = picture + share[..., None] * (np.array(to_rgb(color)) - picture)
    return picture


def _draw_column_scores(scores, filled, curve, chosen):
    thresholds = [row["threshold"] for row in curve]
    for key, color, marker in (("recall", style.BLUE, "o"), ("precision", style.VERMILLION, "D")):
        values = [row[key] for row in curve]
        scores.plot(thresholds, values, f"{marker}-", color=color, markersize=3.5, label=key)
    scores.set(ylabel="columns", title="simulated crystals not seen (dashed: the threshold chosen)")
    scores.legend(loc="lower center")
    filled.plot(thresholds, [100 * row["filled"] for row in curve], "s-", color=style.BLACK, markersize=3.5)
    filled.axhline(0.5, color=style.GREY, linewidth=0.8, linestyle=":")
    filled.set(xlabel="smallest probability of a column", ylim=(0, None))
    filled.set_ylabel("clear vacancies\nfilled in (%)")
    for axes in (scores, filled):
        axes.axvline(chosen["threshold"], color=style.GREY, linewidth=0.9, linestyle="--")
