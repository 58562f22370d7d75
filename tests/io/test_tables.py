import pandas as pd
import pytest

from stemlib.io.tables import with_nanometres, write_csv


@pytest.fixture
def table():
    return pd.DataFrame({"y": [1.0, 2.0], "major": [12.0, 30.0], "offset": [0.5, 1.0], "area": [75.0, 471.0]})


def test_nanometres_stand_beside_pixels(table):
    both = with_nanometres(table, 0.2)
    assert both.major_nm.tolist() == pytest.approx([2.4, 6.0])
    assert both.offset_nm.tolist() == pytest.approx([0.1, 0.2])
    assert both.area_nm2.tolist() == pytest.approx([3.0, 18.84])
    assert both.major.tolist() == [12.0, 30.0]
    assert list(with_nanometres(table, None)) == list(table)


def test_the_origin_moves_positions_and_edges_but_no_lengths(table):
    edges = {"x": 4.0, "top": 0.5, "bottom": 1.5, "left": 3.0, "right": 6.0}
    moved = with_nanometres(table.assign(**edges), 0.2, (100.0, -7.0))
    first = {name: moved[name][0] for name in moved if name.endswith(("_nm", "_nm2"))}
    assert first == pytest.approx(
        {"y_nm": 100.2, "top_nm": 100.1, "bottom_nm": 100.3, "x_nm": -6.2, "left_nm": -6.4, "right_nm": -5.8}
        | {"major_nm": 2.4, "offset_nm": 0.1, "area_nm2": 3.0}
    )


def test_headers_carry_units_and_nothing_else_changes(table, tmp_path):
    table = table.assign(angle_deg=15.0, orientation_deg=1.0, score=0.5, n_areas=1, a=3.0)
    path = write_csv(with_nanometres(table, 0.2), tmp_path / "new" / "table.csv")
    header, first, _ = path.read_text(encoding="utf-8").splitlines()
    assert header.split(",") == (
        [
            "y (px)",
            "major (px)",
            "offset (px)",
            "area (px²)",
            "angle (deg)",
            "orientation (deg)",
            "score",
            "n_areas",
        ]
        + ["a (px)", "y (nm)", "major (nm)", "a (nm)", "offset (nm)", "area (nm²)"]
    )
    assert first.startswith("1.0,12.0,0.5,75.0,15.0,1.0,0.5,1,3.0,0.2,")


def test_intervals_errors_and_densities_have_their_units(tmp_path):
    table = pd.DataFrame({"mean_diameter": [40.0], "mean_diameter_low": [30.0], "a_error": [0.1]})
    both = with_nanometres(table, 0.5).assign(density_low_per_nm2=1e-3, density_per_px2=2e-4)
    assert both["mean_diameter_low_nm"].tolist() == [15.0]
    header = write_csv(both, tmp_path / "table.csv").read_text(encoding="utf-8").splitlines()[0].split(",")
    assert header[:3] == ["mean_diameter (px)", "mean_diameter_low (px)", "a_error (px)"]
    assert header[-2:] == ["density_low (nm⁻²)", "density (px⁻²)"]
    assert {"mean_diameter_low (nm)", "a_error (nm)"} <= set(header)
