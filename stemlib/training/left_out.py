"""What models say of images that they had not seen: calibration, threshold, scores and curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import minimize

from stemlib.agreement import Match, match, pool
from stemlib.loops.boxes import suppress
from stemlib.training.images import LabelledImage

_LEAST = 0.05  # probability from which on the curves look


@dataclass(frozen=True, eq=False)
class Answers:
    """What models that had not seen an image say of Module I's candidates in it: raw logits and refined boxes."""

    image: LabelledImage
    candidates: np.ndarray
    logits: np.ndarray
    refined: np.ndarray


def trusted(answers: Sequence[Answers]) -> list[Answers]:
    """Return the answers on images that two teams labelled; all where there is no such image.

    Where one team alone looked, a loop that it missed counts as a false detection and nobody can tell; calibration and
    threshold would make up for that by accepting too little.
    """
    return [answer for answer in answers if answer.image.second_opinion] or list(answers)


def matches_of(
    answers: Sequence[Answers], slope: float, offset: float, threshold: float, *, rule: str = "published"
) -> list[Match]:
    """Match what `find_loops` would report at a threshold, in px of the unreduced images, disputed loops told apart."""
    return [
        match(
            unreduced(answer, answer.image.loops),
            accepted(answer, slope, offset, threshold)[0],
            rule=rule,
            other=unreduced(answer, answer.image.disputed),
        )
        for answer in answers
    ]


def true_for_either(matched: Match) -> np.ndarray:
    """Return which detections lie on a loop of either team: on a loop of the first, or on a disputed one."""
    return matched.is_true | (matched.on_class >= 0)


def unreduced(answer: Answers, boxes: np.ndarray) -> np.ndarray:
    """Return boxes in px of the unreduced image."""
    return (boxes + 0.5) * answer.image.factor - 0.5


def accepted(answer: Answers, slope: float, offset: float, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the (N, 4) boxes that `find_loops` would report at a threshold, px of the unreduced image.

    Beside them their (N,) probabilities. Of several candidates on one loop only the best is ever reported.
    """
    probability = 1 / (1 + np.exp(-(slope * answer.logits + offset)))
    kept = suppress(answer.refined, probability, probability >= threshold)
    return unreduced(answer, answer.refined[kept]), probability[kept]


def calibrate(answers: Sequence[Answers]) -> tuple[float, float]:
    """Return slope and offset that make the logistic function of the logits a probability (Platt scaling).

    The probability that either team marks the candidate as a loop, from `trusted` images.
    """
    logits, labels = [], []
    for answer in trusted(answers):
        # As in `accepted`, only the best candidate on a loop counts.
        kept = suppress(answer.refined, answer.logits, np.ones(len(answer.logits), bool))
        logits.append(answer.logits[kept])
        matched = match(answer.image.loops, answer.refined[kept], other=answer.image.disputed)
        labels.append(true_for_either(matched))
    logits, labels = np.concatenate(logits), np.concatenate(labels)

    def cost(parameters):
        scaled = parameters[0] * logits + parameters[1]
        return np.mean(np.logaddexp(0, scaled) - labels * scaled)

    slope, offset = minimize(cost, [1.0, 0.0], method="Nelder-Mead").x
    return float(slope), float(offset)


def best_threshold(answers: Sequence[Answers], slope: float, offset: float) -> float:
    """Return the probability with the best F1, published rule, in the mean over the series.

    On images that two teams labelled (see `trusted`), recall is against the first team's loops and a detection is true
    if it lies on a loop of either team. The first team's labels of the training images miss more loops than those of
    the test images do: the authors' own Module I, run as they did, has a recall of 0.89 and a precision of 0.49 on the
    training images that both teams labelled, by the first team's labels alone; 0.56 if disputed detections are left
    out; 0.61 if they count as true (``benchmarks/label_completeness.py``); and, as published, 0.89 and 0.66 on the 28
    test images. A series counts as one, however many loops were marked in it. No image outside the roles training and
    validation takes part.
    """
    answers = trusted(answers)

    def f1(threshold):
        matches = matches_of(answers, slope, offset, threshold)
        return all_scores(answers, matches, either=True)["mean_over_series"]["f1"]

    return float(max(np.arange(0.1, 0.9, 0.02).round(2), key=f1))


def validation_scores(
    answers: Sequence[Answers], slope: float, offset: float, threshold: float
) -> dict[str, object]:
    """Return recall, precision and F1, pooled, per series left out, and the mean over series.

    By the published rule and, under ``one_to_one``, one to one, against the first team's labels alone. Under
    ``either_team`` what `best_threshold` looks at.
    """
    published, one_to_one = (
        all_scores(answers, matches_of(answers, slope, offset, threshold, rule=rule), either=False)
        for rule in ("published", "one-to-one")
    )
    both = trusted(answers)
    either = all_scores(both, matches_of(both, slope, offset, threshold), either=True)
    either = {"n_images": len(both), **either}
    return {"threshold": threshold, **published, "one_to_one": one_to_one, "either_team": either}


def all_scores(answers, matches, *, either) -> dict[str, object]:
    """Return recall, precision and F1 pooled over all images, in the mean over the series, and of each series."""
    series = [answer.image.series for answer in answers]
    by_series = {
        name: scores_of([m for m, its in zip(matches, series, strict=True) if its == name], either=either)
        for name in sorted(set(series))
    }
    pooled = scores_of(matches, either=either)
    mean = {name: float(np.mean([scores[name] for scores in by_series.values()])) for name in pooled}
    return {**pooled, "mean_over_series": mean, "by_series": by_series}


def scores_of(matches: Sequence[Match], *, either: bool) -> dict[str, float]:
    """Recall, precision and F1 of pooled matches, true for either team or for the first; 0 where nothing is found."""
    pooled = pool(matches)
    is_true = true_for_either(pooled) if either else pooled.is_true
    recall, precision = (float(hits.mean()) if len(hits) else 0.0 for hits in (pooled.is_found, is_true))
    f1 = 2 * recall * precision / (recall + precision) if recall + precision else 0.0
    return {"recall": recall, "precision": precision, "f1": f1}


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
        n_found = sum(len(matched.is_true) for matched in matches)
        scores = scores_of(matches, either=True)
        rows.append({"threshold": float(threshold), "n_found": n_found, **scores})
    return pd.DataFrame(rows)


def probability_curves(answers, slope, offset):
    """Return what a card states of probabilities on image series that nothing had seen.

    Parameters
    ----------
    answers : sequence of Answers
        Of models that had not seen the images.
    slope, offset : float
        Of the calibration.

    Returns
    -------
    dict
        `curve_published`: `threshold`, `recall`, `precision`, `f1` and `n_found` in steps of 0.01, published
        rule, first team's labels alone; `calibration`: see `calibration_bins`, from `trusted` images, loops of
        either team.

    Raises
    ------
    ValueError
        If there are no answers.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> loops = np.array([[10.0, 10, 40, 40]])
    >>> image = SimpleNamespace(loops=loops, disputed=loops[:0], second_opinion=False, factor=1)
    >>> answer = SimpleNamespace(image=image, refined=loops, logits=np.array([2.0]))
    >>> curves = probability_curves([answer], 1.0, 0.0)
    >>> curves["curve_published"][0]["recall"], curves["calibration"][0]["n"]
    (1.0, 1)
    """
    if not answers:
        raise ValueError("answers is empty; give those of at least one image")
    found = {id(answer): accepted(answer, slope, offset, _LEAST) for answer in answers}
    truths = [unreduced(answer, answer.image.loops) for answer in answers]
    said, true = [], []
    for answer in trusted(answers):
        boxes, probability = found[id(answer)]
        loops, disputed = (unreduced(answer, b) for b in (answer.image.loops, answer.image.disputed))
        said.append(probability)
        true.append(true_for_either(match(loops, boxes, other=disputed)))
    curve = threshold_curve(truths, found.values())
    curve = curve[curve["n_found"] > 0]
    return {
        "curve_published": curve.to_dict("records"),
        "calibration": calibration_bins(np.concatenate(said), np.concatenate(true)),
    }


def calibration_bins(probability, is_true, *, n_bins=10):
    """Return how often candidates were loops, for each range of the probability that was said of them.

    Parameters
    ----------
    probability : array_like of float, shape (N,)
        Between 0 and 1.
    is_true : array_like of bool, shape (N,)
    n_bins : int
        Ranges of equal width between 0 and 1.

    Returns
    -------
    list of dict
        `probability` (mean in the range), `fraction` (that were loops) and `n`, for ranges that hold any.

    Raises
    ------
    ValueError
        If the shapes differ, or a probability is not between 0 and 1.

    Examples
    --------
    >>> calibration_bins([0.2, 0.1, 0.9], [True, False, True], n_bins=2)[1]
    {'probability': 0.9, 'fraction': 1.0, 'n': 1}
    """
    probability, is_true = np.asarray(probability, float), np.asarray(is_true, bool)
    if probability.shape != is_true.shape or not ((probability >= 0) & (probability <= 1)).all():
        raise ValueError(
            f"probability has shape {probability.shape} and is_true {is_true.shape}; one shape, and 0 to 1, would do"
        )
    place = np.minimum((probability * n_bins).astype(int), n_bins - 1)
    return [
        {
            "probability": float(probability[place == number].mean()),
            "fraction": float(is_true[place == number].mean()),
            "n": int((place == number).sum()),
        }
        for number in np.unique(place)
    ]
