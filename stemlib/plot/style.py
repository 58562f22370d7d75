"""What all figures share: colours that colour-blind readers can tell apart, labels, scale bars."""

import contextlib
import math

import matplotlib
from matplotlib import patheffects
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

# Okabe & Ito's palette; line styles and markers differ as well, so that grey prints can be read.
BLUE, ORANGE, GREEN, VERMILLION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, YELLOW, PURPLE, BLACK, GREY = "#56B4E9", "#F0E442", "#CC79A7", "#000000", "#777777"

SYSTEMS = {
    "Module I": (GREY, "s"),
    "Modules I-II": (ORANGE, "^"),
    "Modules I-III": (BLUE, "o"),
    "cascade": (BLUE, "o"),
    "fcn": (VERMILLION, "D"),
    "A": (BLACK, "P"),
    "B": (GREEN, "v"),
    "C": (PURPLE, "X"),
}
TITLES = {
    "Modules I-II": "Modules I, II",
    "Modules I-III": "Modules I to III",
    "cascade": "Modules I to III",
    "fcn": "one network (fcn)",
    "A": "people, set A",
    "B": "people, set B",
    "C": "people, set C",
}
_STYLE = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "legend.fontsize": 8.5,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "savefig.facecolor": "white",
}


def title(system):
    """Return how a system or label set is called in figures."""
    return TITLES.get(system, system)


def short_name(name, longest=34):
    """Return an image's name without its ending, cut in the middle where it is long."""
    stem = name.rsplit(".", 1)[0] if name.lower().endswith((".jpg", ".png", ".tif")) else name
    if len(stem) <= longest:
        return stem
    head = (longest - 1) // 2
    return f"{stem[:head]}…{stem[-(longest - 1 - head) :]}"


@contextlib.contextmanager
def styled():
    """Draw with the project's style, whatever the user's own is, and leave theirs as it was."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def new_figure(width, height, *, images=False):
    """Return an empty figure, inches, whose labels never overlap; `images`: of panels with a fixed aspect."""
    return Figure(figsize=(width, height), layout="compressed" if images else "constrained")


def outlined(width):
    """Return the path effect that keeps a coloured line visible on any grey."""
    return [patheffects.Stroke(linewidth=width + 1.1, foreground="black", alpha=0.7), patheffects.Normal()]


def add_scale_bar(axes, shape, pixel_size_nm):
    """Draw a scale bar of a round length, about a fifth of the image's width, at the lower left.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        That shows an image of this shape.
    shape : tuple of int
        Height and width, px.
    pixel_size_nm : float
        Only where it is sure.

    Returns
    -------
    float
        The bar's length, nm.

    Raises
    ------
    ValueError
        If the pixel size is not positive.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> add_scale_bar(Figure().add_subplot(), (1024, 1024), 0.5)
    100.0
    """
    if not (math.isfinite(pixel_size_nm) and pixel_size_nm > 0):
        raise ValueError(f"pixel_size_nm={pixel_size_nm!r} must be positive")
    length = round_length(shape[1] * pixel_size_nm / 5)
    height, width = shape
    long, thick = length / pixel_size_nm, 0.014 * height
    left, top = 0.03 * width, 0.955 * height
    bar = Rectangle(
        (left, top), long, thick, facecolor="white", edgecolor="black", linewidth=0.8, gid="scale bar"
    )
    axes.add_patch(bar)
    axes.text(
        left + long / 2,
        top - 0.012 * height,
        f"{length:g} nm",
        color="white",
        fontsize=9,
        fontweight="bold",
        ha="center",
        va="bottom",
        gid="scale bar text",
        path_effects=[patheffects.withStroke(linewidth=2.2, foreground="black")],
    )
    return length


def round_length(about):
    """Return the greatest of 1, 2 or 5 times a power of ten that is not above a length."""
    power = 10.0 ** math.floor(math.log10(about))
    return max(step * power for step in (1, 2, 5) if step * power <= about * (1 + 1e-9))
