"""Micrographs with what was found marked on them: one figure of panels, a legend and a credit, whatever is marked."""

from dataclasses import KW_ONLY, dataclass, replace
from typing import ClassVar

import cv2
import numpy as np
from matplotlib.lines import Line2D

from stemlib.plot import style


@dataclass(frozen=True)
class Look:
    """How one kind of thing is marked on images and in the legend.

    Attributes
    ----------
    label : str
        In the legend; ``{truth}`` stands for what the truth is called.
    color, line, marker : str
        As matplotlib takes them. No two looks of a figure share them all, so that grey prints can be read.
    width, size : float
        Of the line or the marker's rim, and of the marker, points.
    filled : bool
        Whether the marker is filled, with a thin black rim.
    """

    label: str
    color: str
    line: str = "none"
    marker: str = "none"
    width: float = 1.3
    size: float = 5.0
    filled: bool = False

    def of_line(self):
        """Return the look of a line as matplotlib takes it, of a patch's outline too."""
        look = {"color": self.color, "linestyle": self.line, "linewidth": self.width}
        # A black rim keeps whole lines, of what is found, visible on any grey; broken ones it would make whole.
        return look | {"path_effects": style.outlined(self.width) if self.line == "-" else None}

    def of_marks(self, scale=1.0):
        """Return the look of a line and its markers, larger or smaller by a factor."""
        return self.of_line() | {
            "marker": self.marker,
            "markersize": scale * self.size,
            "fillstyle": "full" if self.filled else "none",
            "markeredgecolor": "black" if self.filled else self.color,
            "markeredgewidth": 0.4 if self.filled else self.width,
        }

    def handle(self, truth=""):
        """Return its entry in a legend, where lines are a little wider than on images and markers of one size."""
        look = replace(self, width=1.4 * self.width, size=7.0)
        return Line2D([], [], label=self.label.format(truth=truth), **look.of_marks())


_MOST_SHOWN = 2048  # px along a side
_LEFT_OUT = Look("left out", style.ORANGE, line=":", width=1.0)


@dataclass(frozen=True, eq=False)
class Panel:
    """One image of a figure, with its title; alone, nothing is marked on it.

    Attributes
    ----------
    name : str
        First line of the title.
    image : numpy.ndarray, shape (H, W), or None
        None where it is not at hand.
    pixel_size_nm : float or None
        None where it is not sure: then there is no scale bar.
    note : str
        Further lines of the title, such as the scores.
    is_semantic : bool
        Whether `image` is a semantic image, from 0 to 1, and not a micrograph.
    ignored : numpy.ndarray of bool, shape (H, W), or None
        What was left out; hatched.
    """

    name: str
    image: np.ndarray | None = None
    _: KW_ONLY
    pixel_size_nm: float | None = None
    note: str = ""
    is_semantic: bool = False
    ignored: np.ndarray | None = None

    # Kind of mark -> its look, in the order of the legend; and what the legend calls the truth.
    looks: ClassVar[dict[str, Look]] = {}
    truth_name: ClassVar[str] = "known"
    semantic_colours: ClassVar[str] = "gray"

    @property
    def is_at_hand(self):
        """Whether there is anything to draw."""
        return self.image is not None

    def window(self):
        """Return the upper left corner (y, x) and the height and width of the part shown, px."""
        return (0, 0), self.image.shape

    def draw(self, axes, scale=1.0):
        """Draw the panel, its markers scaled by a factor, and return the kinds of marks that the legend is to explain.

        The axes are in the image's own pixels, also where only a part of it is shown.
        """
        start_image(axes, "\n".join(filter(None, (style.short_name(self.name, 46), self.note))))
        if not self.is_at_hand:
            axes.set(aspect="equal", xlim=(0, 1), ylim=(0, 1), facecolor="#eeeeee")
            style.not_available(axes)
            return []
        if self.image is not None:
            colours, limits = (self.semantic_colours, (0, 1)) if self.is_semantic else ("gray", None)
            window = self.window()
            if self.ignored is not None and self.ignored.any() and not self.is_semantic:
                limits = tuple(np.percentile(self.image[~self.ignored], [0.5, 99.5]))
            show_image(axes, self.image, self.pixel_size_nm, window=window, colours=colours, limits=limits)
        hidden = [] if self.image is None or self.ignored is None else hide(axes, self.ignored)
        return self.draw_marks(axes, scale) + ["left out" for _ in hidden]

    def draw_marks(self, axes, scale):
        """Draw what is marked on the image and return its kinds, as `draw` does."""
        return []

    def mark(self, axes, kind, y, x, scale=1.0):
        """Mark positions, or a line through them, as a kind looks."""
        axes.plot(x, y, gid=kind, **self.looks[kind].of_marks(scale))


def panels_figure(panels, *, columns=3, panel_width=4.2, marker_scale=1.0, truth=None, caption=""):
    """Draw images side by side with what was found on them, and beside it what is known.

    Parameters
    ----------
    panels : list of Panel
        Such as `LoopPanel`, `ColumnPanel`, `DefectPanel` or `DomainPanel`.
    columns : int
        Panels per row.
    panel_width : float
        Inches.
    marker_scale : float
        Of the markers; smaller where columns are close.
    truth : str, optional
        What the legend calls that which is known; by default as the panels do.
    caption : str
        Credit and the like, below the panels.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If there are no panels, or a defect is of an unknown kind.

    Examples
    --------
    >>> figure = panels_figure([Panel("not here.jpg")], columns=1)
    >>> figure.axes[0].texts[0].get_text()
    'not available'
    """
    if not panels:
        raise ValueError("panels is empty; give one Panel per image")
    columns = max(1, min(columns, len(panels)))
    rows = -(-len(panels) // columns)
    with style.new_figure(columns * panel_width, rows * (panel_width + 0.42) + 0.6, images=True) as figure:
        looks, shown = {}, set()
        for axes, panel in zip(style.grid(figure, len(panels), columns), panels, strict=True):
            looks |= panel.looks | {"left out": _LEFT_OUT}
            shown.update(panel.draw(axes, marker_scale))
        truth = truth or panels[0].truth_name
        handles = [look.handle(truth) for kind, look in looks.items() if kind in shown]
        if handles or caption:
            style.legend_below(figure, handles, caption)
    return figure


def start_image(axes, title):
    """Bare axes of ticks, lines and frame for an image, and set its title."""
    axes.set(xticks=[], yticks=[], anchor="N")
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=8.5)


def show_image(axes, image, pixel_size_nm=None, *, window=None, colours="gray", limits=None):
    """Show an image in its own pixels, with a scale bar if its scale is given.

    `window`: upper left corner (y, x) and (height, width) of the part shown; `limits`: the darkest and the brightest
    value, by default the percentiles 0.5 and 99.5 of that part.
    """
    (top, left), (height, width) = window or ((0, 0), image.shape)
    part = _reduced(image[top : top + height, left : left + width])
    low, high = limits or np.percentile(part, [0.5, 99.5])
    edges = left - 0.5, left + width - 0.5, top + height - 0.5, top - 0.5
    axes.imshow(part, colours, vmin=low, vmax=max(high, low + 1e-6), extent=edges)
    axes.set(xlim=edges[:2], ylim=edges[2:])
    if pixel_size_nm is not None:
        style.add_scale_bar(axes, pixel_size_nm)


def _reduced(image):
    """An image of more pixels than any panel has dots as means of blocks: drawing it takes a tenth of the time."""
    factor = -(-max(image.shape) // _MOST_SHOWN)
    if factor == 1:
        return image
    size = tuple(-(-n // factor) for n in image.shape[::-1])
    return cv2.resize(np.asarray(image, np.float32), size, interpolation=cv2.INTER_AREA)


def hide(axes, ignored):
    """Hatch what is left out of an image, bool (H, W), that is shown in its own pixels; return legend handles."""
    if not ignored.any():
        return []
    axes.contourf(ignored, levels=[0.5, 1.5], colors="none", hatches=["////"]).set(
        edgecolor=_LEFT_OUT.color, linewidth=0
    )
    axes.contour(ignored, levels=[0.5], colors=[_LEFT_OUT.color], linewidths=_LEFT_OUT.width)
    return [_LEFT_OUT.handle()]


def square_around(centre, side, shape):
    """Return the window of a square, or of what the image has of it, as near to its centre as the image allows."""
    side = int(min(*shape, np.ceil(side)))
    corner = np.clip(np.floor(np.subtract(centre, (side - 1) / 2)), 0, np.subtract(shape, side))
    return tuple(corner.astype(int).tolist()), (side, side)
