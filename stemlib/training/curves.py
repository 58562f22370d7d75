"""How good the probabilities of Modules I and II are: calibration, and recall against precision."""

import numpy as np

from stemlib.agreement import match
from stemlib.loops.boxes import suppress
from stemlib.training.fcn_card import threshold_curve
from stemlib.training.left_out import true_for_either, trusted, unreduced

_LEAST = 0.05  # probability from which on the curves look


def probability_curves(answers, slope, offset):
    """Return what a card states of probabilities on image series that nothing had seen.

    Parameters
    ----------
    answers : sequence of stemlib.training.left_out.Answers
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
    found = {id(answer): _accepted(answer, slope, offset) for answer in answers}
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


def _accepted(answer, slope, offset):
    """Boxes, px of the unreduced image, and probabilities from `_LEAST` on."""
    probability = 1 / (1 + np.exp(-(slope * answer.logits + offset)))
    # Of several candidates on one loop only the best is ever reported.
    kept = suppress(answer.refined, probability, probability >= _LEAST)
    return unreduced(answer, answer.refined[kept]), probability[kept]


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
