import numpy as np
import pandas as pd
import pytest
from scipy import stats

from stemlib.io.tables import with_nanometres, with_units
from stemlib.loops.tables import imagej_table, loop_density, read_imagej_csv


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "y": [10.0, 50.25],
            "x": [20.0, 60.5],
            "major": [12.0, 30.0],
            "minor": [8.0, 20.0],
            "angle_deg": [15.0, 120.0],
            "area": [75.0, 471.0],
            "top": [5.0, 38.0],
            "left": [14.0, 47.0],
            "bottom": [15.0, 62.0],
            "right": [26.0, 74.0],
        }
    )


def test_the_poisson_interval_holds_the_count_at_its_tails():
    density = loop_density(12, 1000.0)
    assert stats.poisson.sf(11, density.low * 1000) == pytest.approx(0.025)
    assert stats.poisson.cdf(12, density.high * 1000) == pytest.approx(0.025)


def test_no_loops_have_an_upper_bound():
    density = loop_density(0, 1000.0)
    assert density.low == 0 and density.high * 1000 == pytest.approx(-np.log(0.025))


def test_density_per_area_and_volume_follow_from_pixel_size_and_thickness():
    density = loop_density(10, 400.0, pixel_size_nm=0.5, thickness_nm=50.0)
    assert density.per_nm2 == pytest.approx(0.1)
    assert density.per_nm3 == pytest.approx(0.002)
    assert density.low_per_nm3 < density.per_nm3 < density.high_per_nm3
    assert loop_density(10, 400.0).per_nm2 is None
    assert loop_density(10, 400.0, pixel_size_nm=0.5).per_nm3 is None


def test_nothing_searched_is_an_error():
    with pytest.raises(ValueError, match="area"):
        loop_density(0, 0)


@pytest.mark.parametrize("name", ["pixel_size_nm", "thickness_nm"])
@pytest.mark.parametrize("value", [0, -1.0, np.inf, np.nan])
def test_lengths_that_cannot_be_are_errors(name, value):
    with pytest.raises(ValueError, match=f"{name}=.* must be positive"):
        loop_density(3, 100.0, **({"pixel_size_nm": 0.5} | {name: value}))


def test_nanometres_stand_beside_pixels(table):
    both = with_nanometres(table, 0.2)
    assert both.major_nm.tolist() == pytest.approx([2.4, 6.0])
    assert both.area_nm2.tolist() == pytest.approx([3.0, 18.84])
    assert both.major.tolist() == [12.0, 30.0]
    assert list(with_nanometres(table, None)) == list(table)


def test_headers_carry_units(table):
    headers = list(with_units(with_nanometres(table, 0.2)))
    assert {"major (px)", "major (nm)", "area (nm²)", "angle (deg)"} <= set(headers)


@pytest.mark.parametrize("separator", [",", "\t"])
def test_imagej_tables_survive_a_round_trip(tmp_path, table, separator):
    path = tmp_path / "Results.csv"
    imagej_table(table).to_csv(path, index=False, sep=separator)
    pd.testing.assert_frame_equal(read_imagej_csv(path), table)
    assert read_imagej_csv(path, pixel_size_nm=0.5).major_nm.tolist() == [6.0, 15.0]


def test_loops_at_the_edge_are_told_where_the_shape_is_known(tmp_path, table):
    path = tmp_path / "Results.csv"
    imagej_table(table).to_csv(path, index=False)
    # The second loop's box ends at row 62 and column 74.
    for shape, cut in (((200, 200), False), ((63, 200), True), ((200, 75), True), ((65, 200), False)):
        assert read_imagej_csv(path, shape=shape).touches_edge.tolist() == [False, cut]
    imagej_table(table.assign(left=-0.5)).to_csv(path, index=False)
    assert read_imagej_csv(path, shape=(200, 200)).touches_edge.all()
    assert "touches_edge" not in read_imagej_csv(path)


def test_a_loop_that_a_person_deleted_stays_deleted(tmp_path, table):
    path = tmp_path / "Results.csv"
    imagej_table(table).drop(index=0).to_csv(path, index=False)
    assert read_imagej_csv(path).y.tolist() == [50.25]


def test_missing_columns_and_words_are_named(tmp_path, table):
    path = tmp_path / "Results.csv"
    imagej_table(table).drop(columns=["Major", "BX"]).to_csv(path, index=False)
    with pytest.raises(ValueError, match=r"Results.csv.*\['BX', 'Major'\]"):
        read_imagej_csv(path)
    imagej_table(table).astype(object).replace(30.0, "thirty").to_csv(path, index=False)
    with pytest.raises(ValueError, match="row 2"):
        read_imagej_csv(path)
    path.write_text("\n")
    with pytest.raises(ValueError, match="Results.csv' is empty"):
        read_imagej_csv(path)
    with pytest.raises(FileNotFoundError, match="nowhere.csv"):
        read_imagej_csv(tmp_path / "nowhere.csv")
