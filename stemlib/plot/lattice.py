"""The unit cell of an image: drawn on it, averaged over it, and how the crystal departs from it place by place."""

import numpy as np
from scipy import ndimage

from stemlib.plot import style
from stemlib.plot.panels import hide, show_image, square_around, start_image

_MOST_AVERAGED = 400  # cells: more do not make the picture any smoother
_MOST_ARROWS = 20  # along a side


def lattice_figure(image, lattice, *, name="", across=8.0):
    """Draw the cell on part of the image, the average cell, and the displacements from the mean lattice.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W)
    lattice : stemlib.lattice.Lattice
        Of this image.
    name : str
        Title.
    across : float
        Longer cell edges shown across the first panel.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> import stemlib
    >>> from stemlib.synthetic import crystal_image
    >>> image = crystal_image("square", (128, 128), spacing=9.5, seed=0).image
    >>> len(lattice_figure(image, stemlib.find_lattice(image)).axes)
    4
    """
    image = np.asarray(image, np.float32)
    with style.new_figure(11.5, 4.3, images=True) as figure:
        cells, mean, displacements = figure.subplots(1, 3)
        start_image(cells, (f"{name}\n" if name else "") + _cell_text(lattice))
        _draw_cells(cells, image, lattice, across)
        if lattice.ignored is not None:
            hide(cells, lattice.ignored)
        start_image(mean, "mean surroundings of a lattice point,\ntwo by two cells")
        show_image(mean, average_cell(image, lattice))
        rms = lattice.distortion.displacement_rms
        start_image(displacements, f"displacement from the mean lattice,\nroot mean square {rms:.2f} px")
        _draw_displacements(figure, displacements, lattice)
    return figure


def average_cell(image, lattice, *, side=96):
    """Return the mean surroundings of the lattice points, wide enough to hold two by two cells.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W)
    lattice : stemlib.lattice.Lattice
    side : int
        Samples along each side of the result.

    Returns
    -------
    numpy.ndarray, shape (side, side), float32
        Seen as in the image, a lattice point in the middle.
    """
    diagonals = np.array([lattice.a + lattice.b, lattice.a - lattice.b])
    reach = np.abs(diagonals).max()
    _, points = lattice.points()
    size = np.array(image.shape)
    whole = ((points >= reach) & (points <= size - 1 - reach)).all(axis=1)
    points = points[whole] if whole.any() else points
    points = points[:: max(1, len(points) // _MOST_AVERAGED)]
    along = np.linspace(-reach, reach, side)
    offsets = np.stack(np.meshgrid(along, along, indexing="ij"))
    mean = np.zeros((side, side), np.float32)
    for point in points:
        mean += ndimage.map_coordinates(image, offsets + point[:, None, None], order=1, mode="nearest")
    return mean / len(points)


def _draw_cells(axes, image, lattice, across):
    window = square_around(lattice.origin, across * lattice.lengths.max(), image.shape)
    show_image(axes, image, lattice.pixel_size_nm, window=window)
    y, x = lattice.points()[1].T
    axes.plot(x, y, "+", color=style.SKY, markersize=6, markeredgewidth=1.2, gid="lattice points")
    draw_cell(axes, lattice)


def draw_cell(axes, lattice):
    """Draw the cell at the lattice's origin, its edges named."""
    outline = lattice.origin + np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]) @ lattice.cell
    axes.plot(*outline[:, ::-1].T, color=style.ORANGE, lw=2, path_effects=style.outlined(2), gid="cell")
    look = {"fontsize": 12, "fontweight": "bold", "fontstyle": "italic", "ha": "center", "va": "center"}
    for vector, other, letter in ((lattice.a, lattice.b, "a"), (lattice.b, lattice.a, "b")):
        y, x = lattice.origin + vector / 2 - 0.25 * other
        axes.text(x, y, letter, color=style.ORANGE, path_effects=style.outlined(1.5), **look)


def _cell_text(lattice):
    known = lattice.pixel_size_nm is not None
    lengths = lattice.lengths_nm if known else lattice.lengths
    errors = lattice.length_errors_nm if known else lattice.length_errors
    unit, digits = ("nm", 4) if known else ("px", 2)
    (a, b), (da, db) = lengths, errors
    return (
        f"a = {a:.{digits}f} ± {da:.{digits}f}, b = {b:.{digits}f} ± {db:.{digits}f} {unit}\n"
        f"γ = {lattice.angle_deg:.2f} ± {lattice.angle_error_deg:.2f}°"
    )


def _draw_displacements(figure, axes, lattice):
    field = lattice.distortion.field
    thin = max(1, -(-max(field.weights.shape) // _MOST_ARROWS))
    rows, columns = field.rows[::thin], field.columns[::thin]
    outside = field.weights[::thin, ::thin] == 0
    down, across = (np.ma.masked_where(outside, u[::thin, ::thin]) for u in field.displacements)
    x, y = np.meshgrid(columns, rows)
    # An arrow of the root mean square is 0.6 times as long as nodes are apart.
    rms = max(lattice.distortion.displacement_rms, 1e-6)
    step = max(np.diff(rows).min(), np.diff(columns).min())
    look = {"angles": "xy", "scale_units": "xy", "scale": rms / (0.6 * step), "width": 0.005}
    arrows = axes.quiver(x, y, across, down, np.hypot(across, down), cmap="viridis", **look)
    figure.colorbar(arrows, ax=axes, label="displacement (px)", shrink=0.8)
    height, width = lattice.shape
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), aspect="equal")
