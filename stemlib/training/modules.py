"""Train Modules I and II together, every image series left out once, and write weights with their cards."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

from stemlib.io.files import write_atomically
from stemlib.loops.candidates import find_candidates
from stemlib.loops.cascade_xml import load_cascade, save_cascade
from stemlib.loops.screening import (
    ScreeningNetwork,
    apply_refinement,
    crops,
    is_mirrored,
    network_answers,
)
from stemlib.training.cards import Origin, write_card
from stemlib.training.cascade import CascadeSettings, train_cascade
from stemlib.training.images import LabelledImage, parts_of
from stemlib.training.left_out import (
    Answers,
    best_threshold,
    calibrate,
    probability_curves,
    validation_scores,
)
from stemlib.training.optimisation import Run
from stemlib.training.screening import Samples, candidate_samples, train_screening

logger = logging.getLogger(__name__)

# Where the models of single turns stay, below the output folder.
CASCADES, NETWORKS = Path("turns", "cascade"), Path("turns", "screening")
_WHAT = {
    "loop_cascade.xml": "Module I: cascade of multi-block local binary patterns",
    "loop_screening.safetensors": "Module II: screening network, calibrated",
}
_SPLIT = (
    "scores: every image series left out once; within_series, calibration and threshold: parts of every series left "
    "out; the shipped weights are trained on all of them"
)


@dataclass(frozen=True)
class Settings(CascadeSettings):
    """What can be set of the training of Modules I and II; the shipped weights' are on their card.

    Parameters
    ----------
    epochs : int
        Of Module II.
    """

    epochs: int = 26

    def of_module_one(self) -> dict[str, float]:
        """Return what a training of Module I depends on."""
        return {field.name: getattr(self, field.name) for field in fields(CascadeSettings)}


def train_modules(
    images: Sequence[LabelledImage],
    output_folder: str | Path,
    *,
    settings: Settings = Settings(),
    turns: Sequence[Sequence[str]] | None = None,
    command: str = "stemlib.training.modules.train_modules",
    data: str = "",
    run: Run = Run(),
) -> dict:
    """Train Modules I and II and write ``loop_cascade.xml``, ``loop_screening.safetensors`` and a card for each.

    Module II learns from candidates in images that the Module I which found them had not seen: each image series is
    left out of a training of Module I in turn. A second such round, of both modules, gives the scores, on series that
    no network had seen. Calibration and threshold come from a third one, of Module II alone: every series is divided
    into parts, which are left out in turn. For what is shipped has seen all series and is used on other areas of them
    too, and its logits mean something else there than in a series that is new to it: in 200kV, the largest, the best
    threshold of a network that knew the series lay 0.2 to 0.6 lower. Models of single turns stay in ``turns`` below the
    output folder, and a second call with the same images, settings and seed goes on there.

    Parameters
    ----------
    images : sequence of LabelledImage
        From two series at least.
    output_folder : path-like
    settings : Settings
    turns : sequence of sequences of str, optional
        Which series are left out together; by default each alone. Fewer turns take less time, and are if anything
        harder, since less is left to learn from.
    command, data : str
        How and on what this was called, for the cards.
    run : stemlib.training.optimisation.Run

    Returns
    -------
    dict
        The validation part of the cards: pooled and mean recall, precision and F1 over the series left out and,
        under ``within_series``, over parts of series left out.

    Raises
    ------
    ValueError
        If there are fewer than two turns, a series is in none or in two of them, or the output folder holds the turns
        of another training.

    References
    ----------
    Li, Field & Morgan, npj Comput. Mater. 4, 36 (2018), doi:10.1038/s41524-018-0093-8; calibration after Platt, in
    Advances in Large Margin Classifiers (MIT Press, 1999).
    """
    folder = Path(output_folder)
    series = sorted({image.series for image in images})
    turns = [(name,) for name in series] if turns is None else [tuple(turn) for turn in turns]
    if len(turns) < 2 or sorted(name for turn in turns for name in turn) != series:
        raise ValueError(f"turns={turns} must be two at least and hold each of {series} once")
    stated = {**vars(settings), "precision": run.precision}
    first = TurnFolder(folder / CASCADES, ".xml", images, settings.of_module_one(), run.seed)
    second = TurnFolder(folder / NETWORKS, ".safetensors", images, stated, run.seed)
    cascades = {}
    for turn in [*turns, ()]:
        chosen = [image for image in images if image.series not in turn]
        path = first.model(_named(turn), partial(_train_cascade, chosen, settings, run))
        cascades[turn] = load_cascade(path)
    turn_of = {name: turn for turn in turns for name in turn}
    found = [find_candidates(cascades[turn_of[image.series]], image.image)[0] for image in images]
    samples = [
        candidate_samples(image.image, boxes, image.loops, settings.window, image.disputed)
        for image, boxes in zip(images, found, strict=True)
    ]

    def network_without(name, left_out):
        chosen = [part for image, part in zip(images, samples, strict=True) if image.name not in left_out]
        path = second.model(name, partial(_train_screening, chosen, settings, run))
        return ScreeningNetwork.load(path, run.device)

    def answers_of(rounds):
        networks = {name: network_without(name, left_out) for name, left_out in rounds.items()}
        return [
            _answers(networks[name], image, boxes)
            for name, left_out in rounds.items()
            for image, boxes in zip(images, found, strict=True)
            if image.name in left_out
        ]

    within = answers_of(parts_of(images))
    beyond = answers_of({_named(t): {image.name for image in images if image.series in t} for t in turns})
    chosen, validation = _chosen_and_validated(within, beyond)
    network = network_without(_named(()), set())
    network.settings.update(chosen)
    _save_cascade(cascades[()], folder / "loop_cascade.xml", settings)
    network.save(folder / "loop_screening.safetensors")
    origin = Origin(command, data, _SPLIT, run.seed, first.minutes() + second.minutes())
    content = {
        "turns": turns,
        "series": {name: sum(image.series == name for image in images) for name in series},
        "loops": int(sum(len(image.loops) for image in images)),
        "settings": stated,
        "validation": validation,
    }
    for name, what in _WHAT.items():
        write_card(folder / name, origin, {"what": what, **content})
    return validation


class TurnFolder:
    """Where the turns of one module lie, each a model that was trained without some of the images.

    Models of another training are refused: they must not be taken for this one's.

    Parameters
    ----------
    folder : pathlib.Path
    suffix : str
        Of the models' files.
    images : sequence of stemlib.training.images.LabelledImage
    settings : dict
        What that module's training depends on.
    seed : int

    Raises
    ------
    ValueError
        If the folder belongs to other images, settings or another seed.
    """

    def __init__(self, folder: Path, suffix: str, images: Sequence[LabelledImage], settings: dict, seed: int):
        digest = hashlib.sha256(json.dumps([settings, seed]).encode())
        for image in images:
            digest.update(image.name.encode() + image.series.encode())
            for array in (image.image, image.loops, image.disputed):
                digest.update(array.tobytes())
        path = folder / "training.txt"
        if path.is_file() and path.read_text(encoding="utf-8") != digest.hexdigest():
            raise ValueError(
                f"{str(folder)!r} holds a training with other images, settings or seed; remove it or name another"
            )
        write_atomically(path, digest.hexdigest())
        self._folder, self._suffix = folder, suffix

    def model(self, left_out: str, train: Callable[[Path], object]) -> Path:
        """Return the file of the model without something; where it is not there yet, `train` writes it."""
        path = self._folder / f"without {left_out}{self._suffix}"
        if not path.is_file():
            logger.info("training %s", path)
            started = time.monotonic()
            train(path)
            noted = {**self._minutes(), path.name: round((time.monotonic() - started) / 60, 2)}
            write_atomically(self._folder / "minutes.json", json.dumps(noted, indent=1) + "\n")
        return path

    def minutes(self) -> float:
        """Return what all turns took, in minutes, earlier calls into the same folder included."""
        return sum(self._minutes().values())

    def _minutes(self):
        path = self._folder / "minutes.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _named(left_out):
    """How a turn is called in file names."""
    return ", ".join(left_out) or "nothing"


def _train_cascade(images, settings, run, path):
    loops, disputed = [image.loops for image in images], [image.disputed for image in images]
    images = [image.image for image in images]
    _save_cascade(train_cascade(images, loops, disputed=disputed, settings=settings, run=run), path, settings)


def _save_cascade(cascade, path, settings):
    save_cascade(cascade, path, hit_rate=settings.hit_rate, false_alarm_rate=settings.false_alarm_rate)


def _train_screening(samples, settings, run, path):
    train_screening(Samples.join(samples), epochs=settings.epochs, run=run).save(path)


def _chosen_and_validated(within, beyond):
    """Calibration and threshold from answers within series, and all scores."""
    slope, offset = calibrate(within)
    threshold = best_threshold(within, slope, offset)
    validation = validation_scores(beyond, slope, offset, threshold) | probability_curves(
        beyond, slope, offset
    )
    validation |= {"within_series": validation_scores(within, slope, offset, threshold)}
    return {"slope": slope, "offset": offset, "threshold": threshold}, validation


def _answers(network, image, boxes):
    answers = network_answers(network, crops(image.image, boxes))
    refined = apply_refinement(boxes, answers[:, 1:])
    # As in `stemlib.loops.screening.screen`, what the mirrored edge shows never counts.
    real = ~is_mirrored(refined, image.image.shape)
    return Answers(image, boxes[real], answers[real, 0].astype(float), refined[real])
