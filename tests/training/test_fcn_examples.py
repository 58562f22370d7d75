import numpy as np
import pandas as pd

from stemlib import datasets
from stemlib.training import fcn_examples
from stemlib.training.fcn_examples import KINDS, NO, UNSURE, YES, kinds_example

BLANK = np.zeros((128, 128), np.uint8)
LOOPS = np.array([[10.0, 10, 40, 40]])
# An open loop of both teams, one that A lacks, a dot, an edge-on loop and an ambiguous one.
THEIRS = pd.DataFrame(
    [
        [11.0, 11, 41, 41, 0],
        [60, 10, 90, 40, 0],
        [10, 60, 20, 70, 1],
        [60, 60, 90, 70, 2],
        [100, 100, 120, 120, 4],
    ],
    columns=["top", "left", "bottom", "right", "class"],
)


def test_kinds_come_from_both_teams(monkeypatch):
    monkeypatch.setattr(
        fcn_examples, "read_example", lambda name: (BLANK, LOOPS, THEIRS.iloc[1:2, :4].to_numpy())
    )
    monkeypatch.setattr(datasets, "read_loop_labels", lambda name, label_set: THEIRS)
    example = kinds_example("any")
    assert example.boxes.tolist() == [LOOPS[0].tolist(), *THEIRS.iloc[1:, :4].to_numpy().tolist()]
    said = dict(zip(KINDS, example.kinds.T.tolist(), strict=True))
    assert said["loop"] == [YES, UNSURE, NO, NO, NO]
    assert said["edge-on"] == [NO, NO, NO, YES, UNSURE]
    assert said["dot"] == [NO, NO, YES, NO, UNSURE]
    assert said["other"] == [YES] * 5
    assert example.asked.all()


def test_without_the_second_team_only_open_loops_were_looked_for(monkeypatch):
    monkeypatch.setattr(fcn_examples, "read_example", lambda name: (BLANK, LOOPS, None))
    example = kinds_example("any")
    assert example.asked.tolist() == [True, False, False, False]
    assert example.kinds.tolist() == [[YES, NO, NO, YES]]


def test_real_images_teach_every_kind(real_data):
    names = [name for name in datasets.image_set("training") if "B" in datasets.label_sets(name)[0]][:8]
    said = np.vstack([kinds_example(name).kinds for name in names])
    assert (said == YES).any(axis=0).all()
