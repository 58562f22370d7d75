import dataclasses
import json

import numpy as np
import pytest

from stemlib import find_loops
from stemlib.loops.cascade_xml import load_cascade
from stemlib.loops.screening import crops, is_mirrored, load_screening, network_answers
from stemlib.synthetic import loop_micrograph
from stemlib.training.images import labelled_image
from stemlib.training.left_out import calibrate
from stemlib.training.modules import Settings, train_modules
from stemlib.training.turns import parts_of

EDGES = ["top", "left", "bottom", "right"]
SMALL = Settings(n_stages=3, n_positives=300, n_negatives=600, features_per_round=300, epochs=8)


@pytest.fixture(scope="module")
def images():
    scenes = [loop_micrograph((256, 256), n_loops=6, seed=seed) for seed in range(6)]
    return [
        labelled_image(
            f"{i}.png", "AB"[i % 2], np.asarray(scene.image, np.uint8), scene.loops[EDGES].to_numpy()
        )
        for i, scene in enumerate(scenes)
    ]


@pytest.fixture(scope="module")
def trained(images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    return folder, train_modules(images, folder, settings=SMALL, data="six synthetic scenes")


def test_weights_work_and_their_cards_describe_them(trained, images):
    folder, validation = trained
    weights = {"cascade": folder / "loop_cascade.xml", "screening": folder / "loop_screening.safetensors"}
    loops = find_loops(images[0].image, method="cascade", weights=weights)
    assert loops.threshold == validation["threshold"]
    assert load_cascade(weights["cascade"]).n_stages == 3
    for path in weights.values():
        card = json.loads(path.with_suffix(".json").read_text())
        assert card["file"] == path.name
        assert card["series"] == {"A": 3, "B": 3}
        assert card["loops"] == sum(len(image.loops) for image in images)
        assert card["validation"] == json.loads(json.dumps(validation))
        assert 0 <= card["validation"]["f1"] <= 1 and card["minutes"] >= 0


def test_every_series_is_scored_by_models_that_did_not_see_it(trained):
    folder, validation = trained
    assert set(validation["by_series"]) == {"A", "B"}
    parts = {f"part {number} of 3" for number in (1, 2, 3)}
    for part, suffix, more in (("cascade", "xml", set()), ("screening", "safetensors", parts)):
        turns = {path.name for path in (folder / "turns" / part).iterdir()}
        models = {f"without {left_out}.{suffix}" for left_out in {"A", "B", "nothing"} | more}
        assert turns == models | {"minutes.json", "training.txt"}


def test_calibration_and_threshold_come_from_parts_of_series(trained, images, monkeypatch):
    folder, _ = trained
    asked = []

    def spied(answers):
        asked.append({answer.image.name for answer in answers})
        return calibrate(answers)

    seen = []
    monkeypatch.setattr("stemlib.training.modules.calibrate", spied)
    monkeypatch.setattr(
        "stemlib.training.modules.best_threshold", lambda answers, *_: seen.append(answers) or 0.5
    )
    validation = train_modules(images, folder, settings=SMALL)
    (answers,) = seen
    by_name = {answer.image.name: answer for answer in answers}
    assert asked == [set(by_name)] == [{image.name for image in images}]
    for name, left_out in parts_of(images).items():
        network = load_screening(folder / "turns" / "screening" / f"without {name}.safetensors")
        for image in left_out:
            answer = by_name[image]
            logits = network_answers(network, crops(answer.image.image, answer.candidates))[:, 0]
            assert np.allclose(answer.logits, logits)
            assert not is_mirrored(answer.refined, answer.image.image.shape).any()
    assert validation["threshold"] == validation["within_series"]["threshold"] == 0.5


def test_a_group_is_in_one_part(images):
    grouped = [dataclasses.replace(image, group=f"{i // 2}") for i, image in enumerate(images)]
    parts = parts_of(grouped)
    assert sorted(name for part in parts.values() for name in part) == [f"{i}.png" for i in range(6)]
    assert all(
        {f"{i - i % 2}.png", f"{i - i % 2 + 1}.png"} <= part
        for part in parts.values()
        for i in _numbers(part)
    )


def _numbers(part):
    return [int(name.split(".")[0]) for name in part]


def test_a_training_cut_off_goes_on_where_it_stopped(trained, images, monkeypatch):
    folder, validation = trained
    (folder / "loop_cascade.xml").unlink()
    missing = folder / "turns" / "screening" / "without A.safetensors"
    before = missing.read_bytes()
    missing.unlink()

    def not_again(*_, **__):
        raise AssertionError("Module I is trained again")

    monkeypatch.setattr("stemlib.training.modules.train_cascade", not_again)
    assert train_modules(images, folder, settings=SMALL) == validation
    assert (folder / "loop_cascade.xml").is_file()
    assert missing.read_bytes() == before


def test_turns_of_another_training_are_refused(trained, images):
    folder, _ = trained
    with pytest.raises(ValueError, match="other images, settings or seed"):
        train_modules(images, folder, settings=SMALL, seed=1)
    with pytest.raises(ValueError, match="other images, settings or seed"):
        train_modules(images[:4], folder, settings=SMALL)
    doubted = [dataclasses.replace(image, disputed=np.array([[5.0, 5, 30, 30]])) for image in images]
    with pytest.raises(ValueError, match="other images, settings or seed"):
        train_modules(doubted, folder, settings=SMALL)


def test_other_settings_are_refused_where_they_matter(trained, images):
    folder, _ = trained
    with pytest.raises(ValueError, match="screening' holds a training with other"):
        train_modules(images, folder, settings=dataclasses.replace(SMALL, epochs=1))
    with pytest.raises(ValueError, match="cascade' holds a training with other"):
        train_modules(images, folder, settings=dataclasses.replace(SMALL, n_stages=2))


@pytest.mark.parametrize("turns", [[("A", "B")], [("A",), ("A", "B")], [("A",), ("C",)]])
def test_turns_must_hold_every_series_once(images, tmp_path, turns):
    with pytest.raises(ValueError, match="turns="):
        train_modules(images, tmp_path, settings=SMALL, turns=turns)
