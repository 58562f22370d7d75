"""What the column network learns from, and how its weights score."""

import numpy as np
from matplotlib.colors import to_rgb

from stemlib.plot import style


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
    with style.styled():
        figure = style.new_figure(1.75 * columns + 4.6, 1.75 * rows)
        left, right = figure.subfigures(1, 2, width_ratios=[1.75 * columns, 4.6])
        panels = left.subplots(rows, columns, squeeze=False).flat
        for axes, example in zip(panels, examples, strict=False):
            axes.imshow(_overlay(*example), interpolation="nearest")
        for axes in left.axes:
            axes.set_axis_off()
        scores, filled = right.subplots(2, 1, sharex=True, height_ratios=[2, 1])
        _draw_scores(scores, filled, curve, chosen)
    return figure


def _overlay(image, target, weight):
    low, high = np.percentile(image, [1, 99.5])
    picture = np.repeat(np.clip((image - low) / max(high - low, 1e-6), 0, 1)[..., None], 3, axis=2)
    for share, colour in ((0.75 * target, style.ORANGE), (0.6 * (weight == 0), style.SKY)):
        picture = picture + share[..., None] * (np.array(to_rgb(colour)) - picture)
    return picture


def _draw_scores(scores, filled, curve, chosen):
    thresholds = [row["threshold"] for row in curve]
    for key, colour, marker in (("recall", style.BLUE, "o"), ("precision", style.VERMILLION, "D")):
        scores.plot(
            thresholds, [row[key] for row in curve], f"{marker}-", color=colour, markersize=3.5, label=key
        )
    scores.set(ylabel="columns", title="drawn crystals not seen (dashed: the threshold chosen)")
    scores.legend(loc="lower center")
    filled.plot(thresholds, [100 * row["filled"] for row in curve], "s-", color=style.BLACK, markersize=3.5)
    filled.axhline(0.5, color=style.GREY, linewidth=0.8, linestyle=":")
    filled.set(
        xlabel="smallest probability of a column", ylabel="clear vacancies\nfilled in (%)", ylim=(0, None)
    )
    for axes in (scores, filled):
        axes.axvline(chosen["threshold"], color=style.GREY, linewidth=0.9, linestyle="--")
