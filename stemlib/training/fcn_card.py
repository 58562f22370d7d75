"""The threshold of a trained detector, its scores on validation images, and the card that says so."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd

from stemlib.agreement import match, pool
from stemlib.io.files import write_atomically
from stemlib.loops.fcn import detect_fcn, load_network
from stemlib.training.fcn import read_example, write_weights

_FLOOR = 0.05
_PLATEAU = 0.02
_SOURCE = "Zhou, Wang & Krähenbühl, Objects as points (2019), https://doi.org/10.48550/arXiv.1904.07850"


def threshold_curve(truths, found, *, rule="published", disputed=None):
    """Recall, precision and F1 against the threshold, counts pooled over images.

    Parameters
    ----------
    truths : sequence of array_like, (N, 4)
        Boxes of the truth, one array an image: top, left, bottom, right, px.
    found : sequence of (boxes, scores)
        What `stemlib.loops.fcn.detect_fcn` returned for each.
    rule : {"published", "one-to-one"}
        As `stemlib.agreement.match`.
    disputed : sequence of array_like, (M, 4), optional
        Boxes a detection on which is true as well, although nobody misses them.

    Returns
    -------
    pandas.DataFrame
        `threshold` (0.05 to 0.95), `n_found`, `recall`, `precision`, `f1`; ratios of nothing are 0.

    Raises
    ------
    ValueError
        If there are more images on one side than on the other, or the rule is unknown.

    Examples
    --------
    >>> truths = [[[10, 10, 30, 30], [60, 60, 90, 90]]]
    >>> found = [(np.array([[11.0, 11, 31, 31], [100, 10, 120, 30]]), np.array([0.8, 0.3]))]
    >>> threshold_curve(truths, found).query("0.295 < threshold < 0.315")
        threshold  n_found  recall  precision        f1
    25       0.30        2     0.5        0.5  0.500000
    26       0.31        1     0.5        1.0  0.666667
    """
    disputed = [None] * len(truths) if disputed is None else disputed
    rows = []
    for threshold in np.round(np.arange(5, 96) / 100, 2):
        matches = [
            match(truth, boxes[scores >= threshold], rule=rule, other=doubtful)
            for truth, (boxes, scores), doubtful in zip(truths, found, disputed, strict=True)
        ]
        pooled = pool(matches)
        is_true = pooled.is_true | (pooled.on_class >= 0)
        recall = float(pooled.is_found.mean()) if pooled.is_found.size else 0.0
        precision = float(is_true.mean()) if is_true.size else 0.0
        f1 = 2 * recall * precision / (recall + precision) if recall + precision else 0.0
        rows.append((float(threshold), pooled.is_true.size, recall, precision, f1))
    return pd.DataFrame(rows, columns=["threshold", "n_found", "recall", "precision", "f1"])


def balanced_threshold(curve, n_marked):
    """Return the row of a threshold curve that finds as many loops as a person marks, at an F1 as good as the best.

    F1 hardly changes with the threshold near its best: of the shipped weights it is within 0.02 of it from 0.19 to
    0.30, where the number of loops found falls from 1.44 to 0.91 times the first team's. Which of these thresholds is
    the best of all is chance: for 0.27 and 0.23, the difference in F1 has a standard deviation of 0.016 when the 16
    validation images are drawn anew. The number of loops is what irradiation studies report, so it decides.

    Parameters
    ----------
    curve : pandas.DataFrame
        As `threshold_curve` returns it.
    n_marked : int
        Loops that one team marked in the images of the curve.

    Returns
    -------
    int
        Position in the curve; a higher threshold wins a tie.

    Raises
    ------
    ValueError
        If the curve is empty.

    Examples
    --------
    >>> curve = pd.DataFrame({"f1": [0.70, 0.81, 0.80, 0.80, 0.60], "n_found": [90, 60, 45, 40, 20]})
    >>> balanced_threshold(curve, 42)
    3
    """
    if curve.empty:
        raise ValueError("curve has no rows; give at least one threshold's")
    good = curve[curve["f1"] >= curve["f1"].max() - _PLATEAU]
    return int((good["n_found"] - n_marked).abs()[::-1].idxmin())


def release_fcn(weights, images, *, out_folder, split, command, seed, minutes, device="auto"):
    """Give trained weights a threshold chosen on validation images, and write them with their card.

    The threshold is that of `balanced_threshold` by the published match: on images that two teams labelled, where there
    are any, a detection being true if it lies on a loop of either. For the reasons see
    `stemlib.training.left_out.best_threshold`.

    Parameters
    ----------
    weights : str or pathlib.Path
        What `stemlib.training.fcn.train_fcn` wrote.
    images : sequence of str, or of (image, boxes) pairs
        Validation images, as `stemlib.training.fcn.read_example` takes them; none of them seen in training.
    out_folder : str or pathlib.Path
        Where `loop_fcn.safetensors` and `loop_fcn.json` go.
    split, command : str
        For the card: what the weights were trained and validated on, and how to make them again.
    seed : int
        For the card.
    minutes : float
        For the card: how long the training took.
    device : str
        "auto" (a GPU where there is one), "cpu", "cuda", ...

    Returns
    -------
    pathlib.Path
        The card. Its `validation` holds recall, precision and F1 by the published match and one-to-one, at
        the threshold, and both curves in steps of 0.05, all against the first team's labels alone; under
        `either_team` what the threshold was chosen by.

    Raises
    ------
    ValueError
        If `images` is empty or holds no loops, or the weights are damaged.
    FileNotFoundError
        If there are no weights or an image is not at hand.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from stemlib.loops.fcn import CentreNet
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> weights = write_weights(folder / "trained.safetensors", CentreNet((8, 8)), 0.3)
    >>> image = np.zeros((64, 64), np.uint8)
    >>> card = release_fcn(
    ...     weights,
    ...     [(image, [[10, 10, 30, 30]])],
    ...     out_folder=folder,
    ...     split="none",
    ...     command="none",
    ...     seed=0,
    ...     minutes=0.0,
    ... )
    >>> sorted(json.loads(card.read_text()))[:4]
    ['architecture', 'command', 'data', 'file']
    """
    examples = [read_example(item) for item in images]
    truths = [boxes for _, boxes, _ in examples]
    if not sum(map(len, truths)):
        raise ValueError(f"images holds {len(examples)} images and no loop; nothing to choose a threshold by")
    network, _ = load_network(weights, "cpu")
    found = [detect_fcn(image, weights=weights, threshold=_FLOOR, device=device) for image, _, _ in examples]
    published = threshold_curve(truths, found)
    one_to_one = threshold_curve(truths, found, rule="one-to-one")
    both = [i for i, (_, _, disputed) in enumerate(examples) if disputed is not None]
    looked_at = both or range(len(examples))
    either_team = threshold_curve(
        [truths[i] for i in looked_at],
        [found[i] for i in looked_at],
        disputed=[examples[i][2] for i in looked_at],
    )
    at = balanced_threshold(either_team, sum(len(truths[i]) for i in looked_at))
    threshold = float(published.loc[at, "threshold"])
    path = write_weights(Path(out_folder) / "loop_fcn.safetensors", network, threshold)
    numbers = sum(tensor.numel() for tensor in network.parameters())
    card = {
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "data": "FeCrAl loop set, label set A with the enlargement of its boxes undone, class 0; "
        "Li, Field & Morgan (2018), https://doi.org/10.1038/s41524-018-0093-8",
        "split": split,
        "seed": seed,
        "command": command,
        "minutes": round(float(minutes), 1),
        "validation": {
            **_scores(published.loc[at]),
            "rule": "published: box centres within 20 px in y and in x",
            "n_images": len(truths),
            "n_loops": sum(map(len, truths)),
            "one_to_one": _scores(one_to_one.loc[at]),
            "either_team": {"n_images": len(looked_at), **_scores(either_team.loc[at])},
            "curve_published": _curve(published),
            "curve_one_to_one": _curve(one_to_one),
        },
        "threshold": threshold,
        "architecture": f"CentreNet{network.widths}, {numbers} parameters, mean of eight views",
        "source": _SOURCE,
    }
    text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
    return write_atomically(Path(out_folder) / "loop_fcn.json", text)


def _scores(row):
    ratios = {name: float(row[name]) for name in ("recall", "precision", "f1")}
    return ratios | {"n_found": int(row["n_found"])}


def _curve(table):
    steps = table[table["n_found"] > 0].iloc[::5]
    return [{"threshold": row["threshold"]} | _scores(row) for _, row in steps.iterrows()]
