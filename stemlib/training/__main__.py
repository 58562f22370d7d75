"""Train all weights anew, from loop images and simulated crystals: ``python -m stemlib.training --output FOLDER``."""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path

from stemlib import datasets
from stemlib.training.cards import Origin
from stemlib.training.column_card import release_columns
from stemlib.training.columns import train_columns
from stemlib.training.fcn import train_fcn
from stemlib.training.fcn_release import release_fcn
from stemlib.training.images import labelled_images
from stemlib.training.modules import train_modules
from stemlib.training.optimisation import Run

MODELS = ("columns", "modules", "fcn")
# Every series is left out once; small ones together, to save time.
TURNS = (("200kV",), ("g1-g2",), ("0501",), ("100kx",), ("70kx", "5401"), ("K713", "grid1", "2501"))
DATA = "FeCrAl loop set, label set A with the enlargement of its boxes undone"
SOURCE = "Li, Field & Morgan (2018), doi:10.1038/s41524-018-0093-8"


def main(arguments: list[str] | None = None) -> None:
    """Train what the command line asks for; see ``--help``."""
    parser = argparse.ArgumentParser(prog="python -m stemlib.training", description=__doc__)
    parser.add_argument("--output", required=True, type=Path, help="folder for weights and cards")
    parser.add_argument("--model", choices=MODELS, action="append", help="only this one (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="seed of every random choice (default: 0)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (default: auto)")
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        default="float32",
        help="bfloat16 halves the time of the networks on hardware that knows it (default: float32)",
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    command = (
        f"python -m stemlib.training --output FOLDER --seed {options.seed} --precision {options.precision}"
    )
    run = Run(seed=options.seed, precision=options.precision, device=options.device, progress=True)
    models = options.model or MODELS
    training, validation = datasets.image_set("training"), datasets.image_set("validation")
    if "columns" in models:
        started = time.monotonic()
        network = train_columns(run=run)
        origin = Origin(command, seed=run.seed, minutes=(time.monotonic() - started) / 60)
        release_columns(network, options.output, origin=origin, device=run.device)
    if "modules" in models:
        train_modules(
            labelled_images([*training, *validation]),
            options.output,
            turns=TURNS,
            command=command,
            data=f"{DATA}, roles training and validation of stemlib.datasets.loop_images; {SOURCE}",
            run=run,
        )
    if "fcn" in models:
        started = time.monotonic()
        trained = train_fcn(training, out_folder=options.output / "fcn", run=run)
        origin = Origin(
            command,
            data=f"{DATA}, open loops, and label set B, edge-on loops and dots; {SOURCE}",
            split=(
                "trained on the role training of stemlib.datasets.loop_images, threshold and scores from the role "
                "validation (series 5401 and 2501)"
            ),
            seed=run.seed,
            minutes=(time.monotonic() - started) / 60,
        )
        release_fcn(
            trained,
            validation,
            out_folder=options.output,
            origin=origin,
            trained_on=training,
            device=run.device,
        )


if __name__ == "__main__":
    main()
