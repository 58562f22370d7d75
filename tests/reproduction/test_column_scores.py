"""Cases, scores and position errors of columns, on simulated crystals whose truth is known."""

import numpy as np
import pandas as pd
import pytest

import stemlib
from reproduction.column_scores import (
    column_score_table,
    match_column_cases,
    position_error_table,
    position_limit,
)
from reproduction.gaussian_fits import gaussian_fit
from reproduction.loading import find_in_cases, load_cases
from stemlib.columns.find import Columns
from stemlib.synthetic import render_columns


def as_found(positions):
    table = pd.DataFrame(np.asarray(positions), columns=["y", "x"])
    return Columns(table, np.zeros((4, 4), np.float32), 10.0, 2.0, None)


@pytest.fixture(scope="module")
def cases():
    return load_cases("columns", "synthetic", n_images=2, side_px=160, seed=1)


def test_what_is_lost_and_added_is_scored(cases):
    found = {case.name: as_found(case.labels + 0.3) for case in cases}
    first = cases[0]
    low, high = first.region.min(), first.region.max()
    inside = first.labels[((first.labels > low) & (first.labels < high)).all(axis=1)]
    found[first.name] = as_found(first.labels.drop(inside.index[:7]))
    table = column_score_table(cases, match_column_cases(cases, found)).set_index("image")
    assert list(table.index) == [case.name for case in cases] + ["pooled"]
    assert table.loc[first.name, "truth_found"] == table.loc[first.name, "n_truth"] - 7
    assert table.loc[first.name, "precision"] == 1
    assert (table.loc[[case.name for case in cases[1:]], "recall"] == 1).all()
    assert table.loc["pooled", "n_truth"] == sum(table.loc[case.name, "n_truth"] for case in cases)
    assert table.loc[cases[1].name, "error_rms_px"] == pytest.approx(0.3 * np.sqrt(2), rel=0.02)


def test_images_that_are_not_at_hand_stay_in_the_list(monkeypatch, tmp_path):
    monkeypatch.setenv("STEMLIB_DATA", str(tmp_path))
    monkeypatch.setenv("STEMLIB_CACHE", str(tmp_path))
    cases = load_cases("columns", "atomic")
    assert [case.name for case in cases if case.region is not None] == [
        "wse2-ti/adf1",
        "wse2-ti/adf2",
        "wse2-cr",
        "mose2-40kv",
        "ws2te2-edge",
    ]
    assert all(case.source is None and case.labels is None for case in cases)
    dark = [case for case in cases if case.dark_columns]
    assert [case.name for case in dark] == ["perovskite-abf", "perovskite-abf/frame-0"]
    assert not any(case.may_be_shown for case in dark)
    assert find_in_cases(cases, stemlib.find_columns) == {}
    assert column_score_table(cases, {}).empty


def test_gaussian_fits_find_what_is_there():
    rng = np.random.default_rng(3)
    y, x = np.mgrid[10:90:12, 10:90:12]
    truth = np.column_stack([y.ravel(), x.ravel()]) + rng.uniform(-0.5, 0.5, (49, 2))
    image = 5 + 3 * render_columns(truth, np.linspace(0.5, 2, 49), (100, 100), 1.8)
    fitted = gaussian_fit(image, np.rint(truth), 5.0)
    assert np.hypot(*(fitted - truth).T).max() < 0.02


def test_a_fit_without_pixels_or_in_noise_stays_near_its_start():
    image = np.random.default_rng(0).normal(size=(40, 40))
    starts = np.array([[20.0, 20.0], [-30.0, 5.0], [39.0, 39.0]])
    fitted = gaussian_fit(image, starts, 4.0)
    assert np.isfinite(fitted).all()
    assert np.hypot(*(fitted - starts).T).max() <= 4.0
    assert fitted[1].tolist() == [-30.0, 5.0]


def test_gaussian_fits_reach_the_limit_at_high_dose(monkeypatch):
    def nothing(image, **options):
        return as_found(np.empty((0, 2)))

    monkeypatch.setattr(stemlib, "find_columns", nothing)
    table = position_error_table([200], n_images=1, side_px=160, crystals=["square"], spacing=14)
    row = table[table["method"] == "Gaussian fits"].iloc[0]
    assert row["limit_px"] <= row["error_rms_px"] <= 1.6 * row["limit_px"]
    assert row["counts_per_column"] == pytest.approx(2 * np.pi * (0.22 * 14) ** 2 * 200)


def test_find_columns_places_columns_no_worse_than_single_fits():
    table = position_error_table([10, 100], n_images=1, side_px=128, crystals=["graphene"])
    error = table.pivot(index="dose", columns="method", values="error_rms_px")
    assert (error["find_columns"] <= 1.1 * error["Gaussian fits"]).all()
    assert error.loc[100.0, "find_columns"] < error.loc[10.0, "find_columns"]
    assert (table["recall"] == 1).all()


def test_simulated_dark_columns_are_dark(cases):
    dark = cases[-1]
    assert dark.dark_columns and not cases[0].dark_columns
    at = dark.labels.round().astype(int).clip(0, 159).to_numpy()
    assert dark.source.image[at[:, 0], at[:, 1]].mean() < dark.source.image.mean()


def test_without_background_the_limit_is_the_width_over_the_root_of_the_counts():
    expected = (2 * 2.0**2 / (2 * np.pi * 4 * 100)) ** 0.5
    assert position_limit(2.0, 100.0, background=0.0) == pytest.approx(expected, rel=1e-4)
