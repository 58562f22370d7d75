"""Scores: recall and precision of systems, people against people, candidates of Module I."""

import numpy as np

from stemlib.plot import style


def score_figure(table, *, rule="published", published=None):
    """Draw recall and precision image by image and pooled, one mark per system, with their intervals.

    Parameters
    ----------
    table : pandas.DataFrame
        As `stemlib.evaluation.score_table` returns it.
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
    table = table[table["rule"] == rule]
    if table.empty:
        raise ValueError(f"rule={rule!r} has no rows in the table")
    images = list(dict.fromkeys(table["image"]))
    systems = list(dict.fromkeys(table["system"]))
    place = np.arange(len(images))[::-1]
    with style.styled():
        figure = style.new_figure(10, 0.17 * len(images) * max(len(systems), 2) + 1.6)
        for axes, key in zip(figure.subplots(1, 2, sharey=True), ("recall", "precision"), strict=True):
            for number, system in enumerate(systems):
                rows = table[table["system"] == system].set_index("image").reindex(images)
                shift = 0.17 * ((len(systems) - 1) / 2 - number)
                _interval_marks(axes, rows, key, place + shift, system)
            if published and published.get(key) is not None:
                axes.axvline(
                    published[key],
                    color=style.BLACK,
                    linestyle="--",
                    linewidth=1,
                    label="published, Modules I + II, pooled",
                )
            for image, y in zip(images, place, strict=True):
                if not table.loc[table["image"] == image, "available"].any():
                    axes.text(0.5, y, "not available", color=style.GREY, ha="center", va="center")
                elif image == "pooled":
                    axes.axhspan(y - 0.5, y + 0.5, color="#f1f1f1", zorder=0)
            axes.set(xlabel=key, xlim=(-0.02, 1.02), ylim=(-0.6, len(images) - 0.4))
            axes.set_yticks(place, [style.short_name(image, 40) for image in images])
            axes.grid(axis="y", visible=False)
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=min(len(labels), 5))
    return figure


def _interval_marks(axes, rows, key, y, system):
    color, marker = style.SYSTEMS.get(system, (style.BLACK, "o"))
    value = rows[key].to_numpy(float)
    ends = rows[[f"{key}_low", f"{key}_high"]].to_numpy(float)
    # Rounding may put an end of the interval past the value itself.
    error = np.clip(np.array([value - ends[:, 0], ends[:, 1] - value]), 0, None)
    axes.errorbar(
        value,
        y,
        xerr=error,
        color=color,
        marker=marker,
        markersize=4.5,
        linestyle="none",
        elinewidth=1.1,
        label=style.title(system),
    )


def people_figure(table, *, rule="published"):
    """Draw how well people agree with people, and the machine with each of them.

    Parameters
    ----------
    table : pandas.DataFrame
        As `stemlib.evaluation.people_table` returns it.
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
    >>> row = {
    ...     "rule": "published",
    ...     "images": "all",
    ...     "found": "C",
    ...     "truth": "A",
    ...     "n_images": 9,
    ...     "n_truth": 200,
    ... }
    >>> for key in ("recall", "precision"):
    ...     row |= {key: 0.8, f"{key}_images_low": 0.7, f"{key}_images_high": 0.9}
    >>> len(people_figure(pd.DataFrame([row])).axes)
    2
    """
    table = table[table["rule"] == rule]
    if table.empty:
        raise ValueError(f"rule={rule!r} has no rows in the table")
    order = {"A": 0, "B": 1, "C": 2}
    rows = sorted(
        table.to_dict("records"),
        key=lambda row: (order[row["truth"]], row["found"] not in order, row["found"]),
    )
    everywhere = {(row["found"], row["truth"], row["n_images"]) for row in rows if row["images"] == "all"}
    rows = [
        row
        for row in rows
        if row["images"] == "all" or (row["found"], row["truth"], row["n_images"]) not in everywhere
    ]
    labels = []
    for row in rows:
        where = f"{row['n_images']} images, {int(row['n_truth'])} loops"
        unseen = ", not trained on" if row["images"] == "unseen" and row["found"] in order else ""
        labels.append(f"{style.title(row['found'])} ({where}{unseen})")
    # A gap and a heading above each truth.
    y, headings, at = [], [], 0.0
    for number, row in enumerate(rows):
        if not number or rows[number - 1]["truth"] != row["truth"]:
            at -= 1.0 if number else 0.0
            headings.append((at, f"against set {row['truth']}"))
            at -= 1.0
        y.append(at)
        at -= 1.0
    with style.styled():
        figure = style.new_figure(10, 0.27 * -at + 1.0)
        for axes, key in zip(figure.subplots(1, 2, sharey=True), ("recall", "precision"), strict=True):
            for row, place in zip(rows, y, strict=True):
                color, marker = style.SYSTEMS.get(row["found"], (style.BLACK, "o"))
                low, high = (row.get(f"{key}_images_{end}") for end in ("low", "high"))
                axes.plot([low, high], [place, place], color=color, linewidth=1.2)
                axes.plot(row[key], place, marker=marker, color=color, markersize=6, linestyle="none")
            axes.set(xlabel=f"{key}, {rule} rule", xlim=(-0.02, 1.02), ylim=(at + 0.3, 0.7))
            axes.set_yticks([*y, *(one for one, _ in headings)], [*labels, *(text for _, text in headings)])
            for tick in axes.get_yticklabels()[len(y) :]:
                tick.set_fontweight("bold")
            axes.tick_params(axis="y", length=0)
            axes.grid(axis="y", visible=False)
    return figure


def candidate_figure(curves, points):
    """Draw recall against the number of candidates per image of Module I alone.

    Parameters
    ----------
    curves : dict of str to pandas.DataFrame
        Name -> as `stemlib.evaluation.candidate_curve` returns it.
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
    looks = [(style.BLUE, "-"), (style.VERMILLION, "--"), (style.GREEN, "-."), (style.GREY, ":")]
    markers = ["o", "D", "s", "^", "v", "P"]
    with style.styled():
        figure = style.new_figure(5.6, 4.4)
        axes = figure.subplots()
        for (name, curve), (color, line) in zip(curves.items(), looks, strict=False):
            axes.plot(curve["per_image"], curve["recall"], line, color=color, linewidth=1.6, label=name)
        for number, point in enumerate(points):
            look = {"marker": markers[number % len(markers)], "color": style.BLACK, "markersize": 6}
            if point.get("recall_low") is not None:
                error = [[point["recall"] - point["recall_low"]], [point["recall_high"] - point["recall"]]]
                axes.errorbar(
                    point["per_image"],
                    point["recall"],
                    yerr=error,
                    linestyle="none",
                    label=point["label"],
                    **look,
                )
            else:
                axes.plot(point["per_image"], point["recall"], linestyle="none", label=point["label"], **look)
        right = 1.2 * max((point["per_image"] for point in points), default=80)
        axes.set(
            xlim=(0, right), ylim=(0, 1.02), xlabel="candidates per image", ylabel="recall, published rule"
        )
        axes.legend(loc="lower right")
    return figure
