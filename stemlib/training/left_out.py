"""What models say of images that they had not seen: calibration, threshold and scores of Modules I and II."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from stemlib.agreement import Match, match, pool
from stemlib.loops.boxes import suppress
from stemlib.training.images import LabelledImage


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
            accepted_boxes(answer, slope, offset, threshold),
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


def accepted_boxes(answer: Answers, slope: float, offset: float, threshold: float) -> np.ndarray:
    """Return the (N, 4) boxes that `find_loops` would report at a threshold, px of the unreduced image."""
    probability = 1 / (1 + np.exp(-(slope * answer.logits + offset)))
    return unreduced(answer, answer.refined[suppress(answer.refined, probability, probability >= threshold)])


def calibrate(answers: Sequence[Answers]) -> tuple[float, float]:
    """Return slope and offset that make the logistic function of the logits a probability (Platt scaling).

    The probability that either team marks the candidate as a loop, from `trusted` images.
    """
    logits, labels = [], []
    for answer in trusted(answers):
        # Of several candidates on one loop only the best is ever reported.
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
        by_series = scores_by_series(answers, matches_of(answers, slope, offset, threshold), either=True)
        return np.mean([scores["f1"] for scores in by_series.values()])

    return float(max(np.arange(0.1, 0.9, 0.02).round(2), key=f1))


def validation_scores(
    answers: Sequence[Answers], slope: float, offset: float, threshold: float
) -> dict[str, object]:
    """Return recall, precision and F1, pooled, per series left out, and the mean over series.

    By the published rule and, under ``one_to_one``, one to one, against the first team's labels alone. Under
    ``either_team`` what `best_threshold` looks at.
    """
    result: dict[str, object] = {"threshold": threshold}
    for rule in ("published", "one-to-one"):
        part = _scores_of(answers, matches_of(answers, slope, offset, threshold, rule=rule), either=False)
        result |= part if rule == "published" else {"one_to_one": part}
    both = trusted(answers)
    part = _scores_of(both, matches_of(both, slope, offset, threshold), either=True)
    return result | {"either_team": {"n_images": len(both), **part}}


def scores_by_series(answers, matches, *, either) -> dict[str, dict[str, float]]:
    """Return recall, precision and F1 of each series, pooled over its images."""
    pairs = list(zip(answers, matches, strict=True))
    return {
        series: _scores([matched for answer, matched in pairs if answer.image.series == series], either)
        for series in sorted({answer.image.series for answer in answers})
    }


def _scores_of(answers, matches, *, either):
    scores, by_series = _scores(matches, either), scores_by_series(answers, matches, either=either)
    mean = {name: float(np.mean([s[name] for s in by_series.values()])) for name in scores}
    return {**scores, "mean_over_series": mean, "by_series": by_series}


def _scores(matches, either) -> dict[str, float]:
    """Recall, precision and F1 of pooled matches, true for either team or for the first; 0 where nothing is found."""
    pooled = pool(matches)
    is_true = true_for_either(pooled) if either else pooled.is_true
    recall, precision = (float(hits.mean()) if len(hits) else 0.0 for hits in (pooled.is_found, is_true))
    f1 = 2 * recall * precision / (recall + precision) if recall + precision else 0.0
    return {"recall": recall, "precision": precision, "f1": f1}
