"""Densities and diameters with the detector's own errors in them, from a few fields that a person has checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

_FEWEST = 10  # of fewer, intervals hold too seldom: see benchmarks/loop_density.json


@dataclass(frozen=True)
class Corrected:
    """An estimate for a whole series, and what it rests on.

    Parameters
    ----------
    value, low, high : float
        Estimate and bounds of its interval.
    from_checked : tuple of float
        Bounds of the interval from the checked fields alone, without what the detector says.
    reliance : float
        How far the detector's numbers are followed: 0 not at all, 1 wholly.
    n_fields, n_checked : int
    """

    value: float
    low: float
    high: float
    from_checked: tuple[float, float]
    reliance: float
    n_fields: int
    n_checked: int


def corrected_density(found, checked, *, areas=1.0, confidence=0.95) -> Corrected:
    """Estimate the density of a series from the detector's counts of all its fields and a person's of a few.

    The detector's mean over all fields is corrected by its mean error in the checked ones, followed as far as it
    proved to follow the person. The checked fields must have been drawn at random from the series; the interval is
    that of a sample from so many fields, so that it is a point where all are checked.

    Parameters
    ----------
    found : mapping or pandas.Series
        Name of each field -> number that the detector found in it.
    checked : mapping or pandas.Series
        Name of each checked field -> number that a person says is there; at least ten.
    areas : float, mapping or pandas.Series
        Area of each field, in any unit; one number for all.
    confidence : float
        That the interval holds the density of all fields as a person would count them.

    Returns
    -------
    Corrected
        Per unit of area.

    Raises
    ------
    ValueError
        If there are fewer than ten checked fields, one of them is not among those found, or a number is no good.

    Examples
    --------
    >>> found = {f"field {n}": 10 + n % 5 for n in range(40)}
    >>> checked = {name: found[name] + 2 for name in list(found)[:10]}
    >>> round(corrected_density(found, checked, areas=2.0).value, 2)
    7.0

    References
    ----------
    Angelopoulos et al., Science 382, 669 (2023), doi:10.1126/science.adi6000; for samples from so many fields as there
    are: Cochran, Sampling Techniques (1977), chapter 7.
    """
    found, checked = _series(found, "found"), _series(checked, "checked")
    areas = pd.Series(areas, found.index, float) if np.isscalar(areas) else _series(areas, "areas")
    if set(found.index) - set(areas.index) or not (areas > 0).all():
        raise ValueError("areas must be positive, and name every field of found")
    return _corrected(found, checked, float(areas[found.index].mean()), confidence)


def corrected_diameter(found, checked, *, confidence=0.95) -> Corrected:
    """Estimate the mean diameter of a series from the detector's mean of each field and a person's of a few.

    Every field counts alike, as it does in a mean over images.

    Parameters
    ----------
    found, checked : mapping or pandas.Series
        Name of each field -> mean diameter there, as in `corrected_density`.
    confidence : float

    Returns
    -------
    Corrected
        In the unit of the diameters.

    Raises
    ------
    ValueError
        As `corrected_density`.

    Examples
    --------
    >>> found = {n: 20.0 + n % 5 for n in range(40)}
    >>> round(corrected_diameter(found, {n: found[n] * 1.1 for n in range(10)}).value, 1)
    24.2
    """
    return _corrected(_series(found, "found"), _series(checked, "checked"), 1.0, confidence)


def _corrected(found, checked, unit, confidence):
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence!r} must lie between 0 and 1")
    unknown = sorted(map(str, set(checked.index) - set(found.index)))
    if unknown:
        raise ValueError(f"checked names fields that found lacks: {', '.join(unknown)}")
    n, everything = len(checked), len(found)
    if n < _FEWEST:
        raise ValueError(f"checked holds {n} fields; at least {_FEWEST} would do")
    truth, machine = checked.to_numpy(float), found[checked.index].to_numpy(float)
    spread = machine.var(ddof=1)
    reliance = float(np.clip(np.cov(truth, machine)[0, 1] / spread, 0, 1)) if spread > 0 else 0.0
    value = truth.mean() + reliance * (found.mean() - machine.mean())
    low, high = _interval(value, _left_out(truth, machine), n, everything, confidence)
    alone = _interval(truth.mean(), truth - truth.mean(), n, everything, confidence)
    return Corrected(
        value=float(value / unit),
        low=float(low / unit),
        high=float(high / unit),
        from_checked=(float(alone[0] / unit), float(alone[1] / unit)),
        reliance=reliance,
        n_fields=everything,
        n_checked=n,
    )


def _left_out(truth, machine):
    """Error of each checked field as foretold by a line through the others, on which it has no pull."""
    centred = machine - machine.mean()
    total = (centred**2).sum()
    slope = np.clip((centred * truth).sum() / total, 0, 1) if total > 0 else 0.0
    residual = truth - truth.mean() - slope * centred
    leverage = 1 / len(truth) + (centred**2 / total if total > 0 else 0)
    # The pull of the mean itself is in the quantile's degrees of freedom already.
    return residual * (1 - 1 / len(truth)) / np.maximum(1 - leverage, 0.05)


def _interval(value, errors, n, everything, confidence):
    variance = (errors**2).sum() / (n - 1) / n * (1 - n / everything)
    reach = stats.t.ppf(0.5 + confidence / 2, n - 2) * np.sqrt(variance)
    return value - reach, value + reach


def _series(values, name):
    if not isinstance(values, Mapping | pd.Series):
        raise ValueError(f"{name} is {type(values).__name__}; a mapping from fields to numbers would do")
    series = pd.Series(dict(values), dtype=float)
    if not np.isfinite(series.to_numpy()).all() or (series < 0).any():
        raise ValueError(f"{name} must hold finite numbers that are not negative")
    return series
