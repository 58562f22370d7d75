"""What all figures share: colours that colour-blind readers can tell apart, names, axes, intervals, legends, labels."""

import contextlib
import math
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib import patheffects
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib_scalebar.scalebar import ScaleBar

# Okabe & Ito's palette; line styles and markers differ as well, so that grey prints can be read.
BLUE, ORANGE, GREEN, VERMILLION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, YELLOW, PURPLE, BLACK, GREY = "#56B4E9", "#F0E442", "#CC79A7", "#000000", "#777777"


class System(NamedTuple):
    """How a method or a label set is called and drawn in every figure."""

    title: str
    color: str
    marker: str
    line: str = "-"


SYSTEMS = {
    "Module I": System("Module I", GREY, "s"),
    "Modules I-II": System("Modules I, II", ORANGE, "^"),
    "Modules I-III": System("Modules I to III", BLUE, "o"),
    "cascade": System("Modules I to III", BLUE, "o"),
    "fcn": System("one network (fcn)", VERMILLION, "D", "--"),
    "A": System("annotators, set A", BLACK, "P"),
    "B": System("annotators, set B", GREEN, "v", "-."),
    "C": System("annotators, set C", PURPLE, "X", ":"),
    "find_columns": System("find_columns", BLUE, "o"),
    "Gaussian fits": System("Gaussian fits", ORANGE, "s", "--"),
    "mixture": System("classification of all segments", BLUE, "o"),
    "one-class": System("one-class SVM", VERMILLION, "s", "--"),
}
# For what has no look of its own, in this order.
_LOOKS = (
    (BLUE, "o", "-"),
    (SKY, "s", "--"),
    (VERMILLION, "^", "-"),
    (ORANGE, "D", "--"),
    (GREEN, "v", ":"),
    (BLACK, "P", "-."),
)
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
_SIMULATED = "simulated"


def system(name, number=0):
    """Return how a method or label set is called and drawn; one without a look of its own gets the `number`-th."""
    return SYSTEMS.get(name) or System(name, *_LOOKS[number % len(_LOOKS)])


def title(name):
    """Return how a method or label set is called in figures."""
    return system(name).title


def short_name(name, longest=34):
    """Return an image's name without its ending, cut in the middle where it is long."""
    stem = name.rsplit(".", 1)[0] if name.lower().endswith((".jpg", ".png", ".tif")) else name
    if len(stem) <= longest:
        return stem
    head = (longest - 1) // 2
    return f"{stem[:head]}…{stem[-(longest - 1 - head) :]}"


@contextlib.contextmanager
def new_figure(width, height, *, images=False):
    """Draw an empty figure, inches, in the project's style, whatever the user's own is, and leave theirs as it was.

    Labels never overlap; `images`: its panels have a fixed aspect.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield Figure(figsize=(width, height), layout="compressed" if images else "constrained")


def grid(figure, number, columns, **options):
    """Return axes row by row, with options of `Figure.subplots`; what is left of the last row stays empty."""
    columns = max(1, min(columns, number))
    every = figure.subplots(-(-number // columns), columns, squeeze=False, **options).ravel()
    for axes in every[number:]:
        axes.set_axis_off()
    return every[:number].tolist()


def not_available(axes, y=0.5):
    """Say in the middle of axes that go from 0 to 1, or at another height, that there is nothing to show."""
    axes.text(0.5, y, "not available", ha="center", va="center", color=GREY)


def intervals(axes, at, rows, key, ends=("_low", "_high"), *, sideways=False, **look):
    """Draw values with their intervals at places along the other axis; a look is as `Axes.errorbar` takes it.

    `rows`, a table or a dict, holds the values in `key`, and in `key` with each of `ends` behind it the ends of their
    intervals. The values go along x where `sideways`, otherwise along y.
    """
    value, low, high = (np.array(rows[f"{key}{end}"], float, ndmin=1) for end in ("", *ends))
    # Rounding may put an end of the interval past the value itself.
    error = np.maximum([value - low, high - value], 0)
    if sideways:
        return axes.errorbar(value, at, xerr=error, **look)
    return axes.errorbar(at, value, yerr=error, **look)


def labelled(figure):
    """Return what the axes of a figure label, each label once, for its legend."""
    found = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    return list(found.values())


def legend_below(figure, handles, caption=""):
    """Put one legend below everything, in as few rows as the width allows, and the caption or credit above its entries.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Of a layout that makes room for it, as `new_figure` draws it.
    handles : list
        Artists that carry their labels; without any, the caption stands alone.
    caption : str

    Returns
    -------
    matplotlib.legend.Legend

    Examples
    --------
    >>> legend = legend_below(Figure(), [Line2D([], [], label="one")], "whose data")
    >>> [text.get_text() for text in legend.get_texts()], legend.get_title().get_text()
    (['one'], 'whose data')
    """
    # Widths in em: of a letter about 0.56, of a line and the gaps around it 4.8; matplotlib fills column by column.
    size = _STYLE["legend.fontsize"]
    widths = [0.56 * len(handle.get_label()) + 4.8 for handle in handles]
    fitting = [
        columns
        for columns in range(1, len(handles) + 1)
        if sum(map(max, np.array_split(widths, columns))) * size <= 72 * figure.get_figwidth()
    ]
    look = {"ncols": max(fitting, default=1), "fontsize": size, "title_fontsize": 7.5}
    return figure.legend(handles=handles, title=caption, loc="outside lower center", **look)


def mark_simulated(figure):
    """Label a figure as of simulated data, once, at its upper rim, where no data and no title are.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        It becomes a little higher. Where nothing arranges its axes, they are from now on arranged so that labels fit.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> figure = Figure()
    >>> mark_simulated(figure)
    >>> mark_simulated(figure)
    >>> [legend.get_texts()[0].get_text() for legend in figure.legends]
    ['simulated']
    """
    if any(legend.get_gid() == _SIMULATED for legend in figure.legends):
        return
    if figure.get_layout_engine() is None:
        figure.set_layout_engine("constrained")
    figure.set_figheight(figure.get_figheight() + 0.3)
    # For a legend the layout keeps room free, which it does not for a text.
    look = {"frameon": True, "facecolor": "#f2f2f2", "edgecolor": GREY, "framealpha": 1, "fontsize": 10}
    look |= {"handlelength": 0, "handletextpad": 0, "borderpad": 0.3}
    label = Line2D([], [], linestyle="none", label=_SIMULATED)
    figure.legend(handles=[label], loc="outside upper left", **look).set_gid(_SIMULATED)


def outlined(width):
    """Return the path effect that keeps a coloured line visible on any grey."""
    return [patheffects.Stroke(linewidth=width + 1.1, foreground="black", alpha=0.7), patheffects.Normal()]


def add_scale_bar(axes, pixel_size_nm):
    """Draw a scale bar of a round length, about a fifth of what is shown across, at the lower left.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        That show an image, one px as long as 1 along both axes.
    pixel_size_nm : float
        Only where it is sure.

    Returns
    -------
    matplotlib_scalebar.scalebar.ScaleBar

    Raises
    ------
    ValueError
        If the pixel size is not positive.

    Examples
    --------
    >>> axes = Figure().add_subplot()
    >>> picture = axes.imshow(np.zeros((1024, 1024)))
    >>> add_scale_bar(axes, 0.5).fixed_value
    100.0
    """
    if not (math.isfinite(pixel_size_nm) and pixel_size_nm > 0):
        raise ValueError(f"pixel_size_nm={pixel_size_nm!r} must be positive")
    left, right = axes.get_xlim()
    length = round_length((right - left) * pixel_size_nm / 5)
    bar = ScaleBar(
        pixel_size_nm,
        "nm",
        fixed_value=length,
        scale_formatter=lambda value, unit: f"{value:g} {unit}",
        location="lower left",
        scale_loc="top",
        width_fraction=0.014,
        color="white",
        box_color="black",
        box_alpha=0.5,
        sep=2,
        pad=0.4,
        border_pad=0.6,
        font_properties={"size": 9, "weight": "bold"},
    )
    # Above the image, below all that is marked on it.
    bar.set_zorder(0.5)
    axes.add_artist(bar)
    return bar


def round_length(about):
    """Return the greatest of 1, 2 or 5 times a power of ten that is not above a length."""
    power = 10.0 ** math.floor(math.log10(about))
    return max(step * power for step in (1, 2, 5) if step * power <= about * (1 + 1e-9))
