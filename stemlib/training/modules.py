"""Train Modules I and II together, every image series left out once, and write weights with their cards."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stemlib.io.files import write_atomically
from stemlib.loops.candidates import find_candidates
from stemlib.loops.cascade import Cascade
from stemlib.loops.cascade_xml import load_cascade, save_cascade
from stemlib.loops.screening import (
    apply_refinement,
    crops,
    is_mirrored,
    load_screening,
    network_answers,
    save_screening,
)
from stemlib.training.cascade import train_cascade
from stemlib.training.curves import probability_curves
from stemlib.training.images import LabelledImage
from stemlib.training.left_out import Answers, best_threshold, calibrate, validation_scores
from stemlib.training.screening import Samples, candidate_samples, train_screening
from stemlib.training.turns import claim, minutes, named, note_minutes, parts_of

logger = logging.getLogger(__name__)

# Where the models of single turns stay, below the output folder.
CASCADES, NETWORKS = Path("turns", "cascade"), Path("turns", "screening")


@dataclass(frozen=True)
class Settings:
    """What can be set of the training of Modules I and II; the shipped weights' are on their card."""

    window: int = 24
    n_stages: int = 10
    hit_rate: float = 0.998
    false_alarm_rate: float = 0.5
    n_positives: int = 8000
    n_negatives: int = 14000
    features_per_round: int = 1500
    epochs: int = 26
    precision: str = "float32"

    def of_module_one(self) -> dict[str, float]:
        """Return what a training of Module I depends on."""
        return {name: value for name, value in vars(self).items() if name not in ("epochs", "precision")}


def train_modules(
    images: Sequence[LabelledImage],
    output_folder: str | Path,
    *,
    settings: Settings = Settings(),
    turns: Sequence[Sequence[str]] | None = None,
    seed: int = 0,
    device: str = "auto",
    n_threads: int = 2,
    command: str = "stemlib.training.modules.train_modules",
    data: str = "",
    progress: bool = False,
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
    seed : int
        Seed of every random choice.
    device : str
        For Module II: ``"auto"``, ``"cpu"``, ``"cuda"``, ...
    command, data : str
        How and on what this was called, for the cards.
    progress : bool
        Whether to show progress bars.

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
    claim(folder / CASCADES, images, settings.of_module_one(), seed)
    claim(folder / NETWORKS, images, vars(settings), seed)
    turn_of = {name: turn for turn in turns for name in turn}
    cascades = {
        left_out: _cascade_of_turn(folder / CASCADES, images, left_out, settings, seed, n_threads, progress)
        for left_out in [*turns, ()]
    }
    found = [find_candidates(cascades[turn_of[image.series]], image.image)[0] for image in images]
    samples = [
        candidate_samples(image.image, boxes, image.loops, settings.window, image.disputed)
        for image, boxes in zip(images, found, strict=True)
    ]

    def screening_without(name, left_out):
        return _screening_without(
            folder / NETWORKS, images, samples, name, left_out, settings, seed, device, progress
        )

    within, beyond = [], []
    for answers, rounds in ((within, parts_of(images)), (beyond, _series_of(images, turns))):
        for name, left_out in rounds.items():
            network = screening_without(name, left_out)
            answers += [
                _answers(network, image, boxes)
                for image, boxes in zip(images, found, strict=True)
                if image.name in left_out
            ]
    slope, offset = calibrate(within)
    threshold = best_threshold(within, slope, offset)
    validation = validation_scores(beyond, slope, offset, threshold)
    validation |= probability_curves(beyond, slope, offset)
    validation |= {"within_series": validation_scores(within, slope, offset, threshold)}
    network = screening_without(named(()), set())
    network.settings.update(slope=slope, offset=offset, threshold=threshold)
    save_cascade(
        cascades[()],
        folder / "loop_cascade.xml",
        hit_rate=settings.hit_rate,
        false_alarm_rate=settings.false_alarm_rate,
    )
    save_screening(network, folder / "loop_screening.safetensors")
    card = {
        "data": data,
        "split": "scores: every image series left out once; within_series, calibration and threshold: parts of every "
        "series left out; the shipped weights are trained on all of them",
        "turns": turns,
        "series": {name: sum(image.series == name for image in images) for name in series},
        "loops": int(sum(len(image.loops) for image in images)),
        "seed": seed,
        "command": command,
        "settings": vars(settings),
        "minutes": round(sum(sum(minutes(folder / part).values()) for part in (CASCADES, NETWORKS)), 1),
        "validation": validation,
    }
    for name, what in (
        ("loop_cascade.xml", "Module I: cascade of multi-block local binary patterns"),
        ("loop_screening.safetensors", "Module II: screening network, calibrated"),
    ):
        _write_card(folder / name, {"what": what, **card})
    return validation


def _write_card(path, card):
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    text = json.dumps({"file": path.name, "sha256": digest, **card}, indent=1, ensure_ascii=False)
    write_atomically(path.with_suffix(".json"), text + "\n")


def _cascade_of_turn(folder, images, left_out, settings, seed, n_threads, progress) -> Cascade:
    path = folder / f"without {named(left_out)}.xml"
    if not path.is_file():
        logger.info("training Module I without %s", named(left_out))
        started = time.monotonic()
        chosen = [image for image in images if image.series not in left_out]
        cascade = train_cascade(
            [image.image for image in chosen],
            [image.loops for image in chosen],
            disputed=[image.disputed for image in chosen],
            window=settings.window,
            n_stages=settings.n_stages,
            hit_rate=settings.hit_rate,
            false_alarm_rate=settings.false_alarm_rate,
            n_positives=settings.n_positives,
            n_negatives=settings.n_negatives,
            features_per_round=settings.features_per_round,
            n_threads=n_threads,
            seed=seed,
            progress=progress,
        )
        save_cascade(cascade, path, hit_rate=settings.hit_rate, false_alarm_rate=settings.false_alarm_rate)
        note_minutes(folder, path.name, started)
    return load_cascade(path)


def _series_of(images, turns):
    return {named(turn): {image.name for image in images if image.series in turn} for turn in turns}


def _screening_without(folder, images, samples, name, left_out, settings, seed, device, progress):
    path = folder / f"without {name}.safetensors"
    if not path.is_file():
        logger.info("training Module II without %s", name)
        started = time.monotonic()
        chosen = [s for image, s in zip(images, samples, strict=True) if image.name not in left_out]
        network = train_screening(
            Samples.join(chosen),
            epochs=settings.epochs,
            precision=settings.precision,
            device=device,
            seed=seed,
            progress=progress,
        )
        save_screening(network, path)
        note_minutes(folder, path.name, started)
    return load_screening(path, device)


def _answers(network, image, boxes):
    answers = network_answers(network, crops(image.image, boxes))
    refined = apply_refinement(boxes, answers[:, 1:])
    # As in `stemlib.loops.screening.screen`, what the mirrored edge shows never counts.
    real = ~is_mirrored(refined, image.image.shape)
    return Answers(image, boxes[real], answers[real, 0].astype(float), refined[real])
