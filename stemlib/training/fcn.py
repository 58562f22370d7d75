"""Train the fully convolutional loop detector of `stemlib.loops.fcn`, and give it its threshold and its card."""

import copy
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from tqdm.auto import tqdm

from stemlib.io.files import write_atomically
from stemlib.loops.fcn import CentreNet, detect_fcn, to_frame
from stemlib.training.cards import write_card
from stemlib.training.fcn_crops import draw_crop, frame_boxes
from stemlib.training.images import read_example
from stemlib.training.left_out import threshold_curve
from stemlib.training.optimisation import Optimisation, Recipe, Run, towards

CROPS_PER_IMAGE = 4  # in one epoch: about the area of the image
BATCH = 8
_FLOOR = 0.05  # score from which on detections are looked at for the threshold
_PLATEAU = 0.02  # F1 below the best that is as good
_SOURCE = "Zhou, Wang & Krähenbühl, Objects as points (2019), https://doi.org/10.48550/arXiv.1904.07850"


def write_weights(path, network, threshold):
    """Write a network and its threshold as the safetensors file that `stemlib.loops.fcn.CentreNet.load` reads.

    Parameters
    ----------
    path : str or pathlib.Path
        The file to write.
    network : CentreNet
        The network.
    threshold : float
        The score from which on a detection counts, in 0..1.

    Returns
    -------
    pathlib.Path
        The file written.

    Examples
    --------
    >>> import tempfile
    >>> path = write_weights(Path(tempfile.mkdtemp()) / "w.safetensors", CentreNet((8, 8)), 0.4)
    >>> CentreNet.load(path).settings["threshold"]
    0.4
    """
    kept = copy.deepcopy(network)
    kept.settings["threshold"] = float(threshold)
    # Kernels lose nothing that matters in half precision; variances could leave its range.
    for parameter in kept.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.half()
    return kept.save(path)


def loss(output, targets):
    """Focal loss of the centres, made milder near them, plus absolute errors of log sizes and offsets.

    Parameters
    ----------
    output : torch.Tensor, (N, 5, h, w)
        What the network answers.
    targets : torch.Tensor, (N, 7, h, w)
        See `draw_targets`.

    Returns
    -------
    torch.Tensor
        One number.
    """
    logit, wanted = output[:, 0], targets[:, 0]
    positive = (wanted == 1).float()
    probability = torch.sigmoid(logit)
    hit = positive * (1 - probability) ** 2 * functional.logsigmoid(logit)
    miss = (1 - positive) * (1 - wanted) ** 4 * probability**2 * functional.logsigmoid(-logit)
    centres = -(targets[:, 6] * (hit + miss)).sum() / positive.sum().clamp(min=1)
    error = (output[:, 1:] - targets[:, 1:5]).abs() * targets[:, 5:6]
    weight = targets[:, 5].sum().clamp(min=1)
    return centres + (error[:, :2].sum() + 0.3 * error[:, 2:].sum()) / weight


_RECIPE = Recipe(
    loss=loss,
    peak_rate=2e-3,
    rising=0.1,
    weight_decay=0.02,
    largest_gradient=10.0,
    # Early on a mean over the last ninth of the steps: the first ones are soon forgotten.
    running_mean=lambda mean, new, done: towards(mean, new, max(1 - 0.998, 9 / (done + 10))),
)


def _frames(images):
    frames = []
    for item in images:
        image, boxes, disputed = read_example(item)
        disputed = np.empty((0, 4)) if disputed is None else disputed
        # Half precision is finer than the noise of a standardised grey value and halves the memory.
        frame = to_frame(image).astype(np.float16)
        frames.append((frame, frame_boxes(boxes, image.shape), frame_boxes(disputed, image.shape)))
    if not frames:
        raise ValueError("images is empty; at least one image with its boxes is needed to train on")
    return frames


def _batches(frames, seed, epoch):
    """The crops of one epoch. Depends on seed and epoch alone, so that a resumed training sees the same."""
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(np.repeat(np.arange(len(frames)), CROPS_PER_IMAGE))
    for first in range(0, len(order), BATCH):
        examples = []
        for at in order[first : first + BATCH]:
            frame, boxes, disputed = frames[at]
            examples.append(draw_crop(frame.astype(np.float32), boxes, rng, disputed))
        crops, targets = (np.stack(part) for part in zip(*examples, strict=True))
        yield crops[:, None], targets


def train_fcn(images, *, out_folder, epochs=80, widths=(24, 40, 56, 80, 112, 128), start=None, run=Run()):
    """Train the detector; a training that was cut off goes on where its last whole epoch ended.

    The weights kept are a running mean over the last steps, which detects better than the last step alone.
    Same seed, same weights, on one machine and device.

    Parameters
    ----------
    images : sequence of str, or of (numpy.ndarray (H, W) uint8, numpy.ndarray (N, 4)) pairs
        Names of `stemlib.datasets.loop_images`, taken with label set A (loops that set B marks and A lacks
        count for nothing); or images with boxes (top, left, bottom, right, px).
    out_folder : str or pathlib.Path
        Where `loop_fcn.safetensors`, `log.csv` and `state.pt` (what resuming needs) go. A `state.pt` there is
        resumed if it was made with the same settings.
    epochs : int
        Passes over the images, at four crops an image; the learning rate rises and falls once over all.
    widths : sequence of int
        Channels of the network's levels; with `start`, those of its network stand.
    start : str or pathlib.Path, optional
        Weights to go on from, such as the shipped ones, to adapt them to images of one's own; random by default.
    run : stemlib.training.optimisation.Run
        Seed of the initial weights and the crops, precision, device and progress.

    Returns
    -------
    pathlib.Path
        The weights: a safetensors file with threshold 0.3 until `release_fcn` gives it the one chosen on validation
        images.

    Raises
    ------
    ValueError
        If there are no images, or `epochs` is no good, or `out_folder` holds the state of a training with other
        settings.
    FileNotFoundError
        If `start` is not there, or an image is not at hand.

    References
    ----------
    X. Zhou, D. Wang, P. Krähenbühl, "Objects as points" (2019), https://doi.org/10.48550/arXiv.1904.07850

    Examples
    --------
    >>> import tempfile
    >>> image, boxes = np.zeros((256, 256), np.uint8), np.zeros((0, 4))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = train_fcn([(image, boxes)], out_folder=folder, epochs=1, widths=(8, 8))
    >>> path.name
    'loop_fcn.safetensors'
    """
    if epochs < 1:
        raise ValueError(f"epochs={epochs!r} must be at least 1")
    frames, folder = _frames(images), Path(out_folder)
    steps = -(-len(frames) * CROPS_PER_IMAGE // BATCH) * epochs
    training = Optimisation(
        lambda: CentreNet(widths) if start is None else CentreNet.load(start, "cpu"), _RECIPE, steps, run
    )
    settings = {"seed": run.seed, "epochs": epochs, "precision": run.precision, "images": len(frames)}
    settings |= {"widths": list(training.network.widths), "start": start and str(start)}
    history = _resumed(folder / "state.pt", training, settings)
    weights = folder / "loop_fcn.safetensors"
    with tqdm(total=epochs, initial=len(history), desc="fcn", unit="epoch", disable=not run.progress) as bar:
        for epoch in range(len(history), epochs):
            began = time.perf_counter()
            losses = [training.step(*batch).item() for batch in _batches(frames, run.seed, epoch)]
            history.append([epoch, float(np.mean(losses)), round(time.perf_counter() - began, 1)])
            write_weights(weights, training.mean, 0.3)
            state = {"training": training.state_dict(), "history": history, "settings": settings}
            write_atomically(folder / "state.pt", lambda path, state=state: torch.save(state, path))
            lines = ["epoch,loss,seconds", *(",".join(map(str, row)) for row in history)]
            write_atomically(folder / "log.csv", "\n".join(lines) + "\n")
            bar.set_postfix(loss=f"{history[-1][1]:.2f}")
            bar.update()
    return weights


def _resumed(path, training, settings):
    """Let a training go on from the state in a file, where there is one; return its epochs, losses and seconds."""
    if not path.exists():
        return []
    state = torch.load(path, map_location=training.device, weights_only=True)
    if state["settings"] != settings:
        raise ValueError(
            f"out_folder={str(path.parent)!r} holds a training with other settings ({state['settings']}, not "
            f"{settings}); another folder, or deleting its state.pt, would do"
        )
    training.load_state_dict(state["training"])
    return state["history"]


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


def release_fcn(weights, images, *, out_folder, origin, device="auto"):
    """Give trained weights a threshold chosen on validation images, and write them with their card.

    The threshold is that of `balanced_threshold` by the published match: on images that two teams labelled, where there
    are any, a detection being true if it lies on a loop of either. For the reasons see
    `stemlib.training.left_out.best_threshold`.

    Parameters
    ----------
    weights : str or pathlib.Path
        What `train_fcn` wrote.
    images : sequence of str, or of (image, boxes) pairs
        Validation images, as `stemlib.training.images.read_example` takes them; none of them seen in training.
    out_folder : str or pathlib.Path
        Where `loop_fcn.safetensors` and `loop_fcn.json` go.
    origin : stemlib.training.cards.Origin
        Of the weights, for the card.
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
    >>> import json, tempfile
    >>> from stemlib.training.cards import Origin
    >>> folder = Path(tempfile.mkdtemp())
    >>> weights = write_weights(folder / "trained.safetensors", CentreNet((8, 8)), 0.3)
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
    found = [detect_fcn(image, network, threshold=_FLOOR) for image, _, _ in examples]
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
    content = {
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
    return write_card(path, origin, content)


def _scores(row):
    ratios = {name: float(row[name]) for name in ("recall", "precision", "f1")}
    return ratios | {"n_found": int(row["n_found"])}


def _curve(table):
    steps = table[table["n_found"] > 0].iloc[::5]
    return [{"threshold": row["threshold"]} | _scores(row) for _, row in steps.iterrows()]
