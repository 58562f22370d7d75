"""What a network keeps of its training images, so that `stemlib.loops.likeness` can tell how like them an image is."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.covariance import LedoitWolf

from stemlib import datasets
from stemlib.loops.fcn import standardise
from stemlib.loops.likeness import distance, features
from stemlib.loops.tiling import resampled
from stemlib.training.images import read_example, usual_pixel


def remember_images(network, images) -> None:
    """Give a network the features of its training images, and how far from the others each of their series is.

    Parameters
    ----------
    network : CentreNet
        Changed in place.
    images : sequence of str, or of (image, boxes) pairs
        Those it was trained on, as `stemlib.training.fcn.train_fcn` takes them. Pairs are a series each.

    Examples
    --------
    >>> from stemlib.loops.fcn import CentreNet
    >>> rng = np.random.default_rng(0)
    >>> images = [(rng.integers(0, 256, (64, 64), dtype=np.uint8), []) for _ in range(4)]
    >>> network = CentreNet((8, 8)).eval()
    >>> remember_images(network, images)
    >>> sorted(network.settings["fit"])
    ['mean_log', 'spread_log']
    """
    rows = []
    for item in images:
        image = read_example(item)[0]
        reduced = resampled(np.float32(image), usual_pixel(image.shape))
        rows.append(features(network, standardise(reduced)))
    rows = np.array(rows)
    table = datasets.loop_images()
    series = np.array(
        [table.loc[i, "series"] if isinstance(i, str) else str(n) for n, i in enumerate(images)]
    )
    far = np.concatenate(
        [distance(rows[series == one], *_usual(rows[series != one])) for one in np.unique(series)]
    )
    centre, precision = _usual(rows)
    network.usual, network.precision = torch.from_numpy(centre).float(), torch.from_numpy(precision).float()
    network.settings["fit"] = {
        "mean_log": float(np.log(far).mean()),
        "spread_log": max(float(np.log(far).std()), 0.1),
    }


def _usual(rows):
    """Mean and inverse covariance, shrunk as far as so few images demand."""
    centre, spread = rows.mean(axis=0), rows.std(axis=0) + 1e-6
    shrunk = LedoitWolf().fit((rows - centre) / spread)
    return centre, shrunk.precision_ / np.outer(spread, spread)
