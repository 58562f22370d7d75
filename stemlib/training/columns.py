"""Train the column network on random synthetic images alone."""

import numpy as np
from torch.nn import functional
from tqdm.auto import tqdm

from stemlib.columns.network import ColumnNetwork
from stemlib.training.column_scenes import training_example
from stemlib.training.optimisation import Optimisation, Recipe, Run, towards


def _loss(answers, targets, weights):
    """Cross-entropy, in the mean over what is asked."""
    summed = functional.binary_cross_entropy_with_logits(answers, targets, weight=weights, reduction="sum")
    return summed / weights.sum().clamp(min=1)


_RECIPE = Recipe(
    loss=_loss,
    peak_rate=3e-3,
    rising=0.1,
    weight_decay=0.01,
    largest_gradient=1.0,
    # Over the last 500 steps, or the last tenth where there are fewer yet.
    running_mean=lambda mean, new, done: towards(mean, new, max(1 - 0.998, 10 / (done + 10))),
)


def train_columns(*, steps=11000, batch=16, size=128, widths=(16, 32, 64), run=Run()):
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
    run : stemlib.training.optimisation.Run
        Seed, precision, device and progress.

    Returns
    -------
    stemlib.columns.network.ColumnNetwork
        The running mean of the weights, ready for inference, its threshold not yet chosen.

    Examples
    --------
    >>> network = train_columns(steps=1, batch=2, size=32, widths=(4, 4, 4), run=Run(device="cpu"))
    >>> network.training
    False
    """
    training = Optimisation(lambda: ColumnNetwork(widths), _RECIPE, max(steps, 2), run)
    with tqdm(total=steps, desc="columns", disable=not run.progress) as bar:
        for step in range(steps):
            # A generator for each step, so that what a step sees does not depend on how many went before.
            rng = np.random.default_rng([run.seed, step])
            examples = zip(*(training_example(rng, size) for _ in range(batch)), strict=True)
            loss = training.step(*(np.stack(part)[:, None] for part in examples))
            bar.update()
            if step % 50 == 0:
                bar.set_postfix(loss=f"{loss.item():.4f}", refresh=False)
    return training.mean
