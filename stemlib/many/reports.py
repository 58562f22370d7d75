"""What is written about one image, whatever was sought in it: a table, numbers with their intervals, and a picture."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stemlib.io.tables import with_nanometres

_DEFECTS = ("missing", "dim", "bright", "displaced", "interstitial", "structure")


@dataclass(frozen=True, eq=False)
class Report:
    """What there is to say about one image.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per object; of a lattice, the one row.
    numbers : dict
        What there is of the image as a whole; names carry units as columns of tables do, and the ends of the 95 %
        interval of ``name``, where it has one, are ``name_low`` and ``name_high``.
    draw : callable
        Returns the picture, a matplotlib Figure.
    """

    table: pd.DataFrame
    numbers: dict
    draw: Callable


def report(what, result):
    """Return the `Report` of what a finder found.

    Parameters
    ----------
    what : {"loops", "defects", "columns", "lattice", "domains"}
    result : Loops, Defects, Columns, Lattice or Domains

    Returns
    -------
    Report

    Examples
    --------
    >>> import stemlib
    >>> from stemlib.synthetic import crystal_image
    >>> found = stemlib.find_lattice(crystal_image("square", (96, 96), spacing=9, seed=0).image)
    >>> report("lattice", found).table.angle_deg.round().tolist()
    [90.0]
    """
    from stemlib.plot import result_figure

    return Report(result.table, _NUMBERS[what](result), lambda: result_figure(result, width=8))


def _loops(found):
    from stemlib.agreement import size_statistics

    sizes = size_statistics(found.table.assign(diameter=found.table["major"]))
    numbers = {"loops": sizes["count"], "loops_at_edge": sizes["n_at_edge"]}
    if "kind" in found.table:
        numbers |= {f"loops_{kind}": int(n) for kind, n in found.table["kind"].value_counts().items()}
    for key in ("mean", "std"):
        numbers |= {f"{key}_diameter{end}": sizes[f"{key}{end}"] for end in ("", "_low", "_high")}
    numbers = _in_nm(numbers, found.pixel_size_nm)
    return numbers | _density(vars(found.density))


def _columns(found):
    return _in_nm({"columns": len(found.table), "spacing": found.spacing}, found.pixel_size_nm)


def _lattice(found):
    return found.table.iloc[0].to_dict()


def _defects(found):
    from stemlib.agreement import wilson_interval

    kinds = found.table["kind"].value_counts()
    numbers = {"defects": len(found.table)} | {
        f"defects_{kind}": int(kinds.get(kind, 0)) for kind in _DEFECTS
    }
    # Of the places that could hold one: columns, and empty sites.
    sites = numbers["sites"] = len(found.columns)
    numbers["defects_per_site"] = len(found.table) / sites if sites else np.nan
    low, high = wilson_interval(min(len(found.table), sites), sites)
    numbers |= {"defects_per_site_low": low, "defects_per_site_high": high}
    return numbers | (_density(found.densities.loc["all"]) if len(found.densities) else {})


def _domains(found):
    return {"domains": found.n_domains, "undecided_share": float((found.labels < 0).mean())}


def _density(known):
    """Numbers of a Density, or of what has its names."""
    numbers = {"area": known["area"]}
    ends = {"": "per_area", "_low": "low", "_high": "high"}
    numbers |= {f"density{end}_per_px2": known[key] for end, key in ends.items()}
    for unit in ("per_nm2", "per_nm3"):
        if known.get(unit) is not None:
            ends = {"": unit, "_low": f"low_{unit}", "_high": f"high_{unit}"}
            numbers |= {f"density{end}_{unit}": known[key] for end, key in ends.items()}
    return numbers


def _in_nm(numbers, pixel_size_nm):
    """Numbers, and the lengths among them in nm as well; None becomes NaN."""
    table = with_nanometres(pd.DataFrame([numbers]).replace({None: np.nan}), pixel_size_nm)
    return {key: column.item() for key, column in table.items()}


_NUMBERS = {
    "loops": _loops,
    "defects": _defects,
    "columns": _columns,
    "lattice": _lattice,
    "domains": _domains,
}
VERBS = {what: f"find_{what}" for what in _NUMBERS}
