"""The column network learns from its scenes, and its card states what it does on others."""

import json

import numpy as np
import pytest
import torch

from stemlib.columns.network import PEAK_SIGMA, load_column_network, standardised
from stemlib.columns.spacing import find_spacing
from stemlib.synthetic import crystal_image, render_columns
from stemlib.training.column_card import CLEAR, choose, held_back_scene, release_columns
from stemlib.training.column_scenes import training_example
from stemlib.training.columns import train_columns


def test_scenes_are_what_the_network_wants():
    peaks = nothing = 0
    for seed in range(120):
        image, target, weight = training_example(np.random.default_rng([1, seed]), size=64)
        assert image.shape == target.shape == weight.shape == (64, 64)
        assert image.dtype == target.dtype == weight.dtype == np.float32
        assert np.isfinite(image).all()
        assert set(np.unique(weight)) <= {0, 1}
        peaks += target.max() > 0.9
        nothing += target.max() == 0
    # Most scenes hold columns, and some hold none that should be answered.
    assert peaks > 70
    assert 8 < nothing < 50


def test_targets_lie_on_bright_spots():
    contrast = []
    for seed in range(60):
        image, target, weight = training_example(np.random.default_rng([2, seed]))
        if target.max() > 0:
            contrast.append(image[(target > 0.8) & (weight > 0)].mean() - image[target < 0.05].mean())
    assert np.quantile(contrast, 0.05) > 0.2


def test_training_depends_on_the_seed_alone():
    first, second = (
        train_columns(steps=3, batch=2, size=48, widths=(4, 4, 4), device="cpu", seed=3) for _ in range(2)
    )
    for one, other in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other)


def plain_example(rng, size):
    """Bright columns on a dark ground: what a small network learns in a few steps."""
    scene = crystal_image(
        "square", (size, size), spacing=8, rotation_deg=rng.uniform(0, 90), snr=50, seed=rng
    )
    places = scene.columns[["y", "x"]].to_numpy()
    target = render_columns(places, np.ones(len(places)), (size, size), PEAK_SIGMA)
    return standardised(scene.image), target, np.ones((size, size), np.float32)


def test_training_learns(monkeypatch):
    monkeypatch.setattr("stemlib.training.columns.training_example", plain_example)
    untrained, trained = (
        train_columns(steps=steps, batch=4, size=48, widths=(6, 8, 8), device="cpu", seed=3)
        for steps in (1, 60)
    )
    image, target, _ = plain_example(np.random.default_rng(0), 96)

    def contrast(network):
        with torch.inference_mode():
            answer = torch.sigmoid(network(torch.from_numpy(image)[None, None])[0, 0]).numpy()
        return answer[target > 0.8].mean() / answer[target < 0.05].mean()

    assert contrast(untrained) < 1.5
    assert contrast(trained) > 3


def test_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="precision='half' must be"):
        train_columns(steps=1, precision="half")


def test_held_back_scenes_have_clear_vacancies():
    scenes = [held_back_scene(seed) for seed in range(12)]
    assert sum(len(scene.missing) for scene in scenes) > 100
    assert min(scene.columns["snr"].min() for scene in scenes) > 0.7 * CLEAR
    again = held_back_scene(4)
    np.testing.assert_array_equal(again.image, scenes[4].image)


def test_card_states_the_scores_of_the_weights_beside_it(tmp_path):
    network = load_column_network(device="cpu")
    path = release_columns(network, tmp_path, command="none", seed=0, minutes=1.25, n_scenes=4, device="cpu")
    card = json.loads(path.read_text())
    assert card["validation"] in card["curve"]
    assert card["validation"]["f1"] > 0.9
    assert (
        load_column_network(tmp_path / "columns.safetensors", "cpu").threshold
        == card["validation"]["threshold"]
    )
    assert card["minutes"] == 1.2
    recalls = [row["recall"] for row in card["curve"]]
    assert recalls == sorted(recalls, reverse=True)


def test_standardised_takes_out_slow_changes():
    rng = np.random.default_rng(0)
    texture = rng.normal(size=(160, 160)).astype(np.float32)
    y, x = np.mgrid[:160, :160] / 160
    changed = 50 + 20 * x + (1 + 2 * y) * texture
    inner = np.s_[30:130, 30:130]
    np.testing.assert_allclose(standardised(changed.astype(np.float32))[inner].std(axis=1), 1, atol=0.3)
    assert not standardised(np.full((32, 32), 9, np.float32)).any()


def row(threshold, f1, filled):
    return {"threshold": threshold, "f1": f1, "filled": filled}


def test_a_threshold_that_fills_in_vacancies_is_not_taken_however_good():
    assert choose([row(0.2, 0.999, 0.004), row(0.3, 0.98, 0.003), row(0.4, 0.99, 0.001)])["threshold"] == 0.4


def test_the_lowest_of_equally_good_thresholds_is_taken():
    curve = [row(0.2, 0.980, 0.0), row(0.3, 0.9893, 0.0), row(0.4, 0.990, 0.0), row(0.5, 0.989, 0.0)]
    assert choose(curve)["threshold"] == 0.3


def test_where_every_threshold_fills_in_the_highest_is_taken():
    assert choose([row(0.2, 0.99, 0.02), row(0.3, 0.98, 0.01)])["threshold"] == 0.3


def test_noise_of_an_enlarged_image_is_not_taken_for_columns():
    # Columns 20 px apart in strong counting noise: enlarged to the network's scale, the noise of single px looks like
    # a dense crystal.
    scene = held_back_scene(38)
    assert scene.spacing > 18
    assert find_spacing(scene.image, load_column_network(device="cpu")) == pytest.approx(
        scene.spacing, rel=0.12
    )
