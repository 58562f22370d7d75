import numpy as np
import pytest
import torch
from torch import nn

from stemlib.training.optimisation import Optimisation, Recipe, Run, towards

IMAGE = np.linspace(-1, 1, 128, dtype=np.float32).reshape(2, 1, 8, 8)


def squared(answers, wanted):
    return ((answers - wanted) ** 2).mean()


def training(seed=3, share=0.5, steps=8):
    def running_mean(mean, new, done):
        return towards(mean, new, share if done else 1.0)

    recipe = Recipe(squared, running_mean, peak_rate=0.1, rising=0.5, weight_decay=0.0, largest_gradient=1.0)
    build = lambda: nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))  # noqa: E731
    return Optimisation(build, recipe, steps, Run(seed=seed, device="cpu"))


def weights(network):
    return torch.cat([tensor.flatten().float() for tensor in network.state_dict().values()])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"precision": "half"}, "precision='half' must be"), ({"device": "abacus"}, "abacus")],
)
def test_a_run_that_cannot_be_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Run(**arguments)


def test_steps_lower_the_loss_and_the_seed_decides_them():
    one, same, other = training(), training(), training(seed=4)
    losses = [[one.step(IMAGE, 2 * IMAGE).item() for _ in range(8)] for one in (one, same, other)]
    assert losses[0][-1] < losses[0][0]
    assert losses[0] == losses[1] != losses[2]


def test_the_mean_follows_the_weights_and_answers_as_in_inference():
    some = training(share=0.25)
    some.step(IMAGE, 2 * IMAGE)
    first = weights(some.network)
    assert torch.equal(weights(some.mean), first)
    some.step(IMAGE, 2 * IMAGE)
    expected = first + 0.25 * (weights(some.network) - first)
    counts = -1  # of batches, in the last place: it has no mean
    torch.testing.assert_close(weights(some.mean)[:counts], expected[:counts])
    assert weights(some.mean)[counts] == 2
    assert some.network.training and not some.mean.training


def test_another_object_goes_on_from_the_state():
    whole, cut, resumed = training(), training(), training(seed=7)
    for some in (whole, cut):
        for _ in range(3):
            some.step(IMAGE, 2 * IMAGE)
    resumed.load_state_dict(cut.state_dict())
    for some in (whole, resumed):
        some.skip()
        some.step(IMAGE, 2 * IMAGE)
    assert torch.equal(weights(whole.mean), weights(resumed.mean))
    assert torch.equal(weights(whole.network), weights(resumed.network))
