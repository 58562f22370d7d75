"""Local strain of segments: how far their reflections lie from where they are in the mean."""

import numpy as np

_MOST = 12  # reflections
_NOISE_FLOOR = 10.0
_RELATIVE_FLOOR = 0.01  # of the power of all
# Of the variance of a window in reciprocal space, over noise over power: averages of neighbours.
_CENTRAL = 0.13
_EACH = 0.003  # relative error of a strong reflection's place: what reaches it from others
_EXPECTED = 0.02  # strain, before anything is measured: so none is found where no reflection is strong
_SCATTER = 0.002  # of strain in a perfect crystal: jitter of scan lines
_APART = 4  # segments: windows that hardly overlap
_CHI_SQUARED = 0.455  # median, one degree of freedom
_SCAN = 4.0  # times the variance that drift may have made is scatter
_SHARE = 8  # power of the share of the variance that rows explain


def local_strain(segments):
    """Measure the displacement gradients of segments, by how the phases of their reflections go on.

    From a segment to the next at a distance d, the phase of a reflection g turns by 2 pi g . d, and by 2 pi g . u less
    where the crystal is displaced by u: a local frequency, a little off g. Those of the strongest reflections together
    give the displacement gradient, strain and rotation, by weighted least squares; a few numbers with far less noise
    than the places of single reflections have. Each reflection is compared with its own mean over the image, so
    crystals that have their reflections elsewhere are not strained against each other.

    Parameters
    ----------
    segments : stemlib.domains.windows.LocalSegments

    Returns
    -------
    numpy.ndarray, shape (N, 2, 2)
        ``[n, i, j]``: change of displacement i per px along j, (y, x), in usable segment n, row by row of the grid; 0
        where no reflection is strong.

    References
    ----------
    M. J. Hÿtch, E. Snoeck and R. Kilaas, Ultramicroscopy 74, 131 (1998),
    https://doi.org/10.1016/S0304-3991(98)00035-7.

    Examples
    --------
    >>> from stemlib.domains.windows import cut_segments, working_image
    >>> y, x = np.mgrid[:160, :160]
    >>> x = x + 0.02 * np.maximum(x - 80, 0)
    >>> image = (np.cos(2 * np.pi * x / 6) + np.cos(2 * np.pi * y / 6)).astype(np.float32)
    >>> segments = cut_segments(working_image(image, np.ones(image.shape, bool)))
    >>> gradients = local_strain(segments)
    >>> column = np.nonzero(segments.usable)[1]
    >>> left, right = (gradients[part].mean(axis=0) for part in (column < 6, column > column.max() - 6))
    >>> abs(left - right).round(2).tolist()
    [[0.0, 0.0], [0.0, 0.02]]
    """
    usable = segments.usable
    strongest = np.argsort(-segments.powers[:, usable].sum(axis=1))[:_MOST]
    vectors = segments.vectors[strongest]
    weights = _weights(segments, strongest)
    amplitudes = np.where(usable, segments.amplitudes[strongest], 0)
    steps = (segments.waves.rows()[1], segments.waves.columns()[1])
    offsets = [
        _offsets(_turns(amplitudes, 1 + axis)[:, usable], weights) / (2 * np.pi * step)
        for axis, step in enumerate(steps)
    ]
    products = (vectors[:, :, None] * vectors[:, None]).reshape(-1, 4)
    normal = (weights.T @ products).reshape(-1, 2, 2) + np.eye(2) / _EXPECTED**2
    sums = np.stack([(weights * offset).T @ vectors for offset in offsets], axis=-1)
    return -np.linalg.solve(normal, sums)


def strain_features(segments):
    """Describe segments by their local strain, which tells lattices apart that differ by a percent.

    The powers of reflections do not say where these lie, which a Patterson function does: its maxima are at the
    lattice's translations. The domains of a tetragonal crystal, turned by 90 degrees, or two phases of nearly the same
    cell may have the same powers, but not the same `local_strain`.

    What changes all over the image, as bending does, is no boundary: a gradient is divided by its scatter among
    segments that are near each other but do not overlap. Drift of the specimen strains an image, too, but only along
    the slow scan, and alike in all of a scan line. So what rows explain of the gradients along y counts as scatter if
    it is nearly all of their variance; a boundary of two lattices that is parallel to the scan lines, and shows in
    these gradients alone, is not told from drift.

    Parameters
    ----------
    segments : stemlib.domains.windows.LocalSegments

    Returns
    -------
    numpy.ndarray, shape (N, 4), float
        One row for each usable segment, row by row of the grid; one standard deviation of noise is at most about 1.
    """
    gradients = local_strain(segments)
    scatter = _SCATTER**2 + _nearby(gradients, segments.usable) + _SCAN * _by_rows(gradients, segments.usable)
    return (gradients / np.sqrt(scatter)).reshape(-1, 4)


def mean_vectors(segments, which, inside):
    """Measure where reflections lie in some segments, by how their phases go on from each to the next.

    Parameters
    ----------
    segments : stemlib.domains.windows.LocalSegments
    which : numpy.ndarray of int, shape (R,)
        Numbers of the reflections.
    inside : numpy.ndarray of bool, shape (M, N)
        The segments.

    Returns
    -------
    numpy.ndarray, shape (R, 2)
        (y, x), cycles per px; those of the whole image along an axis on which no two segments are neighbours.
    """
    amplitudes, vectors = segments.amplitudes[which], segments.vectors[which]
    for axis, nodes in enumerate((segments.waves.rows(), segments.waves.columns())):
        if len(nodes) < 2:
            continue
        along, within = np.moveaxis(amplitudes, axis + 1, 1), np.moveaxis(inside, axis, 0)
        turns = (along[:, 1:] * along[:, :-1].conj() * (within[1:] & within[:-1])).sum(axis=(1, 2))
        turns = turns * np.exp(-2j * np.pi * vectors[:, axis] * nodes[1])
        vectors[:, axis] += np.angle(turns) / (2 * np.pi * nodes[1])
    return vectors


def _weights(segments, strongest):
    """One over the variance of each reflection's place, fading to 0 where it is weak: (K, N)."""
    usable = segments.usable
    powers, noise = segments.powers[strongest][:, usable], segments.noise[strongest][:, usable]
    powers = np.maximum(powers, 1e-30)
    width = 1 / (2 * np.pi * segments.waves.sigma)
    lengths = np.linalg.norm(segments.vectors[strongest], axis=1)[:, None]
    variance = _CENTRAL * width**2 * noise / powers + (_EACH * lengths) ** 2
    floor = _NOISE_FLOOR * noise + _RELATIVE_FLOOR * segments.total[usable]
    return (powers / (powers + floor)) ** 2 / variance


def _turns(amplitudes, axis):
    """Products of neighbours along an axis, averaged over those around each place: (K, M, N), complex."""
    along = np.moveaxis(amplitudes, axis, -1)
    steps = along[..., 1:] * along[..., :-1].conj()
    both = np.zeros_like(along)
    both[..., 1:] += steps
    both[..., :-1] += steps
    turns = both.copy()
    turns[:, 1:] += both[:, :-1] / 2
    turns[:, :-1] += both[:, 1:] / 2
    return np.moveaxis(turns, -1, axis)


def _offsets(turns, weights):
    """Angles of complex numbers (K, N) from those of their weighted means."""
    means = np.einsum("kn,kn->k", turns, weights)[:, None]
    return np.angle(turns * means.conj())


def _nearby(gradients, usable):
    """Variance (2, 2) of gradients among segments near each other, along y or x, whichever is larger."""
    whole = np.full((*usable.shape, 4), np.nan)
    whole[usable] = gradients.reshape(-1, 4)
    largest = np.zeros(4)
    for along in (whole, whole.swapaxes(0, 1)):
        steps = (along[_APART:] - along[:-_APART]).reshape(-1, 4)
        steps = steps[np.isfinite(steps[:, 0])]
        if len(steps):
            largest = np.maximum(largest, np.median(steps**2, axis=0) / (2 * _CHI_SQUARED))
    return largest.reshape(2, 2)


def _by_rows(gradients, usable):
    """Variance (2, 2) of gradients along y that rows explain, if that is nearly all of it; 0 for those along x."""
    rows = np.nonzero(usable)[0]
    counts = np.maximum(np.bincount(rows), 1)
    explained = np.zeros((2, 2))
    along_y = gradients[:, :, 0]
    for i, values in enumerate((along_y - along_y.mean(axis=0)).T):
        variance = ((np.bincount(rows, values) / counts)[rows] ** 2).mean()
        explained[i, 0] = variance * (variance / max((values**2).mean(), 1e-30)) ** _SHARE
    return explained
