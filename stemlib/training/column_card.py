"""Choose the column network's threshold on held-back synthetic crystals, and write its weights with their card."""

import copy
import hashlib
import json
import math
from pathlib import Path

import numpy as np

from stemlib.agreement import match_columns, score_columns
from stemlib.columns.find import find_columns
from stemlib.columns.network import save_column_network
from stemlib.io.files import write_atomically
from stemlib.synthetic import crystal_image, named_crystal, random_crystal
from stemlib.synthetic.crystals import NAMES

CLEAR = (
    5.0  # signal-to-noise ratio of a matched filter from which on a missing column can be seen to be missing
)
_MOST_FILLED = 1 / 300  # of the vacancies that can be seen; users are promised 1 / 200
_AS_GOOD = 0.001  # of F1
_FLOOR = 0.15


def held_back_scene(seed):
    """Draw a crystal with vacancies and displaced columns, each clear enough to be seen; none is in the training.

    Parameters
    ----------
    seed : int

    Returns
    -------
    stemlib.synthetic.CrystalImage
        About 20 columns across, neighbours 4.5 to 40 px apart, the faintest columns at a signal-to-noise ratio of 5 to
        40.

    Examples
    --------
    >>> bool(held_back_scene(0).columns["snr"].min() > 4)
    True
    """
    # Another stream of random numbers than the training's [seed, step].
    rng = np.random.default_rng([seed, 0, 7])
    crystal = named_crystal(rng.choice(NAMES)) if rng.random() < 0.5 else random_crystal(rng)
    spacing = math.exp(rng.uniform(math.log(4.5), math.log(40)))
    snr = math.exp(rng.uniform(math.log(5.5), math.log(40)))
    side = int(np.clip(20 * spacing, 128, 640))
    return crystal_image(
        crystal,
        (side, side),
        spacing=spacing,
        rotation_deg=rng.uniform(0, 360),
        relative_sigma=rng.uniform(0.16, 0.28),
        snr=snr / crystal.intensities.min(),
        vacancies=rng.choice([0.02, 0.05, 0.1]),
        displaced=0.04,
        displacement=rng.uniform(0.2, 0.4),
        mixed=rng.choice([0, 0.2]),
        jitter=rng.uniform(0, 0.04) * spacing,
        shear=rng.normal(0, 0.01, (2, 2)),
        seed=rng,
    )


def release_columns(network, out_folder, *, command, seed, minutes, n_scenes=300, device="auto"):
    """Choose the threshold, and write ``columns.safetensors`` with its card.

    The threshold is the lowest whose F1 is within 0.001 of the best among those that fill in at most 1 in 300 of the
    vacancies that a matched filter sees, on synthetic crystals drawn for this alone: the lowest, because a faint
    sublattice needs it and the rest does not care. Columns within half a spacing of the image's edge are not
    counted: of some, most of the peak lies outside.

    Parameters
    ----------
    network : stemlib.columns.network.ColumnNetwork
    out_folder : str or pathlib.Path
    command : str
        How this was called, for the card.
    seed : int
        The training's.
    minutes : float
        How long the training took.
    n_scenes : int
        How many crystals are drawn.
    device : str

    Returns
    -------
    pathlib.Path
        The card.
    """
    folder, network = Path(out_folder), copy.deepcopy(network)
    network.threshold = _FLOOR
    path = save_column_network(network, folder / "columns.safetensors")
    answers = [_answer(held_back_scene(number), path, device) for number in range(n_scenes)]
    curve = [_scores(answers, float(threshold)) for threshold in np.arange(_FLOOR, 0.81, 0.05).round(2)]
    chosen = choose(curve)
    network.threshold = chosen["threshold"]
    path = save_column_network(network, path)
    card = {
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "what": "column network: image to probability of a column's centre",
        "data": "random synthetic images alone (stemlib.training.column_scenes); no micrograph",
        "split": f"scores and threshold: {n_scenes} synthetic crystals of stemlib.training.column_card.held_back_scene",
        "seed": seed,
        "command": command,
        "minutes": round(minutes, 1),
        "weights": sum(parameter.numel() for parameter in network.parameters()),
        "validation": chosen,
        "curve": curve,
    }
    text = json.dumps(card, indent=1, ensure_ascii=False)
    return write_atomically(folder / "columns.json", text + "\n")


def choose(curve):
    """Return the row of the threshold to take, see `release_columns`, of a curve whose thresholds rise.

    Examples
    --------
    >>> rows = [(0.2, 0.980, 0.01), (0.3, 0.9895, 0.002), (0.4, 0.990, 0.0)]
    >>> choose([{"threshold": t, "f1": f1, "filled": filled} for t, f1, filled in rows])["threshold"]
    0.3
    """
    # Where no threshold is honest, the highest fills in least.
    honest = [scores for scores in curve if scores["filled"] <= _MOST_FILLED] or curve[-1:]
    best = max(scores["f1"] for scores in honest)
    return next(scores for scores in honest if scores["f1"] >= best - _AS_GOOD)


def _answer(scene, weights, device):
    columns = find_columns(scene.image, weights=weights, device=device)
    return scene, columns.table


def _inner(scene):
    """Mask of what lies more than half a spacing from the edge."""
    rim = math.ceil(scene.spacing / 2)
    mask = np.zeros(scene.image.shape, bool)
    mask[rim:-rim, rim:-rim] = True
    return mask


def _scores(answers, threshold):
    """Recall, precision and position error of columns, and the share of clear vacancies that are filled in."""
    matches, filled, errors = [], [], []
    for scene, table in answers:
        found = table[table["probability"] >= threshold]
        reach = scene.spacing / 4
        match = match_columns(scene.columns, found, reach_px=reach, region=_inner(scene))
        matches.append(match)
        errors.append(np.linalg.norm(match.offset, axis=1) / scene.spacing)
        clear = scene.missing[scene.missing["snr"] >= CLEAR]
        filled.append(match_columns(clear, found, reach_px=reach).is_found)
    scores = score_columns(matches)
    filled, errors = np.concatenate(filled), np.concatenate(errors)
    return {
        "threshold": threshold,
        **{key: float(scores[key]) for key in ("recall", "precision", "f1")},
        "n_columns": int(scores["n_truth"]),
        "filled": float(filled.mean()),
        "n_vacancies": len(filled),
        "error_over_spacing": float(np.sqrt(np.mean(errors**2))),
    }
