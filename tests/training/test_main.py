"""The command line hands on what it was asked for."""

import numpy as np
import pytest

from stemlib.training import __main__ as command_line
from stemlib.training.__main__ import MODELS, main

VERBS = ("train_columns", "release_columns", "train_modules", "train_fcn", "release_fcn")


@pytest.fixture
def called(monkeypatch):
    """What the commands were called with, instead of hours of training."""
    calls = {}
    for verb in VERBS:
        monkeypatch.setattr(
            command_line, verb, lambda *given, verb=verb, **named: calls.update({verb: (given, named)})
        )
    monkeypatch.setattr(command_line, "labelled_images", lambda names: list(names))
    return calls


@pytest.mark.parametrize(
    ("model", "verbs"),
    [("columns", VERBS[:2]), ("modules", VERBS[2:3]), ("fcn", VERBS[3:])],
)
def test_one_model_is_trained_as_asked(called, tmp_path, model, verbs):
    arguments = ["--seed", "4", "--device", "cpu", "--precision", "bfloat16", "--model", model]
    main(["--output", str(tmp_path), *arguments])
    assert tuple(called) == verbs
    _, named = called[verbs[0]]
    assert (named["run"].seed, named["run"].device, named["run"].precision) == (4, "cpu", "bfloat16")
    _, last = called[verbs[-1]]
    command = last["origin"].command if "origin" in last else last["command"]
    assert command == "python -m stemlib.training --output FOLDER --seed 4 --precision bfloat16"


def test_all_models_are_trained_and_validation_images_are_not_trained_on(called, tmp_path):
    main(["--output", str(tmp_path)])
    assert tuple(called) == VERBS
    (fitted,), (_, validated) = called["train_fcn"][0], called["release_fcn"][0]
    assert len(fitted) > len(validated) > 0
    assert not np.isin(validated, fitted).any()
    assert sorted(called["train_modules"][0][0]) == sorted([*fitted, *validated])


def test_help_names_the_models(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    said = capsys.readouterr().out
    assert all(model in said for model in MODELS)
    with pytest.raises(SystemExit, match="2"):
        main([])
