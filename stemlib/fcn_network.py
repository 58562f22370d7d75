"""The network of the fully convolutional loop detector, and the file that holds its weights.

An encoder and a decoder with links between equal resolutions (Ronneberger, Fischer & Brox,
https://doi.org/10.1007/978-3-319-24574-4_28) end in a map of centres, sizes and offsets (Zhou, Wang &
Krähenbühl, https://doi.org/10.48550/arXiv.1904.07850).
"""

import functools
import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from torch.nn import functional

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


def choose_device(device):
    """Torch device for "auto", "cpu", "cuda" or the like.

    Raises
    ------
    ValueError
        If torch does not know the device, or the machine has none of the kind.

    Examples
    --------
    >>> choose_device("cpu")
    device(type='cpu')
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.zeros(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"device={device!r} cannot be used here ({error}); 'auto' or 'cpu' would do"
        ) from error
    return chosen


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
    path = Path(WEIGHTS if weights is None else weights)
    if not path.is_file():
        raise FileNotFoundError(
            f"weights={str(path)!r} does not exist; give a safetensors file written by stemlib.training.fcn, "
            "or None for the shipped one"
        )
    stat = path.stat()
    return _load_cached(str(path), stat.st_mtime_ns, stat.st_size, choose_device(device))


@functools.lru_cache(maxsize=4)
def _load_cached(path, _mtime_ns, _size, device):
    # The time and size are part of the key, so that a file written anew is read anew.
    try:
        with safe_open(path, framework="pt") as file:
            settings = json.loads((file.metadata() or {})["stemlib_fcn"])
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no iterator here)
        network = CentreNet(settings["widths"])
        network.load_state_dict(state)
        threshold = float(settings["threshold"])
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise ValueError(
            f"weights={path!r} is damaged, or not from stemlib.training.fcn ({error}); train or fetch it anew"
        ) from error
    network = network.eval().to(device, memory_format=torch.channels_last)
    return network, threshold
