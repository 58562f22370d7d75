"""The network that turns an image into the probability that a column is centred at each pixel, and its weights file."""

import json

import cv2
import numpy as np
import safetensors.torch
import torch
from torch import nn
from torch.nn import functional

from stemlib.io.files import write_atomically
from stemlib.io.weights import load_weights
from stemlib.weights import FOLDER

WEIGHTS = FOLDER / "columns.safetensors"
PEAK_SIGMA = 1.0  # px; standard deviation of the peak that the network answers at a column
STRIDE = 4  # the sides of the input must be multiples of this
TILE = 512  # px
_OVERLAP = 32  # px; a multiple of STRIDE, and more than the network sees to either side
_NEIGHBOURHOOD = 16.0  # px; standard deviation of the Gaussian over which brightness and contrast are local


class ColumnNetwork(nn.Module):
    """Encoder and decoder over three resolutions, from a standardised image to the logit of a column's centre.

    Parameters
    ----------
    widths : sequence of int
        Channels at full, half and quarter resolution.

    Examples
    --------
    >>> import torch
    >>> ColumnNetwork((4, 4, 4)).eval()(torch.zeros(1, 1, 32, 32)).shape
    torch.Size([1, 1, 32, 32])
    """

    def __init__(self, widths=(16, 32, 64)):
        super().__init__()
        self.widths = tuple(int(width) for width in widths)
        self.threshold = 0.5
        fine, middle, coarse = self.widths
        self.fine = nn.Sequential(_convolution(1, fine), _convolution(fine, fine))
        self.middle = nn.Sequential(_convolution(fine, middle), _convolution(middle, middle))
        self.coarse = nn.Sequential(
            _convolution(middle, coarse), _convolution(coarse, coarse), _convolution(coarse, coarse)
        )
        self.to_middle = nn.Conv2d(coarse, middle, 1)
        self.up_middle = nn.Sequential(_convolution(middle, middle), _convolution(middle, middle))
        self.to_fine = nn.Conv2d(middle, fine, 1)
        self.up_fine = nn.Sequential(_convolution(fine, fine), _convolution(fine, fine))
        self.head = nn.Conv2d(fine, 1, 1)
        nn.init.constant_(self.head.bias, -2.0)

    def forward(self, image):
        """Map (N, 1, H, W) to logits of the same shape."""
        fine = self.fine(image)
        middle = self.middle(functional.max_pool2d(fine, 2))
        coarse = self.coarse(functional.max_pool2d(middle, 2))
        middle = self.up_middle(middle + functional.interpolate(self.to_middle(coarse), scale_factor=2.0))
        fine = self.up_fine(fine + functional.interpolate(self.to_fine(middle), scale_factor=2.0))
        return self.head(fine)


def _convolution(channels_in, channels_out):
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


def standardised(image):
    """Take slow changes of brightness and contrast out of an image.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W), float32

    Returns
    -------
    numpy.ndarray, shape (H, W), float32
        Locally of mean 0 and standard deviation 1; 0 where the image is constant.

    Examples
    --------
    >>> import numpy as np
    >>> standardised(np.full((40, 40), 7, np.float32)).max()
    np.float32(0.0)
    """

    def local_mean(values):
        return cv2.GaussianBlur(values, (0, 0), _NEIGHBOURHOOD, borderType=cv2.BORDER_REFLECT)

    image = (image - image.mean(dtype=np.float64)).astype(np.float32)
    spread = image.std(dtype=np.float64)
    if spread == 0:
        return np.zeros_like(image)
    image = image / np.float32(spread)
    flat = image - local_mean(image)
    deviation = np.sqrt(np.maximum(local_mean(flat * flat), 0))
    return np.clip(flat / (deviation + 1e-3), -8, 8)


def probability_map(network, image):
    """Run the network over an image of any size, in tiles that overlap.

    Parameters
    ----------
    network : ColumnNetwork
    image : numpy.ndarray, shape (H, W), float32
        As `standardised` gives it.

    Returns
    -------
    numpy.ndarray, shape (H, W), float32
        Probability that a column is centred at a pixel, spread over a Gaussian of `PEAK_SIGMA`. The same, but for
        rounding, as in one piece: tiles overlap by more than the network sees.

    Examples
    --------
    >>> import numpy as np
    >>> network = load_column_network(device="cpu")
    >>> probability_map(network, np.zeros((50, 31), np.float32)).shape
    (50, 31)
    """
    height, width = image.shape
    device = next(network.parameters()).device
    result = np.empty(image.shape, np.float32)
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            first = max(0, top - _OVERLAP), max(0, left - _OVERLAP)
            last = min(height, top + TILE + _OVERLAP), min(width, left + TILE + _OVERLAP)
            piece = image[first[0] : last[0], first[1] : last[1]]
            answer = _run(network, piece, device)
            inner = answer[top - first[0] :, left - first[1] :][:TILE, :TILE]
            result[top : top + TILE, left : left + TILE] = inner
    return result


def _run(network, piece, device):
    padded = np.pad(piece, [(0, -side % STRIDE) for side in piece.shape])
    with torch.inference_mode():
        tensor = torch.from_numpy(padded)[None, None].to(device, memory_format=torch.channels_last)
        answer = torch.sigmoid(network(tensor)[0, 0].float()).cpu().numpy()
    return answer[: piece.shape[0], : piece.shape[1]]


def load_column_network(weights=None, device="auto"):
    """Load the column network; a second call with the same file is free.

    Parameters
    ----------
    weights : str or pathlib.Path, optional
        A safetensors file written by `stemlib.training.columns`. The shipped one by default.
    device : str
        "auto" (a GPU where there is one), "cpu", "cuda", ...

    Returns
    -------
    ColumnNetwork
        Ready for inference, on the device; ``threshold`` is its probability from which on a column counts.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged or holds something else, or torch has no such device.

    Examples
    --------
    >>> 0 < load_column_network().threshold < 1
    True
    """
    return load_weights(weights, WEIGHTS, "columns", _build, device)


def _build(settings):
    network = ColumnNetwork(settings["widths"])
    network.threshold = float(settings["threshold"])
    return network


def save_column_network(network, path):
    """Write the network with its threshold as safetensors, in one go."""
    settings = json.dumps({"widths": list(network.widths), "threshold": float(network.threshold)})
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    return write_atomically(path, safetensors.torch.save(state, metadata={"stemlib_columns": settings}))
