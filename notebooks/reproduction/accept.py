"""`make accept`: figures of the last `make reproduce` replace the committed ones where they are not the same.

Replaced are figures that are new, that are made from or stand for something else than the committed ones, and those
with a number outside its tolerance; and then the tables of README and docs. Others are replaced only where named.
"""

import argparse
import sys

from stemlib.io.files import write_atomically

from . import tables
from .comparison import Comparison
from .figures import load_figure_json
from .repository import ROOT

_REPLACED = ("new", "changed", "outside")


class AcceptError(Exception):
    """What cannot replace a committed figure."""


def accept(made, figures, names=()):
    """Replace figures in the folder `figures` by those in `made`; return one line of text for each one made.

    `names` are replaced whatever their verdict; but what was measured on simulated images never replaces numbers of
    micrographs, and stand-ins replace nothing.
    """
    comparisons = [
        Comparison.with_folder(load_figure_json(path), figures) for path in sorted(made.glob("*.json"))
    ]
    if not comparisons:
        raise AcceptError(f"{made} holds no figures; run: make reproduce")
    known = {one.content["name"]: one for one in comparisons}
    for name in names:
        if name not in known:
            raise AcceptError(f"{name!r} is not among the figures last made: {', '.join(known)}")
        if known[name].is_stand_in:
            raise AcceptError(f"{name!r} shows stand-ins for micrographs that are not at hand")
    lines = []
    for name, one in known.items():
        chosen = name in names or one.verdict in _REPLACED
        if chosen and one.committed and one.content["synthetic"] and not one.committed["synthetic"]:
            raise AcceptError(f"{name!r} was measured on simulated images, the committed one on micrographs")
        if chosen:
            # The numbers last: they decide whether the figure is still to be replaced.
            for suffix in (".png", ".json"):
                write_atomically(figures / f"{name}{suffix}", (made / f"{name}{suffix}").read_bytes())
        lines.append(f"{name}: {one.verdict}, {'replaced' if chosen else 'kept'}")
    return lines


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Replace committed figures by those last made.")
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help="also these, whatever their numbers")
    names = parser.parse_args(arguments).figures
    try:
        print("\n".join(accept(ROOT / "build" / "figures", ROOT / "figures", names)))
    except AcceptError as error:
        sys.exit(f"error: {error}")
    tables.fill_all(ROOT)


if __name__ == "__main__":
    main()
