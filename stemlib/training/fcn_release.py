"""Give the fully convolutional detector its thresholds, chosen on validation images, and its card."""

from pathlib import Path

from stemlib.loops.fcn import CentreNet, detect_fcn, of_kind
from stemlib.training.cards import write_card
from stemlib.training.fcn import write_weights
from stemlib.training.fcn_examples import UNSURE, YES, kinds_example
from stemlib.training.images import read_example, usual_pixel
from stemlib.training.left_out import threshold_curve
from stemlib.training.likeness import remember_images

_FLOOR = 0.05  # score from which on detections are looked at for the threshold
_PLATEAU = 0.02  # F1 below the best that is as good
_SOURCE = "Zhou, Wang & Krähenbühl, Objects as points (2019), https://doi.org/10.48550/arXiv.1904.07850"


def balanced_threshold(curve, n_marked):
    """Return the row of a threshold curve that finds as many loops as an annotator marks, at an F1 as good as the best.

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
    >>> import pandas as pd
    >>> curve = pd.DataFrame({"f1": [0.70, 0.81, 0.80, 0.80, 0.60], "n_found": [90, 60, 45, 40, 20]})
    >>> balanced_threshold(curve, 42)
    3
    """
    if curve.empty:
        raise ValueError("curve has no rows; give at least one threshold's")
    good = curve[curve["f1"] >= curve["f1"].max() - _PLATEAU]
    return int((good["n_found"] - n_marked).abs()[::-1].idxmin())


def release_fcn(weights, images, *, out_folder, origin, trained_on=(), device="auto"):
    """Give trained weights thresholds chosen on validation images, and write them with their card.

    The threshold of open loops is that of `balanced_threshold` by the published match: on images that two teams
    labelled, where there are any, a detection being true if it lies on a loop of either. For the reasons see
    `stemlib.training.left_out.best_threshold`. That of any other kind is chosen one to one on the images where it was
    looked for.

    Parameters
    ----------
    weights : str or pathlib.Path
        What `train_fcn` wrote.
    images : sequence of str, or of (image, boxes) pairs
        Validation images, as `train_fcn` takes them; none of them seen in training.
    out_folder : str or pathlib.Path
        Where `loop_fcn.safetensors` and `loop_fcn.json` go.
    origin : stemlib.training.cards.Origin
        Of the weights, for the card.
    trained_on : sequence
        The images that they were trained on, from which `find_loops` tells how like them another is; without any it
        cannot say.
    device : str
        "auto" (a GPU where there is one), "cpu", "cuda", ...

    Returns
    -------
    pathlib.Path
        The card. Its `validation` holds recall, precision and F1 of open loops by the published match and one-to-one,
        at the threshold, and both curves in steps of 0.05, all against the first team's labels alone; under
        `either_team` what the threshold was chosen by; under `kinds` the scores of the others.

    Raises
    ------
    ValueError
        If `images` is empty or holds no loops, or the weights are damaged.
    FileNotFoundError
        If there are no weights or an image is not at hand.

    Examples
    --------
    >>> import json, tempfile
    >>> import numpy as np
    >>> from stemlib.training.cards import Origin
    >>> folder = Path(tempfile.mkdtemp())
    >>> weights = write_weights(folder / "trained.safetensors", CentreNet((8, 8)), {"loop": 0.3})
    >>> images = [(np.zeros((64, 64), np.uint8), [[10, 10, 30, 30]])]
    >>> card = release_fcn(weights, images, out_folder=folder, origin=Origin("none"))
    >>> sorted(json.loads(card.read_text()))[:4]
    ['architecture', 'command', 'data', 'file']
    """
    examples = [read_example(item) for item in images]
    truths = [boxes for _, boxes, _ in examples]
    if not sum(map(len, truths)):
        raise ValueError(f"images holds {len(examples)} images and no loop; nothing to choose a threshold by")
    network = CentreNet.load(weights, device)
    kinds = network.settings["kinds"]
    floor = dict.fromkeys(kinds, _FLOOR)
    found = [
        detect_fcn(image, network, pixel=usual_pixel(image.shape), thresholds=floor)
        for image, _, _ in examples
    ]
    content, thresholds = _validated_loops(examples, truths, [_of(one, 0) for one in found])
    others = {}
    for number, kind in enumerate(kinds[1:], start=1):
        labelled = [kinds_example(item) for item in images]
        looked = [i for i, example in enumerate(labelled) if example.asked[number]]
        curve, of_kind_truths = _curve_of_kind(labelled, found, looked, number)
        at = balanced_threshold(curve, sum(map(len, of_kind_truths)))
        thresholds[kind] = float(curve.loc[at, "threshold"])
        others[kind] = {"n_images": len(looked), "n_marked": sum(map(len, of_kind_truths))} | _scores(
            curve.loc[at]
        )
    if len(trained_on):
        remember_images(network, trained_on)
    path = write_weights(Path(out_folder) / "loop_fcn.safetensors", network, thresholds)
    numbers = sum(tensor.numel() for tensor in network.parameters())
    content["kinds"] = others
    return write_card(
        path,
        origin,
        {
            "validation": content,
            "threshold": thresholds,
            "architecture": f"CentreNet{network.widths}, kinds {kinds}, {numbers} parameters, mean of eight views",
            "source": _SOURCE,
        },
    )


def _of(found, number):
    boxes, scores = found
    rows = of_kind(boxes, scores[:, number], _FLOOR)
    return boxes[rows], scores[rows, number]


def _validated_loops(examples, truths, found):
    """What the card says of open loops, and their threshold."""
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
    content = {
        **_scores(published.loc[at]),
        "rule": "published: box centres within 20 px in y and in x",
        "n_images": len(truths),
        "n_loops": sum(map(len, truths)),
        "one_to_one": _scores(one_to_one.loc[at]),
        "either_team": {"n_images": len(looked_at), **_scores(either_team.loc[at])},
        "curve_published": _curve(published),
        "curve_one_to_one": _curve(one_to_one),
    }
    return content, {"loop": float(published.loc[at, "threshold"])}


def _curve_of_kind(labelled, found, looked, number):
    """Curve of one kind, one to one; what was unsure of it counts neither way."""
    truths, unsure, its = [], [], []
    for i in looked:
        said = labelled[i].kinds[:, number]
        truths.append(labelled[i].boxes[said == YES])
        unsure.append(labelled[i].boxes[said == UNSURE])
        its.append(_of(found[i], number))
    return threshold_curve(truths, its, rule="one-to-one", disputed=unsure), truths


def _scores(row):
    ratios = {name: float(row[name]) for name in ("recall", "precision", "f1")}
    return ratios | {"n_found": int(row["n_found"])}


def _curve(table):
    steps = table[table["n_found"] > 0].iloc[::5]
    return [{"threshold": row["threshold"]} | _scores(row) for _, row in steps.iterrows()]
