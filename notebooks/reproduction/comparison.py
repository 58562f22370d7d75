"""The table that `make reproduce` ends with: measured, published and committed numbers side by side."""

import json
import subprocess

from .repository import repository_root

HEADER = ("result", "measured", "published", "committed", "drift")


def committed_results(name, folder="figures"):
    """Return name -> value of a figure's results in the last commit; empty where it has none yet."""
    shown = subprocess.run(
        ["git", "show", f"HEAD:{folder}/{name}.json"], cwd=repository_root(), capture_output=True, text=True
    )
    if shown.returncode != 0:
        return {}
    return {row["name"]: row["value"] for row in json.loads(shown.stdout)["results"]}


def rows(content, committed):
    """Return one row of text per result of a figure's JSON content."""
    table = []
    for result in content["results"]:
        value, unit, before = result["value"], result["unit"], committed.get(result["name"])
        measured = _number(value, unit)
        if value is not None and result.get("low") is not None:
            measured += f" ({_number(result['low'])} to {_number(result['high'])})"
        drift = "" if value is None or before is None else _drift(value, before)
        table.append(
            (
                result["name"],
                measured,
                "" if result.get("published") is None else _number(result["published"], unit),
                "" if before is None else _number(before, unit),
                drift,
            )
        )
    return table


def format_table(figures):
    """Return the whole table as text, from (name, rows) of each figure."""
    everything = [HEADER] + [row for _, table in figures for row in table]
    widths = [max(len(row[column]) for row in everything) for column in range(len(HEADER))]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    lines = [_line(HEADER, widths), rule]
    for name, table in figures:
        lines += [name] + [_line(row, widths) for row in table] + [rule]
    return "\n".join(lines)


def _line(row, widths):
    return "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _number(value, unit=""):
    if value is None:
        return "not available"
    return f"{value:.4g} {unit}".rstrip()


def _drift(value, before):
    # Sums in another order differ in the last digits from machine to machine.
    return "none" if abs(value - before) <= 1e-9 * max(abs(value), abs(before)) else f"{value - before:+.3g}"
