"""Module II: a convolutional network tells loops among Module I's candidates and says where exactly they lie."""

import cv2
import numpy as np
import torch
from torch import nn

from stemlib.io.weights import Network, convolution
from stemlib.weights import FOLDER

CROP = 48
CROP_CONTEXT = 1.5  # side of the crop over the side of the candidate's box
_CANDIDATE_TO_LOOP = 1 / 1.4  # the loop's share of the candidate's side: the network's zero for sizes
MOST_BEYOND = 1 / 3
_BATCH = 256
_HOPELESS = -4.0  # logit


class ScreeningNetwork(Network):
    """Seven convolutions from a crop to one logit and four numbers that refine the box.

    The settings that go with the weights, a calibration ``slope`` and ``offset`` of the logit and the ``threshold`` of
    probability above which a candidate counts, are its `settings`.
    """

    shipped = FOLDER / "loop_screening.safetensors"
    maker = "screening"

    def __init__(self, widths: tuple[int, ...] = (16, 32, 48, 64, 96, 96)):
        super().__init__(widths, slope=1.0, offset=0.0, threshold=0.5)
        a, b, c, d, e, f = widths
        self.features = nn.Sequential(
            *convolution(1, a, 5, stride=2),
            *convolution(a, b),
            nn.MaxPool2d(2),
            *convolution(b, c),
            *convolution(c, d),
            nn.MaxPool2d(2),
            *convolution(d, e),
            *convolution(e, f),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(f * (CROP // 16) ** 2, 96),
            nn.ReLU(inplace=True),
        )
        self.head = nn.Linear(96, 5)

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """Return (N, 5): logit, then shift of the centre and logarithm of the size, y before x."""
        return self.head(self.features(crops))


def screen(
    image: np.ndarray, boxes: np.ndarray, network: ScreeningNetwork, mask: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Give each candidate its probability of being a loop, and the box that the loop fills.

    Parameters
    ----------
    image : (H, W) uint8
        The working image in which Module I found the candidates.
    boxes : (N, 4) float
        Candidates, ``top, left, bottom, right``, px.
    network : ScreeningNetwork
    mask : (H, W) bool, optional
        True where the image is no filling.

    Returns
    -------
    probability : (N,) float
        That either of two labellers would call it a loop, calibrated on images that the network had not seen, of
        series that it knew. In series new to it, values between 0.2 and 0.8 are too high: see the card. 0 for what
        is mostly the image's `is_mirrored` edge.
    refined : (N, 4) float
        The loop's own extent, px.

    Examples
    --------
    >>> import numpy as np
    >>> boxes = np.array([[10.0, 10, 40, 40]])
    >>> probability, refined = screen(np.full((64, 64), 128, np.uint8), boxes, ScreeningNetwork.load())
    >>> probability.shape, refined.shape
    ((1,), (1, 4))

    References
    ----------
    Li, Field & Morgan, npj Comput. Mater. 4, 36 (2018), doi:10.1038/s41524-018-0093-8; box refinement after Girshick
    et al., CVPR 2014, doi:10.1109/CVPR.2014.81.
    """
    boxes = np.asarray(boxes, float).reshape(-1, 4)
    answers = network_answers(network, crops(image, boxes, mask=mask))
    settings = network.settings
    logit = settings["slope"] * answers[:, 0].astype(float) + settings["offset"]
    refined = apply_refinement(boxes, answers[:, 1:])
    return np.where(is_mirrored(refined, image.shape), 0.0, 1 / (1 + np.exp(-logit))), refined


def network_answers(network: ScreeningNetwork, patches: np.ndarray) -> np.ndarray:
    """Return the (N, 5) raw output for (N, CROP, CROP) float32 crops, in batches on the network's device.

    Candidates that are not hopeless are looked at a second time, turned by 180 degrees, and the mean is returned.
    """
    answers = _run(network, patches)
    likely = answers[:, 0] > _HOPELESS
    turned = _run(network, np.ascontiguousarray(patches[likely, ::-1, ::-1]))
    turned[:, 1:3] *= -1
    answers[likely] = (answers[likely] + turned) / 2
    return answers


def _run(network, patches):
    device = next(network.parameters()).device
    answers = [np.empty((0, 5), np.float32)]
    with torch.inference_mode():
        for start in range(0, len(patches), _BATCH):
            batch = torch.from_numpy(patches[start : start + _BATCH, None]).to(device)
            answers.append(network(batch).float().cpu().numpy())
    return np.concatenate(answers)


def crops(
    image: np.ndarray,
    boxes: np.ndarray,
    *,
    size: int = CROP,
    context: float = CROP_CONTEXT,
    mask: np.ndarray | None = None,
) -> np.ndarray:
    """Cut the surroundings of every box, resampled to one size, brightness as the crop's own, contrast as the image's.

    Parameters
    ----------
    image : (H, W) uint8
    boxes : (N, 4) float
        Square boxes ``top, left, bottom, right``, px.
    size : int
        Side of the result, px.
    context : float
        Side of what is cut out over the side of the box.
    mask : (H, W) bool, optional
        True where the image is no filling: what its contrast is taken from.

    Returns
    -------
    (N, size, size) float32
        Zero mean each; the image's robust standard deviation is 1.

    Examples
    --------
    >>> import numpy as np
    >>> crops(np.full((64, 64), 128, np.uint8), np.array([[10.0, 10, 40, 40]])).shape
    (1, 48, 48)
    """
    levels = [image]
    while min(levels[-1].shape) >= 2 * size:
        height, width = (side // 2 for side in levels[-1].shape)
        levels.append(
            cv2.resize(levels[-1][: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA)
        )
    half = levels[min(1, len(levels) - 1)]
    if mask is not None and not mask.all():
        shown = cv2.resize(mask.view(np.uint8), half.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
        half = half[shown] if shown.any() else half
    low, high = np.percentile(half, [16, 84])
    contrast = max((high - low) / 2, 1.0)
    patches = np.empty((len(boxes), size, size), np.float32)
    for patch, (top, left, bottom, right) in zip(patches, boxes, strict=True):
        scale = context * (bottom - top) / size
        # The level whose pixels are just finer than the crop's, so that nothing aliases.
        level = min(max(int(np.log2(max(scale, 1e-6)) + 0.3), 0), len(levels) - 1)
        step = scale / 2**level
        centre = (np.array([left + right, top + bottom]) / 2 + 0.5) / 2**level - 0.5
        corner = centre - step * (size - 1) / 2
        cv2.warpAffine(
            levels[level],
            np.array([[step, 0, corner[0]], [0, step, corner[1]]]),
            (size, size),
            dst=(cut := np.empty((size, size), np.uint8)),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        patch[:] = cut
        patch -= patch.mean()
    patches /= contrast
    return patches


def refinement_targets(boxes: np.ndarray, loops: np.ndarray) -> np.ndarray:
    """Return the (N, 4) numbers that turn each candidate's box into its loop's: the inverse of `apply_refinement`."""
    side = (boxes[:, 2:] - boxes[:, :2]).mean(axis=1, keepdims=True)
    shift = ((loops[:, :2] + loops[:, 2:]) - (boxes[:, :2] + boxes[:, 2:])) / 2 / side
    return np.hstack([shift, np.log((loops[:, 2:] - loops[:, :2]) / (side * _CANDIDATE_TO_LOOP))])


def apply_refinement(boxes: np.ndarray, refinement: np.ndarray) -> np.ndarray:
    """Move and resize (N, 4) candidates by the network's (N, 4) answers: shift over side, log of size over side."""
    side = (boxes[:, 2:] - boxes[:, :2]).mean(axis=1, keepdims=True)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 + side * np.clip(refinement[:, :2], -1, 1)
    half = side * _CANDIDATE_TO_LOOP * np.exp(np.clip(refinement[:, 2:], -2, 2)) / 2
    return np.hstack([centre - half, centre + half])


def is_mirrored(refined: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return which loops would lie beyond the image's edge by more than a third of their height or width.

    Modules I and II see the image continued by its mirror image. Whatever dark thing the edge cuts makes a closed
    figure there, centred on the edge, which looks like a loop. Of the detections on training images that reach so far
    out, annotators marked 2 % as loops; of those that reach out less, or not at all, about two thirds.

    Parameters
    ----------
    refined : (N, 4) float
        See `apply_refinement`, px.
    shape : tuple of int
        Height and width of the image, px.

    Returns
    -------
    (N,) bool

    Examples
    --------
    >>> import numpy as np
    >>> is_mirrored(np.array([[-10.0, 30, 10, 50], [-2.0, 30, 18, 50]]), (100, 100))
    array([ True, False])
    """
    refined = np.asarray(refined, float).reshape(-1, 4)
    last = np.asarray(shape, float) - 0.5
    beyond = np.maximum(-0.5 - refined[:, :2], refined[:, 2:] - last)
    return (beyond > MOST_BEYOND * (refined[:, 2:] - refined[:, :2])).any(axis=1)
