import dataclasses
import json

import numpy as np
import pytest

from stemlib import find_loops
from stemlib.cascade_xml import load_cascade
from stemlib.synthetic import loop_micrograph
from stemlib.training.images import labelled_image
from stemlib.training.modules import Settings, train_modules

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
    for part, suffix in (("cascade", "xml"), ("screening", "safetensors")):
        turns = {path.name for path in (folder / "turns" / part).iterdir()}
        models = {f"without {left_out}.{suffix}" for left_out in ("A", "B", "nothing")}
        assert turns == models | {"minutes.json", "training.txt"}


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
