"""Networks are read once, and nobody gets hold of the one that is kept."""

import copy
import os

import pytest
import torch

from stemlib.columns.network import load_column_network
from stemlib.loops.fcn import CentreNet, load_network
from stemlib.loops.screening import load_screening
from stemlib.training.fcn import write_weights

LOADERS = {
    "fcn": lambda: load_network()[0],
    "columns": lambda: load_column_network(device="cpu"),
    "screening": lambda: load_screening(device="cpu"),
}


@pytest.mark.parametrize("load", LOADERS.values(), ids=LOADERS)
def test_training_a_loaded_network_changes_no_later_call(load):
    network = load()
    before = copy.deepcopy(network.state_dict())
    network.train()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1.0)
    again = load()
    assert not again.training
    for name, tensor in again.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_settings_changed_by_one_caller_are_not_anothers():
    network = load_screening(device="cpu")
    chosen = network.settings["threshold"]
    network.settings["threshold"] = 0.999
    assert load_screening(device="cpu").settings["threshold"] == chosen
    columns, (loops, threshold) = load_column_network(device="cpu"), load_network()
    columns.threshold = loops.threshold = 0.999
    assert load_column_network(device="cpu").threshold != 0.999
    assert load_network()[1] == threshold


def test_a_file_is_read_once_but_a_new_one_is_noticed(tmp_path):
    path = write_weights(tmp_path / "w.safetensors", CentreNet((8, 8)), 0.25)
    first, _ = load_network(path)
    stamp = path.stat()
    path.write_bytes(b"\0" * stamp.st_size)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    # Reading the file again would find it damaged.
    again, threshold = load_network(path)
    assert threshold == 0.25
    assert torch.equal(again.head[-1].weight, first.head[-1].weight)
    write_weights(path, CentreNet((8, 8, 8)), 0.6)
    assert load_network(path)[1] == 0.6
