import ipywidgets
import numpy as np
import pandas as pd
import pytest
from IPython.display import Image
from matplotlib.figure import Figure

import exploring
from stemlib.io.micrograph import Micrograph
from stemlib.synthetic import render_columns


@pytest.fixture(scope="module", params=exploring.ANALYSES)
def analysis(request):
    return request.param


@pytest.fixture(scope="module")
def micrograph(analysis):
    return Micrograph(exploring.simulated(analysis, 1), 0.02)


def test_every_finder_gives_a_picture_numbers_and_a_table(analysis, micrograph, tmp_path):
    findings = exploring.find(analysis, micrograph, "drawn")
    assert isinstance(findings.figure, Figure)
    assert all(np.isfinite(result["value"]) for result in findings.results)
    findings.to_csv(tmp_path / "table.csv")
    assert len(pd.read_csv(tmp_path / "table.csv", comment="#")) == len(findings.table) > 0
    assert exploring.picture(findings.figure).data.startswith(b"\x89PNG")


def test_every_finder_has_a_form_whose_button_runs_it(analysis, micrograph, monkeypatch):
    shown = []
    monkeypatch.setattr(exploring, "display", lambda *things: shown.extend(things))
    tabs = exploring.explorer(micrograph, analysis)
    page = tabs.children[tabs.selected_index]
    assert tabs.titles[tabs.selected_index] == analysis
    assert not shown
    page.manual_button.click()
    assert [type(thing) for thing in shown] == [Image, pd.DataFrame]
    fields = {child.description for child in page.children if isinstance(child, ipywidgets.ValueWidget)}
    assert fields == set(exploring.ANALYSES[analysis][1])


def test_a_setting_reaches_the_finder():
    micrograph = Micrograph(exploring.simulated("defects", 1), None)
    few = exploring.find("defects", micrograph, false_alarms=0.01)
    many = exploring.find("defects", micrograph, false_alarms=30.0)
    assert len(few.table) < len(many.table)


def test_an_unknown_finder_is_one_clear_error():
    with pytest.raises(ValueError, match="analysis='grains' must be one of"):
        exploring.find("grains", None)


def test_defects_are_looked_for_where_there_is_no_lattice(tmp_path):
    # Columns at random, none nearer to another than a spacing.
    places = np.random.default_rng(0).uniform(0, 160, (20_000, 2))
    kept = places[:1]
    for place in places:
        if np.hypot(*(kept - place).T).min() > 9:
            kept = np.vstack([kept, place])
    image = render_columns(kept, np.ones(len(kept)), (160, 160), 2.2)
    findings = exploring.find(
        "defects", Micrograph(image, 0.02), "glass", scheme="columns", descriptor="patterson"
    )
    assert findings.results[0]["value"] == len(findings.table)
    findings.write(tmp_path, "glass", scheme="columns")
    numbers = pd.read_csv(tmp_path / "glass-numbers.csv").set_index("name")
    assert numbers.loc["scheme", "value"] == "columns"
    assert {path.name for path in tmp_path.iterdir()} == {"glass.png", "glass.csv", "glass-numbers.csv"}
