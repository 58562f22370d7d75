"""The modern loop detector: one network sees the whole micrograph and says where loops are, and how large.

The network (`stemlib.loops.fcn`) gives for every 4 × 4 px how likely a loop has its centre there, the
logarithm of the height and width of its box, and where exactly the centre lies. Peaks of the centre map are
the loops: objects as points (Zhou, Wang & Krähenbühl, https://doi.org/10.48550/arXiv.1904.07850).
"""

import math

import cv2
import numpy as np
import torch
from skimage.measure import block_reduce
from torch import nn
from torch.nn import functional

from stemlib.io.grey import check_uint8
from stemlib.io.weights import Network, convolution
from stemlib.loops.boxes import suppress
from stemlib.weights import FOLDER

CELL = 4  # px of the network's input per cell of its output, along each axis
FRAME = 1024  # the network sees every image reduced, by a whole number, to about FRAME x FRAME px
SIZE_UNIT = 32.0  # frame px; the network's sizes are log(size / SIZE_UNIT), near 0 for a usual loop
SMALLEST_SIDE = 64  # px
# Scales of the frame over which centres and sizes are averaged, and their shares.
_SCALES = {1.0: 0.6, 0.75: 0.4}
_MAX_LOOPS = 2000
_OVERLAP = 0.45  # of two boxes with a larger intersection over union, the one with the lower score goes


class CentreNet(Network):
    """Network from a standardised frame to centre logit, log height, log width and the centre's offset.

    Parameters
    ----------
    widths : sequence of int
        Channels at each level; a level halves the resolution of the one before.

    Examples
    --------
    >>> import torch
    >>> CentreNet((8, 8)).eval()(torch.zeros(1, 1, 64, 64)).shape
    torch.Size([1, 5, 16, 16])
    """

    shipped = FOLDER / "loop_fcn.safetensors"
    maker = "fcn"

    def __init__(self, widths=(24, 40, 56, 80, 112, 128)):
        super().__init__(widths, threshold=0.5)
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
            convolution(self.widths[0], self.widths[0]), nn.Conv2d(self.widths[0], 5, 1)
        )
        # Centres are rare: starting at a probability of 2 % keeps the first steps from being spent on that.
        nn.init.constant_(self.head[-1].bias[:1], -4.0)

    @property
    def stride(self):
        """Frame pixels that the sides of the input must be a multiple of."""
        return CELL * 2 ** len(self.up)

    def forward(self, frame):
        """Map (N, 1, H, W) to (N, 5, H / 4, W / 4): centre logit, log height, log width, offsets y and x."""
        x = self.stem(frame)
        skips = []
        for level, layer in enumerate(self.down):
            x = layer(functional.max_pool2d(x, 2) if level else x)
            skips.append(x)
        skips.pop()
        for layer in reversed(self.up):
            x = layer(torch.cat([functional.interpolate(x, scale_factor=2.0), skips.pop()], dim=1))
        return self.head(x)


def reduction(shape):
    """Whole number by which an image of this shape is reduced before the network sees it.

    Parameters
    ----------
    shape : tuple of int
        Height and width, px.

    Returns
    -------
    int
        1 for 1024 × 1024 px, 2 for 2048 × 2048 px.

    Examples
    --------
    >>> reduction((1024, 1024)), reduction((2048, 2048)), reduction((256, 256))
    (1, 2, 1)
    """
    return max(1, round((shape[0] * shape[1]) ** 0.5 / FRAME))


def to_frame(image):
    """Reduce an image by means over blocks and standardise it by its own percentiles.

    Parameters
    ----------
    image : numpy.ndarray, (H, W), uint8
        As `stemlib.io.micrograph.to_uint8` gives it.

    Returns
    -------
    numpy.ndarray, (H / r, W / r), float32
        r = `reduction(image.shape)`; median 0, half the distance from the 16th to the 84th percentile 1, cut
        off at ±4.

    Examples
    --------
    >>> import numpy as np
    >>> to_frame(np.full((2048, 2048), 128, np.uint8)).shape
    (1024, 1024)
    """
    step = reduction(image.shape)
    padded = np.pad(image, [(0, -side % step) for side in image.shape], mode="edge")
    frame = block_reduce(padded, step, np.mean, func_kwargs={"dtype": np.float32})
    low, middle, high = np.percentile(frame, [16, 50, 84])
    return np.clip((frame - middle) / max((high - low) / 2, 1.0), -4, 4).astype(np.float32)


def _maps(network, frame, views=range(8)):
    """Arrays over the cells: centre probability, height and width (frame px), offsets y and x (cells)."""
    cells = [-(-side // CELL) for side in frame.shape]
    mean = torch.zeros(3, *cells)
    for scale, share in _SCALES.items():
        if scale == 1:
            maps = _mean_of_views(network, frame, views)
            offsets = maps[3:]
        else:
            smaller = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            maps = _mean_of_views(network, smaller, views)
            maps = functional.interpolate(maps[None], size=cells, mode="bilinear")[0]
            maps[1:3] -= math.log(scale)
        mean += share * maps[:3]
    logit, log_h, log_w = mean.numpy()
    size = np.exp(np.clip([log_h, log_w], -4, 4)) * SIZE_UNIT
    return 1 / (1 + np.exp(-logit)), size[0], size[1], *offsets.numpy()


def _mean_of_views(network, frame, views):
    """Mean answer over rotations and mirror images of the frame, turned back: (5, h, w) on the CPU."""
    padded = np.pad(frame, [(0, -side % network.stride) for side in frame.shape])
    whole = torch.from_numpy(padded)[None, None].to(next(network.parameters()).device)
    total = 0
    for view in views:
        turns, mirrored = view % 4, view >= 4
        turned = torch.rot90(whole.flip(-1) if mirrored else whole, turns, (-2, -1)).contiguous()
        with torch.inference_mode():
            out = network(turned.to(memory_format=torch.channels_last)).float()
        total = total + _turn_back(out, turns, mirrored)
    # Padding is no place for a centre.
    height, width = [-(-side // CELL) for side in frame.shape]
    return (total[0] / len(views))[:, :height, :width].cpu().clone()


def _turn_back(out, turns, mirrored):
    """Undo a view: rotate the maps back, swap height and width where the axes were, and turn the offsets."""
    out = torch.rot90(out, -turns, (-2, -1))
    logit, log_h, log_w, dy, dx = out.unbind(1)
    # rot90 by one turn takes (y, x) to (-x, y): the offset found is turned back the other way.
    for _ in range(turns):
        log_h, log_w, dy, dx = log_w, log_h, dx, -dy
    out = torch.stack([logit, log_h, log_w, dy, dx], 1)
    if mirrored:
        out = out.flip(-1)
        out[:, 4] = -out[:, 4]
    return out


def detect_fcn(image, network, *, threshold=None):
    """Find loops in a bright-field micrograph with the fully convolutional detector.

    The image is reduced by a whole number to about 1024 × 1024 px, as all images were in training, so one of
    2048 × 2048 px costs little more than one of 1024 × 1024 px.

    Parameters
    ----------
    image : numpy.ndarray, (H, W), uint8
        As `stemlib.io.micrograph.to_uint8` gives it; at least 64 × 64 px.
    network : CentreNet
        Its answer is averaged over the eight rotations and mirror images.
    threshold : float, optional
        Lowest score of a loop, in 0..1. By default the network's own, chosen on validation images.

    Returns
    -------
    boxes : numpy.ndarray, (N, 4), float64
        Top, left, bottom, right in px (pixel-centre coordinates), best first. Clipped to the image.
    scores : numpy.ndarray, (N,), float64
        In 0..1; an order of trust, not a calibrated probability.

    Raises
    ------
    TypeError
        If the image is not an array of uint8.
    ValueError
        If it is not 2-D or smaller than 64 × 64 px, or the threshold is no good.

    References
    ----------
    X. Zhou, D. Wang, P. Krähenbühl, "Objects as points" (2019), https://doi.org/10.48550/arXiv.1904.07850

    Examples
    --------
    >>> import numpy as np
    >>> boxes, scores = detect_fcn(np.full((256, 256), 128, np.uint8), CentreNet.load())
    >>> boxes.shape, scores.shape
    ((0, 4), (0,))
    """
    check_uint8(image)
    if min(image.shape) < SMALLEST_SIDE:
        raise ValueError(
            f"image is {image.shape[0]} x {image.shape[1]} px; at least {SMALLEST_SIDE} px a side would do"
        )
    threshold = network.settings["threshold"] if threshold is None else threshold
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold={threshold!r} must lie in 0..1")
    heat, tall, wide, dy, dx = _maps(network, to_frame(image))
    highest = functional.max_pool2d(torch.from_numpy(heat)[None], 3, stride=1, padding=1)[0].numpy()
    row, column = np.nonzero((heat == highest) & (heat >= max(threshold, 1e-6)))
    at = (row, column)
    scores = heat[at].astype(float)
    step = reduction(image.shape)
    # From cells to frame px to image px, all counted from the centre of the first one.
    y = ((row + dy[at] + 0.5) * CELL) * step - 0.5
    x = ((column + dx[at] + 0.5) * CELL) * step - 0.5
    half_h, half_w = tall[at] * step / 2, wide[at] * step / 2
    boxes = np.stack([y - half_h, x - half_w, y + half_h, x + half_w], axis=1).astype(float)
    best = np.argsort(-scores, kind="stable")[:_MAX_LOOPS]
    keep = best[suppress(boxes[best], scores[best], most_overlap=_OVERLAP)]
    return np.clip(boxes[keep], 0, np.array(image.shape * 2) - 1.0), scores[keep]
