"""Train the column network on random synthetic images alone."""

import copy

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from tqdm.auto import tqdm

from stemlib.columns.network import ColumnNetwork
from stemlib.io.weights import choose_device
from stemlib.training.column_scenes import training_example

_PEAK_RATE = 3e-3
_MEMORY = 0.998  # of the running mean of the weights, per step


def train_columns(
    *,
    steps=11000,
    batch=16,
    size=128,
    widths=(16, 32, 64),
    precision="float32",
    device="auto",
    seed=0,
    progress=False,
):
    """Train the column network; every step sees new images.

    Parameters
    ----------
    steps : int
        Steps of the optimiser.
    batch : int
        Images per step.
    size : int
        Side of an image, px.
    widths : sequence of int
        Channels of the network, see `stemlib.columns.network.ColumnNetwork`.
    precision : {"float32", "bfloat16"}
        Arithmetic of the layers; bfloat16 halves the time on GPUs and processors that know it.
    device : str
        "auto", "cpu", "cuda", ...
    seed : int
        Seed of every random choice.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    stemlib.columns.network.ColumnNetwork
        The running mean of the weights, ready for inference, its threshold not yet chosen.

    Raises
    ------
    ValueError
        If `precision` or `device` is no good.

    Examples
    --------
    >>> network = train_columns(steps=1, batch=2, size=32, widths=(4, 4, 4), device="cpu")
    >>> network.training
    False
    """
    if precision not in ("float32", "bfloat16"):
        raise ValueError(f"precision={precision!r} must be 'float32' or 'bfloat16'")
    device = choose_device(device)
    torch.manual_seed(seed)
    network = ColumnNetwork(widths).to(device, memory_format=torch.channels_last).train()
    mean = copy.deepcopy(network).eval()
    optimiser = torch.optim.AdamW(network.parameters(), lr=_PEAK_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, _PEAK_RATE, total_steps=max(steps, 2), pct_start=0.1
    )
    bar = tqdm(total=steps, desc="columns", disable=not progress)
    for step in range(steps):
        # A generator for each step, so that what a step sees does not depend on how many went before.
        rng = np.random.default_rng([seed, step])
        images, targets, weights = (
            torch.from_numpy(np.stack(part)[:, None]).to(device)
            for part in zip(*(training_example(rng, size) for _ in range(batch)), strict=True)
        )
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            answers = network(images.contiguous(memory_format=torch.channels_last))
        loss = functional.binary_cross_entropy_with_logits(
            answers.float(), targets, weight=weights, reduction="sum"
        ) / weights.sum().clamp(min=1)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        _blend(mean, network, max(1 - _MEMORY, 10 / (step + 10)))
        bar.update()
        if step % 50 == 0:
            bar.set_postfix(loss=f"{loss.item():.4f}", refresh=False)
    bar.close()
    return mean


def _blend(mean, network, share):
    """Move the running mean of the weights by a share towards the network's."""
    with torch.no_grad():
        theirs = network.state_dict()
        for name, tensor in mean.state_dict().items():
            if tensor.dtype.is_floating_point:
                tensor.lerp_(theirs[name], min(share, 1.0))
            else:
                tensor.copy_(theirs[name])
