"""What all networks share: their layers, the device they run on, and the files of their weights."""

import copy
import functools
import hashlib
import json
import math
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from stemlib.io.files import write_atomically


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


class Network(nn.Module):
    """A network that one safetensors file holds, weights and settings.

    A subclass names the file that comes with stemlib, ``shipped``, and the module of `stemlib.training` that writes
    such files, ``maker``; the settings are JSON under the key ``stemlib_MAKER`` of the file's metadata.

    Parameters
    ----------
    widths : sequence of int
        Channels of the layers.
    **settings
        What else goes with the weights: at first what a network has before anybody chose better.
    """

    architecture = ("widths",)  # what of a file's settings the network is built with
    optional = ()  # what of its state a file may lack

    def __init__(self, widths, **settings):
        super().__init__()
        self.widths = tuple(int(width) for width in widths)
        self.settings = settings

    @classmethod
    def load(cls, weights=None, device="auto"):
        """Load a network for inference; a second call with the same file does not read it again.

        Parameters
        ----------
        weights : str or pathlib.Path, optional
            A safetensors file; the shipped one by default.
        device : str
            "auto" (a GPU where there is one), "cpu", "cuda", ...

        Returns
        -------
        Network
            The caller's own: training it, or changing its settings, changes no later call's.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is damaged, is not the one that the card beside it describes or holds something else, or torch
            has no such device.
        """
        path = Path(cls.shipped if weights is None else weights)
        if not path.is_file():
            raise FileNotFoundError(
                f"weights={str(path)!r} does not exist; give a safetensors file written by "
                f"stemlib.training.{cls.maker}, or None for the shipped one"
            )
        stat = path.stat()
        kept = _load(cls, str(path), stat.st_mtime_ns, stat.st_size, choose_device(device))
        # What is kept stays here: a caller that trains what it gets would change the answers of every later call.
        return copy.deepcopy(kept)

    def save(self, path):
        """Write weights and settings, in one go, and return the path."""
        settings = json.dumps({"widths": list(self.widths)} | self.settings)
        state = {name: tensor.detach().cpu().contiguous() for name, tensor in self.state_dict().items()}
        return write_atomically(path, save(state, metadata={f"stemlib_{self.maker}": settings}))


@functools.lru_cache(maxsize=12)
def _load(kind, path, _mtime_ns, _size, device):
    # The time and size are part of the key, so that a file written anew is read anew.
    check_card(path)
    try:
        with safe_open(path, framework="pt") as file:
            settings = json.loads((file.metadata() or {})[f"stemlib_{kind.maker}"])
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no iterator here)
        network = kind(**{name: settings.pop(name) for name in kind.architecture if name in settings})
        network.settings.update(settings)
        lacking = {name: tensor for name, tensor in network.state_dict().items() if name in kind.optional}
        network.load_state_dict(lacking | state)
        _check_numbers(network)
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise ValueError(
            f"weights={path!r} is damaged, or not from stemlib.training.{kind.maker} ({error}); "
            "train or fetch it anew"
        ) from error
    return network.eval().to(device, memory_format=torch.channels_last)


def check_card(path):
    """Refuse a weight file that is not the one of which the card beside it, where there is one, states the checksum.

    Parameters
    ----------
    path : str or pathlib.Path
        The file; its card has the same name and ends in ``.json``.

    Raises
    ------
    ValueError
        If the card states another checksum, or cannot be read.

    Examples
    --------
    >>> check_card("there-is-no-card-beside-it.safetensors")
    """
    path = Path(path)
    card = path.with_suffix(".json")
    if not card.is_file():
        return
    try:
        content = json.loads(card.read_text(encoding="utf-8"))
        name, stated = content["file"], content["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"card {str(card)!r} is damaged ({error!r}); fetch or write it anew") from error
    if name == path.name and stated != hashlib.sha256(path.read_bytes()).hexdigest():
        raise ValueError(
            f"weights={str(path)!r} is damaged, or not the file that its card {card.name!r} describes (its checksum "
            "is another); fetch both anew, or take away the card of weights of your own"
        )


def _check_numbers(network):
    """Raise a ValueError where a weight or a threshold is no number that a trained network can have."""
    for name, tensor in network.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{name} holds NaN or infinity")
        if name.endswith("running_var") and (tensor < 0).any():
            raise ValueError(f"{name} holds a negative variance")
    threshold = network.settings.get("threshold", 0.5)
    for value in threshold.values() if isinstance(threshold, dict) else [threshold]:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"threshold {value!r} is no number")
        if not (math.isfinite(value) and 0 <= value <= 1):
            raise ValueError(f"threshold {value!r} lies outside 0..1")


def convolution(channels_in, channels_out, size=3, stride=1):
    """Return a convolution that keeps the image's size but for its stride, batch normalisation and rectifier.

    Examples
    --------
    >>> convolution(1, 4, stride=2)(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 4, 4, 4])
    """
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )
