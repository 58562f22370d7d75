"""Domains on micrographs, with the boundaries and faults found and known."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from matplotlib.colors import to_rgba

from stemlib.plot import style
from stemlib.plot.panels import Look, Panel

# Domain -> colour; from the palette that colour-blind readers can tell apart, again from the start when it ends.
_PALETTE = (style.BLUE, style.ORANGE, style.GREEN, style.PURPLE, style.YELLOW, style.VERMILLION)
_COLOURS = {f"domain {number}": colour for number, colour in enumerate(_PALETTE, start=1)}
_OPACITY = 0.33
_UNDECIDED = "undecided"


@dataclass(frozen=True, eq=False)
class DomainPanel(Panel):
    """One image with its domains, or the map of labels alone; name, image and scale as in `Panel`.

    Attributes
    ----------
    labels : numpy.ndarray of int, shape (H, W), or None
        Domains found, -1 where undecided; None draws the image alone.
    boundaries, found_faults : iterable of numpy.ndarray, shape (N, 2)
        Found boundaries, and faults inside a domain, (y, x) px.
    known, faults : iterable of numpy.ndarray, shape (N, 2)
        Known boundaries, and faults.
    """

    labels: np.ndarray | None = None
    boundaries: tuple = ()
    known: tuple = ()
    faults: tuple = ()
    found_faults: tuple = ()

    looks: ClassVar = {
        **{name: Look(name, colour, marker="s", filled=True) for name, colour in _COLOURS.items()},
        _UNDECIDED: Look("not coloured: undecided, vacuum", style.GREY, marker="s", width=0.8),
        "found boundary": Look("found boundary", "#FFFFFF", "-", width=1.8),
        "known boundary": Look("{truth} boundary", style.YELLOW, "--", width=1.5),
        "found fault": Look("found fault", "#FF8AD8", "-", width=1.4),
        "known fault": Look("{truth} fault", style.YELLOW, ":", width=1.7),
    }

    @property
    def is_at_hand(self):
        """Whether there is an image or a map to draw."""
        return self.image is not None or self.labels is not None

    def draw_marks(self, axes, scale):
        """Colour the domains, through which an image shows, and draw the lines."""
        shown = []
        if self.labels is not None:
            opacity = 1.0 if self.image is None else _OPACITY
            palette = np.array([to_rgba(colour, opacity) for colour in _PALETTE] + [(0, 0, 0, 0)])
            colour = np.where(self.labels >= 0, self.labels % len(_COLOURS), len(_COLOURS))
            axes.imshow(palette[colour], interpolation="nearest", gid="labels")
            height, width = self.labels.shape
            axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
            shown += [(*_COLOURS, _UNDECIDED)[number] for number in np.unique(colour)]
        lines = {
            "found boundary": self.boundaries,
            "known boundary": self.known,
            "found fault": self.found_faults,
            "known fault": self.faults,
        }
        for kind, some in lines.items():
            for line in some:
                self.mark(axes, kind, *line.T)
        return [*shown, *(kind for kind, some in lines.items() if len(some))]
