"""What each class of result measured, with intervals and units: a table, and one line of it."""

import math

import numpy as np
import pandas as pd

from stemlib.agreement import size_statistics

_95 = 1.96  # standard errors


def numbers(result):
    """Return what was measured, a row each.

    Parameters
    ----------
    result : Loops, Defects, Columns, Lattice or Domains

    Returns
    -------
    pandas.DataFrame
        ``what, value, low, high, unit``; ``low`` and ``high`` bound the 95 % interval, NaN where there is none.

    Examples
    --------
    >>> import stemlib
    >>> from stemlib.synthetic import crystal_image
    >>> image = crystal_image("square", (96, 96), spacing=9.5, seed=0).image
    >>> numbers(stemlib.find_lattice(image, pixel_size_nm=0.02)).unit.tolist()
    ['nm', 'nm', '°', '']
    """
    rows = _ROWS[type(result).__name__](result)
    table = pd.DataFrame(rows, columns=["what", "value", "low", "high", "unit"])
    return table.astype({"value": float, "low": float, "high": float})


def _row(what, value, low=math.nan, high=math.nan, unit=""):
    return what, value, low, high, unit


def density_row(what, density):
    """A row of a Density, or of what has its names, per nm² where that is known."""
    if density.get("per_nm2") is not None and np.isfinite(density["per_nm2"]):
        values, unit = [density[f"{name}per_nm2"] for name in ("", "low_", "high_")], "nm⁻²"
    else:
        values, unit = [density[name] for name in ("per_area", "low", "high")], "px⁻²"
    return _row(what, *values, unit)


def _of_loops(loops):
    unit, scale = ("px", 1.0) if loops.pixel_size_nm is None else ("nm", loops.pixel_size_nm)
    table, density = loops.table, vars(loops.density)
    rows = [_row("loops", len(table))]
    table = table.assign(diameter=table["major"] * scale)
    kinds = dict(list(table.groupby("kind", sort=False))) if "kind" in table else {}
    for kind, members in kinds.items() if len(kinds) > 1 else ():
        sizes = size_statistics(members, seed=0)
        rows += [
            _row(f"of kind {kind}", len(members)),
            _row(f"{kind}, mean diameter", *(sizes[f"mean{end}"] for end in ("", "_low", "_high")), unit),
        ]
        if kind in loops.densities:
            rows.append(density_row(f"{kind} per area", vars(loops.densities[kind])))
    sizes = size_statistics(table, seed=0)
    rows += [
        _row("cut by the image edge, not in the sizes", sizes["n_at_edge"]),
        _row("mean diameter", *(sizes[f"mean{end}"] for end in ("", "_low", "_high")), unit),
        _row("standard deviation of diameter", *(sizes[f"std{end}"] for end in ("", "_low", "_high")), unit),
        density_row("loops per area", density),
    ]
    if density["per_nm3"] is not None:
        values = (density[f"{end}per_nm3"] for end in ("", "low_", "high_"))
        rows.append(_row("loops per volume", *values, "nm⁻³"))
    return rows


def _of_defects(defects):
    rows = [_row("defects", len(defects.table))]
    table = defects.densities
    for kind, density in table.iterrows():
        if kind != "all":
            rows.append(_row(f"of kind {kind}", density["count"]))
        rows.append(
            density_row("defects per area judged" if kind == "all" else f"{kind} per area judged", density)
        )
    rows.append(_row("share of the image judged", float(defects.judged.mean())))
    return rows


def _of_columns(columns):
    rows = [_row("columns", len(columns.table))]
    if columns.spacing is not None:
        scale, unit = (1.0, "px") if columns.pixel_size_nm is None else (columns.pixel_size_nm, "nm")
        rows.append(_row("distance of nearest neighbours", columns.spacing * scale, unit=unit))
    return rows


def _of_lattice(lattice):
    scale, unit = (1.0, "px") if lattice.pixel_size_nm is None else (lattice.pixel_size_nm, "nm")
    values = [
        ("a", lattice.lengths[0] * scale, lattice.length_errors[0] * scale, unit),
        ("b", lattice.lengths[1] * scale, lattice.length_errors[1] * scale, unit),
        ("angle", lattice.angle_deg, lattice.angle_error_deg, "°"),
    ]
    rows = [_row(what, v, v - _95 * error, v + _95 * error, unit) for what, v, error, unit in values]
    return [*rows, _row("share of the image that has this lattice", lattice.coverage)]


def _of_domains(domains):
    rows = [_row("domains", domains.n_domains)]
    table, known = domains.table, domains.pixel_size_nm is not None
    for row in table.to_dict("records"):
        name, unit = f"domain {row['domain'] + 1}", "nm" if known else "px"
        rows.append(_row(f"{name}, share of the image", row["share"]))
        for edge in ("a", "b"):
            rows.append(_row(f"{name}, {edge}", row[f"{edge}_nm" if known else edge], unit=unit))
        rows.append(_row(f"{name}, direction of a", row["orientation_deg"], unit="°"))
    return [*rows, _row("undecided share of the image", float((domains.labels < 0).mean()))]


_ROWS = {
    "Loops": _of_loops,
    "Defects": _of_defects,
    "Columns": _of_columns,
    "Lattice": _of_lattice,
    "Domains": _of_domains,
}


def counted(count, name):
    """Return a number of objects: "1 loop", "2 loops"."""
    return f"{count} {name if count != 1 else name.removesuffix('s')}"


def with_interval(row):
    """Return a row of `numbers` as people write it: value, interval, unit.

    Examples
    --------
    >>> with_interval({"value": 24.31, "low": 22.1, "high": 26.44, "unit": "nm"})
    '24.3 nm (22.1 to 26.4)'
    """
    unit = f"{'' if row['unit'] == '°' else ' '}{row['unit']}" if row["unit"] else ""
    text = f"{_short(row['value'])}{unit}"
    if np.isfinite(row["low"]):
        text += f" ({_short(row['low'])} to {_short(row['high'])})"
    return text


def _short(value):
    if not np.isfinite(value):
        return "not known"
    return f"{value:.0f}" if value == round(value) and abs(value) < 1e6 else f"{value:.3g}"


def with_error(value, error):
    """Return a value with its standard error in brackets, in units of the last digit shown.

    Examples
    --------
    >>> with_error(0.39012, 0.0012), with_error(12.345, 0.3), with_error(12.3, 0.0)
    ('0.3901(12)', '12.35(30)', '12.3')
    """
    if not (np.isfinite(error) and error > 0):
        return f"{value:.6g}"
    digits = 1 - math.floor(math.log10(error))
    if digits <= 0:
        return f"{value:.0f}({error:.0f})"
    return f"{value:.{digits}f}({round(error * 10**digits)})"
