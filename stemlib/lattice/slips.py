"""Rows at which the scan slipped, so that the crystal goes on displaced as a whole."""

import numpy as np

from stemlib.fourier.unit_cell import reflections_of

_JUMP = 0.7  # radians, root mean square over reflections: an eighth of a lattice spacing
_NARROW = (
    3  # rows beside a slip in which its jump is seen as well: it is no strain, nor a fault between columns
)
_ALIKE = 0.7  # mean cosine of the difference of the two jumps
_STANDS_OUT = 3.5  # times the median over all rows: noise, drift and several grains make all rows alike
_PRESENT = 0.3  # of the power that is usual in the crystal
_MOST_REFLECTIONS = 8


def find_slips(flat, cell, spacing):
    """Find the rows of an image at which the phases of its crystal jump, along its whole width and at once.

    Planar faults lie between columns, along the crystal's own planes; a slip cuts through columns wherever a row of the
    scan meets them.

    Parameters
    ----------
    flat : numpy.ndarray, shape (H, W), float32
        The image without background.
    cell : numpy.ndarray, shape (2, 2)
        Its translations as rows, (y, x), px.
    spacing : float
        Distance of neighbouring columns, px.

    Returns
    -------
    list of int
        The first row after each slip.

    Examples
    --------
    >>> from stemlib.synthetic import crystal_image
    >>> scene = crystal_image("square", (128, 128), spacing=9, rotation_deg=10, seed=0)
    >>> image = scene.image - scene.image.mean()
    >>> image[60:] = np.roll(image[60:], 4, axis=1)
    >>> find_slips(image, scene.translations, 9.0)
    [60]
    """
    waves = _row_waves(flat, reflections_of(cell, spacing)[1])
    wide = int(np.ceil(np.linalg.norm(cell, axis=1).max()))
    if len(flat) < 2 * wide + 1 or not waves.shape[1]:
        return []
    jumps, weights = _jumps(waves, wide)
    narrow_jumps, narrow_weights = _jumps(waves, _NARROW)
    strongest = np.argsort(-weights.mean(axis=0))[:_MOST_REFLECTIONS]
    jumps, weights = jumps[:, strongest], weights[:, strongest]
    total = np.maximum(weights.sum(axis=1), 1e-30)
    height = np.sqrt((weights * jumps**2).sum(axis=1) / total)
    least = max(_JUMP, _STANDS_OUT * np.median(height))
    # Where the crystal is on one side alone, there is no jump to be told.
    height[total < _PRESENT * np.quantile(total, 0.9)] = 0
    slips = []
    for row in np.argsort(-height):
        if height[row] < least:
            break
        if all(abs(row - other) >= wide for other in slips):
            at = wide - _NARROW + row, strongest
            near, near_weights = narrow_jumps[at], narrow_weights[at]
            if near_weights @ np.cos(near - jumps[row]) > _ALIKE * near_weights.sum():
                slips.append(int(row))
    return sorted(row + wide for row in slips)


def _row_waves(flat, vectors):
    """Amplitude of each wave in each row, (H, N) complex: their phases are those of one wave in a whole crystal."""
    height, width = flat.shape
    across = np.exp(-2j * np.pi * np.outer(np.arange(width), vectors[:, 1])).astype(np.complex64)
    return (flat @ across) * np.exp(-2j * np.pi * np.outer(np.arange(height), vectors[:, 0]))


def _jumps(waves, number):
    """From so many rows above to as many below each row: change of phase, and how much amplitude tells it."""
    total = np.vstack([np.zeros((1, waves.shape[1])), np.cumsum(waves, axis=0)])
    above, below = total[number:-number] - total[: -2 * number], total[2 * number :] - total[number:-number]
    return np.angle(below * above.conj()), np.abs(below) * np.abs(above)
