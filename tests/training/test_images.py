import numpy as np
import pandas as pd
import pytest

from stemlib import datasets
from stemlib.training.images import labelled_image, labelled_images, loops_of_teams

NAME = "grid1_roi1_500kx_0p5nm_haadf1_0005.jpg"
LOOPS = np.array([[99.5, 99.5, 159.5, 159.5]])
EDGES = ["top", "left", "bottom", "right"]


def test_boxes_are_reduced_with_their_image():
    image = labelled_image("one.png", "A", np.zeros((2048, 2048), np.uint8), LOOPS, LOOPS + 300)
    assert (image.factor, image.image.shape, image.second_opinion) == (2, (1024, 1024), True)
    assert np.allclose(image.loops, [[49.5, 49.5, 79.5, 79.5]])
    assert np.allclose(image.disputed, [[199.5, 199.5, 229.5, 229.5]])


@pytest.mark.parametrize(("disputed", "opinion"), [(None, False), ([], True)])
def test_nothing_disputed_is_not_the_same_as_nobody_asked(disputed, opinion):
    image = labelled_image("one.png", "A", np.zeros((256, 256), np.uint8), LOOPS, disputed)
    assert image.disputed.shape == (0, 4)
    assert image.second_opinion is opinion


def test_open_loops_that_only_set_b_marks_are_disputed(monkeypatch):
    theirs = np.vstack([LOOPS + 15, LOOPS + 300, LOOPS + 600, LOOPS + 900])
    tables = {
        "A": pd.DataFrame(LOOPS, columns=EDGES),
        "B": pd.DataFrame(theirs, columns=EDGES).assign(**{"class": [0, 0, 2, 1]}),
    }
    monkeypatch.setattr(datasets, "read_loop_labels", lambda name, label_set: tables[label_set])
    loops, disputed = loops_of_teams(NAME)
    assert np.array_equal(loops, LOOPS)
    assert np.array_equal(disputed, LOOPS + 300)
    assert loops_of_teams("K713_300kx_store4_grid1_0025.jpg")[1] is None


def test_real_images_carry_both_opinions(real_data):
    both, alone = labelled_images([NAME, "K713_300kx_store4_grid1_0025.jpg"])
    theirs = datasets.read_loop_labels(NAME, "B")
    assert both.second_opinion and not alone.second_opinion
    assert 0 < len(both.disputed) < (theirs["class"] == 0).sum() < len(theirs)
