"""Tables of README.md and docs/, filled with the numbers of figures/: `python -m notebooks.reproduction.tables`.

A document says itself which results it shows, in a comment that is followed by the table and a closing mark:

    <!-- table
    **Six images** against set A: recall / precision
    Modules I to III | six.modules.published.{recall,precision}
    -->
    (the table)
    <!-- end of table -->

A line without a bar is a heading. Behind the bar stand ids of results, parted by " / "; a group in braces stands for
several. `id:FORMAT` prints a number as Python does with that format, three decimals where none is given.

    <!-- tolerances -->
    (a table of the results that state a wider tolerance than rounding)
    <!-- end of tolerances -->
"""

import itertools
import re
from pathlib import Path

from stemlib.io.files import write_atomically

from .comparison import WIDER
from .figures import load_figure_json
from .repository import ROOT

START, END = "<!-- table", "<!-- end of table -->"
TOLERANCES = "<!-- tolerances -->\n", "<!-- end of tolerances -->"
_TABLE = re.compile(rf"({re.escape(START)}\n(.*?)\n-->\n).*?({re.escape(END)})", re.DOTALL)
# First part of the ids of image sets that no figure need hold: their images are not all at hand.
_NOT_AT_HAND = ("test28",)


def results_by_id(figures):
    """Return id -> result of all figures in a folder; an id that is there twice is a ValueError."""
    results = {}
    for path in sorted(Path(figures).glob("*.json")):
        for row in load_figure_json(path)["results"]:
            if row["id"] in results:
                raise ValueError(f"{path.name} holds {row['id']!r}, which another figure holds too")
            results[row["id"]] = row
    return results


def filled(text, results):
    """Return a document's text with its tables filled from results by id; an unknown id is a KeyError."""
    if text.count(START) != len(_TABLE.findall(text)):
        raise ValueError(f"each {START} must be closed by --> and, behind its table, by {END}")
    text = _TABLE.sub(lambda found: f"{found[1]}{_table(found[2], results)}\n{found[3]}", text)
    before, start, rest = text.partition(TOLERANCES[0])
    _, end, after = rest.partition(TOLERANCES[1])
    return f"{before}{start}{_tolerances()}\n{end}{after}" if end else text


def fill_all(root):
    """Fill README.md and every page of docs/ from figures/, and return those that held other numbers."""
    results, changed = results_by_id(root / "figures"), []
    for path in (root / "README.md", *sorted((root / "docs").glob("*.md"))):
        before = path.read_text(encoding="utf-8")
        after = filled(before, results)
        if after != before:
            write_atomically(path, after)
            changed.append(path)
    return changed


def _table(lines, results):
    rows = ["| | measured (95 % interval) | published |", "| --- | --- | --- |"]
    for line in lines.splitlines():
        label, bar, wanted = (piece.strip() for piece in line.partition(" | "))
        if not bar:
            rows.append(f"| {label} | | |")
            continue
        ids = [one for group in wanted.split(" / ") for one in _expanded(group)]
        found = [(_result(one.partition(":")[0], results), one.partition(":")[2]) for one in ids]
        measured = " / ".join(_measured(row, form) for row, form in found)
        published = [row.get("published") for row, _ in found]
        said = " / ".join(f"{value:.3f}" for value in published) if None not in published else ""
        rows.append(f"| {label} | {measured} | {said} |")
    return "\n".join(rows)


def _tolerances():
    rows = ["| results | may be off by | because |", "| --- | --- | --- |"]
    for pattern, wider in WIDER.items():
        relative = f"{100 * wider.relative:g} %" if wider.relative else ""
        absolute = f"{wider.absolute:g}" if wider.absolute else ""
        rows.append(f"| `{pattern}` | {' or '.join(filter(None, (relative, absolute)))} | {wider.reason} |")
    return "\n".join(rows)


def _expanded(group):
    """Return the ids that a group with one pair of braces, or none, stands for."""
    pieces = re.split(r"\{(.*?)\}", group.strip())
    choices = [piece.split(",") if place % 2 else [piece] for place, piece in enumerate(pieces)]
    return ["".join(parts) for parts in itertools.product(*choices)]


def _result(one, results):
    if one not in results and one.split(".")[0] in _NOT_AT_HAND:
        return {"value": None}
    if one not in results:
        raise KeyError(f"no figure has a result {one!r}")
    return results[one]


def _measured(row, form):
    if row["value"] is None:
        return "not available"

    def text(value):
        return format(value, form or ".3f").replace("%", " %")

    interval = f" ({text(row['low'])} to {text(row['high'])})" if "low" in row else ""
    return text(row["value"]) + interval


if __name__ == "__main__":
    for path in fill_all(ROOT):
        print(path.relative_to(ROOT))
