"""Training of the fully convolutional loop detector of `stemlib.loops.fcn`."""

import contextlib
import copy
import json
import time
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import nn
from torch.nn import functional
from tqdm.auto import tqdm

from stemlib import datasets
from stemlib.io import micrograph
from stemlib.io.files import write_atomically
from stemlib.io.weights import choose_device
from stemlib.loops.fcn import CentreNet, load_network, to_frame
from stemlib.training.fcn_crops import draw_crop, frame_boxes
from stemlib.training.images import loops_of_teams

CROPS_PER_IMAGE = 4  # in one epoch: about the area of the image
BATCH = 8
_WEIGHT_DECAY = 0.02
_PEAK_RATE = 2e-3
_MEMORY = 0.998  # of the running mean of the weights, per step


def write_weights(path, network, threshold):
    """Write a network and its threshold as the safetensors file that `stemlib.loops.fcn.load_network` reads.

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
    >>> import pathlib, tempfile
    >>> from stemlib.loops.fcn import CentreNet, load_network
    >>> path = write_weights(pathlib.Path(tempfile.mkdtemp()) / "w.safetensors", CentreNet((8, 8)), 0.4)
    >>> load_network(path)[1]
    0.4
    """
    settings = json.dumps({"widths": list(network.widths), "threshold": float(threshold)})
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    # Kernels lose nothing that matters in half precision; variances could leave its range.
    state = {name: tensor.half() if tensor.ndim == 4 else tensor for name, tensor in state.items()}
    return write_atomically(path, safetensors.torch.save(state, metadata={"stemlib_fcn": settings}))


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
    output = output.float()
    logit, wanted = output[:, 0], targets[:, 0]
    positive = (wanted == 1).float()
    probability = torch.sigmoid(logit)
    hit = positive * (1 - probability) ** 2 * functional.logsigmoid(logit)
    miss = (1 - positive) * (1 - wanted) ** 4 * probability**2 * functional.logsigmoid(-logit)
    centres = -(targets[:, 6] * (hit + miss)).sum() / positive.sum().clamp(min=1)
    error = (output[:, 1:] - targets[:, 1:5]).abs() * targets[:, 5:6]
    weight = targets[:, 5].sum().clamp(min=1)
    return centres + (error[:, :2].sum() + 0.3 * error[:, 2:].sum()) / weight


def read_example(item):
    """Image and boxes of one training or validation example.

    Parameters
    ----------
    item : str or (numpy.ndarray (H, W) uint8, array_like (N, 4))
        Name of an image of `stemlib.datasets.loop_images`, taken with label set A; or image and boxes
        themselves.

    Returns
    -------
    image : numpy.ndarray, (H, W), uint8
    boxes : numpy.ndarray, (N, 4), float64
        Top, left, bottom, right, px.
    disputed : numpy.ndarray, (M, 4), float64, or None
        Loops that set B marks and A lacks; None where there is no set B.

    Raises
    ------
    ValueError, FileNotFoundError
        As `stemlib.datasets.fetch` and `stemlib.datasets.read_loop_labels`.

    Examples
    --------
    >>> image, boxes, disputed = read_example((np.zeros((64, 64), np.uint8), []))
    >>> boxes.shape
    (0, 4)
    """
    if isinstance(item, str):
        boxes, disputed = loops_of_teams(item)
        path = datasets.fetch(datasets.loop_images().loc[item, "path"])
        return micrograph.to_uint8(micrograph.read(path).image), boxes, disputed
    image, boxes = item
    return image, np.asarray(boxes, dtype=np.float64).reshape(-1, 4), None


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


def _batches(frames, seed, epoch, scales):
    """The crops of one epoch. Depends on seed and epoch alone, so that a resumed training sees the same."""
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(np.repeat(np.arange(len(frames)), CROPS_PER_IMAGE))
    for first in range(0, len(order), BATCH):
        crops, targets = [], []
        for at in order[first : first + BATCH]:
            frame, boxes, disputed = frames[at]
            crop, target = draw_crop(frame.astype(np.float32), boxes, rng, scales, disputed)
            crops.append(crop)
            targets.append(target)
        yield torch.from_numpy(np.stack(crops))[:, None], torch.from_numpy(np.stack(targets))


def _blend(mean, network, share):
    """Move the running mean of the weights by a share towards the network's."""
    with torch.no_grad():
        for kept, new in zip(mean.state_dict().values(), network.state_dict().values(), strict=True):
            if kept.is_floating_point():
                kept.lerp_(new, share)
            else:
                kept.copy_(new)


def train_fcn(
    images,
    *,
    out_folder,
    seed=0,
    epochs=80,
    widths=(24, 40, 56, 80, 112, 128),
    scales=(0.7, 1.4),
    start=None,
    precision="float32",
    device="auto",
    progress=True,
    after_epoch=None,
):
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
    seed : int
        Seed of the initial weights and the crops.
    epochs : int
        Passes over the images, at four crops an image; the learning rate rises and falls once over all.
    widths : sequence of int
        Channels of the network's levels; with `start`, those of its network stand.
    scales : tuple of float
        Between which factors the crops are scaled at random, even in the logarithm.
    start : str or pathlib.Path, optional
        Weights to go on from, such as the shipped ones, to adapt them to images of one's own; random by default.
    precision : {"float32", "bfloat16"}
        Arithmetic of the layers. bfloat16 halves the time on GPUs and on processors with AVX512-BF16 or AMX.
    device : str
        "auto" (a GPU where there is one), "cpu", "cuda", ...
    progress : bool
        Whether to show a progress bar.
    after_epoch : callable, optional
        Called with the number of epochs done and the path of the weights after each epoch.

    Returns
    -------
    pathlib.Path
        The weights: a safetensors file with threshold 0.3 until `stemlib.training.fcn_card.release_fcn` gives
        it the one chosen on validation images.

    Raises
    ------
    ValueError
        If there are no images, or `precision`, `epochs` or `device` is no good, or `out_folder` holds the
        state of a training with other settings.

    References
    ----------
    X. Zhou, D. Wang, P. Krähenbühl, "Objects as points" (2019), https://doi.org/10.48550/arXiv.1904.07850

    Examples
    --------
    >>> import tempfile
    >>> image, boxes = np.zeros((256, 256), np.uint8), np.zeros((0, 4))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = train_fcn([(image, boxes)], out_folder=folder, epochs=1, widths=(8, 8), progress=False)
    >>> path.name
    'loop_fcn.safetensors'
    """
    if precision not in ("float32", "bfloat16"):
        raise ValueError(f"precision={precision!r} must be 'float32' or 'bfloat16'")
    if epochs < 1:
        raise ValueError(f"epochs={epochs!r} must be at least 1")
    device = choose_device(device)
    frames = _frames(images)
    folder = Path(out_folder)
    torch.manual_seed(seed)
    network = CentreNet(widths) if start is None else copy.deepcopy(load_network(start)[0])
    network = network.to(device, memory_format=torch.channels_last)
    mean = copy.deepcopy(network)
    settings = {"seed": seed, "epochs": epochs, "scales": list(scales), "precision": precision}
    settings |= {"widths": list(network.widths), "images": len(frames), "start": start and str(start)}
    steps = -(-len(frames) * CROPS_PER_IMAGE // BATCH) * epochs
    optimiser = torch.optim.AdamW(network.parameters(), lr=_PEAK_RATE, weight_decay=_WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _PEAK_RATE, total_steps=steps, pct_start=0.1)
    parts = {"network": network, "mean": mean, "optimiser": optimiser, "schedule": schedule}
    state_path, weights_path = folder / "state.pt", folder / "loop_fcn.safetensors"
    history = []
    if state_path.exists():
        state = torch.load(state_path, map_location=device, weights_only=True)
        if state["settings"] != settings:
            raise ValueError(
                f"out_folder={str(folder)!r} holds a training with other settings ({state['settings']}, not "
                f"{settings}); another folder, or deleting its state.pt, would do"
            )
        history = state["history"]
        for name, part in parts.items():
            part.load_state_dict(state[name])
    bar = tqdm(total=epochs, initial=len(history), desc="fcn", unit="epoch", disable=not progress)
    with bar:
        for epoch in range(len(history), epochs):
            began, losses = time.perf_counter(), []
            network.train()
            for crops, targets in _batches(frames, seed, epoch, scales):
                crops = crops.to(device, memory_format=torch.channels_last)
                half = torch.autocast(device.type, torch.bfloat16) if precision == "bfloat16" else None
                with half or contextlib.nullcontext():
                    output = network(crops)
                value = loss(output, targets.to(device))
                optimiser.zero_grad(set_to_none=True)
                value.backward()
                nn.utils.clip_grad_norm_(network.parameters(), 10.0)
                optimiser.step()
                schedule.step()
                losses.append(value.item())
                done = schedule.last_epoch
                # Early on a mean over the last ninth of the steps: the first ones are soon forgotten.
                _blend(mean, network, max(1 - _MEMORY, 9 / (done + 9)))
            history.append([epoch, float(np.mean(losses)), round(time.perf_counter() - began, 1)])
            write_weights(weights_path, mean, 0.3)
            state = {name: part.state_dict() for name, part in parts.items()}
            state |= {"history": history, "settings": settings}
            write_atomically(state_path, lambda path, state=state: torch.save(state, path))
            lines = ["epoch,loss,seconds", *(",".join(map(str, row)) for row in history)]
            write_atomically(folder / "log.csv", "\n".join(lines) + "\n")
            bar.set_postfix(loss=f"{history[-1][1]:.2f}")
            bar.update()
            if after_epoch is not None:
                after_epoch(epoch + 1, weights_path)
    return weights_path
