import matplotlib
import pytest

from stemlib.plot import training_figure

CURVE = {
    "recall": 0.8,
    "precision": 0.7,
    "curve": [{"recall": 0.9, "precision": 0.5}, {"recall": 0.6, "precision": 0.9}],
}
BINS = [{"probability": 0.1, "fraction": 0.15, "n": 40}, {"probability": 0.9, "fraction": 0.8, "n": 20}]
SERIES = {"cascade": [{"series": "0501", "f1": 0.8}, {"series": "5401", "f1": 0.6}]}


def test_each_part_has_a_panel_of_its_own():
    curve, bins, series = training_figure({"fcn": CURVE}, calibration=BINS, series=SERIES).axes
    assert curve.lines[0].get_xdata().tolist() == [0.9, 0.6]
    assert curve.lines[1].get_xdata() == [0.8]
    assert bins.lines[1].get_ydata().tolist() == [0.15, 0.8]
    assert [text.get_text() for text in bins.texts] == ["40", "20"]
    assert [label.get_text() for label in series.get_yticklabels()] == ["0501", "5401"]
    assert series.lines[1].get_xdata()[0] == pytest.approx(0.7)
    assert len(training_figure({}, series=SERIES).axes) == 1


def test_nothing_to_draw_is_an_error():
    with pytest.raises(ValueError, match="all empty"):
        training_figure({})


def test_the_users_own_style_stays_as_it_was():
    with matplotlib.rc_context({"font.size": 21}):
        training_figure({"fcn": CURVE})
        assert matplotlib.rcParams["font.size"] == 21
