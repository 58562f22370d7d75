"""What `stemlib.find_domains` returns: labels, boundaries and crystals of the domains, and the faults in them."""

import functools
import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from scipy import ndimage
from skimage.measure import find_contours

from stemlib.domains.faults import fault_lines, misfit_map, unexplained_share
from stemlib.domains.maps import extent
from stemlib.io.result import Result, View
from stemlib.io.tables import with_nanometres, write_csv


@dataclass(frozen=True, eq=False, repr=False)
class Domains(Result):
    """The domains of one image.

    Parameters
    ----------
    labels : numpy.ndarray of int, shape (H, W)
        Number of each pixel's domain, the largest domain is 0; -1 where it is undecided: vacuum, amorphous, or not
        looked at.
    boundaries : list of numpy.ndarray, shape (N, 2)
        Lines along which two domains meet: vertices (y, x), px.
    boundary_domains : list of (int, int)
        The domains on the two sides of each line.
    crystals : list of stemlib.domains.crystals.DomainCrystal
        The reflections of each domain, in cycles per px, and its cell.
    phases : list of int
        One number for domains that are one crystal in several orientations.
    window : float
        Width at half height of the segments that were compared, px.
    working : tuple
        What `misfit` is measured on: the crystals of the image without background, and its labels.
    pixel_size_nm : float or None
    origin_nm : tuple of float
        Coordinates (y, x) in nm of the centre of pixel (0, 0), as in `stemlib.Micrograph`.
    ignored : numpy.ndarray of bool, shape (H, W), or None
        What was left out though no mask says so: empty rims, annotation, dead lines, pixels without a number.
    view : stemlib.io.result.View or None
        The image and where it was looked at.
    """

    labels: np.ndarray
    boundaries: list
    boundary_domains: list
    crystals: list
    phases: list
    window: float
    working: tuple
    pixel_size_nm: float | None
    origin_nm: tuple[float, float] = (0.0, 0.0)
    ignored: np.ndarray | None = None
    view: View | None = None

    @property
    def n_domains(self):
        """How many domains there are; what is undecided does not count."""
        return len(self.crystals)

    @functools.cached_property
    def table(self):
        """One row per domain: a pandas.DataFrame.

        ``domain``; ``area`` px² and ``share`` of the image; ``n_areas``, connected parts of it; ``y, x`` px, its centre
        of gravity; ``a, b`` px and ``angle_deg``, its reduced cell as its reflections give it (NaN where they do not);
        ``orientation_deg``, direction of a, counter-clockwise from +x; ``n_reflections``; ``phase``, one number for
        domains that are one crystal in several orientations. With a known pixel size ``area_nm2, y_nm, x_nm, a_nm,
        b_nm``.
        """
        rows = []
        for number, (crystal, phase) in enumerate(zip(self.crystals, self.phases, strict=True)):
            inside = self.labels == number
            y, x = (inside.sum(axis=1 - i) @ np.arange(n) / inside.sum() for i, n in enumerate(inside.shape))
            a, b = crystal.lengths
            rows.append(
                {"domain": number, "area": float(inside.sum()), "share": float(inside.mean())}
                | {"n_areas": int(ndimage.label(inside)[1]), "y": y, "x": x, "a": a, "b": b}
                | {"angle_deg": crystal.angle_deg, "orientation_deg": crystal.orientation_deg}
                | {"n_reflections": len(crystal.vectors), "phase": phase}
            )
        return with_nanometres(pd.DataFrame(rows), self.pixel_size_nm, self.origin_nm)

    @functools.cached_property
    def misfit(self):
        """What the domains' crystals leave unexplained around each pixel: (H, W) float32.

        Share of the local variance, over the median of the domain: 1 is usual. NaN where undecided. Faults show as
        lines, point defects as dots.
        """
        misfit = misfit_map(self._unexplained, self.working[1])
        return np.where(
            self.labels < 0,
            np.float32(np.nan),
            enlarged(misfit, self.working[0].work.factor, self.labels.shape),
        )

    @functools.cached_property
    def faults(self):
        """Lines inside a domain along which its crystal is interrupted: a list of arrays (N, 2) of vertices y, x px.

        Stacking faults and antiphase boundaries: on both sides the crystal is the same, so that they are no domains.
        """
        work, labels = self.working[0].work, self.working[1]
        lines = fault_lines(self._unexplained, labels, work.period)
        return [(line + 0.5) * work.factor - 0.5 for line in lines]

    @functools.cached_property
    def _unexplained(self):
        return unexplained_share(*self.working)

    def _image_shape(self):
        return self.labels.shape

    def _marks(self):
        return "Lines", [self.boundaries]

    def to_csv(self, path: str | Path) -> None:
        """Write the table as CSV with the unit of each column in the header, e.g. ``a (px)``, ``area (nm²)``."""
        write_csv(self.table, path)


def enlarged(values, factor, shape):
    """Values of an image's pixels from those of the reduced image."""
    if factor == 1:
        return values
    values = values.repeat(factor, axis=0).repeat(factor, axis=1)
    return np.pad(values, [(0, n - m) for n, m in zip(shape, values.shape, strict=True)], mode="edge")


_REACH = 4.0  # standard deviations, at which OpenCV cuts a Gaussian off, but for a pixel


def boundary_lines(labels, smoothing):
    """Trace where two domains meet.

    Parameters
    ----------
    labels : numpy.ndarray of int, shape (H, W)
        -1 for no domain; its outlines are no boundaries.
    smoothing : float
        Standard deviation of the Gaussian that takes the pixels' steps off the lines, px.

    Returns
    -------
    lines : list of numpy.ndarray, shape (N, 2)
        Vertices (y, x), px.
    pairs : list of (int, int)
        The labels on the two sides of each line.

    Examples
    --------
    >>> labels = np.zeros((20, 20), int)
    >>> labels[:, 12:] = 1
    >>> lines, pairs = boundary_lines(labels, 1.0)
    >>> pairs, lines[0][:, 1].round(1).min(), lines[0][:, 1].round(1).max()
    ([(0, 1)], np.float64(11.5), np.float64(11.5))
    """
    lines, pairs = [], []
    for first, second in _neighbours(labels):
        box = extent((labels == first) | (labels == second))
        one, other = (labels[box] == k for k in (first, second))
        place = _meeting(one, other, math.ceil(_REACH * smoothing) + 1)
        one, other = one[place], other[place]
        share = _share(one, other, smoothing)
        start = [outer.start + inner.start for outer, inner in zip(box, place, strict=True)]
        for line in find_contours(share, 0.5, mask=one | other):
            if len(line) > 1:
                lines.append(line + start)
                pairs.append((first, second))
    return lines, pairs


def _meeting(one, other, reach):
    """The rows and columns in which two areas are within reach of each other: no line is anywhere else."""
    square = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    one, other = (cv2.dilate(area.astype(np.uint8), square) for area in (one, other))
    return extent(one & other, reach)


def _neighbours(labels):
    """Pairs of labels that meet, each once, in order."""
    count = int(labels.max()) + 1
    pairs = set()
    for before, after in ((labels[:-1], labels[1:]), (labels[:, :-1], labels[:, 1:])):
        met = (before != after) & (before >= 0) & (after >= 0)
        codes = np.unique(before[met].astype(int) * count + after[met])
        pairs |= {tuple(sorted(divmod(code, count))) for code in codes.tolist()}
    return sorted(pairs)


def _share(one, other, smoothing):
    """Share of the second area around each pixel, of the pixels in one of the two."""
    share = _blurred(other, smoothing)
    both = one | other
    return share if both.all() else share / np.maximum(_blurred(both, smoothing), 1e-6)


def _blurred(mask, smoothing):
    return cv2.GaussianBlur(mask.astype(np.float32), (0, 0), smoothing, borderType=cv2.BORDER_REFLECT)
