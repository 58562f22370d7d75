"""Where a domain's crystal is interrupted: stacking faults and antiphase boundaries, which are no domains."""

import numpy as np
from scipy import fft, ndimage
from scipy.stats import median_abs_deviation
from skimage.filters import apply_hysteresis_threshold
from skimage.graph import route_through_array
from skimage.morphology import skeletonize

from stemlib.fourier.filters import blurred
from stemlib.fourier.local_amplitudes import LocalWaves

_CONTINUED = 1.3  # periods: standard deviation of the window in which a crystal is measured
_AVERAGED = 0.7  # periods: and of that over which what it leaves is averaged
_LEAST_VARIANCE = np.float32(1e-9)  # of the greatest; what is masked has none
_AROUND = 4.0  # periods: and over which the misfit is usual
_HIGHEST = 4.0  # times the usual misfit: a point defect must not outweigh a line
_STEP = 0.2  # periods: grid on which lines are looked for
_ACROSS, _ALONG = 0.6, 4.0  # periods: standard deviations of the filter across a line and along it
_DIRECTIONS = 24
_QUIET = 0.25  # quantile of the directions' scatters: a fault raises that of its own direction
_LIKELY, _SURE = 4.0, 7.0  # times the scatter of the filtered misfit: all along a line, and in its best place
_RAISED = 0.015  # share of the variance that a line leaves more than what surrounds it
_TYPICAL = 0.5  # median over mean of the ridge along a line; a few point defects in a row have less
_BESIDE = 1.5  # periods: what surrounds a line
_LONG = 8.0  # periods: shorter lines are point defects
_STRAIGHT = 0.7  # length from end to end over the number of px on the line
_RIM = 1.5  # periods from a domain's outline within which nothing is told


def unexplained_share(work, labels, waves):
    """What share of the image's local variance the domains' crystals leave unexplained.

    Parameters
    ----------
    work : stemlib.domains.windows.WorkingImage
    labels : numpy.ndarray of int, shape (H, W)
    waves : dict of int to numpy.ndarray, shape (K, 2)
        Strong reflections of each domain, cycles per px.

    Returns
    -------
    numpy.ndarray, shape (H, W), float32
        NaN where there is no domain.
    """
    result = np.full(labels.shape, np.nan, np.float32)
    variance = blurred(work.flat**2, _AVERAGED * work.period)
    variance = np.maximum(variance, _LEAST_VARIANCE * variance.max() + np.float32(1e-30))
    for number, vectors in waves.items():
        inside = labels == number
        if not inside.any() or not len(vectors):
            continue
        window = LocalWaves(work.flat, inside.astype(np.float32), _CONTINUED * work.period)
        crystal, _ = window.continued(vectors)
        rest = blurred((work.flat - crystal) ** 2, _AVERAGED * work.period)
        result[inside] = (rest / variance)[inside]
    return result


def misfit_map(share, labels):
    """The unexplained share over its median in each domain, so that 1 is usual: (H, W) float32."""
    result = np.full(labels.shape, np.nan, np.float32)
    for number in np.unique(labels[np.isfinite(share)]):
        inside = labels == number
        result[inside] = share[inside] / max(float(np.median(share[inside])), 1e-30)
    return result


def fault_lines(share, labels, period):
    """Trace the lines along which a crystal leaves more unexplained than beside them.

    The share is filtered for ridges that are long and narrow, in all directions: averaged along a fault, which is
    straight over several periods, what it leaves stands out of noise that hides it in a round window.

    Parameters
    ----------
    share : numpy.ndarray, shape (H, W), float32
        As `unexplained_share` returns it.
    labels : numpy.ndarray of int, shape (H, W)
    period : float
        Longest period of the crystals, px.

    Returns
    -------
    list of numpy.ndarray, shape (N, 2)
        Vertices (y, x), px. Lines shorter than eight periods, rows of point defects, and what lies near a domain's
        outline or the image's edge are left out.

    References
    ----------
    Filters that are second derivatives across a line and long along it: W. T. Freeman and E. H. Adelson, IEEE Trans.
    Pattern Anal. 13, 891 (1991), https://doi.org/10.1109/34.93808

    Examples
    --------
    >>> y, x = np.mgrid[:200, :200]
    >>> noise = 0.01 * np.random.default_rng(0).normal(size=(200, 200))
    >>> share = (0.2 + 0.1 * np.exp(-0.5 * ((x - 90) / 8.0) ** 2) + noise).astype(np.float32)
    >>> lines = fault_lines(share, np.zeros(share.shape, int), 10.0)
    >>> len(lines), round(lines[0][:, 1].mean() / 10)
    (1, 9)
    """
    known = np.isfinite(share)
    outline = ndimage.grey_dilation(labels, 3) != ndimage.grey_erosion(labels, 3)
    inner = ndimage.distance_transform_edt(np.pad(~outline & known, 1))[1:-1, 1:-1] > _RIM * period
    step = max(1, int(_STEP * period))
    inner = inner[::step, ::step]
    if not inner.any():
        return []
    relative, around = (values[::step, ::step] for values in _relative(share, known, period))
    raised, scatter, direction = _ridges(relative, inner, period / step)
    crest = _crests(raised, direction) & inner & (raised * around > _RAISED)
    crest = apply_hysteresis_threshold(np.where(crest, raised, 0), _LIKELY * scatter, _SURE * scatter)
    # Crests that turn from one direction to the next are linked.
    thin = skeletonize(ndimage.binary_dilation(crest, np.ones((3, 3))) & inner)
    lines = _traced(thin, _LONG * period / step)
    return [step * line for line in lines if _is_even(relative, line, direction, _BESIDE * period / step)]


def _relative(share, known, period):
    """The share over what is usual around, 1 where it is not known, and what is usual."""
    usual = float(np.median(share[known]))
    share = np.minimum(np.where(known, share, 0), _HIGHEST * usual)
    weight = np.maximum(blurred(known.astype(np.float32), _AROUND * period), 1e-6)
    around = np.maximum(blurred(share, _AROUND * period) / weight, 1e-6)
    return np.where(known, share / around, 1).astype(np.float32), around


def _ridges(relative, inner, period):
    """How much each place is raised over both sides, in the direction that raises it most; the usual scatter."""
    margin = int(3 * _ALONG * period)
    wide = np.pad(relative - 1, margin, mode="symmetric")
    size = [fft.next_fast_len(n, real=True) for n in wide.shape]
    spectrum = fft.rfft2(wide, s=size, workers=-1)
    frequency = fft.fftfreq(size[0])[:, None], fft.rfftfreq(size[1])[None]
    inside = tuple(slice(margin, margin + n) for n in relative.shape)
    raised, direction = np.zeros(relative.shape, np.float32), np.zeros(relative.shape, int)
    scatters = []
    for k in range(_DIRECTIONS):
        along, across = (f * 2 * np.pi * period for f in _turned(*frequency, k))
        # A Gaussian's second derivative across the line, averaged along it.
        kept = (_ACROSS * across) ** 2 * np.exp(-0.5 * ((_ACROSS * across) ** 2 + (_ALONG * along) ** 2))
        found = fft.irfft2(spectrum * kept.astype(np.float32), s=size, workers=-1)[inside]
        scatters.append(median_abs_deviation(found[inner], scale="normal"))
        direction[found > raised] = k
        raised = np.maximum(raised, found)
    return raised, max(float(np.quantile(scatters, _QUIET)), 1e-9), direction


def _turned(y, x, direction):
    """Components along one of the directions and across it."""
    angle = np.pi * direction / _DIRECTIONS
    return y * np.sin(angle) + x * np.cos(angle), y * np.cos(angle) - x * np.sin(angle)


def _normals(direction):
    angle = np.pi * direction / _DIRECTIONS
    return np.stack([np.cos(angle), -np.sin(angle)])


def _at(values, y, x):
    return ndimage.map_coordinates(values, [y, x], order=1, mode="nearest")


def _crests(raised, direction):
    """Where a ridge is highest, across its direction."""
    y, x = np.indices(raised.shape)
    dy, dx = _normals(direction)
    return (raised >= _at(raised, y + dy, x + dx)) & (raised >= _at(raised, y - dy, x - dx))


def _traced(thin, shortest):
    """Paths along thin lines (M, N) from end to end, of those that are long and straight."""
    pieces, _ = ndimage.label(thin, np.ones((3, 3)))
    lines = []
    for number, box in enumerate(ndimage.find_objects(pieces), start=1):
        at = np.argwhere(pieces[box] == number)
        ends = _ends(at)
        if np.linalg.norm(ends[0] - ends[1]) < shortest:
            continue
        cost = np.where(pieces[box] == number, 1.0, 1e6)
        path = np.array(route_through_array(cost, *ends, fully_connected=True)[0], float)
        if np.linalg.norm(path[0] - path[-1]) > _STRAIGHT * len(path):
            lines.append(path + [box[0].start, box[1].start])
    return lines


def _is_even(relative, line, direction, beside):
    """Whether a line is raised all along, not in a few places."""
    y, x = line.T
    dy, dx = beside * _normals(direction[tuple(line.astype(int).T)])
    height = _at(relative, y, x) - (_at(relative, y + dy, x + dx) + _at(relative, y - dy, x - dx)) / 2
    return bool(np.median(height) > _TYPICAL * height.mean())


def _ends(points):
    """The two points of a line that are farthest apart, about."""
    first = points[np.linalg.norm(points - points[0], axis=1).argmax()]
    return first, points[np.linalg.norm(points - first, axis=1).argmax()]
