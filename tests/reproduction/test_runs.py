import pytest

from reproduction import runs
from reproduction.runs import Run


@pytest.mark.parametrize(
    ("six", "test28", "names", "words"),
    [
        (6, 28, ["a-six", "a-test28"], []),
        (6, 27, ["a-six"], ["a-test28: not available, 27 of 28"]),
        (4, 4, ["a-six"], ["a-six: 4 of 6", "a-test28: not available"]),
        (0, 0, ["a-synthetic"], ["a-six: not available", "a-test28: not available", "SYNTHETIC"]),
    ],
)
def test_the_plan_follows_the_images_at_hand(six, test28, names, words):
    wanted = [Run("a", "six"), Run("a", "test28", whole=True)]
    chosen, lines = runs.plan(wanted, {"six": (six, 6), "test28": (test28, 28)})
    assert [run.name for run in chosen] == names
    assert len(lines) == len(words)
    assert all(word in line for word, line in zip(words, lines, strict=True))


def test_every_run_has_a_known_image_set():
    at_hand = runs.images_at_hand(dict.fromkeys(run.image_set for run in runs.RUNS if run.images))
    assert {name: wanted for name, (_, wanted) in at_hand.items()} == {
        "six": 6,
        "test28": 28,
        "c-nine": 9,
        "316l": 17,
        "atomic": 17,
    }


def test_known_truth_does_not_stand_in_for_real_images():
    wanted = [Run("a", "six"), Run("a", "simulated", images=False)]
    chosen, _ = runs.plan(wanted, {"six": (0, 6)})
    assert [run.name for run in chosen] == ["a-simulated", "a-synthetic"]


def test_a_notebook_that_reads_no_image_always_runs():
    run = runs.Run("train-loops", "training", images=False)
    assert runs.plan([run], {}) == ([run], [])


def test_a_silent_server_is_asked_once(monkeypatch):
    asked = []

    def fetch_all(subset, timeout_s, *, budget_s, progress):
        asked.append(subset)
        progress(1, 40)

    monkeypatch.setattr(runs, "fetch_all", fetch_all)
    assert runs.download(["six", "test28"]) is False
    assert asked == ["six"]


def test_a_server_that_answers_is_asked_for_everything(monkeypatch):
    asked = []

    def fetch_all(subset, timeout_s, *, budget_s, progress):
        asked.append(subset)
        for done in range(3):
            progress(done + 1, 3)

    monkeypatch.setattr(runs, "fetch_all", fetch_all)
    assert runs.download(["six", "test28"]) is True
    assert asked == ["six", "test28"]
