import numpy as np
import pandas as pd
import pytest

from stemlib.plot import dose_figure, position_error_figure, ranking_figure, twin_figure


def ranking(image, value):
    return {
        "image": image,
        "sites": "W sites",
        "average_precision": value,
        "n_minority": 2.0,
        "n_columns": 9.0,
    }


def test_rankings_are_drawn_as_they_are_and_missing_images_said():
    table = pd.DataFrame([ranking("one", 0.75), ranking("two", np.nan)])
    curve = pd.DataFrame({"recall": [1.0, 0.5, 0.0], "precision": [0.5, 1.0, 1.0]})
    first, second = ranking_figure(table, curve.assign(image="one", sites="W sites")).axes
    assert first.lines[0].get_xydata().tolist() == [[1.0, 0.5], [0.5, 1.0], [0.0, 1.0]]
    assert first.get_legend().get_texts()[0].get_text() == "W sites: 0.750\n(2 of 9 columns)"
    assert second.texts[0].get_text() == "not available" and second.get_legend() is None
    with pytest.raises(ValueError, match="ranking is empty"):
        ranking_figure(table[:0], curve)


def test_rates_against_dose_with_their_intervals():
    keys = ("recall_missing", "recall_displaced", "precision")
    rows = [
        {"method": method, "dose_per_nm2": dose}
        | {
            key + end: value + shift
            for key in keys
            for end, shift in (("", 0), ("_low", -0.1), ("_high", 0.05))
        }
        for method, value in (("first", 0.8), ("second", 0.6))
        for dose in (1e5, 1e6)
    ]
    figure = dose_figure(pd.DataFrame(rows), caption="what counts")
    for axes in figure.axes:
        assert axes.get_xscale() == "log"
        first, second = axes.containers
        assert first.lines[0].get_ydata().tolist() == [0.8, 0.8]
        assert second.lines[0].get_ydata().tolist() == [0.6, 0.6]
        # A little beside each other around the true dose.
        pairs = zip(first.lines[0].get_xdata(), second.lines[0].get_xdata(), strict=True)
        assert [(a * b) ** 0.5 for a, b in pairs] == pytest.approx([1e5, 1e6])
        (bars,) = first.lines[2]
        assert bars.get_segments()[0][:, 1] == pytest.approx([0.7, 0.85])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["first", "second"]
    assert figure.legends[0].get_title().get_text() == "what counts"


def test_position_errors_are_drawn_as_they_are():
    rows = [
        {
            "crystal": crystal,
            "counts_per_column": counts,
            "method": method,
            "error_rms_px": error / counts**0.5,
            "limit_px": 1 / counts**0.5,
            "recall": 0.9 if counts == 100 else 1.0,
        }
        for crystal in ("square", "perovskite")
        for counts in (100, 400, 1600)
        for method, error in (("find_columns", 1.1), ("Gaussian fits", 1.4))
    ]
    figure = position_error_figure(pd.DataFrame(rows))
    assert [axes.get_title() for axes in figure.axes] == ["square", "perovskite"]
    lines = {line.get_label(): line.get_xydata() for line in figure.axes[0].lines}
    assert np.allclose(lines["find_columns"], [[100, 0.11], [400, 0.055], [1600, 0.0275]])
    assert np.allclose(lines["limit (Cramér-Rao), lone column"][:, 1], [0.1, 0.05, 0.025])
    assert [text.get_text() for text in figure.axes[0].texts] == ["90 % found"]
    assert figure.axes[0].get_xscale() == figure.axes[0].get_yscale() == "log"


def test_twins_over_dose_and_tilt():
    rows = [
        {"over": over, "dose_per_nm2": dose, "tilt_deg": tilt, "method": method, "number": number}
        | {"accuracy": 0.9 + 0.02 * number, "distance_px": 4.0, "allowed_px": 25.0, "found": 2}
        for over, dose, tilt in (("dose", 1e5, 0.0), ("dose", 1e6, 0.0), ("tilt", 1e6, 20.0))
        for method in ("mixture", "one-class")
        for number in (0, 1)
    ]
    figure = twin_figure(pd.DataFrame(rows))
    accuracy = figure.axes[0]
    assert accuracy.get_xscale() == "log"
    containers = accuracy.containers
    assert [container.get_label() for container in containers] == [
        "classification of all segments",
        "one-class SVM",
    ]
    np.testing.assert_allclose(containers[0].lines[0].get_xydata(), [[1e5, 0.91], [1e6, 0.91]])
    (bars,) = containers[0].lines[2]
    np.testing.assert_allclose(bars.get_segments()[0][:, 1], [0.9, 0.92])
    assert containers[0].lines[0].get_marker() != containers[1].lines[0].get_marker()
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "longer cell edge" in texts
