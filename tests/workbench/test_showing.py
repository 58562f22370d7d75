import re
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

import stemlib
from stemlib import plot
from stemlib.synthetic import PointDefects, crystal_image, domain_image, loop_micrograph
from stemlib.workbench.measured import with_error, with_interval


@pytest.fixture(scope="module")
def results():
    crystal = crystal_image(
        "perovskite", (160, 160), spacing=10, defects=PointDefects(vacancies=0.01), seed=3
    ).image
    return {
        "loops": stemlib.find_loops(loop_micrograph((256, 256), n_loops=5, seed=5).image, pixel_size_nm=0.5),
        "columns": stemlib.find_columns(crystal, pixel_size_nm=0.02),
        "lattice": stemlib.find_lattice(crystal, pixel_size_nm=0.02),
        "defects": stemlib.find_defects(crystal, pixel_size_nm=0.02),
        "domains": stemlib.find_domains(
            domain_image("two-phases", (256, 256), seed=0).image, pixel_size_nm=0.02
        ),
    }


@pytest.fixture(params=["loops", "columns", "lattice", "defects", "domains"])
def result(request, results):
    return results[request.param]


def test_numbers_have_units_and_intervals_around_their_values(result):
    table = result.numbers()
    assert list(table) == ["what", "value", "low", "high", "unit"] and table["what"].is_unique
    known = table.dropna()
    assert ((known["low"] <= known["value"]) & (known["value"] <= known["high"])).all()
    assert "nm" in " ".join(table["unit"])


def test_without_a_pixel_size_numbers_are_in_pixels(results):
    bare = replace(results["lattice"], pixel_size_nm=None)
    assert bare.numbers()["unit"].tolist() == ["px", "px", "°", ""]


def test_it_says_in_one_line_what_was_found(results):
    lines = {name: str(result) for name, result in results.items()}
    assert not any("\n" in line or len(line) > 160 for line in lines.values())
    assert re.match(
        r"a = 0\.28\d*\(\d+\) nm, b = 0\.28\d*\(\d+\) nm, angle \d+\.\d+\(\d+\)°$", lines["lattice"]
    )
    assert re.match(
        r"\d loops, mean diameter [\d.]+ nm \([\d.]+ to [\d.]+\), loops per area .* nm⁻²", lines["loops"]
    )
    assert re.match(r"\d+ columns, distance of nearest neighbours 0\.2 nm", lines["columns"])
    assert re.match(r"\d defects?, defects per area judged .* nm⁻² .*, \d missing", lines["defects"])
    assert lines["domains"] == "2 domains, 0% of the image undecided"
    assert repr(results["lattice"]) == f"<Lattice: {lines['lattice']}>"


def test_it_shows_a_picture_and_its_numbers(result):
    shown = result._repr_html_()
    assert "data:image/png;base64,iVBOR" in shown
    assert all(re.sub("[<>&]", "", row) in shown for row in result.numbers()["what"])
    without = replace(result, view=None)._repr_html_()
    assert "<img" not in without and "<table" in without


def test_it_is_drawn_where_one_wants_it(result):
    axes = Figure().subplots()
    assert result.plot(axes) is axes and axes.images
    height, width = result.view.mask.shape
    assert axes.get_xlim() == (-0.5, width - 0.5) and axes.get_ylim() == (height - 0.5, -0.5)
    assert isinstance(result.plot().figure, Figure)
    with pytest.raises(ValueError, match=r"has no image \(view=None\)"):
        replace(result, view=None).plot()


def test_every_column_and_every_loop_is_drawn(results):
    axes = results["columns"].plot(Figure().subplots())
    (line,) = [line for line in axes.lines if line.get_gid() == "column"]
    assert len(line.get_xdata()) == len(results["columns"].table)
    axes = results["loops"].plot(Figure().subplots())
    assert len(axes.patches) == len(results["loops"].table)


def test_a_corrected_result_is_drawn_with_what_was_added(results):
    editor = results["defects"].edit(kinds=["cluster"])
    editor.draw(50, 50, kind="cluster")
    result = editor.result
    assert "1 cluster" in str(result) and result.plot(Figure().subplots()).lines
    assert len(plot.result_figure(result).axes) == 1


def test_values_are_written_as_people_write_them():
    assert with_error(90.0, 0.064) == "90.000(64)" and with_error(1234.5, 30) == "1234(30)"
    assert with_error(np.nan, np.nan) == "nan"
    row = {"value": 3.0, "low": np.nan, "high": np.nan, "unit": ""}
    assert with_interval(row) == "3" and with_interval(row | {"value": np.nan}) == "not known"
