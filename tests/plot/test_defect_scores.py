import numpy as np
import pandas as pd
import pytest

from stemlib.plot.defect_scores import dose_figure, ranking_figure


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
