"""A crystal continued into what is hidden of an image, so that columns beside it have neighbours as all others do."""

import cv2
import numpy as np
from scipy import ndimage

_BEYOND = 3.0  # spacings into what is hidden: farther off, nothing that is seen is touched
_NODES = 12  # per spacing, of the average cell
_MOST_PIXELS = 400_000  # that it is averaged over


def continue_crystal(image, mask, lattice, spacing):
    """Fill what is hidden of an image with the average cell, as bright and as strong as the image is nearby.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W), float32
        Smooth where it is hidden.
    mask : numpy.ndarray of bool, shape (H, W)
        False where it is hidden.
    lattice : stemlib.lattice.Lattice
    spacing : float
        Distance of neighbouring columns, px.

    Returns
    -------
    numpy.ndarray, shape (H, W), float32
        The image itself where nothing of the crystal is hidden.

    Examples
    --------
    >>> from stemlib.lattice.find import find_lattice
    >>> from stemlib.synthetic import crystal_image
    >>> image = crystal_image("square", (128, 128), spacing=10, seed=0).image
    >>> mask = np.ones(image.shape, bool)
    >>> mask[50:70, 40:90] = False
    >>> filled = continue_crystal(image, mask, find_lattice(image), 10.0)
    >>> bool(np.corrcoef(filled[~mask], image[~mask])[0, 1] > 0.8)
    True
    """
    away, nearest = ndimage.distance_transform_edt(~mask, return_indices=True)
    hidden = np.argwhere(~mask & (away < _BEYOND * spacing))
    hidden = hidden[lattice.distortion.field.covers(nearest[:, hidden[:, 0], hidden[:, 1]].T)]
    seen = np.argwhere(mask)
    seen = seen[:: max(1, len(seen) // _MOST_PIXELS)]
    seen = seen[lattice.distortion.field.covers(seen)]
    if not len(hidden) or not len(seen):
        return image
    mean, spread = _brightness(image, mask, max(spacing, lattice.lengths.max()))
    size = np.maximum(4, np.ceil(lattice.lengths / spacing * _NODES)).astype(int)
    nodes = tuple((np.rint(lattice.fractions(seen) * size).astype(int) % size).T)
    total, number = np.zeros(size), np.zeros(size)
    at = tuple(seen.T)
    np.add.at(total, nodes, (image[at] - mean[at]) / spread[at])
    np.add.at(number, nodes, 1.0)
    # Nodes that few pixels hit share those of their neighbours.
    total, number = (ndimage.gaussian_filter(values, 0.7, mode="wrap") for values in (total, number))
    cell = total / np.maximum(number, 1e-9)
    at = tuple(hidden.T)
    drawn = ndimage.map_coordinates(cell, (lattice.fractions(hidden) * size).T, order=1, mode="grid-wrap")
    filled = image.copy()
    filled[at] = mean[at] + spread[at] * drawn
    return filled


def _brightness(image, mask, width):
    """Mean and standard deviation of what is seen around each pixel."""
    share, shown = mask.astype(np.float32), np.where(mask, image, np.float32(0))
    near = np.maximum(cv2.GaussianBlur(share, (0, 0), width), np.float32(1e-6))
    mean = cv2.GaussianBlur(shown, (0, 0), width) / near
    squares = cv2.GaussianBlur(share * (shown - mean) ** 2, (0, 0), width) / near
    return mean, np.sqrt(np.maximum(squares, np.float32(1e-12)))
