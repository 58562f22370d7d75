"""Networks are read once, and nobody gets hold of the one that is kept."""

import copy
import os

import pytest
import torch
from safetensors.torch import save_file

from stemlib.columns.network import ColumnNetwork
from stemlib.loops.fcn import CentreNet
from stemlib.loops.screening import ScreeningNetwork
from stemlib.training.cards import Origin, write_card

KINDS = [CentreNet, ColumnNetwork, ScreeningNetwork]


@pytest.mark.parametrize("kind", KINDS)
def test_training_a_loaded_network_changes_no_later_call(kind):
    network = kind.load(device="cpu")
    before = copy.deepcopy(network.state_dict())
    network.train()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1.0)
    again = kind.load(device="cpu")
    assert not again.training
    for name, tensor in again.state_dict().items():
        assert torch.equal(tensor, before[name]), name


@pytest.mark.parametrize("kind", KINDS)
def test_settings_changed_by_one_caller_are_not_anothers(kind):
    network = kind.load(device="cpu")
    chosen = copy.deepcopy(network.settings["threshold"])
    network.settings["threshold"] = 0.999
    assert kind.load(device="cpu").settings["threshold"] == chosen != 0.999


def small(widths, threshold):
    network = CentreNet(widths)
    network.settings["threshold"] = threshold
    return network


def test_weights_and_settings_survive_the_file(tmp_path):
    network = small((8, 12), 0.25)
    loaded = CentreNet.load(network.save(tmp_path / "w.safetensors"), "cpu")
    assert (loaded.widths, loaded.settings) == ((8, 12), {"kinds": ["loop"], "threshold": 0.25})
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name]), name


def test_a_file_is_read_once_but_a_new_one_is_noticed(tmp_path):
    path = small((8, 8), 0.25).save(tmp_path / "w.safetensors")
    first = CentreNet.load(path, "cpu")
    stamp = path.stat()
    path.write_bytes(b"\0" * stamp.st_size)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    # Reading the file again would find it damaged.
    again = CentreNet.load(path, "cpu")
    assert again.settings["threshold"] == 0.25
    assert torch.equal(again.head[-1].weight, first.head[-1].weight)
    small((8, 8, 8), 0.6).save(path)
    assert CentreNet.load(path, "cpu").settings["threshold"] == 0.6


def test_missing_damaged_and_other_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.safetensors.*stemlib\.training\.fcn"):
        CentreNet.load(tmp_path / "nowhere.safetensors")
    path = small((8, 8), 0.25).save(tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"w\.safetensors.*not from stemlib\.training\.screening"):
        ScreeningNetwork.load(path)
    with pytest.raises(ValueError, match="device='abacus' cannot be used"):
        CentreNet.load(path, "abacus")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"w\.safetensors.*damaged"):
        CentreNet.load(path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match=r"w\.safetensors"):
        CentreNet.load(path)


@pytest.mark.parametrize("threshold", [float("nan"), 7, -1, True, "0.5", {"loop": 2.0}])
def test_a_threshold_that_is_none_is_refused(tmp_path, threshold):
    path = small((8, 8), threshold).save(tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="threshold"):
        CentreNet.load(path, "cpu")


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    network = small((8, 8), 0.5)
    with torch.no_grad():
        network.head[-1].weight[0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"head.*NaN"):
        CentreNet.load(network.save(tmp_path / "w.safetensors"), "cpu")


def test_a_file_that_is_not_the_cards_is_refused(tmp_path):
    path = small((8, 8), 0.5).save(tmp_path / "w.safetensors")
    write_card(path, Origin("none"), {})
    assert CentreNet.load(path, "cpu").settings["threshold"] == 0.5
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"w\.safetensors.*checksum"):
        CentreNet.load(path, "cpu")
    path.with_suffix(".json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"card.*w\.json.*damaged"):
        CentreNet.load(path, "cpu")
