"""The network of the fully convolutional loop detector, and the file that holds its weights.

An encoder and a decoder with links between equal resolutions (Ronneberger, Fischer & Brox,
https://doi.org/10.1007/978-3-319-24574-4_28) end in a map of centres, sizes and offsets (Zhou, Wang &
Krähenbühl, https://doi.org/10.48550/arXiv.1904.07850).
"""

from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from stemlib._networks import load_weights

WEIGHTS = Path(__file__).parent / "weights" / "loop_fcn.safetensors"
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
