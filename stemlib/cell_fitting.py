"""Translations of a cell from all that its cells show: each cell is fitted with the average one."""

import numpy as np

_OUTLYING = 5.0  # standard deviations from which on a cell's displacement does not count (Tukey's biweight)
_LARGEST_GAIN = 0.5  # by which a cell may be stronger or weaker than the average one
_LARGEST_MISFIT = 3.0  # of the median sum of squares
_BLOCKS = 5  # per side, of cells that may be displaced together: drift, or lines of the scan


def cell_displacements(samples):
    """Fit the average cell to every cell, with an offset and a gain of its own.

    Parameters
    ----------
    samples : stemlib.cell_samples.CellSamples

    Returns
    -------
    positions : numpy.ndarray, shape (N, 2)
        Middles of the cells that look like the average one, in the mean lattice, (y, x), px.
    displacements : numpy.ndarray, shape (N, 2)
        From where they were sampled, px.
    """
    mean = samples.values.mean(axis=0).reshape(samples.grid)
    spectrum = np.fft.fft2(mean)
    along = [
        np.fft.ifft2(2j * np.pi * k * spectrum).real
        for k in np.meshgrid(*(np.fft.fftfreq(n, 1 / n) for n in samples.grid), indexing="ij")
    ]
    slopes = np.linalg.inv(samples.cell) @ np.array([s.ravel() for s in along])
    basis = np.column_stack([np.ones(mean.size), mean.ravel(), -slopes[0], -slopes[1]])
    rest = samples.values - mean.ravel()
    fit = rest @ np.linalg.pinv(basis).T
    misfit = ((rest - fit @ basis.T) ** 2).sum(axis=1)
    # Cells cut by the edge of the crystal, or under contamination, would be displaced to where the rest is.
    whole = (np.abs(fit[:, 1]) < _LARGEST_GAIN) & (misfit < _LARGEST_MISFIT * np.median(misfit))
    return ((samples.cells + 0.5) @ samples.cell + samples.centre)[whole], fit[whole, 2:]


def fit_gradient(positions, displacements):
    """Fit a mean displacement gradient to displacements of cells, outlying ones counting less.

    Parameters
    ----------
    positions, displacements : numpy.ndarray, shape (N, 2)

    Returns
    -------
    shift : numpy.ndarray, shape (2,)
        Displacement at the mean position.
    gradient : numpy.ndarray, shape (2, 2)
        ``gradient[i, j]``: change of displacement i per px along j.
    variance : numpy.ndarray, shape (2, 2, 2)
        Covariance of each row of `gradient`. Neighbouring cells and cells on the same scan lines may be displaced
        together: the variance is that between blocks or between strips of cells, whichever is larger (Liang and
        Zeger, https://doi.org/10.1093/biomet/73.1.13).
    centre : numpy.ndarray, shape (2,)
        The mean position.
    """
    weights = np.ones(len(positions))
    for _ in range(5):
        centre = np.average(positions, axis=0, weights=weights)
        design = np.column_stack([np.ones(len(positions)), positions - centre])
        normal = np.linalg.inv((design * weights[:, None]).T @ design)
        fit = normal @ (design * weights[:, None]).T @ displacements
        rest = displacements - design @ fit
        distance = np.linalg.norm(rest, axis=1)
        # 1.18: from the median of a Rayleigh distribution to its standard deviation per component.
        usual = np.median(distance) / 1.18 + 1e-12
        weights = np.maximum(1 - (distance / (_OUTLYING * usual)) ** 2, 0) ** 2
    influence = (design * weights[:, None])[:, :, None] * rest[:, None, :]
    variance = np.array([_largest_variance(positions, influence[..., i], normal) for i in range(2)])
    return fit[0], fit[1:].T, variance, centre


def _largest_variance(positions, influence, normal):
    """Covariance of the gradient, from sums of influence over single cells, blocks, and strips along x."""
    low, span = positions.min(axis=0), np.ptp(positions, axis=0) + 1e-9
    blocks = np.minimum((positions - low) / span * _BLOCKS, _BLOCKS - 1).astype(int)
    strips = np.minimum((positions[:, 0] - low[0]) / span[0] * _BLOCKS**2, _BLOCKS**2 - 1).astype(int)
    largest = None
    for groups in (np.arange(len(positions)), blocks[:, 0] * _BLOCKS + blocks[:, 1], strips):
        _, groups = np.unique(groups, return_inverse=True)
        count = groups.max() + 1
        if count < 4:
            continue
        sums = np.stack([np.bincount(groups, weights=column) for column in influence.T], axis=1)
        found = (normal @ (sums.T @ sums) @ normal * count / (count - 3))[1:, 1:]
        if largest is None or np.trace(found) > np.trace(largest):
            largest = found
    return largest
