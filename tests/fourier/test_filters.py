"""Medians are those of NumPy, to the last digit."""

import numpy as np
import pytest

from stemlib.fourier.filters import median


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(7, 12), (12, 7), (1, 3), (2, 5)])
@pytest.mark.parametrize("axis", [0, 1])
def test_median_is_that_of_numpy(dtype, shape, axis):
    values = np.random.default_rng(0).normal(size=shape).astype(dtype)
    result = median(values, axis)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, np.median(values, axis=axis))
