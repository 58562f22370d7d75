"""`make paper`: the manuscript, from the numbers and pictures in figures/ alone, into build/paper.pdf."""

import json
import sys
from pathlib import Path

import typst

ROOT = Path(__file__).resolve().parent.parent


def results(figures):
    """Return id -> result of all figures."""
    contents = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(figures.glob("*.json"))]
    return {row["id"]: row for content in contents for row in content["results"]}


def build(root=ROOT):
    """Compile paper/main.typ and return the PDF; a missing figure or number is an error."""
    output = root / "build" / "paper.pdf"
    output.parent.mkdir(parents=True, exist_ok=True)
    typst.compile(
        str(root / "paper" / "main.typ"),
        output=str(output),
        root=str(root),
        sys_inputs={"results": json.dumps(results(root / "figures"))},
    )
    return output


if __name__ == "__main__":
    try:
        print(build().relative_to(ROOT))
    except typst.TypstError as error:
        sys.exit(f"error: {error}; `make reproduce` writes the figures")
