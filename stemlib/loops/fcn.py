"""The modern loop detector: one network sees the whole micrograph and says where loops are, and how large.

The network (`stemlib.loops.fcn`) gives for every 4 × 4 px how likely a loop has its centre there, the
logarithm of the height and width of its box, and where exactly the centre lies. Peaks of the centre map are
the loops: objects as points (Zhou, Wang & Krähenbühl, https://doi.org/10.48550/arXiv.1904.07850).
"""

import math

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from stemlib.io.weights import load_weights
from stemlib.loops.boxes import overlap
from stemlib.weights import FOLDER

FRAME = 1024  # the network sees every image reduced, by a whole number, to about FRAME x FRAME px
SIZE_UNIT = 32.0  # frame px; the network's sizes are log(size / SIZE_UNIT), near 0 for a usual loop
SMALLEST_SIDE = 64  # px
# Scales of the frame over which centres and sizes are averaged, and their shares.
_SCALES = {1.0: 0.6, 0.75: 0.4}
_MAX_LOOPS = 2000
_OVERLAP = 0.45  # of two boxes with a larger intersection over union, the one with the lower score goes


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
    height, width = padded.shape
    blocks = padded.reshape(height // step, step, width // step, step)
    frame = blocks.mean(axis=(1, 3), dtype=np.float32)
    low, middle, high = np.percentile(frame, [16, 50, 84])
    return np.clip((frame - middle) / max((high - low) / 2, 1.0), -4, 4).astype(np.float32)


def _maps(network, frame, device, views):
    """Arrays over the cells: centre probability, height and width (frame px), offsets y and x (cells)."""
    cells = [-(-side // CELL) for side in frame.shape]
    mean = torch.zeros(3, *cells)
    for scale, share in _SCALES.items():
        if scale == 1:
            maps = _mean_of_views(network, frame, device, views)
            offsets = maps[3:]
        else:
            smaller = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            maps = _mean_of_views(network, smaller, device, views)
            maps = functional.interpolate(maps[None], size=cells, mode="bilinear")[0]
            maps[1:3] -= math.log(scale)
        mean += share * maps[:3]
    logit, log_h, log_w = mean.numpy()
    size = np.exp(np.clip([log_h, log_w], -4, 4)) * SIZE_UNIT
    return 1 / (1 + np.exp(-logit)), size[0], size[1], *offsets.numpy()


def _mean_of_views(network, frame, device, views):
    """Mean answer over rotations and mirror images of the frame, turned back: (5, h, w) on the CPU."""
    padded = np.pad(frame, [(0, -side % network.stride) for side in frame.shape])
    whole = torch.from_numpy(padded)[None, None].to(device)
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


def _suppress(boxes, scores):
    """Positions of the boxes to keep, best first (greedy non-maximum suppression)."""
    order = np.argsort(-scores, kind="stable")[:_MAX_LOOPS]
    kept = []
    while order.size:
        best, rest = order[0], order[1:]
        kept.append(best)
        order = rest[overlap(boxes[best : best + 1], boxes[rest])[0] <= _OVERLAP]
    return np.array(kept, dtype=int)


def detect_fcn(image, *, weights=None, threshold=None, device="auto", views=8):
    """Find loops in a bright-field micrograph with the fully convolutional detector.

    The image is reduced by a whole number to about 1024 × 1024 px, as all images were in training, so one of
    2048 × 2048 px costs little more than one of 1024 × 1024 px.

    Parameters
    ----------
    image : numpy.ndarray, (H, W), uint8
        As `stemlib.io.micrograph.to_uint8` gives it; at least 64 × 64 px.
    weights : str or pathlib.Path, optional
        A safetensors file written by `stemlib.training.fcn`. The shipped one by default.
    threshold : float, optional
        Lowest score of a loop, in 0..1. By default the one that the weight file carries.
    device : str
        "auto" (a GPU where there is one), "cpu", "cuda", ...
    views : int
        Over how many of the eight rotations and mirror images the network's answer is averaged, 1 to 8.
        Fewer are faster and a little less right.

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
        If it is not 2-D or smaller than 64 × 64 px, or if another argument or the weight file is no good.
    FileNotFoundError
        If the weight file does not exist.

    References
    ----------
    X. Zhou, D. Wang, P. Krähenbühl, "Objects as points" (2019), https://doi.org/10.48550/arXiv.1904.07850

    Examples
    --------
    >>> import numpy as np
    >>> boxes, scores = detect_fcn(np.full((256, 256), 128, np.uint8), device="cpu")
    >>> boxes.shape, scores.shape
    ((0, 4), (0,))
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        kind = f"an array of {image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__
        raise TypeError(
            f"image must be an array of uint8, as stemlib.io.micrograph.to_uint8 gives it, not {kind}"
        )
    if image.ndim != 2 or min(image.shape) < SMALLEST_SIDE:
        raise ValueError(
            f"image has shape {image.shape}; 2-D and at least {SMALLEST_SIDE} x {SMALLEST_SIDE} px would do"
        )
    if views not in range(1, 9):
        raise ValueError(f"views={views!r} must be a whole number from 1 to 8")
    network, stored = load_network(weights, device)
    threshold = stored if threshold is None else threshold
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold={threshold!r} must lie in 0..1")
    heat, tall, wide, dy, dx = _maps(
        network, to_frame(image), next(network.parameters()).device, range(views)
    )
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
    keep = _suppress(boxes, scores)
    limits = np.array([image.shape[0] - 1, image.shape[1] - 1] * 2, dtype=float)
    return np.clip(boxes[keep], 0, limits), scores[keep]


WEIGHTS = FOLDER / "loop_fcn.safetensors"
CELL = 4  # px of the network's input per cell of its output, along each axis


def _convolution(channels_in, channels_out, size=3, stride=1):
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


class CentreNet(nn.Module):
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

    def __init__(self, widths=(24, 40, 56, 80, 112, 128)):
        super().__init__()
        self.widths = tuple(int(width) for width in widths)
        self.stem = nn.Sequential(
            _convolution(1, 16, size=5, stride=2), _convolution(16, self.widths[0], stride=2)
        )
        inputs = self.widths[:1] + self.widths[:-1]
        self.down = nn.ModuleList(
            nn.Sequential(_convolution(a, b), _convolution(b, b))
            for a, b in zip(inputs, self.widths, strict=True)
        )
        self.up = nn.ModuleList(
            _convolution(a + b, a) for a, b in zip(self.widths[:-1], self.widths[1:], strict=True)
        )
        self.head = nn.Sequential(
            _convolution(self.widths[0], self.widths[0]), nn.Conv2d(self.widths[0], 5, 1)
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


def load_network(weights=None, device="cpu"):
    """Network and threshold from a weight file.

    Parameters
    ----------
    weights : str or pathlib.Path, optional
        A safetensors file written by `stemlib.training.fcn`. The shipped one by default.
    device : str
        "auto", "cpu", "cuda", ...

    Returns
    -------
    network : CentreNet
        Ready for inference, on the device.
    threshold : float
        The score from which on a detection counts, chosen on validation images when the file was made.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, or holds something else.

    Examples
    --------
    >>> network, threshold = load_network()
    >>> 0 < threshold < 1
    True
    """
    network = load_weights(weights, WEIGHTS, "fcn", _build, device)
    return network, network.threshold


def _build(settings):
    network = CentreNet(settings["widths"])
    network.threshold = float(settings["threshold"])
    return network
