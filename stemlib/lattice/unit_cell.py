"""The lattice behind a list of reflections, and cells in standard form."""

import numpy as np

_SHORTEST = 3.5  # px; a translation that is shorter is none between columns
_MOST_USED = 80  # reflections that take part in the search
_LARGEST_GAIN = 5.0  # of one reflection, so that a few strong ones cannot outvote the weak ones
_COST = 0.6  # of each reciprocal lattice point, seen or not
_TOLERANCE = 0.8  # of a reflection's place, in units of the spectrum's resolution


def reduce_cell(cell):
    """Bring a cell into its reduced form (Lagrange and Gauss).

    Parameters
    ----------
    cell : array_like, shape (2, 2)
        Two translations as rows, (y, x).

    Returns
    -------
    numpy.ndarray, shape (2, 2)
        The two shortest translations a, b, |a| <= |b|, at an angle of 90 to 120 degrees; a points to the right
        (or straight up).

    Examples
    --------
    >>> reduce_cell([[0, 10], [10, 9]]).tolist()
    [[0.0, 10.0], [10.0, -1.0]]
    """
    a, b = np.array(cell, float)
    while True:
        if a @ a > b @ b:
            a, b = b, a
        steps = np.round((a @ b) / (a @ a))
        shorter = b - steps * a
        # Also where a is zero, and this not a number.
        if not shorter @ shorter < b @ b:
            break
        b = shorter
    if a[1] < 0 or (a[1] == 0 and a[0] > 0):
        a = -a
    if a @ b > 0:
        b = -b
    return np.array([a, b])


def find_cell(reflections, largest):
    """Find the lattice that explains most of the reflections with the fewest reciprocal lattice points.

    Translations are peaks of the Patterson function of equalised reflections. Every pair of short ones is a
    candidate, and so are its sublattices; each reflection that a lattice explains counts by the logarithm of its
    power, each reciprocal lattice point costs.

    Parameters
    ----------
    reflections : stemlib.fourier.reflections.Reflections
    largest : float
        Longest translation to look for, px.

    Returns
    -------
    cell : numpy.ndarray, shape (2, 2), or None
        Reduced, refined by least squares on the reflections; None where no two translations explain more than chance.
    explained : numpy.ndarray of bool
        Which reflections it explains.

    Examples
    --------
    >>> from stemlib.fourier.reflections import Reflections
    >>> vectors = np.array([[0, 0.1], [0.1, 0], [0.1, 0.1], [0.1, -0.1], [0.2, 0]])
    >>> find_cell(Reflections(vectors, np.full(5, 100.0), 0.005), 80)[0].round(1).tolist()
    [[0.0, 10.0], [10.0, 0.0]]
    """
    vectors = reflections.vectors[:_MOST_USED]
    gains = np.minimum(np.log(reflections.ratios[:_MOST_USED]), _LARGEST_GAIN)
    none = None, np.zeros(len(reflections.vectors), bool)
    if len(vectors) < 2:
        return none
    translations = _translations(vectors, gains, largest)
    candidates = _pairs(translations)
    if not len(candidates):
        return none
    best, best_score = None, 0.0
    for candidate in _ranked(candidates, vectors, gains, reflections.resolution)[:12]:
        for cell in _neighbours(candidate):
            if np.linalg.norm(cell[1]) > largest or np.linalg.norm(cell[0]) < _SHORTEST:
                continue
            cell, score = _refine(cell, vectors, gains, reflections.resolution)
            if score > best_score * (1 + 1e-6) + 1e-6:
                best, best_score = cell, score
    if best is None:
        return none
    explained = np.abs(_misfit(best[None], reflections.vectors)[0]) < _TOLERANCE * reflections.resolution
    return reduce_cell(best), explained


def sublattices(cell, index):
    """All lattices that hold one of `index` of the points of a lattice.

    Parameters
    ----------
    cell : array_like, shape (2, 2)
    index : int

    Returns
    -------
    list of numpy.ndarray, shape (2, 2)
        A cell of each, reduced.

    Examples
    --------
    >>> len(sublattices(np.eye(2), 2)), len(sublattices(np.eye(2), 3))
    (3, 4)
    """
    return [
        reduce_cell(np.array([[n, k], [0, index // n]]) @ cell)
        for n in range(1, index + 1)
        if index % n == 0
        for k in range(index // n)
    ]


def superlattices(cell, index):
    """All lattices of which a lattice holds one of `index` of the points.

    Parameters
    ----------
    cell : array_like, shape (2, 2)
    index : int

    Returns
    -------
    list of numpy.ndarray, shape (2, 2)
        A cell of each, reduced.

    Examples
    --------
    >>> [round(abs(float(np.linalg.det(c)))) for c in superlattices(2 * np.eye(2), 4)]
    [1, 1, 1, 1, 1, 1, 1]
    """
    return [reduce_cell(c / index) for c in sublattices(cell, index)]


def _translations(vectors, gains, largest):
    """Peaks of the Patterson function: translations, the shortest first, px."""
    finest = np.linalg.norm(vectors, axis=1).max()
    step = 1 / (5 * finest)
    across = np.arange(-largest, largest + step, step)
    down = np.arange(0, largest + step, step)
    rows = np.exp(2j * np.pi * np.outer(down, vectors[:, 0])).astype(np.complex64) * gains.astype(np.float32)
    columns = np.exp(2j * np.pi * np.outer(vectors[:, 1], across)).astype(np.complex64)
    patterson = (rows @ columns).real / gains.sum()
    y, x = np.meshgrid(down, across, indexing="ij")
    far = (np.hypot(y, x) > max(0.8 / finest, _SHORTEST)) & (np.hypot(y, x) <= largest)
    inner = patterson[1:-1, 1:-1]
    is_peak = np.zeros_like(far)
    is_peak[1:-1, 1:-1] = far[1:-1, 1:-1]
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        for sign in (1, -1):
            rows_, columns_ = 1 + sign * dy, 1 + sign * dx
            shifted = patterson[rows_ : rows_ + inner.shape[0], columns_ : columns_ + inner.shape[1]]
            is_peak[1:-1, 1:-1] &= inner >= shifted
    # Translations along x lie on the first row, which has no neighbours above.
    first = patterson[0]
    around = np.maximum(np.maximum(first[2:], first[:-2]), patterson[1, 1:-1])
    is_peak[0, 1:-1] = far[0, 1:-1] & (first[1:-1] >= around)
    highest = patterson[is_peak].max(initial=0.0)
    if highest == 0:
        return np.empty((0, 2))
    found = np.argwhere(is_peak & (patterson >= 0.7 * highest))
    at = np.column_stack([down[found[:, 0]], across[found[:, 1]]])
    heights = patterson[tuple(found.T)]
    order = np.argsort(np.linalg.norm(at, axis=1))
    short = order[:24]
    high = order[heights[order] >= 0.92 * highest][:14]
    return np.array([_sharpened(t, vectors, gains) for t in at[np.union1d(short, high)]])


def _sharpened(translation, vectors, gains):
    """A peak of the Patterson function, off the grid: by least squares on the phases of the waves in phase there."""
    for _ in range(3):
        phases = vectors @ translation
        off = np.round(phases) - phases
        near = np.abs(off) < 0.25
        if near.sum() < 2:
            break
        root = np.sqrt(gains[near])
        # A little damping keeps a translation in place along a direction in which no wave runs.
        normal = (vectors[near] * root[:, None]).T @ (vectors[near] * root[:, None])
        normal += 1e-3 * np.trace(normal) * np.eye(2)
        translation = translation + np.linalg.solve(normal, (vectors[near] * gains[near, None]).T @ off[near])
    return translation


def _pairs(translations):
    """Reduced cells of all pairs of translations, each lattice once."""
    first, second = np.triu_indices(len(translations), 1)
    areas = np.abs(
        translations[first, 0] * translations[second, 1] - translations[first, 1] * translations[second, 0]
    )
    lengths = np.linalg.norm(translations, axis=1)
    wide = areas > 0.2 * lengths[first] * lengths[second]
    cells = [reduce_cell(translations[[i, j]]) for i, j in zip(first[wide], second[wide], strict=True)]
    unique = []
    for cell in cells:
        if not any(np.abs(cell - other).max() < 0.03 * abs(np.linalg.det(cell)) ** 0.5 for other in unique):
            unique.append(cell)
    return np.array(unique)


def _misfit(cells, vectors):
    """Distance of each reflection from the nearest point of each reciprocal lattice, cycles per px."""
    indices = np.einsum("nd,cid->cni", vectors, cells)
    off = indices - np.round(indices)
    return np.linalg.norm(np.einsum("cni,cdi->cnd", off, np.linalg.inv(cells)), axis=-1)


def _scores(cells, vectors, gains, resolution):
    """What the explained reflections gain less what the reciprocal lattice points cost."""
    explained = _misfit(cells, vectors) < _TOLERANCE * resolution
    reach = np.quantile(np.linalg.norm(vectors, axis=1), 0.9)
    points = 0.5 * np.pi * reach**2 * np.abs(np.linalg.det(cells))
    return (explained * gains).sum(axis=1) - _COST * points


def _ranked(cells, vectors, gains, resolution):
    # The translations are still rough, so a reflection may lie off by more.
    return cells[np.argsort(-_scores(cells, vectors, gains, 1.5 * resolution))]


def _neighbours(cell):
    return [cell, *(c for n in (2, 3, 4) for c in (*sublattices(cell, n), *superlattices(cell, n)))]


def _refine(cell, vectors, gains, resolution):
    """Fit a cell to the reflections it explains, strong ones near the origin first; return it with its score."""
    for factor in (2.0, 1.4, 1.0):
        near = _misfit(cell[None], vectors)[0] < factor * _TOLERANCE * resolution
        indices = np.round(vectors[near] @ cell.T)
        if near.sum() < 2 or np.linalg.matrix_rank(indices) < 2:
            return cell, 0.0
        weight = np.sqrt(gains[near])[:, None]
        reciprocal = np.linalg.lstsq(weight * indices, weight * vectors[near], rcond=None)[0]
        if np.linalg.cond(reciprocal) > 50:
            return cell, 0.0
        cell = np.linalg.inv(reciprocal).T
    return cell, float(_scores(cell[None], vectors, gains, resolution)[0])
