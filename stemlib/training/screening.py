"""Train Module II on candidates that Module I found in images it had not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from tqdm.auto import tqdm

from stemlib.io.weights import choose_device
from stemlib.loops.boxes import overlap
from stemlib.loops.candidates import detection_squares
from stemlib.loops.screening import CROP, CROP_CONTEXT, ScreeningNetwork, crops, refinement_targets

_MARGIN = 1.5  # side of a stored sample over the side of a crop: room for shifts and zooms


@dataclass(frozen=True, eq=False)
class Samples:
    """Candidates to learn from.

    Parameters
    ----------
    patches : (N, S, S) float32
        Surroundings, 1.5 times as wide as the network's crops.
    labels : (N,) float32
        1 for a loop, 0 for anything else.
    refinements : (N, 4) float32
        What the network should answer beside the logit; meaningless where the label is 0.
    """

    patches: np.ndarray
    labels: np.ndarray
    refinements: np.ndarray

    @staticmethod
    def join(parts: Sequence[Samples]) -> Samples:
        """Put the samples of several images together."""
        return Samples(
            *(np.concatenate([getattr(p, f) for p in parts]) for f in ("patches", "labels", "refinements"))
        )


def candidate_samples(
    image: np.ndarray,
    candidates: np.ndarray,
    loops: np.ndarray,
    window: int,
    disputed: np.ndarray | None = None,
) -> Samples:
    """Label Module I's candidates of one image by the human's loops.

    A candidate is a loop if it shares 0.4 of the union with the square that the detector should have answered, and
    something else below 0.25; what lies between teaches nothing and is left out, and so is what shares 0.25 or more
    with a disputed box alone.

    Parameters
    ----------
    image : (H, W) uint8
        Working image.
    candidates : (N, 4) float
        Module I's boxes, px.
    loops : (M, 4) float
        The human's boxes, px.
    window : int
        The cascade's window, px.
    disputed : (K, 4) float, optional
        Boxes that may or may not hold a loop, px.

    Returns
    -------
    Samples

    Examples
    --------
    >>> import numpy as np
    >>> image = np.full((100, 100), 128, np.uint8)
    >>> boxes = np.array([[10.0, 10, 40, 40], [60, 60, 90, 90]])
    >>> candidate_samples(image, boxes, boxes[:1] + [4, 4, -4, -4], 24).labels
    array([1., 0.], dtype=float32)
    """
    best, nearest = _best_overlap(candidates, loops, window)
    doubtful, _ = _best_overlap(candidates, np.empty((0, 4)) if disputed is None else disputed, window)
    used = (best >= 0.4) | (np.maximum(best, doubtful) < 0.25)
    candidates, best, nearest = candidates[used], best[used], nearest[used]
    targets = np.zeros((len(candidates), 4), np.float32)
    if len(loops):
        targets = refinement_targets(candidates, np.asarray(loops, float)[nearest]).astype(np.float32)
    patches = crops(image, candidates, size=round(CROP * _MARGIN), context=CROP_CONTEXT * _MARGIN)
    return Samples(patches, (best >= 0.4).astype(np.float32), targets)


def _best_overlap(candidates, boxes, window):
    """The largest intersection over union of each candidate with a box's detection square, and which box's."""
    if not len(boxes) or not len(candidates):
        return np.zeros(len(candidates)), np.zeros(len(candidates), int)
    shared = overlap(candidates, detection_squares(boxes, window))
    return shared.max(axis=1), shared.argmax(axis=1)


def train_screening(
    samples: Samples,
    *,
    epochs: int = 16,
    negatives_per_loop: float = 4.0,
    batch: int = 128,
    learning_rate: float = 3e-3,
    precision: str = "float32",
    device: str = "auto",
    seed: int = 0,
    progress: bool = False,
) -> ScreeningNetwork:
    """Train the screening network; calibration and threshold are left at their neutral values.

    Parameters
    ----------
    samples : Samples
        Candidates found by a Module I that had not seen their images.
    epochs : int
        Passes over all loops; each sees a fresh choice of the other candidates.
    negatives_per_loop : float
        How many other candidates a pass takes for each loop.
    batch : int
        Samples per step.
    learning_rate : float
        The peak of a one-cycle schedule.
    precision : {"float32", "bfloat16"}
        Arithmetic of the layers; bfloat16 halves the time on GPUs and processors that know it.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ...
    seed : int
        Seed of every random choice.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    ScreeningNetwork

    Raises
    ------
    ValueError
        If there is no loop, or nothing but loops, among the samples, or `precision` or `device` is no good.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> samples = Samples(
    ...     rng.normal(size=(8, 72, 72)).astype("f4"), np.tile([0, 1], 4).astype("f4"), np.zeros((8, 4), "f4")
    ... )
    >>> train_screening(samples, epochs=1).settings["threshold"]
    0.5

    References
    ----------
    Li, Field & Morgan, npj Comput. Mater. 4, 36 (2018), doi:10.1038/s41524-018-0093-8.
    """
    loops, others = np.flatnonzero(samples.labels == 1), np.flatnonzero(samples.labels == 0)
    if not len(loops) or not len(others):
        raise ValueError(
            f"samples must hold loops and others, got {len(loops)} loops and {len(others)} others"
        )
    if precision not in ("float32", "bfloat16"):
        raise ValueError(f"precision={precision!r} must be 'float32' or 'bfloat16'")
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    device = choose_device(device)
    network = ScreeningNetwork().to(device, memory_format=torch.channels_last).train()
    taken = min(len(others), int(negatives_per_loop * len(loops)))
    steps = epochs * -(-(len(loops) + taken) // batch)
    optimiser = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, learning_rate, total_steps=steps, pct_start=0.2)
    average = torch.optim.swa_utils.AveragedModel(network, avg_fn=_running_mean, use_buffers=True)
    bar = tqdm(total=steps, desc="screening", disable=not progress)
    for _ in range(epochs):
        chosen = rng.permutation(np.concatenate([loops, rng.choice(others, taken, replace=False)]))
        for start in range(0, len(chosen), batch):
            picks = chosen[start : start + batch]
            if len(picks) < 2:  # batch normalisation needs two
                schedule.step()
                continue
            patches, refinements = augment(samples.patches[picks], samples.refinements[picks], rng)
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
                answers = network(torch.from_numpy(patches[:, None]).to(device))
            labels = torch.from_numpy(samples.labels[picks]).to(device)
            loss = _loss(answers.float(), labels, torch.from_numpy(refinements).to(device))
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimiser.step()
            schedule.step()
            average.update_parameters(network)
            bar.update()
        bar.set_postfix(loss=f"{loss.item():.3f}")
    bar.close()
    return average.module.eval()


def _running_mean(mean, new, n):
    # Over the last 200 steps, or the last tenth where there are fewer yet.
    return mean + (new - mean) * max(1 / 200, 10 / (n + 10))


def _loss(answers, labels, refinements):
    loop = labels > 0
    screening = functional.binary_cross_entropy_with_logits(answers[:, 0], labels)
    if not loop.any():
        return screening
    return screening + 2 * functional.smooth_l1_loss(answers[loop, 1:], refinements[loop], beta=0.1)


def augment(
    patches: np.ndarray, refinements: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Mirror, turn by right angles, shift, zoom, and change contrast and noise; refinements follow.

    Parameters
    ----------
    patches : (N, S, S) float32
        Stored samples.
    refinements : (N, 4) float32
        Shift (y, x) and log size (y, x).
    rng : numpy.random.Generator

    Returns
    -------
    crops : (N, CROP, CROP) float32
    refinements : (N, 4) float32

    Examples
    --------
    >>> import numpy as np
    >>> crops, refinements = augment(
    ...     np.zeros((2, 72, 72), "f4"), np.zeros((2, 4), "f4"), np.random.default_rng(0)
    ... )
    >>> crops.shape
    (2, 48, 48)
    """
    n = len(patches)
    zoom = np.exp(rng.uniform(-0.18, 0.18, n)).astype(np.float32)
    shift = rng.uniform(-0.08, 0.08, (n, 2)).astype(np.float32)  # y, x over the candidate's side
    mirror = rng.choice(np.array([-1, 1], np.float32), (n, 2))
    swap = rng.random(n) < 0.5
    shifts = (refinements[:, :2] - shift) / zoom[:, None] * mirror
    sizes = refinements[:, 2:] - np.log(zoom)[:, None]
    shifts[swap], sizes[swap] = shifts[swap, ::-1], sizes[swap, ::-1]
    # From positions in the crop to positions in the stored sample, x before y as torch wants them.
    matrix = np.zeros((n, 2, 3), np.float32)
    along = (zoom / _MARGIN)[:, None] * mirror[:, ::-1]
    straight = ~swap
    matrix[straight, 0, 0], matrix[straight, 1, 1] = along[straight].T
    matrix[swap, 0, 1], matrix[swap, 1, 0] = along[swap].T
    matrix[:, :, 2] = shift[:, ::-1] * 2 / (CROP_CONTEXT * _MARGIN)
    grid = functional.affine_grid(torch.from_numpy(matrix), (n, 1, CROP, CROP), align_corners=False)
    cut = functional.grid_sample(
        torch.from_numpy(patches[:, None]), grid, padding_mode="reflection", align_corners=False
    )[:, 0].numpy()
    cut -= cut.mean(axis=(1, 2), keepdims=True)
    cut *= np.exp(rng.uniform(-0.35, 0.35, (n, 1, 1))).astype(np.float32)
    cut += rng.uniform(0, 0.25, (n, 1, 1)).astype(np.float32) * rng.standard_normal(cut.shape, np.float32)
    return cut, np.hstack([shifts, sizes]).astype(np.float32)
