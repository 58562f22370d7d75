"""How well loops are found: systems image by image, annotators against annotators, candidates of Module I."""

import numpy as np
import pandas as pd

from stemlib.plot import style


def score_figure(table, *, rule="published", published=None):
    """Draw recall and precision image by image and pooled, one mark per system, with their intervals.

    Parameters
    ----------
    table : pandas.DataFrame
        As `reproduction.loop_scores.score_table` returns it.
    rule : str
        Which rule's rows are drawn.
    published : dict, optional
        "recall" and "precision" -> published pooled value, a dashed line.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If the table has no rows of this rule.

    Examples
    --------
    >>> import pandas as pd
    >>> row = {"rule": "published", "system": "fcn", "image": "pooled", "available": True}
    >>> row |= {f"{key}{end}": 0.8 for key in ("recall", "precision") for end in ("", "_low", "_high")}
    >>> len(score_figure(pd.DataFrame([row])).axes)
    2
    """
    table = _rows_of(table, rule)
    images, systems = (list(dict.fromkeys(table[key])) for key in ("image", "system"))
    place = pd.Series(np.arange(len(images))[::-1], images)
    at_hand = table.groupby("image")["available"].any()
    with style.new_figure(10, 0.17 * len(images) * max(len(systems), 2) + 1.6) as figure:
        for axes, key in _recall_and_precision(figure):
            for number, system in enumerate(systems):
                rows = table[table["system"] == system]
                # Side by side, so that systems do not hide each other.
                at = place[rows["image"]] + 0.17 * ((len(systems) - 1) / 2 - number)
                _marks(axes, at, rows, key, system, label=style.title(system))
            if published and published.get(key) is not None:
                label = "published, Modules I + II, pooled"
                axes.axvline(published[key], color=style.BLACK, linestyle="--", linewidth=1, label=label)
            for y in place[~at_hand[place.index]]:
                style.not_available(axes, y)
            if at_hand.get("pooled", False):
                axes.axhspan(place["pooled"] - 0.5, place["pooled"] + 0.5, color="#f1f1f1", zorder=0)
            axes.set(xlabel=key, ylim=(-0.6, len(images) - 0.4))
            axes.set_yticks(place, [style.short_name(image, 40) for image in images])
        style.legend_below(figure, style.labelled(figure))
    return figure


def annotators_figure(table, *, rule="published"):
    """Draw how well annotators agree with annotators, and the machine with each of them.

    Parameters
    ----------
    table : pandas.DataFrame
        As `reproduction.loop_scores.annotator_table` returns it.
    rule : str
        Which rule's rows are drawn.

    Returns
    -------
    matplotlib.figure.Figure
        Recall and precision with intervals over whole images.

    Raises
    ------
    ValueError
        If the table has no rows of this rule.

    Examples
    --------
    >>> import pandas as pd
    >>> row = {"rule": "published", "images": "all", "found": "C", "truth": "A"}
    >>> row |= {"n_images": 9, "n_truth": 200}
    >>> for key in ("recall", "precision"):
    ...     row |= {key: 0.8, f"{key}_images_low": 0.7, f"{key}_images_high": 0.9}
    >>> len(annotators_figure(pd.DataFrame([row])).axes)
    2
    """
    rows = _comparisons(_rows_of(table, rule))
    # A heading above each truth, and a gap above each heading but the first.
    is_first = (rows["truth"] != rows["truth"].shift()).to_numpy()
    y = -(np.arange(len(rows)) + 2.0 * is_first.cumsum() - 1)
    headings = y[is_first] + 1
    labels = [_said(row) for row in rows.to_dict("records")]
    labels += [f"against set {truth}" for truth in rows.loc[is_first, "truth"]]
    with style.new_figure(10, 0.27 * (1 - y[-1]) + 1.0) as figure:
        for axes, key in _recall_and_precision(figure):
            for (_, row), place in zip(rows.iterrows(), y, strict=True):
                _marks(axes, place, row, key, row["found"], ("_images_low", "_images_high"), markersize=6)
            axes.set(xlabel=f"{key}, {rule} rule", ylim=(y[-1] - 0.7, 0.7))
            axes.set_yticks([*y, *headings], labels)
            for tick in axes.get_yticklabels()[len(y) :]:
                tick.set_fontweight("bold")
            axes.tick_params(axis="y", length=0)
    return figure


def candidate_figure(curves, points):
    """Draw recall against the number of candidates per image of Module I alone.

    Parameters
    ----------
    curves : dict of str to pandas.DataFrame
        Name -> as `reproduction.candidate_curves.candidate_curve` returns it.
    points : list of dict
        `label`, `per_image` and `recall` of single marks on the curves; optional `recall_low`, `recall_high`.

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
    >>> curve = pd.DataFrame({"per_image": [10.0, 20.0], "recall": [0.5, 0.7]})
    >>> figure = candidate_figure({"ours": curve}, [{"label": "theirs", "per_image": 15.0, "recall": 0.6}])
    >>> len(figure.axes[0].lines)
    2
    """
    with style.new_figure(5.6, 4.4) as figure:
        axes = figure.subplots()
        # Every other look, since the looks come in pairs of a colour.
        for number, (name, curve) in enumerate(curves.items()):
            _, color, _, line = style.system(name, 2 * number)
            axes.plot(curve["per_image"], curve["recall"], line, color=color, linewidth=1.6, label=name)
        for number, point in enumerate(points):
            look = {"label": point["label"], "color": style.BLACK, "markersize": 6, "linestyle": "none"}
            ends = {end: point["recall"] for end in ("recall_low", "recall_high") if point.get(end) is None}
            marker = "oDs^vP"[number % 6]
            style.intervals(axes, point["per_image"], point | ends, "recall", marker=marker, **look)
        right = 1.2 * max((point["per_image"] for point in points), default=80)
        axes.set(xlim=(0, right), ylim=(0, 1.02))
        axes.set(xlabel="candidates per image", ylabel="recall, published rule")
        axes.legend(loc="lower right")
    return figure


def _rows_of(table, rule):
    table = table[table["rule"] == rule]
    if table.empty:
        raise ValueError(f"rule={rule!r} has no rows in the table")
    return table


def _recall_and_precision(figure):
    """Yield axes that go from 0 to 1 and what they are for."""
    for axes, key in zip(figure.subplots(1, 2, sharey=True), ("recall", "precision"), strict=True):
        axes.set(xlim=(-0.02, 1.02))
        axes.grid(axis="y", visible=False)
        yield axes, key


def _marks(axes, at, rows, key, name, ends=("_low", "_high"), **look):
    _, color, marker, _ = style.system(name)
    look = {
        "color": color,
        "marker": marker,
        "markersize": 4.5,
        "linestyle": "none",
        "elinewidth": 1.1,
    } | look
    style.intervals(axes, at, rows, key, ends, sideways=True, **look)


def _comparisons(table):
    """Sort rows by truth, annotators first, and leave out what the same over all images says already."""
    table = table.assign(is_machine=~table["found"].isin(["A", "B", "C"]))
    # "all" comes before "unseen".
    table = table.sort_values(["truth", "is_machine", "found", "images"], kind="stable")
    return table.drop_duplicates(["truth", "found", "n_images"])


def _said(row):
    unseen = ", not trained on" if row["images"] == "unseen" and not row["is_machine"] else ""
    where = f"{row['n_images']} images, {int(row['n_truth'])} loops{unseen}"
    return f"{style.title(row['found'])} ({where})"
