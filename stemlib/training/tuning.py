"""Teach the loop detector a user's own defects from a handful of labels: `tune_loops`."""

from __future__ import annotations

import copy
import hashlib
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from torch import nn
from tqdm.auto import tqdm

from stemlib.agreement import match, pool, wilson_interval
from stemlib.loops.boxes import COLUMNS
from stemlib.loops.fcn import CentreNet, detect_fcn, of_kind
from stemlib.loops.scale import pixel_of
from stemlib.training.cards import Origin, write_card
from stemlib.training.fcn import loss
from stemlib.training.fcn_crops import draw_crop
from stemlib.training.optimisation import Optimisation, Recipe, Run, towards
from stemlib.training.own_images import centres, check_kinds, divided, example_of, read_images, without_part

STEPS = 100  # of the training on all labels; half as many for each part of the cross-validation
_CROP, _BATCH = 256, 6
_FLOOR = 0.05
_PLATEAU = 0.02  # F1 below the best that is as good
_PRIOR = 10.0  # labels that the threshold of a base network counts as which finds all of them

_RECIPE = Recipe(
    loss=loss,
    peak_rate=1e-3,
    rising=0.2,
    weight_decay=0.02,
    largest_gradient=10.0,
    running_mean=lambda mean, new, done: towards(mean, new, max(0.05, 9 / (done + 10))),
)


def tune_loops(
    images, labels, *, output, regions=None, kinds=None, polarity="dark", start=None, seed=0, device="cpu"
) -> Path:
    """Teach the loop detector defects of one's own from a handful of labels, in about a minute on one CPU thread.

    All weights of the shipped network are moved a little, on crops around what was labelled. The labels are divided
    into parts that lie together; networks that have not seen a part say what would be found there, which sets the
    threshold and shows whether there is anything gained: where there is not, the shipped network is kept, made to
    report the kind of it that fits the labels best.

    Parameters
    ----------
    images : image or list of them
        As `stemlib.find_loops` takes them.
    labels : table or path, or list of them
        One for each image, see `stemlib.training.labels.read_labels`.
    output : path
        The safetensors file to write; its card, with scores and checksums, is written beside it.
    regions : (H, W) array of bool or None, or list of them
        True where somebody looked, so that what is not labelled there is none; by default the hull of the labels.
    kinds : sequence of str, optional
        The labels' kinds to learn; by default all of them.
    polarity : {"dark", "bright"}
        As for `stemlib.find_loops`, to which the same must be told.
    start : path, optional
        Weights to go on from; by default those that come with stemlib.
    seed : int
    device : str
        "cpu", "cuda", ...

    Returns
    -------
    pathlib.Path
        `output`; ``find_loops(image, weights={"fcn": output})`` uses it, at the scale of the labels.

    Raises
    ------
    FileNotFoundError, TypeError, ValueError
        If an image or its labels are no good, or there are fewer than four labels of a kind.

    Examples
    --------
    >>> import tempfile
    >>> from stemlib.synthetic import loop_micrograph
    >>> scene = loop_micrograph((384, 384), n_loops=8, seed=3)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = tune_loops(scene.image, scene.loops, output=f"{folder}/mine.safetensors")  # doctest: +SKIP

    References
    ----------
    X. Zhou, D. Wang, P. Krähenbühl, "Objects as points" (2019), https://doi.org/10.48550/arXiv.1904.07850
    """
    began = time.monotonic()
    read, scales = read_images(images, labels, regions, polarity)
    kinds = check_kinds(kinds, read)
    read = divided([replace(one, labels=one.labels[one.labels["kind"].isin(kinds)]) for one in read])
    every = pd.concat([one.labels for one in read])
    sides = every[["bottom", "right"]].to_numpy() - every[["top", "left"]].to_numpy()
    diameter = float(np.exp(np.median(np.log(sides.prod(axis=1)) / 2)))
    pixel = pixel_of(diameter)
    base, before = _renamed(CentreNet.load(start, device), read, kinds, pixel)
    tuned, found = _cross_validated(base, read, kinds, pixel, Run(seed=seed, device=device))
    counts = {kind: int((every["kind"] == kind).sum()) for kind in kinds}
    chosen, scores = {}, {}
    for number, kind in enumerate(kinds):
        curve = _curve(read, found, kind, number)
        chosen[kind] = _threshold(curve, before[kind], counts[kind])
        scores[kind] = {"tuned": _score(read, found, kind, number, chosen[kind]), "base": before[kind]}
    gained = np.mean([scores[kind]["tuned"]["f1"] - scores[kind]["base"]["f1"] for kind in kinds])
    network = tuned if gained >= 0 else base
    network.settings["threshold"] = chosen if gained >= 0 else base.thresholds
    network.settings |= {"diameter": diameter} | _in_nm(diameter, scales)
    path = network.save(output)
    content = {
        "threshold": network.thresholds,
        "kept": "tuned" if gained >= 0 else "base",
        "diameter_px": diameter,
        "labels": counts,
        "cross_validation": {"rule": "one-to-one", **scores},
        "images": [
            {"sha256": hashlib.sha256(one.grey.tobytes()).hexdigest(), "shape": list(one.grey.shape)}
            for one in read
        ],
    }
    minutes = (time.monotonic() - began) / 60
    write_card(path, Origin("stemlib.tune_loops", seed=seed, minutes=minutes), content)
    return path


def _cross_validated(base, read, kinds, pixel, run):
    """A network trained on all labels, and what those that had not seen a part find there, image by image."""
    examples = [example_of(one, kinds, pixel) for one in read]
    n_parts = 1 + max(int(one.part.max(initial=-1)) for one in read)
    found = []
    with tqdm(total=STEPS + n_parts * (STEPS // 2), desc="tune_loops", unit="step") as bar:
        for part in range(n_parts):
            seen = [without_part(*pair, part, pixel) for pair in zip(examples, read, strict=True)]
            found.append(_found(_trained(base, seen, STEPS // 2, run, bar), read, pixel, part))
        tuned = _trained(base, examples, STEPS, run, bar)
    return tuned, [pd.concat(parts, ignore_index=True) for parts in zip(*found, strict=True)]


def _renamed(base, read, kinds, pixel):
    """The base network with an output for each kind of the labels, the one of its own that finds them best."""
    network = CentreNet(base.widths, kinds)
    state, own = base.state_dict(), list(base.thresholds)
    floor = dict.fromkeys(own, _FLOOR)
    found = [_table(*detect_fcn(one.grey, base, pixel=pixel, thresholds=floor)) for one in read]
    rows, thresholds, scores = [], {}, {}
    for kind in kinds:
        best = [max(row["f1"] for row in _curve(read, found, kind, number)) for number in range(len(own))]
        rows.append(int(np.argmax(best)))
        thresholds[kind] = base.thresholds[own[rows[-1]]]
        scores[kind] = {"kind": own[rows[-1]], **_score(read, found, kind, rows[-1], thresholds[kind])}
    rows += range(len(own), len(own) + 4)
    for name in ("head.1.weight", "head.1.bias"):
        state[name] = state[name][rows]
    network.load_state_dict(state)
    network.settings["threshold"] = thresholds
    return network.eval(), scores


def _trained(base, examples, steps, run, bar):
    """A network that went on from the base network for some steps; its normalisation stays as it is."""
    training = Optimisation(lambda: copy.deepcopy(base), _RECIPE, steps, run)
    for module in training.network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    rng = np.random.default_rng([run.seed, len(examples)])
    weights = np.array([max(len(example.boxes), 1) for example in examples], float)
    for _ in range(steps):
        drawn = rng.choice(len(examples), _BATCH, p=weights / weights.sum())
        crops = [draw_crop(examples[at], rng, _CROP) for at in drawn]
        inputs, targets = (np.stack(some) for some in zip(*crops, strict=True))
        training.step(inputs[:, None], targets)
        bar.update()
    return training.mean.eval()


def _table(boxes, scores):
    columns = {f"score {number}": column for number, column in enumerate(scores.T)}
    return pd.DataFrame(boxes, columns=COLUMNS).assign(**columns)


def _found(network, read, pixel, part):
    """What a network finds nearest to the labels of one part, image by image."""
    floor = dict.fromkeys(network.thresholds, _FLOOR)
    tables = []
    for one in read:
        if not (one.part == part).any():
            tables.append(_table(np.empty((0, 4)), np.empty((0, len(floor)))))
            continue
        table = _table(*detect_fcn(one.grey, network, pixel=pixel, thresholds=floor))
        tables.append(table[one.nearest(centres(table)) == part])
    return tables


def _matches(read, found, kind, number, threshold):
    """Matches in what was looked at, image by image."""
    matches = []
    for one, table in zip(read, found, strict=True):
        boxes = table[COLUMNS].to_numpy()
        table = table.iloc[of_kind(boxes, table[f"score {number}"].to_numpy(), threshold)]
        at = np.clip(np.rint(centres(table)).astype(int), 0, np.array(one.grey.shape) - 1)
        table = table[one.looked[tuple(at.T)]]
        truth = one.labels.loc[one.labels["kind"] == kind, COLUMNS].to_numpy()
        matches.append(match(truth, table[COLUMNS].to_numpy(), rule="one-to-one"))
    return pool(matches)


def _score(read, found, kind, number, threshold):
    matched = _matches(read, found, kind, number, threshold)
    hits, n_truth, n_found = int(matched.is_true.sum()), len(matched.is_found), len(matched.is_true)
    low, high = wilson_interval(hits, n_truth)
    return {
        "f1": 2 * hits / max(n_truth + n_found, 1),
        "recall": hits / max(n_truth, 1),
        "recall_low": float(low),
        "recall_high": float(high),
        "precision": hits / max(n_found, 1),
        "n_found": n_found,
        "threshold": float(threshold),
    }


def _curve(read, found, kind, number):
    steps = expit(np.arange(logit(_FLOOR), logit(0.95), 0.2))
    return [_score(read, found, kind, number, float(threshold)) for threshold in steps]


def _threshold(curve, base, n_labels):
    """Middle of the thresholds that are as good as the best, drawn towards the base network's where labels are few.

    As far as the base network finds the labels at all: of one that does not, the threshold says nothing.
    """
    best = max(row["f1"] for row in curve)
    good = [logit(row["threshold"]) for row in curve if row["f1"] >= best - _PLATEAU]
    share = n_labels / (n_labels + _PRIOR * base["f1"])
    return float(expit(share * (good[0] + good[-1]) / 2 + (1 - share) * logit(base["threshold"])))


def _in_nm(diameter, scales):
    """Diameter in nm where all images have one and the same pixel size."""
    sizes = {scale for scale in scales if scale is not None}
    return {"diameter_nm": diameter * sizes.pop()} if len(sizes) == 1 and None not in scales else {}
