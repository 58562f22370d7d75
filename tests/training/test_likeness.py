import numpy as np
import torch

from stemlib import datasets
from stemlib.loops.fcn import CentreNet
from stemlib.training.images import read_example
from stemlib.training.likeness import remember_images


def test_series_are_left_out_as_a_whole(real_data):
    torch.manual_seed(0)
    network = CentreNet((8, 8)).eval()
    names = datasets.image_set("training")[::20]
    remember_images(network, names)
    by_series = network.settings["fit"]["mean_log"]
    one_by_one = CentreNet((8, 8)).eval()
    one_by_one.load_state_dict(network.state_dict())
    remember_images(one_by_one, [read_example(name)[:2] for name in names])
    # Images of one series are nearer to each other than to other series.
    assert by_series > one_by_one.settings["fit"]["mean_log"]
    assert np.isfinite(network.precision.numpy()).all()
