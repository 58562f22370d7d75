"""Which pixels of an image record no specimen: rims that alignment leaves, bars, labels, info strips, dead lines."""

import itertools

import cv2
import numpy as np

_FLAT = 0.05  # of the usual range among neighbouring pixels: what varies by less was not recorded
_EDGE = 2  # px beside what was drawn, into which interpolation and coding carry it
_LEAST_CONTACT = 0.25  # of one of the image's sides that a rim must touch
_MOST_EMPTY = 0.5  # of the image
_HUGGED = 0.75  # of the straight edges of a rim that the recorded area must reach
_SHORTEST_BAR = 16  # px
_SLENDER = 4.0  # times as long as it is wide: a bar, whose label is beside it and not in it
_LARGEST = 0.25  # share of the image that a bar or label may take
_FILLED = 0.9  # share of its bounding box that a drawn rectangle fills
_NEAR_TOP = 0.1  # of the way from the extreme grey to the median, within which a drawn thing lies
_BELOW = 0.4  # of that way, where it is looked at again: what was drawn is still as large, a column is not
_AS_LARGE = 0.5
_MOST_DEAD = 0.05  # share of rows, or of columns: of more, that they are constant is what the image shows


def unrecorded(image, recorded):
    """Find the pixels of an image that record no specimen.

    A detector's signal varies from pixel to pixel; what was drawn or filled in afterwards does not. Where all else is
    constant and what is left is convex, that is the rim of an aligned image or its info strip; a constant or framed
    rectangle inside is a bar or a label; a constant row or column is a dead line.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W), float32
        Finite everywhere.
    recorded : numpy.ndarray of bool, shape (H, W)
        False where it is known already that nothing is recorded.

    Returns
    -------
    dict of str to numpy.ndarray of bool, shape (H, W)
        By what it is, "empty rim", "annotation" and "dead lines"; only those that are there.

    Examples
    --------
    >>> image = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    >>> image[:9] = 0
    >>> {what: int(there.sum()) for what, there in unrecorded(image, np.ones(image.shape, bool)).items()}
    {'empty rim': 704}
    """
    varying = _range(image, 3)
    usual = np.median(varying[recorded])
    if usual == 0:
        return {}
    flat = cv2.dilate((varying <= _FLAT * usual).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    found = {"empty rim": _rim(flat | ~recorded, recorded), "dead lines": _dead(image)}
    found["annotation"] = _annotation(image, found["empty rim"] | found["dead lines"])
    return {what: there & recorded for what, there in found.items() if (there & recorded).any()}


def _range(image, side):
    """Range within the squares of so many pixels, around each pixel, or right and down of it."""
    square, anchor = np.ones((side, side), np.uint8), ((side - 1) // 2,) * 2
    return cv2.dilate(image, square, anchor=anchor) - cv2.erode(image, square, anchor=anchor)


def _rim(flat, recorded):
    """What is outside of the convex hull of the recorded area, where that has straight edges against a constant."""
    framed = cv2.copyMakeBorder(flat.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)
    _, labels = cv2.connectedComponents(framed, connectivity=4)
    outside = labels[1:-1, 1:-1] == labels[0, 0]
    nothing = np.zeros(flat.shape, bool)
    contours, _ = cv2.findContours((~outside).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return nothing
    largest = max(contours, key=cv2.contourArea)
    area, hull = (
        cv2.drawContours(np.zeros(flat.shape, np.uint8), [outline], -1, 1, cv2.FILLED)
        for outline in (largest, cv2.convexHull(largest))
    )
    rim = hull == 0
    contact = max(side.mean() for side in (rim[0], rim[-1], rim[:, 0], rim[:, -1]))
    if contact < _LEAST_CONTACT or rim.mean() > _MOST_EMPTY or not (rim & recorded).any():
        return nothing
    near, beside = (np.ones((2 * n + 1,) * 2, np.uint8) for n in (1, _EDGE))
    edge = rim & (cv2.dilate(hull, near) > 0)
    if (cv2.dilate(area, beside) > 0)[edge].mean() < _HUGGED:
        return nothing
    # What touches the image's own edge has no neighbour there that could have spoilt it.
    return cv2.erode(hull, beside, borderType=cv2.BORDER_CONSTANT, borderValue=1) == 0


def _annotation(image, known):
    """Rectangles of the brightest or darkest grey that stop at once, and what is drawn beside bars in the same grey."""
    there = np.zeros(image.shape, np.uint8)
    middle, constant = float(np.median(image)), _range(image, 2) == 0
    for sign in (1, -1):
        grey = sign * (image - middle)
        plateaus = _plateaus(grey)
        # Beside what is as bright or dark itself, only that it is constant gives it away.
        drawn = (constant & (grey > (1 - _NEAR_TOP) * grey.max())).astype(np.uint8)
        drawn = cv2.dilate(drawn, np.ones((2, 2), np.uint8), anchor=(1, 1))
        both = [cv2.findContours(m, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0] for m in (plateaus, drawn)]
        for contour in itertools.chain(*both):
            x, y, wide, high = cv2.boundingRect(contour)
            if max(wide, high) < _SHORTEST_BAR or min(wide, high) < 2 or wide * high > _LARGEST * image.size:
                continue
            filled = cv2.drawContours(np.zeros((high, wide), np.uint8), [contour - (x, y)], -1, 1, cv2.FILLED)
            if filled.sum() < _FILLED * wide * high:
                continue
            if known[y : y + high, x : x + wide].mean() > 0.5:
                continue
            there[y : y + high, x : x + wide] = 1
            if max(wide, high) < _SLENDER * min(wide, high):
                continue
            reach = max(wide, high) // 2
            near = (slice(max(0, y - reach), y + high + reach), slice(max(0, x - reach), x + wide + reach))
            there[near] |= plateaus[near]
    return (cv2.dilate(there, np.ones((2 * _EDGE + 1,) * 2, np.uint8)) > 0) & ~known


def _plateaus(grey):
    """What is near the top of the greys, and hardly larger further down."""
    top = float(grey.max())
    lower = (grey > (1 - _BELOW) * top).astype(np.uint8)
    number, labels = cv2.connectedComponents(lower)
    upper = grey > (1 - _NEAR_TOP) * top
    below, above = (np.bincount(labels[where], minlength=number) for where in (lower > 0, upper))
    plateau = above >= _AS_LARGE * np.maximum(below, 1)
    return (plateau[labels] & upper).astype(np.uint8)


def _dead(image):
    """Rows and columns that are constant, where they are few."""
    dead = np.zeros(image.shape, bool)
    for lines, axis in ((dead, 1), (dead.T, 0)):
        constant = np.ptp(image, axis=axis) == 0
        if constant.mean() < _MOST_DEAD:
            lines[constant] = True
    return dead
