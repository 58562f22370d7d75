"""Which of two domains each pixel is in, from the lines drawn between them."""

import numpy as np
from skimage.draw import polygon2mask


def sides(shape, lines):
    """Label areas 0 and 1, the other at every line that is crossed.

    Lines are vertices (y, x), px, (N, 2), with both ends on the image's edge. Returns an array of int of the shape
    given, 0 at the top left pixel.
    """
    labels = np.zeros(shape, int)
    for line in lines:
        line = np.asarray(line, float)
        labels ^= polygon2mask(shape, np.vstack([line, _way_round(shape, line[-1], line[0])])).astype(int)
    return labels ^ labels[0, 0]


def _way_round(shape, start, end):
    """Corners of the image from one point on its edge to another, clockwise."""
    height, width = shape
    # Half a px more, so that the outermost pixels are inside.
    corners = np.array([(-1, -1), (-1, width), (height, width), (height, -1)], float)

    def place(point):
        y, x = (point[0] + 0.5) / height, (point[1] + 0.5) / width
        gaps = [abs(y), abs(1 - x), abs(1 - y), abs(x)]
        side = int(np.argmin(gaps))
        return side + (x, y, 1 - x, 1 - y)[side]

    first, last = place(start), place(end)
    if last < first:
        last += 4
    return corners[np.arange(int(np.ceil(first)), int(np.floor(last)) + 1) % 4]
