"""What all networks share: the device they run on, and how their weight files are read."""

import functools
import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open


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


def load_weights(weights, shipped, maker, build, device):
    """Load a network for inference; a second call with the same file is free.

    Parameters
    ----------
    weights : str or pathlib.Path, or None
        A safetensors file; None takes the shipped one.
    shipped : pathlib.Path
    maker : str
        Name of the module in `stemlib.training` that writes such files; their settings are JSON under the key
        ``stemlib_MAKER`` of the metadata.
    build : callable
        Makes the network, without its weights, from the settings.
    device : str
        "auto", "cpu", "cuda", ...

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged or holds something else, or torch has no such device.
    """
    path = Path(shipped if weights is None else weights)
    if not path.is_file():
        raise FileNotFoundError(
            f"weights={str(path)!r} does not exist; give a safetensors file written by stemlib.training.{maker}, "
            "or None for the shipped one"
        )
    stat = path.stat()
    return _load(str(path), stat.st_mtime_ns, stat.st_size, maker, build, choose_device(device))


@functools.lru_cache(maxsize=12)
def _load(path, _mtime_ns, _size, maker, build, device):
    # The time and size are part of the key, so that a file written anew is read anew.
    try:
        with safe_open(path, framework="pt") as file:
            settings = json.loads((file.metadata() or {})[f"stemlib_{maker}"])
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no iterator here)
        network = build(settings)
        network.load_state_dict(state)
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise ValueError(
            f"weights={path!r} is damaged, or not from stemlib.training.{maker} ({error}); train or fetch it anew"
        ) from error
    return network.eval().to(device, memory_format=torch.channels_last)
