import numpy as np
import pytest
from scipy import stats

from stemlib.io.density import number_density


def test_the_poisson_interval_holds_the_count_at_its_tails():
    density = number_density(12, 1000.0)
    assert stats.poisson.sf(11, density.low * 1000) == pytest.approx(0.025)
    assert stats.poisson.cdf(12, density.high * 1000) == pytest.approx(0.025)


def test_nothing_found_has_an_upper_bound():
    density = number_density(0, 1000.0)
    assert density.low == 0 and density.high * 1000 == pytest.approx(-np.log(0.025))


def test_density_per_area_and_volume_follow_from_pixel_size_and_thickness():
    density = number_density(10, 400.0, pixel_size_nm=0.5, thickness_nm=50.0)
    assert density.per_nm2 == pytest.approx(0.1)
    assert density.per_nm3 == pytest.approx(0.002)
    assert density.low_per_nm3 < density.per_nm3 < density.high_per_nm3
    assert number_density(10, 400.0).per_nm2 is None
    assert number_density(10, 400.0, pixel_size_nm=0.5).per_nm3 is None


def test_nothing_searched_is_an_error():
    with pytest.raises(ValueError, match="area"):
        number_density(0, 0)


@pytest.mark.parametrize("name", ["pixel_size_nm", "thickness_nm"])
@pytest.mark.parametrize("value", [0, -1.0, np.inf, np.nan])
def test_lengths_that_cannot_be_are_errors(name, value):
    with pytest.raises(ValueError, match=f"{name}=.* must be positive"):
        number_density(3, 100.0, **({"pixel_size_nm": 0.5} | {name: value}))
