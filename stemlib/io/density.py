"""How many objects there are per area and per volume, with Poisson intervals."""

from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Density:
    """How many objects there are per area, and per volume where the foil's thickness is known.

    ``low`` and ``high`` bound the 95 % Poisson interval; they and ``per_area`` are per px², those in ``_per_nm2`` per
    nm² and those in ``_per_nm3`` per nm³ (``None`` where pixel size or thickness is not known).
    """

    count: int
    area: float
    per_area: float
    low: float
    high: float
    area_nm2: float | None = None
    per_nm2: float | None = None
    low_per_nm2: float | None = None
    high_per_nm2: float | None = None
    per_nm3: float | None = None
    low_per_nm3: float | None = None
    high_per_nm3: float | None = None


def number_density(
    count: int, area: float, *, pixel_size_nm: float | None = None, thickness_nm: float | None = None
) -> Density:
    """Return the number density of objects with its exact 95 % Poisson interval.

    Parameters
    ----------
    count : int
        Objects counted, those at the edge included.
    area : float
        Area actually searched, px².
    pixel_size_nm : float, optional
    thickness_nm : float, optional

    Returns
    -------
    Density

    Raises
    ------
    ValueError
        If the area, or a pixel size or thickness that is given, is not positive.

    Examples
    --------
    >>> density = number_density(50, 1024**2, pixel_size_nm=0.5, thickness_nm=100)
    >>> f"{density.per_nm3 * 1e27:.2g} loops per m³"
    '1.9e+21 loops per m³'

    References
    ----------
    Garwood, Biometrika 28, 437 (1936), doi:10.1093/biomet/28.3-4.437.
    """
    if not area > 0:
        raise ValueError(f"area={area} must be positive")
    for name, value in (("pixel_size_nm", pixel_size_nm), ("thickness_nm", thickness_nm)):
        if value is not None and not 0 < value < np.inf:
            raise ValueError(f"{name}={value} must be positive; None where it is not known")
    low = stats.chi2.ppf(0.025, 2 * count) / 2 if count else 0.0
    high = stats.chi2.ppf(0.975, 2 * count + 2) / 2
    counts = np.array([count, low, high])
    values = [int(count), float(area), *(counts / area).tolist()]
    if pixel_size_nm is not None:
        area_nm2 = area * pixel_size_nm**2
        values += [area_nm2, *(counts / area_nm2).tolist()]
        if thickness_nm is not None:
            values += (counts / area_nm2 / thickness_nm).tolist()
    return Density(*values)
