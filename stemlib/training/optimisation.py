"""What the trainings of all networks share: where and how they run, and the steps that move the weights."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from stemlib.io.weights import choose_device


@dataclass(frozen=True)
class Run:
    """Where and how a training runs. Same run, same weights, on one machine and device.

    Parameters
    ----------
    seed : int
        Seed of every random choice.
    precision : {"float32", "bfloat16"}
        Arithmetic of a network's layers. bfloat16 halves the time on GPUs and on processors with AVX512-BF16 or AMX.
    device : str
        Of networks: "auto" (a GPU where there is one), "cpu", "cuda", ...
    n_threads : int
        Threads for mining and boosting; the weights do not depend on it.
    progress : bool
        Whether to show progress bars.

    Raises
    ------
    ValueError
        If `precision` or `device` is no good.

    Examples
    --------
    >>> Run(seed=3, device="cpu").precision
    'float32'
    """

    seed: int = 0
    precision: str = "float32"
    device: str = "auto"
    n_threads: int = 2
    progress: bool = False

    def __post_init__(self):
        if self.precision not in ("float32", "bfloat16"):
            raise ValueError(f"precision={self.precision!r} must be 'float32' or 'bfloat16'")
        choose_device(self.device)


@dataclass(frozen=True)
class Recipe:
    """How the weights of one kind of network are moved, by AdamW and a learning rate that rises and falls once.

    Parameters
    ----------
    loss : callable
        Takes what the network answers, as float32, and the targets of a step; returns one number.
    running_mean : callable
        Takes a tensor of the mean, the network's, and the number of steps before; returns the mean's next.
    peak_rate, rising : float
        The largest learning rate, and the share of the steps in which it rises.
    weight_decay, largest_gradient : float
        AdamW's, and the norm to which longer gradients are cut.
    """

    loss: Callable[..., torch.Tensor]
    running_mean: Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]
    peak_rate: float
    rising: float
    weight_decay: float
    largest_gradient: float


def towards(mean: torch.Tensor, new: torch.Tensor, share: float) -> torch.Tensor:
    """Return the mean moved by a share towards the new tensor; counts, which have no mean, are taken over."""
    return torch.lerp(mean, new, share) if mean.is_floating_point() else new


class Optimisation:
    """A network in training, and the running mean of its weights, which answers better than the last step alone.

    Parameters
    ----------
    build : callable
        Makes the network; called once the seed is set.
    recipe : Recipe
    steps : int
        How many there will be.
    run : Run
    """

    def __init__(self, build: Callable[[], nn.Module], recipe: Recipe, steps: int, run: Run):
        self._recipe, self._run = recipe, run
        self.device = choose_device(run.device)
        torch.manual_seed(run.seed)
        self.network = build().to(self.device, memory_format=torch.channels_last).train()
        self.mean = copy.deepcopy(self.network).eval()
        optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=recipe.peak_rate, weight_decay=recipe.weight_decay
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, recipe.peak_rate, total_steps=steps, pct_start=recipe.rising
        )
        self._parts = {
            "network": self.network,
            "mean": self.mean,
            "optimiser": optimiser,
            "schedule": schedule,
        }
        self._done = 0

    def step(self, inputs: np.ndarray, *targets: np.ndarray) -> torch.Tensor:
        """Learn from a batch (N, 1, H, W) with its targets; return the loss before."""
        inputs, *targets = (torch.from_numpy(array).to(self.device) for array in (inputs, *targets))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._run.precision == "bfloat16"):
            answers = self.network(inputs.contiguous(memory_format=torch.channels_last))
        loss = self._recipe.loss(answers.float(), *targets)
        self._parts["optimiser"].zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self._recipe.largest_gradient)
        self._parts["optimiser"].step()
        self.skip()
        with torch.no_grad():
            network = self.network.state_dict()
            for name, tensor in self.mean.state_dict().items():
                tensor.copy_(self._recipe.running_mean(tensor, network[name], self._done))
        self._done += 1
        return loss.detach()

    def skip(self) -> None:
        """Move the learning rate on as a step does, where there is nothing to learn from."""
        self._parts["schedule"].step()

    def state_dict(self) -> dict:
        """Return all that another object needs to go on from here."""
        return {"done": self._done} | {name: part.state_dict() for name, part in self._parts.items()}

    def load_state_dict(self, state: dict) -> None:
        """Go on from what `state_dict` returned."""
        self._done = state["done"]
        for name, part in self._parts.items():
            part.load_state_dict(state[name])
