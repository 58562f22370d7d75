"""How unlike the rest each segment of an image is, and which places the segments show."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from stemlib.majority import log_chances
from stemlib.one_class import one_class_scores
from stemlib.patterson import patterson_descriptors
from stemlib.reflections import flatten
from stemlib.segments import tapered_segments, unit_cell_segments

_SPAN = 3.0  # spacings that a window of whole cells spans, about
_TAPERED_SPAN = 4.0  # and a tapered one, of which the outer parts hardly count
_SEEN = 0.6  # of a tapered window's side, in which a defect shows
_SAMPLES_PER_SPACING = 7.0
_BACKGROUND = 2.0  # spacings over which the local mean is taken that is background
_MARGIN = 0.7  # spacings around a window in which a defect still changes it


@dataclass(frozen=True, eq=False)
class SegmentScores:
    """How unlikely each segment is among the normal majority.

    Parameters
    ----------
    positions : numpy.ndarray, shape (N, 2)
        Centres (y, x), px.
    axes : numpy.ndarray, shape (2, 2)
        Edges of a segment, as rows (y, x), px.
    margin : float
        How far beyond its edges a defect still changes a segment, px: columns are not points.
    log_p : numpy.ndarray, shape (N,)
        Natural logarithm of the chance that a normal segment is as unlike the rest.
    """

    positions: np.ndarray
    axes: np.ndarray
    margin: float
    log_p: np.ndarray

    def showing(self, points):
        """Which segments show one of these points: a list of indices per point."""
        if not len(self.positions) or not len(points):
            return [[] for _ in points]
        grown = self.axes * (1 + 2 * self.margin / np.linalg.norm(self.axes, axis=1))[:, None]
        inverse = np.linalg.inv(grown)
        return cKDTree(self.positions @ inverse).query_ball_point(np.asarray(points) @ inverse, 0.5, p=np.inf)


def score_segments(image, lattice, positions, *, spacing, mask, doubtful=None, seed=0):
    """Cut an image into segments and score how unlike the rest each is, by its Patterson function.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W), float32
    lattice : stemlib.lattice.Lattice or None
        Segments span its cells; None for tapered ones around columns.
    positions : numpy.ndarray, shape (C, 2)
        Columns, (y, x) px.
    spacing : float
        Distance of neighbouring columns, px.
    mask : numpy.ndarray of bool, shape (H, W)
        True where to look.
    doubtful : numpy.ndarray, shape (D, 2), optional
        Places of known defects; nothing normal is learnt from segments that show one, unless most do.
    seed : int

    Returns
    -------
    SegmentScores
        Empty where fewer than three segments fit.

    Examples
    --------
    >>> from stemlib.lattice import find_lattice
    >>> from stemlib.synthetic import crystal_image
    >>> scene = crystal_image("square", (160, 160), spacing=10, seed=0)
    >>> mask = np.ones(scene.image.shape, bool)
    >>> at = scene.columns[["y", "x"]].to_numpy()
    >>> scores = score_segments(scene.image, find_lattice(scene.image), at, spacing=10.0, mask=mask)
    >>> bool((scores.log_p > np.log(1e-5)).all())
    True
    """
    flat = flatten(np.asarray(image, np.float32), mask.astype(np.float32), _BACKGROUND * spacing)
    sampling = spacing / _SAMPLES_PER_SPACING
    if lattice is None:
        segments = tapered_segments(flat, positions, _TAPERED_SPAN * spacing, sampling=sampling, mask=mask)
        axes = _SEEN * segments.axes
    else:
        cells = np.maximum(1, np.rint(_SPAN * spacing / lattice.lengths)).astype(int)
        steps = np.maximum(1, np.rint(lattice.lengths / spacing)).astype(int)
        segments = unit_cell_segments(flat, lattice, cells=cells, sampling=sampling, steps=steps, mask=mask)
        axes = segments.axes
    if len(segments.windows) < 3:
        return SegmentScores(np.zeros((0, 2)), axes, _MARGIN * spacing, np.zeros(0))
    scores = one_class_scores(patterson_descriptors(segments.windows), seed=seed)
    left_out = np.zeros(len(scores), bool)
    if doubtful is not None and len(doubtful):
        shown = SegmentScores(segments.positions, axes, _MARGIN * spacing, scores).showing(doubtful)
        left_out[np.unique(np.concatenate([np.asarray(s, int) for s in shown]))] = True
        if left_out.mean() > 0.5:
            left_out[:] = False
    return SegmentScores(segments.positions, axes, _MARGIN * spacing, log_chances(scores, left_out))
