"""The unit cell of an atomic-resolution image: `find_lattice`."""

import warnings

import numpy as np

from stemlib.columns.network import ColumnNetwork
from stemlib.columns.spacing import find_spacing
from stemlib.fourier.geometric_phase import NoLatticeError
from stemlib.fourier.unit_cell import reduce_cell
from stemlib.io.masking import masked_micrograph
from stemlib.io.micrograph import as_micrograph, check_positive
from stemlib.io.result import View
from stemlib.lattice.refinement import NaturalImage, largest_grain
from stemlib.lattice.result import Distortion, Lattice
from stemlib.lattice.slips import find_slips
from stemlib.lattice.superstructure import larger_cell

SMALLEST_SIDE = 32  # px


def find_lattice(
    image,
    *,
    pixel_size_nm=None,
    mask=None,
    dark_columns=False,
    spacing=None,
    weights=None,
    seed=0,
    device="auto",
):
    """Find the two translations of the smallest cell that reproduces an atomic-resolution image.

    The image is brought to the natural scale of its columns. Every pair of peaks of its Patterson function is a
    lattice to try; of those that explain as much of the image as any, the one whose points stand out most surely is
    taken (`stemlib.fourier.patterson`). Geometric phases (Hÿtch, Snoeck and Kilaas,
    https://doi.org/10.1016/S0304-3991(98)00035-7) refine it and show how it is distorted; then all cells are compared
    with each other: differences between neighbouring cells that exceed what the scatter between cells explains are
    reported as a superstructure. Of several grains, the largest one's lattice is found.

    Parameters
    ----------
    image : path, (H, W) array of any real dtype, Micrograph or HyperSpy Signal2D
        At least 32 px on a side, and about three cells.
    pixel_size_nm : float, optional
        Wins over the image's own.
    mask : (H, W) bool, optional
        True where to look.
    dark_columns : bool
        Whether columns are darker than what is between them.
    spacing : float, optional
        Distance of neighbouring columns, px. Found from the image by default.
    weights : str or pathlib.Path, optional
        Other weights of the network that finds the columns' distance, as `stemlib.find_columns` takes them.
    seed : int or numpy.random.Generator
        Chooses the cells that are compared where there are very many.
    device : str
        For that network: "auto" (a GPU where there is one), "cpu", "cuda", ...

    Returns
    -------
    Lattice

    Raises
    ------
    FileNotFoundError, TypeError
        As `stemlib.io.micrograph.as_micrograph`.
    ValueError
        If the image is too small, not finite or not two-dimensional, shows no columns, or nothing in it is periodic
        in two directions.

    Warns
    -----
    UserWarning
        If the scan slipped, or a part of the image is left out.

    Examples
    --------
    >>> from stemlib.synthetic import crystal_image
    >>> lattice = find_lattice(crystal_image("square", (128, 128), spacing=9.5, seed=0).image)
    >>> lattice.lengths.round(1).tolist(), round(lattice.angle_deg)
    ([9.5, 9.5], 90)
    """
    seen = as_micrograph(image, pixel_size_nm=pixel_size_nm)
    micrograph, mask, ignored = masked_micrograph(seen, mask)
    bright = -micrograph.image if dark_columns else micrograph.image
    if min(bright.shape) < SMALLEST_SIDE:
        raise ValueError(
            f"image is {bright.shape[0]} x {bright.shape[1]} px; a lattice needs {SMALLEST_SIDE} px on a side at least"
        )
    if np.ptp(bright[mask]) == 0:
        raise ValueError("image is constant where mask is True, so nothing in it is periodic")
    if spacing is not None:
        spacing = check_positive(spacing, "spacing")
    else:
        spacing = find_spacing(bright, ColumnNetwork.load(weights, device))
    if spacing is None:
        raise ValueError("image shows no columns at any scale, so nothing that is periodic in two directions")
    natural = NaturalImage(bright, mask, spacing)
    try:
        grain, samples = largest_grain(natural, seed)
    except NoLatticeError as error:
        raise ValueError(f"image shows nothing that is periodic in two directions: {error}") from None
    # Signs as in a reduced cell, and a no longer than b, which the last fit may have turned about.
    cell = reduce_cell(grain.cell)
    larger = larger_cell(samples)
    if larger is not None:
        larger = np.rint(larger @ np.linalg.inv(cell)).astype(int)
    slips = tuple(row * natural.factor for row in find_slips(grain.flat, cell, natural.spacing))
    if slips:
        warnings.warn(
            f"the scan slipped at row {', '.join(map(str, slips))}: a mask of one side gives its cell undisturbed",
            stacklevel=2,
        )
    return Lattice(
        cell * natural.factor,
        grain.variance,
        natural.enlarged(_origin(samples, grain.field)),
        Distortion(grain.field.enlarged(natural.factor)),
        grain.coverage,
        larger,
        bright.shape,
        micrograph.pixel_size_nm,
        ignored,
        slips,
        View(seen, mask),
    )


def _origin(samples, field):
    """The strongest column of the average cell, in the middle of the crystal."""
    mean = samples.mean
    top = np.array(np.unravel_index(mean.argmax(), mean.shape))
    offset = []
    for axis in (0, 1):
        before, at, after = (
            np.take(np.roll(mean, -s, axis), top[axis], axis)[top[1 - axis]] for s in (-1, 0, 1)
        )
        bend = 2 * at - before - after
        offset.append(0.5 * (after - before) / bend if bend > 0 else 0.0)
    place = ((top + offset) / mean.shape) @ samples.cell + samples.centre
    y, x = np.meshgrid(field.rows, field.columns, indexing="ij")
    middle = np.array([np.average(y, weights=field.weights), np.average(x, weights=field.weights)])
    place = place + np.rint((middle - place) @ np.linalg.inv(samples.cell)) @ samples.cell
    return place + field.at(place)
