"""What figures of several images share: the grid of panels, one image in grey, and the legend below."""

import numpy as np

from stemlib.plot import style


def panel_grid(panels, *, columns, panel_width, title_height, kind, legend_height=0.55):
    """Return a figure, in the project's style, and one axes per panel; those left over in the last row are empty.

    Parameters
    ----------
    panels : list
        Only their number counts.
    columns : int
        Panels per row, fewer where there are fewer panels.
    panel_width, title_height, legend_height : float
        Inches; the legend is below all panels.
    kind : str
        The class of the panels, for the error.

    Returns
    -------
    figure : matplotlib.figure.Figure
    axes : list of matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there are no panels.

    Examples
    --------
    >>> figure, axes = panel_grid([1, 2, 3], columns=2, panel_width=3, title_height=0.4, kind="Panel")
    >>> len(axes), len(figure.axes)
    (3, 4)
    """
    if not panels:
        raise ValueError(f"panels is empty; give one {kind} per image")
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    height = rows * (panel_width + title_height) + legend_height
    figure = style.new_figure(columns * panel_width, height, images=True)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    return figure, list(grid.flat[: len(panels)])


def start_panel(axes, title, note="", *, available=True):
    """Bare the axes for an image and set its title of one or two lines; say so where it is not at hand.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    title, note : str
    available : bool

    Returns
    -------
    bool
        `available`.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> axes = Figure().add_subplot()
    >>> start_panel(axes, "one", available=False), axes.texts[0].get_text()
    (False, 'not available')
    """
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(title + (f"\n{note}" if note else ""), fontsize=8.5)
    if not available:
        axes.set(aspect="equal", xlim=(0, 1), ylim=(0, 1), facecolor="#eeeeee")
        axes.text(0.5, 0.5, "not available", ha="center", va="center", color=style.GREY)
    return available


def show_image(axes, image, pixel_size_nm=None):
    """Show a micrograph in grey, cut at its percentiles 0.5 and 99.5, with a scale bar if its scale is given."""
    low, high = np.percentile(image, [0.5, 99.5])
    axes.imshow(image, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), interpolation="antialiased")
    axes.set(xlim=(-0.5, image.shape[1] - 0.5), ylim=(image.shape[0] - 0.5, -0.5))
    if pixel_size_nm is not None:
        style.add_scale_bar(axes, image.shape, pixel_size_nm)


def legend_below(figure, handles, caption, *, per_row, size=9.5, caption_size=7.5):
    """Put the legend below all panels, and the caption above its entries."""
    legend = figure.legend(handles=handles, loc="outside lower center", ncols=per_row, fontsize=size)
    if caption:
        legend.set_title(caption, prop={"size": caption_size})
        legend.set_alignment("center")
    return legend


def middle_of(shape, wanted):
    """Return top, left and side of the square of a wanted side in the middle of an image, or of what there is."""
    height, width = shape
    side = int(min(height, width, np.ceil(wanted)))
    return (height - side) // 2, (width - side) // 2, side


def marker_size(axes, spacing, side):
    """Return the size in points of a marker half a neighbour distance wide on a panel `side` px wide."""
    width_pt = 72 * axes.figure.get_figwidth() / max(1, axes.get_gridspec().ncols) * 0.9
    return float(np.clip(0.5 * spacing / side * width_pt, 1.5, 9))
