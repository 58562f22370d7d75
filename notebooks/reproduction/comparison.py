"""Measured numbers beside the published and committed ones, and whether they lie within their tolerance."""

import fnmatch
from dataclasses import dataclass
from pathlib import Path

from .figures import load_figure_json

HEADER = ("result", "measured", "published", "committed", "drift", "")


@dataclass(frozen=True)
class Tolerance:
    """How far a number may lie from the committed one, relative to the larger of them or in its own unit."""

    relative: float
    absolute: float
    reason: str

    def allows(self, value, before):
        """Whether both are the same number within this tolerance; None is the same as None only."""
        if value is None or before is None:
            return value is before
        return abs(value - before) <= max(self.absolute, self.relative * max(abs(value), abs(before)))


# Of every result that no pattern below fits: counts, and shares of counts, must be the same.
ROUNDING = Tolerance(1e-6, 0.0, "sums in another order")
# Pattern of ids -> tolerance; the first that fits holds. Each is what moved when everything was measured with
# OPENBLAS_CORETYPE=Prescott and one thread, with some room.
WIDER = {
    "columns.*.find-columns.*": Tolerance(2e-3, 0.0, "positions moved by up to 0.06 %"),
    "mowte2.dose-1e5.patterson-unit-cell.*": Tolerance(0.0, 0.2, "one found defect less, of three"),
    "tmd.nsmo-perfect.defects": Tolerance(0.0, 1.0, "one defect more, at the limit of significance"),
    "tmd.mose2-40kv.half.recall": Tolerance(
        0.0, 0.03, "one doubtful vacancy less, at the limit of significance"
    ),
    "tmd.mose2-40kv.half-doubtful.recall": Tolerance(0.0, 0.1, "the same vacancy, of eleven"),
    "zro2.mixture.boundary-distance": Tolerance(0.0, 1.0, "ill-conditioned: 3.94 px became 3.23 px"),
    "zro2.mixture.*.boundary-distance": Tolerance(0.0, 2.5, "ill-conditioned: up to 1.9 px"),
}


def tolerance(one):
    """Return the tolerance of the result with an id."""
    return next((wider for pattern, wider in WIDER.items() if fnmatch.fnmatchcase(one, pattern)), ROUNDING)


@dataclass(frozen=True)
class Comparison:
    """One figure's content beside that of the committed figure of the same name, None where there is none."""

    content: dict
    committed: dict | None

    @classmethod
    def with_folder(cls, content, figures):
        """Compare with the figure of that name in a folder."""
        path = Path(figures) / f"{content['name']}.json"
        return cls(content, load_figure_json(path) if path.is_file() else None)

    @property
    def is_stand_in(self):
        """Whether simulated images stood in for micrographs that were not at hand."""
        return self.content["name"].endswith("-synthetic")

    @property
    def verdict(self):
        """What sets the figure apart from the committed one.

        "stand-in", "new", "incomplete" (made from fewer of the data files), "changed" (other results, parameters, data
        or weights stand behind it), "outside" or "within" the tolerances of its results.
        """
        if self.is_stand_in:
            return "stand-in"
        if self.committed is None:
            return "new"
        if not self.committed["data"].keys() <= self.content["data"].keys():
            return "incomplete"
        if _definition(self.content) != _definition(self.committed):
            return "changed"
        return "outside" if "outside" in (row[-1] for row in self.rows()) else "within"

    def rows(self):
        """Return a row of text per result: title, measured, published, committed, drift, within or outside."""
        committed = (
            {row["id"]: row for row in self.committed["results"] if "id" in row} if self.committed else {}
        )
        return [_row(result, committed.get(result["id"])) for result in self.content["results"]]


def format_table(comparisons):
    """Return the comparisons of figures as one table of text."""
    tables = [(f"{one.content['name']}: {one.verdict}", one.rows()) for one in comparisons]
    everything = [HEADER] + [row for _, table in tables for row in table]
    widths = [max(len(row[column]) for row in everything) for column in range(len(HEADER))]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    lines = [_line(HEADER, widths), rule]
    for name, table in tables:
        lines += [name] + [_line(row, widths) for row in table] + [rule]
    return "\n".join(lines)


def _definition(content):
    """What a figure is made from and stands for, without its numbers."""
    results = [(row["id"], row["name"], row["unit"], row.get("published")) for row in content["results"]]
    return results, *(content[key] for key in ("synthetic", "seed", "parameters", "data", "weights"))


def _row(result, committed):
    value, unit = result["value"], result["unit"]
    measured = _number(value, unit)
    if value is not None and result.get("low") is not None:
        measured += f" ({_number(result['low'])} to {_number(result['high'])})"
    published = "" if result.get("published") is None else _number(result["published"], unit)
    if committed is None:
        return result["name"], measured, published, "", "", ""
    before, allowed = committed["value"], tolerance(result["id"])
    same = all(allowed.allows(result.get(key), committed.get(key)) for key in ("value", "low", "high"))
    drift = "" if value is None or before is None else _drift(value, before)
    return result["name"], measured, published, _number(before, unit), drift, "within" if same else "outside"


def _line(row, widths):
    return "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _number(value, unit=""):
    return "not available" if value is None else f"{value:.4g} {unit}".rstrip()


def _drift(value, before):
    # Sums in another order differ in the last digits from machine to machine.
    return "none" if abs(value - before) <= 1e-9 * max(abs(value), abs(before)) else f"{value - before:+.3g}"
