"""How like the images that a network was trained on an image is, by what the network's first levels make of it."""

from __future__ import annotations

import numpy as np
import torch
from scipy import stats
from torch.nn import functional

_LEVEL = 2  # of the network: textures and outlines, before anything is a loop
_REACH = 3  # cells of that level that one of them sees on each side
UNLIKE = 0.01  # share of images from series left out that would be as unlike


def features(network, frame, seen=None) -> np.ndarray | None:
    """Return mean and standard deviation over the frame of each channel of one level.

    Parameters
    ----------
    network : CentreNet
    frame : (H, W) float32
        Standardised, at the network's scale.
    seen : (H, W) bool, optional
        Where it is no filling.

    Returns
    -------
    (F,) float64, or None
        None where nothing is seen in one piece.

    Examples
    --------
    >>> from stemlib.loops.fcn import CentreNet
    >>> features(CentreNet((8, 8)).eval(), np.zeros((64, 64), np.float32)).shape
    (16,)
    """
    level = min(_LEVEL, len(network.widths) - 1)
    multiple = 4 * 2**level
    height, width = (max(side - side % multiple, 1) for side in frame.shape)
    whole = torch.from_numpy(np.ascontiguousarray(frame[:height, :width]))[None, None]
    with torch.inference_mode():
        x = network.stem(whole.to(next(network.parameters()).device))
        for number, layer in enumerate(network.down[: level + 1]):
            x = layer(functional.max_pool2d(x, 2) if number else x)
    x = x[0].flatten(1).double().cpu().numpy()
    if seen is not None and not seen.all():
        share = torch.from_numpy(seen[:height, :width].astype(np.float32))[None]
        # The cells beside a filling have seen it too.
        whole = (
            -functional.max_pool2d(-functional.avg_pool2d(share, multiple), 3, 1, 1).flatten().numpy() == 1
        )
        if not whole.any():
            return None
        x = x[:, whole]
    return np.concatenate([x.mean(axis=1), x.std(axis=1)])


def distance(features, centre, precision) -> np.ndarray:
    """Return Mahalanobis distances from the training images, over the square root of the number of features.

    Parameters
    ----------
    features : (..., F) float
    centre : (F,) float
    precision : (F, F) float

    Returns
    -------
    (...) float

    Examples
    --------
    >>> float(distance(np.array([2.0, 2.0]), np.zeros(2), np.eye(2)))
    2.0
    """
    off = features - centre
    return np.sqrt(np.einsum("...i,ij,...j->...", off, precision, off) / len(centre))


def fit_of(network, frame, seen=None) -> float | None:
    """Return the share of images of series not trained on that are at least as unlike the training images.

    The distribution of deep features, which needs no labels, says where a detector's scores hold.

    Parameters
    ----------
    network : CentreNet
        With what `stemlib.training.fcn_release` knows of its training images.
    frame, seen : (H, W) float32 and bool
        See `features`.

    Returns
    -------
    float or None
        0..1; None where nothing is known of the training images, or too little is seen of this one.

    References
    ----------
    Li et al., Digital Discovery (2025), doi:10.1039/D4DD00351A; distance after Lee et al., NeurIPS (2018),
    doi:10.48550/arXiv.1807.03888.

    Examples
    --------
    >>> from stemlib.loops.fcn import CentreNet
    >>> fit_of(CentreNet((8, 8)).eval(), np.zeros((64, 64), np.float32)) is None
    True
    """
    known = network.settings.get("fit")
    if known is None:
        return None
    centre, precision = (getattr(network, name).double().cpu().numpy() for name in ("usual", "precision"))
    its = features(network, frame, seen)
    if its is None:
        return None
    far = distance(its, centre, precision)
    return float(stats.norm.sf((np.log(far) - known["mean_log"]) / known["spread_log"]))
