"""Score what does not look like the rest: one-class support vector machine on principal components."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from sklearn.decomposition import PCA
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import SGDOneClassSVM
from sklearn.svm import OneClassSVM

from stemlib.defects.patterson import patterson_descriptors
from stemlib.defects.segments import tapered_segments, unit_cell_segments
from stemlib.defects.significance import log_chances
from stemlib.fourier.filters import flatten

_COMPONENTS = 12
# Half of the segments support the machine: so many that a few percent of defects cannot vouch for themselves.
_NU = 0.5
_GAMMA = 0.25  # of the kernel, over the number of components
_MOST_EXACT = 5000
_LANDMARKS = 300
_MOST_LEARNT = 20_000  # segments that principal components are learnt from
_FLOOR = 1e-3  # of the greatest density: where its approximation cannot be told from 0


def one_class_scores(descriptors, *, seed=0, method="auto"):
    """Score descriptors by how far they lie from where most are.

    Principal components, each divided by the scatter of the majority, go into a one-class support vector machine with
    a Gaussian kernel. The score is minus the logarithm of its sum of kernels, over the greatest: in the order of the
    machine's decisions, growing like a squared distance, without a limit far outside.

    Parameters
    ----------
    descriptors : numpy.ndarray, shape (N, M)
    seed : int
        Of the approximate methods.
    method : str
        "exact"; "linear", with Nyström's approximation of the kernel and stochastic gradients, whose cost is
        proportional to N; or "auto": exact up to 5000 descriptors.

    Returns
    -------
    numpy.ndarray, shape (N,)
        From 0 on, larger for what is unlike the rest.

    Raises
    ------
    ValueError
        If `method` is unknown or there are fewer than three descriptors.

    References
    ----------
    B. Schölkopf et al., Neural Comput. 13, 1443 (2001), https://doi.org/10.1162/089976601750264965.

    Examples
    --------
    >>> import numpy as np
    >>> descriptors = np.random.default_rng(0).normal(size=(300, 20))
    >>> descriptors[7] += 6
    >>> int(one_class_scores(descriptors).argmax())
    7
    """
    descriptors = np.asarray(descriptors, np.float32)
    if method not in ("auto", "exact", "linear"):
        raise ValueError(f'method={method!r} is not known; "auto", "exact" or "linear" would do')
    if len(descriptors) < 3:
        raise ValueError(f"descriptors holds {len(descriptors)} rows; what is usual shows from three on")
    if not np.ptp(descriptors, axis=0).any():
        return np.zeros(len(descriptors))
    exact = len(descriptors) <= _MOST_EXACT if method == "auto" else method == "exact"
    values = _standardised(descriptors, seed)
    gamma = _GAMMA / values.shape[1]
    if exact:
        machine = OneClassSVM(nu=_NU, gamma=gamma).fit(values)
        density = machine.decision_function(values) - machine.intercept_[0]
        floor = 1e-300
    else:
        count = min(_LANDMARKS, len(values))
        kernel = Nystroem(gamma=gamma, n_components=count, random_state=seed)
        features = kernel.fit_transform(values)
        machine = SGDOneClassSVM(nu=_NU, random_state=seed, average=True).fit(features)
        density = features @ machine.coef_
        floor = _FLOOR
    return -np.log(np.maximum(density / density.max(), floor))


def _standardised(descriptors, seed):
    """Principal components over the scatter of the majority in each."""
    rng = np.random.default_rng(seed)
    learnt = descriptors
    if len(learnt) > _MOST_LEARNT:
        learnt = learnt[np.sort(rng.choice(len(learnt), _MOST_LEARNT, replace=False))]
    count = min(_COMPONENTS, *descriptors.shape)
    components = PCA(count, svd_solver="covariance_eigh").fit(learnt)
    values = components.transform(descriptors).astype(float)
    values -= np.median(values, axis=0)
    scatter = 1.4826 * np.median(np.abs(values), axis=0)
    return values / np.maximum(scatter, 1e-6 * max(float(scatter.max()), 1e-30))


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
    >>> from stemlib.lattice.find import find_lattice
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
