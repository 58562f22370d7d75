"""Train the fully convolutional loop detector of `stemlib.loops.fcn`, and give it its threshold and its card."""

import copy
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from tqdm.auto import tqdm

from stemlib.io.files import write_atomically
from stemlib.loops.fcn import CentreNet, standardise
from stemlib.loops.tiling import resampled
from stemlib.training.fcn_crops import draw_crop
from stemlib.training.fcn_examples import KINDS, Example, kinds_example, plain_example
from stemlib.training.images import usual_pixel
from stemlib.training.optimisation import Optimisation, Recipe, Run, towards

CROPS_PER_IMAGE = 4  # in one epoch: about the area of the image
BATCH = 8


def write_weights(path, network, thresholds):
    """Write a network and its threshold as the safetensors file that `stemlib.loops.fcn.CentreNet.load` reads.

    Parameters
    ----------
    path : str or pathlib.Path
        The file to write.
    network : CentreNet
        The network.
    thresholds : dict
        Of each kind, the score from which on a detection counts, in 0..1.

    Returns
    -------
    pathlib.Path
        The file written.

    Examples
    --------
    >>> import tempfile
    >>> path = write_weights(Path(tempfile.mkdtemp()) / "w.safetensors", CentreNet((8, 8)), {"loop": 0.4})
    >>> CentreNet.load(path).thresholds
    {'loop': 0.4}
    """
    kept = copy.deepcopy(network)
    kept.settings["threshold"] = thresholds
    # Kernels lose nothing that matters in half precision; variances could leave its range.
    for parameter in kept.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.half()
    return kept.save(path)


def loss(output, targets):
    """Focal loss of the centres, made milder near them, plus absolute errors of log sizes and offsets.

    Each kind counts alike, however many of it there are.

    Parameters
    ----------
    output : torch.Tensor, (N, K + 4, h, w)
        What the network answers.
    targets : torch.Tensor, (N, 2 K + 5, h, w)
        See `draw_targets`.

    Returns
    -------
    torch.Tensor
        One number.
    """
    n_kinds = output.shape[1] - 4
    logit, wanted, counts = output[:, :n_kinds], targets[:, :n_kinds], targets[:, n_kinds + 5 :]
    positive = (wanted == 1).float()
    probability = torch.sigmoid(logit)
    hit = positive * (1 - probability) ** 2 * functional.logsigmoid(logit)
    miss = (1 - positive) * (1 - wanted) ** 4 * probability**2 * functional.logsigmoid(-logit)
    of_kind = -(counts * (hit + miss)).sum((0, 2, 3)) / positive.sum((0, 2, 3)).clamp(min=1)
    weight = targets[:, n_kinds + 4 : n_kinds + 5]
    error = (output[:, n_kinds:] - targets[:, n_kinds : n_kinds + 4]).abs() * weight
    return of_kind.sum() + (error[:, :2].sum() + 0.3 * error[:, 2:].sum()) / weight.sum().clamp(min=1)


_RECIPE = Recipe(
    loss=loss,
    peak_rate=2e-3,
    rising=0.1,
    weight_decay=0.02,
    largest_gradient=10.0,
    # Early on a mean over the last ninth of the steps: the first ones are soon forgotten.
    running_mean=lambda mean, new, done: towards(mean, new, max(1 - 0.998, 9 / (done + 10))),
)


def standardised_example(example, pixel):
    """Return an example at another scale, its grey values standardised, its boxes counted from the upper left edge.

    Parameters
    ----------
    example : Example
        Its image as uint8, boxes in px of it.
    pixel : float
        Size of a px of the result, px of the image.

    Returns
    -------
    Example
        What `stemlib.training.fcn_crops.draw_crop` takes.

    Examples
    --------
    >>> example = plain_example(np.zeros((64, 64), np.uint8), [[9.5, 19.5, 29.5, 39.5]])
    >>> standardised_example(example, 2.0).boxes
    array([[ 5., 10., 15., 20.]], dtype=float32)
    """
    reduced = resampled(np.float32(example.image), pixel)
    ratio = np.tile(np.array(example.image.shape) / reduced.shape, 2)
    looked = example.looked
    if looked is not None:
        looked = resampled(looked.view(np.uint8), pixel) > 0
    # Half precision is finer than the noise of a standardised grey value and halves the memory.
    return replace(
        example,
        image=standardise(reduced).astype(np.float16),
        boxes=np.float32((example.boxes + 0.5) / ratio),
        looked=looked,
    )


def _frames(images):
    frames = []
    for item in images:
        example = kinds_example(item) if isinstance(item, str) else item
        example = example if isinstance(example, Example) else plain_example(*example)
        frames.append(standardised_example(example, usual_pixel(example.image.shape)))
    if not frames:
        raise ValueError("images is empty; at least one image with its boxes is needed to train on")
    return frames


def _crops(frames):
    """Which frame each crop of an epoch is cut from: where all kinds were looked for there is more to learn."""
    times = [2 * CROPS_PER_IMAGE if len(f.asked) > 1 and f.asked.all() else CROPS_PER_IMAGE for f in frames]
    return np.repeat(np.arange(len(frames)), times)


def _batches(frames, seed, epoch):
    """The crops of one epoch. Depends on seed and epoch alone, so that a resumed training sees the same."""
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(_crops(frames))
    for first in range(0, len(order), BATCH):
        examples = [draw_crop(frames[at], rng) for at in order[first : first + BATCH]]
        crops, targets = (np.stack(part) for part in zip(*examples, strict=True))
        yield crops[:, None], targets


def train_fcn(images, *, out_folder, epochs=44, widths=(24, 40, 56, 80, 112, 128), start=None, run=Run()):
    """Train the detector; a training that was cut off goes on where its last whole epoch ended.

    The weights kept are a running mean over the last steps, which detects better than the last step alone.
    Same seed, same weights, on one machine and device.

    Parameters
    ----------
    images : sequence of str, or of (numpy.ndarray (H, W) uint8, numpy.ndarray (N, 4)) pairs
        Names of `stemlib.datasets.loop_images`, taken with their kinds (`stemlib.training.fcn_examples.kinds_example`);
        or images with boxes of open loops (top, left, bottom, right, px).
    out_folder : str or pathlib.Path
        Where `loop_fcn.safetensors`, `log.csv` and `state.pt` (what resuming needs) go. A `state.pt` there is
        resumed if it was made with the same settings.
    epochs : int
        Passes over the images, at four crops an image, eight where every kind was looked for; the learning rate rises
        and falls once over all.
    widths : sequence of int
        Channels of the network's levels; with `start`, those of its network stand.
    start : str or pathlib.Path, optional
        Weights to go on from, such as the shipped ones, to adapt them to images of one's own; random by default.
    run : stemlib.training.optimisation.Run
        Seed of the initial weights and the crops, precision, device and progress.

    Returns
    -------
    pathlib.Path
        The weights: a safetensors file with thresholds of 0.3 until `stemlib.training.fcn_release.release_fcn` gives
        it those chosen on validation images.

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
    steps = -(-len(_crops(frames)) // BATCH) * epochs
    kinds = KINDS if len(frames[0].asked) == len(KINDS) else KINDS[:1]
    training = Optimisation(
        lambda: CentreNet(widths, kinds) if start is None else CentreNet.load(start, "cpu"),
        _RECIPE,
        steps,
        run,
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
            write_weights(weights, training.mean, dict.fromkeys(kinds, 0.3))
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
