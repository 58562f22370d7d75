import numpy as np
import pytest

from stemlib.training.artefacts import draw_artefact


@pytest.mark.parametrize("seed", range(24))
def test_artefacts_are_plain_to_see_and_fade_towards_the_rim(seed):
    field = draw_artefact(np.random.default_rng(seed), 40.0)
    assert field.shape == (67, 67)
    assert 0.3 < np.abs(field).max() < 8
    corners = np.abs(field[[0, 0, -1, -1], [0, -1, 0, -1]])
    # A line leaves its field; all else lies within.
    assert (corners < 0.2).sum() >= 2


def test_a_generator_says_what_is_drawn():
    fields = [draw_artefact(np.random.default_rng(seed), 30.0) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(fields[0], fields[1])
    assert not np.array_equal(fields[0], fields[2])
