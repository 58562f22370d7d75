"""An image as tiles at halved sizes, so that a browser is sent only what it shows."""

import cv2
import numpy as np

SIDE = 512  # px of a tile


class Pyramid:
    """An image, and it halved again and again until one tile holds it.

    Parameters
    ----------
    grey : numpy.ndarray of uint8, shape (H, W)

    Examples
    --------
    >>> pyramid = Pyramid(np.zeros((1500, 700), np.uint8))
    >>> [level.shape for level in pyramid.levels]
    [(1500, 700), (750, 350), (375, 175)]
    """

    def __init__(self, grey):
        self.levels = [grey]
        while max(self.levels[-1].shape) > SIDE:
            self.levels.append(_halved(self.levels[-1]))

    def tile(self, level, row, column):
        """Return one tile as PNG bytes, smaller at the right and lower edge.

        Raises
        ------
        ValueError
            If there is no such tile.
        """
        levels = dict(enumerate(self.levels))
        part = levels.get(level, np.zeros((0, 0), np.uint8))
        part = part[max(row, 0) * SIDE : (row + 1) * SIDE, max(column, 0) * SIDE : (column + 1) * SIDE]
        if not part.size:
            raise ValueError(f"level={level!r}, row={row!r}, column={column!r} is no tile of this image")
        return cv2.imencode(".png", part)[1].tobytes()

    def overview(self):
        """Return the whole image, reduced, as PNG bytes."""
        return self.tile(len(self.levels) - 1, 0, 0)


def _halved(image):
    """Means of blocks of two by two pixels; half a block at an edge is its pixels alone."""
    height, width = image.shape
    padded = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    return cv2.resize(padded, (padded.shape[1] // 2, padded.shape[0] // 2), interpolation=cv2.INTER_AREA)
