"""Whether cells that look alike are alike: weak superstructures and false ones, judged against standard errors."""

from fractions import Fraction

import numpy as np
from scipy import stats

from stemlib.fourier.unit_cell import reduce_cell
from stemlib.lattice.cell_samples import period

# Probability, per image, that noise alone is taken for a superstructure of two or three cells, or of four to six.
_FALSE_SHORT = 2e-3
_FALSE_LONG = 1e-5
_IN_A_HALF = 0.05  # the same, for each half of the image by itself: what is in one corner only is none
_FEWEST_CELLS = 9  # of a superstructure
_STREAK = 1.3  # excess over the scatter between cells from which on the scan has a part in it


def wave_vectors(longest):
    """Waves over the cells of a lattice whose period is at most `longest` cells: fractions, each up to its sign.

    Examples
    --------
    >>> wave_vectors(2)
    [(Fraction(0, 1), Fraction(1, 2)), (Fraction(1, 2), Fraction(0, 1)), (Fraction(1, 2), Fraction(1, 2))]
    """
    found = set()
    for n in range(2, longest + 1):
        for p in range(n):
            for q in range(n):
                wave = (Fraction(p, n), Fraction(q, n))
                opposite = tuple(-f % 1 for f in wave)
                if wave != (0, 0):
                    found.add(min(wave, opposite))
    return sorted(found, key=lambda w: (period(w), w))


def larger_cell(samples):
    """A lattice with fewer points that the differences between cells need, or None."""
    found = []
    scatter = detrended(samples.cells, samples.values)
    for longest, accepted in ((3, _FALSE_SHORT), (6, _FALSE_LONG)):
        waves = [w for w in wave_vectors(longest) if longest <= 3 or period(w) > 3]
        for order in {period(w) for w in waves if len(samples.cells) >= _FEWEST_CELLS * period(w)}:
            same = [w for w in waves if period(w) == order]
            limit = accepted / len(waves)
            found += _stable(samples, *scatter, same, order, limit)
        # What needs two or three cells explains multiples of them as well.
        if found:
            break
    if not found:
        return None
    lattice = np.eye(2)
    for wave in found:
        lattice = _without(lattice, wave)
    return reduce_cell(lattice @ samples.cell)


def _stable(samples, rest, freedom, waves, order, limit):
    """Waves that are significant in all cells, and for themselves in every half of the image."""
    cells, scan = samples.cells, samples.scan
    waves = significant_waves(cells, rest, freedom, waves, order, limit, scan)
    for place in (cells @ samples.cell).T:
        for half in (place > np.median(place), place <= np.median(place)):
            left = int(freedom * half.mean())
            waves = significant_waves(cells[half], rest[half], left, waves, order, _IN_A_HALF, scan)
    return waves


def _without(lattice, wave):
    """Basis of those points of a lattice of whole numbers on which a wave is in phase."""
    phases = [sum(int(v) * f for v, f in zip(point, wave, strict=True)) % 1 for point in np.rint(lattice)]
    orders = [f.denominator for f in phases]
    order = int(np.lcm(*orders))
    multiples = [(m, n) for m in range(order + 1) for n in range(order + 1) if (m, n) != (0, 0)]
    in_phase = [mn for mn in multiples if (mn[0] * phases[0] + mn[1] * phases[1]) % 1 == 0]
    # All points in phase have the index `order`; any pair of this determinant is a basis.
    for i, u in enumerate(in_phase):
        for v in in_phase[i + 1 :]:
            if abs(u[0] * v[1] - u[1] * v[0]) == order:
                return np.array([u, v]) @ lattice
    return lattice


def significant_waves(cells, rest, freedom, waves, order, limit, scan):
    """Which waves modulate the crystal's cells beyond what scatter between cells explains.

    For each place in the cell the amplitude of the wave over all cells is compared with its standard error, from
    the scatter between cells; random occupation, vacancies and noise all raise that. The most significant place
    decides, after a correction for how many there are.

    Parameters
    ----------
    cells : numpy.ndarray, shape (N, 2)
    rest : numpy.ndarray, shape (N, M)
        What `detrended` leaves of their values, with its degrees of freedom `freedom`.
    freedom : int
    waves : list of (number, number)
        Cycles per unit of `cells`.
    order : int
        After how many cells they repeat.
    limit : float
        Probability of noise that is accepted for each wave.
    scan : numpy.ndarray, shape (2, 2)
        Changes of a wave, in its units, by one cycle over the height and over the width of the image: shifts of
        scan lines, and shifts that all of them share, scatter waves along y or along x only, and much.

    Returns
    -------
    list of (number, number)
    """
    if len(cells) < 8 or not waves:
        return []
    spread = (rest**2).sum(axis=0) / freedom
    kept = spread > 1e-12 * max(float(spread.max()), 1e-30)
    if not kept.any():
        return []
    rest, spread = rest[:, kept], spread[kept]
    # Neighbouring places are about a standard deviation of a column apart: every second one tells something new.
    limit = limit / max(1.0, rest.shape[1] / 2)
    degree = 1 if order == 2 else 2
    vectors = np.array([[float(f) for f in w] for w in waves])
    strengths = _powers(cells, rest, vectors) * degree
    found = []
    for wave, vector, strength in zip(waves, vectors, strengths, strict=True):
        if _p_values(strength / spread, degree, freedom).min() > limit:
            continue
        # Slow or diffuse changes of the crystal scatter more at long waves: compare with waves close by.
        around = _powers(cells, rest, _close_by(cells, vector)).mean(axis=0)
        p = _p_values(strength / np.maximum(spread, around), degree, freedom)
        for step in scan:
            lines = vector + _along_scan(step)
            if not len(lines):
                continue
            excess = _powers(cells, rest, lines).mean(axis=0) / spread
            # The mean over places as well, as each place alone is uncertain.
            excess = np.maximum(excess, excess.mean())
            streaked = stats.f.sf(
                strength / degree / np.maximum(excess * spread, around), degree, 2 * len(lines)
            )
            p = np.where(excess > _STREAK, np.maximum(streaked, p), p)
        if p.min() <= limit:
            found.append(wave)
    return found


def detrended(cells, values):
    """Values less smooth changes across the crystal, and the degrees of freedom left."""
    count = len(cells)
    degree = 1 if count < 40 else 2 if count < 400 else 4
    scaled = (cells - cells.mean(axis=0)) / (np.ptp(cells, axis=0) / 2 + 1e-9)
    terms = [scaled[:, 0] ** i * scaled[:, 1] ** j for i in range(degree + 1) for j in range(degree + 1 - i)]
    basis = np.linalg.qr(np.stack(terms, axis=1))[0].astype(np.float32)
    centred = values - np.median(values, axis=0)
    # Contamination and the like: as far off as this, how far tells nothing.
    limit = 4 * 1.4826 * np.median(np.abs(centred), axis=0)
    centred = np.clip(centred, -limit, limit)
    centred -= centred.mean(axis=0)
    return centred - basis @ (basis.T @ centred), max(1, count - len(terms))


def _powers(cells, rest, vectors):
    """Squared amplitudes of waves over cells, in units of a cell's variance."""
    phases = np.exp(-2j * np.pi * (vectors @ cells.T)).astype(np.complex64)
    amplitudes = phases @ rest.astype(np.complex64)
    return (amplitudes.real**2 + amplitudes.imag**2) / len(cells)


def _p_values(ratio, degree, freedom):
    """Probability that noise alone gives this power over variance: F test of the wave against what it leaves."""
    residual = np.maximum(freedom - ratio, 1e-3 * freedom) / max(freedom - degree, 1)
    return stats.f.sf(ratio / degree / residual, degree, max(freedom - degree, 1))


def _along_scan(step):
    """Steps to waves that differ along y or x only, by whole cycles and a half, not too far off."""
    reach = 0.45 / max(np.abs(step).max(), 1e-9)
    cycles = np.arange(2.5, min(reach, 15))
    if len(cycles) < 3:
        return np.empty((0, 2))
    return np.concatenate([-cycles, cycles])[:, None] * step


def _close_by(cells, vector):
    """Waves a little longer and shorter, near enough to share slow changes, far enough to be others."""
    size = np.ptp(cells, axis=0) + 1
    offsets = np.array([[y, x] for y in (-3.5, -2.5, 2.5, 3.5) for x in (-3.5, -2.5, 2.5, 3.5)])
    return vector + offsets / np.maximum(size, 12)
