"""The modern loop detector: one network sees the whole micrograph and says where loops are, and how large.

The network (`stemlib.loops.fcn`) gives for every 4 × 4 px how likely a loop has its centre there, the
logarithm of the height and width of its box, and where exactly the centre lies. Peaks of the centre map are
the loops: objects as points (Zhou, Wang & Krähenbühl, https://doi.org/10.48550/arXiv.1904.07850).
"""

import math

import cv2
import numpy as np
import torch
from scipy import special
from torch import nn
from torch.nn import functional
from tqdm.auto import tqdm

from stemlib.io.grey import check_uint8
from stemlib.io.weights import Network, convolution
from stemlib.loops.boxes import suppress
from stemlib.loops.scale import octave_and_share
from stemlib.loops.tiling import count_tiles, tiles
from stemlib.weights import FOLDER

CELL = 4  # px of the network's input per cell of its output, along each axis
SIZE_UNIT = 32.0  # frame px; the network's sizes are log(size / SIZE_UNIT), near 0 for a usual loop
SMALLEST_SIDE = 64  # px
_PATIENCE = 5.0  # s after which a progress bar shows
_OVERLAP = 0.45  # of two boxes with a larger intersection over union, the one with the lower score goes


class CentreNet(Network):
    """Network from a standardised frame to centre logit, log height, log width and the centre's offset.

    Parameters
    ----------
    widths : sequence of int
        Channels at each level; a level halves the resolution of the one before.
    kinds : sequence of str
        What it tells apart; each has its centre logit, and all share sizes and offsets.

    Examples
    --------
    >>> import torch
    >>> CentreNet((8, 8)).eval()(torch.zeros(1, 1, 64, 64)).shape
    torch.Size([1, 5, 16, 16])
    """

    shipped = FOLDER / "loop_fcn.safetensors"
    optional = ("usual", "precision")  # what is known of the training images
    maker = "fcn"

    architecture = ("widths", "kinds")

    def __init__(self, widths=(24, 40, 56, 80, 112, 128), kinds=("loop",)):
        super().__init__(widths, kinds=list(kinds), threshold=0.5)
        self.stem = nn.Sequential(
            convolution(1, 16, size=5, stride=2), convolution(16, self.widths[0], stride=2)
        )
        inputs = self.widths[:1] + self.widths[:-1]
        self.down = nn.ModuleList(
            nn.Sequential(convolution(a, b), convolution(b, b))
            for a, b in zip(inputs, self.widths, strict=True)
        )
        self.up = nn.ModuleList(
            convolution(a + b, a) for a, b in zip(self.widths[:-1], self.widths[1:], strict=True)
        )
        self.head = nn.Sequential(
            convolution(self.widths[0], self.widths[0]), nn.Conv2d(self.widths[0], len(kinds) + 4, 1)
        )
        n_features = 2 * self.widths[min(2, len(self.widths) - 1)]
        self.register_buffer("usual", torch.zeros(n_features))
        self.register_buffer("precision", torch.zeros(n_features, n_features))
        # Centres are rare: starting at a probability of 2 % keeps the first steps from being spent on that.
        nn.init.constant_(self.head[-1].bias[: len(kinds)], -4.0)

    @property
    def thresholds(self):
        """The score of each kind from which on it counts; one number in the settings holds for all."""
        chosen = self.settings["threshold"]
        return chosen if isinstance(chosen, dict) else dict.fromkeys(self.settings["kinds"], chosen)

    @property
    def stride(self):
        """Frame pixels that the sides of the input must be a multiple of."""
        return CELL * 2 ** len(self.up)

    def forward(self, frame):
        """Map (N, 1, H, W) to (N, K + 4, H / 4, W / 4): K centre logits, log height, log width, offsets y and x."""
        x = self.stem(frame)
        skips = []
        for level, layer in enumerate(self.down):
            x = layer(functional.max_pool2d(x, 2) if level else x)
            skips.append(x)
        skips.pop()
        for layer in reversed(self.up):
            x = layer(torch.cat([functional.interpolate(x, scale_factor=2.0), skips.pop()], dim=1))
        return self.head(x)


def standardise(frame, seen=None):
    """Standardise grey values by their own percentiles, of which a bright hole or a dark particle moves none much.

    Parameters
    ----------
    frame : numpy.ndarray, (H, W)
    seen : numpy.ndarray of bool, (H, W), optional
        Where the percentiles are taken; by default everywhere.

    Returns
    -------
    numpy.ndarray, (H, W), float32
        Median 0, half the distance from the 16th to the 84th percentile 1, cut off at ±4.

    Examples
    --------
    >>> import numpy as np
    >>> standardise(np.arange(6.0).reshape(2, 3))[0, 0] < 0
    np.True_
    """
    low, middle, high = np.percentile(frame if seen is None else frame[seen], [16, 50, 84])
    return np.clip((frame - middle) / max((high - low) / 2, 1.0), -4, 4).astype(np.float32)


def _maps(network, frame, views, share=0.0):
    """Arrays over the cells of a padded frame: K centre probabilities, height and width (frame px), two offsets."""
    n_kinds, cells = len(network.settings["kinds"]), [side // CELL for side in frame.shape]
    maps = _mean_of_views(network, frame, views)
    mean, offsets = maps[: n_kinds + 2], maps[n_kinds + 2 :]
    if share > 0:
        half = cv2.resize(frame, (frame.shape[1] // 2, frame.shape[0] // 2), interpolation=cv2.INTER_AREA)
        coarse, before = padded(half, network.stride)
        coarse = _mean_of_views(network, coarse, views)[: n_kinds + 2]
        (top, left), (height, width) = (
            (edge // CELL for edge in before),
            (side // CELL for side in half.shape),
        )
        coarse = coarse[:, top : top + height, left : left + width]
        coarse = functional.interpolate(coarse[None], size=cells, mode="bilinear")[0]
        coarse[n_kinds:] += math.log(2)
        mean = torch.lerp(mean, coarse, share)
    logit, log_size = mean[:n_kinds].numpy(), mean[n_kinds:].numpy()
    return 1 / (1 + np.exp(-logit)), np.exp(np.clip(log_size, -4, 4)) * SIZE_UNIT, offsets.numpy()


def padded(frame, multiple):
    """Pad a frame evenly on both sides with its median, 0, so that each side is a multiple of a number.

    Returns
    -------
    frame : numpy.ndarray, (H, W)
    before : tuple of int
        Rows above and columns to the left that were added.

    Examples
    --------
    >>> import numpy as np
    >>> padded(np.ones((10, 12)), 8)[1]
    (3, 2)
    """
    missing = [-side % multiple for side in frame.shape]
    before = tuple(gap // 2 for gap in missing)
    return np.pad(frame, [(a, gap - a) for a, gap in zip(before, missing, strict=True)]), before


def _mean_of_views(network, frame, views):
    """Mean answer over rotations and mirror images of the frame, turned back: (K + 4, h, w) on the CPU."""
    whole = torch.from_numpy(frame)[None, None].to(next(network.parameters()).device)
    total = 0
    for view in views:
        turns, mirrored = view % 4, view >= 4
        turned = torch.rot90(whole.flip(-1) if mirrored else whole, turns, (-2, -1)).contiguous()
        with torch.inference_mode():
            out = network(turned.to(memory_format=torch.channels_last)).float()
        total = total + _turn_back(out, turns, mirrored)
    return (total[0] / len(views)).cpu().clone()


def _turn_back(out, turns, mirrored):
    """Undo a view: rotate the maps back, swap height and width where the axes were, and turn the offsets."""
    out = torch.rot90(out, -turns, (-2, -1))
    logits, (log_h, log_w, dy, dx) = out[:, :-4], out[:, -4:].unbind(1)
    # rot90 by one turn takes (y, x) to (-x, y): the offset found is turned back the other way.
    for _ in range(turns):
        log_h, log_w, dy, dx = log_w, log_h, dx, -dy
    out = torch.cat([logits, torch.stack([log_h, log_w, dy, dx], 1)], 1)
    if mirrored:
        out = out.flip(-1)
        out[:, -1] = -out[:, -1]
    return out


def detect_fcn(image, network, *, pixel=1.0, thresholds=None, mask=None, views=range(8)):
    """Find loops in a bright-field micrograph with the fully convolutional detector.

    Parameters
    ----------
    image : numpy.ndarray, (H, W), uint8
        As `stemlib.io.micrograph.to_uint8` gives it; at least 64 × 64 px.
    network : CentreNet
        Its answer is averaged over the eight rotations and mirror images, so that it does not depend on them.
    pixel : float
        Size of the network's px, px of the image; see `stemlib.loops.scale`.
    thresholds : dict, optional
        Of each kind that is sought, its lowest score, in 0..1. By default the network's own, chosen on validation
        images, of all its kinds.
    mask : numpy.ndarray of bool, (H, W), optional
        True where to look.
    views : sequence of int
        Of the eight, those to average over.

    Returns
    -------
    boxes : numpy.ndarray, (N, 4), float64
        Top, left, bottom, right in px (pixel-centre coordinates), best first. Clipped to the image.
    scores : numpy.ndarray, (N, K), float64
        Of each of the network's kinds, in 0..1; an order of trust, not a calibrated probability.

    Raises
    ------
    TypeError
        If the image is not an array of uint8.
    ValueError
        If it is not 2-D or smaller than 64 × 64 px, or a threshold or a kind is no good.

    References
    ----------
    X. Zhou, D. Wang, P. Krähenbühl, "Objects as points" (2019), https://doi.org/10.48550/arXiv.1904.07850

    Examples
    --------
    >>> import numpy as np
    >>> boxes, scores = detect_fcn(np.full((256, 256), 128, np.uint8), CentreNet.load())
    >>> len(boxes), len(scores)
    (0, 0)
    """
    check_uint8(image)
    if min(image.shape) < SMALLEST_SIDE:
        raise ValueError(
            f"image is {image.shape[0]} x {image.shape[1]} px; at least {SMALLEST_SIDE} px a side would do"
        )
    least = _least_scores(network, thresholds)
    octave, share = octave_and_share(pixel)
    parts = tqdm(
        tiles(image, octave, mask),
        total=count_tiles(image.shape, octave),
        desc="find_loops",
        unit="tile",
        delay=_PATIENCE,
    )
    found = [_in_tile(network, tile, least, views, share) for tile in parts]
    boxes = np.concatenate([np.empty((0, 4)), *(boxes for boxes, _ in found)])
    scores = np.concatenate([np.empty((0, len(least))), *(scores for _, scores in found)])
    # Every kind keeps its own peaks: where kinds compete, whoever knows what is sought decides.
    rows = [of_kind(boxes, scores[:, number], limit) for number, limit in enumerate(least)]
    keep = np.unique(np.concatenate([np.empty(0, int), *rows]))
    keep = keep[np.argsort(-margins(scores[keep], least).max(axis=1, initial=-np.inf), kind="stable")]
    return np.clip(boxes[keep], 0, np.array(image.shape * 2) - 1.0), scores[keep]


def of_kind(boxes, scores, least):
    """Return the rows of the boxes of one kind, best first: of those on one object only the best is kept.

    Parameters
    ----------
    boxes : numpy.ndarray, (N, 4)
    scores : numpy.ndarray, (N,)
        Of that kind.
    least : float
        The lowest score that counts.

    Returns
    -------
    numpy.ndarray of int, (M,)

    Examples
    --------
    >>> import numpy as np
    >>> of_kind(np.array([[0.0, 0, 9, 9], [0, 1, 9, 10], [40, 40, 60, 60]]), np.array([0.5, 0.9, 0.1]), 0.2)
    array([1])
    """
    return suppress(boxes, scores, scores >= least, most_overlap=_OVERLAP)


def margins(scores, thresholds):
    """Return by how much scores exceed thresholds, as differences of their logits; -inf where nothing is sought.

    Parameters
    ----------
    scores : numpy.ndarray, (N, K)
    thresholds : numpy.ndarray, (K,)
        infinite for kinds that are not sought.

    Returns
    -------
    numpy.ndarray, (N, K)

    Examples
    --------
    >>> import numpy as np
    >>> margins(np.array([[0.5, 0.9]]), np.array([0.5, np.inf]))
    array([[  0., -inf]])
    """
    sought = np.isfinite(thresholds)
    logit, least = (special.logit(np.clip(p, 1e-9, 1 - 1e-9)) for p in (scores, thresholds[sought]))
    out = np.full(scores.shape, -np.inf)
    out[:, sought] = logit[:, sought] - least
    return out


def _least_scores(network, thresholds):
    known = network.settings["kinds"]
    thresholds = network.thresholds if thresholds is None else thresholds
    for kind, value in thresholds.items():
        if kind not in known:
            raise ValueError(f"thresholds names the kind {kind!r}; the network knows {known}")
        if not 0 <= value <= 1:
            raise ValueError(f"thresholds={thresholds!r} must lie in 0..1")
    return np.array([max(thresholds.get(kind, np.inf), 1e-6) for kind in known])


def _in_tile(network, tile, least, views, share):
    """Boxes (px of the image) and scores of the peaks in what a tile answers for."""
    frame, before = padded(standardise(tile.frame, tile.seen), network.stride)
    heat, size, offset = _maps(network, frame, views, share)
    highest = functional.max_pool2d(torch.from_numpy(heat)[None], 3, stride=1, padding=1)[0].numpy()
    kind, row, column = np.nonzero((heat == highest) & (heat >= least[:, None, None]))
    # A cell may be the peak of several kinds.
    row, column = np.unique(np.stack([row, column]), axis=1)
    centre = np.stack([row, column]) + offset[:, row, column] + 0.5
    centre = (centre * CELL - np.array(before)[:, None]) * tile.pixel[:, None] + tile.origin[:, None]
    half = size[:, row, column] * tile.pixel[:, None] / 2
    boxes = np.concatenate([centre - half, centre + half]).T - 0.5
    on_frame = ((boxes[:, :2] + boxes[:, 2:]) / 2 + 0.5 - tile.origin) / tile.pixel
    inside = ((on_frame > 0) & (on_frame < tile.frame.shape)).all(axis=1) & tile.answers_for(*centre)
    return boxes[inside].astype(float), heat[:, row, column].T[inside].astype(float)
