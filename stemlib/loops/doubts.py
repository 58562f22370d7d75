"""Images in which loops should not have been sought: a sentence that says so."""

import warnings

import numpy as np
from scipy.spatial import cKDTree

from stemlib.columns.spacing import WORKING_SPACING, resample
from stemlib.fourier.patterson import significant_cells


def warn_of_doubts(image, mask, positions, stacklevel):
    """Warn where an image is constant, shows no loops, or shows a crystal's columns instead.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W)
    mask : numpy.ndarray of bool, shape (H, W)
        Where was looked.
    positions : numpy.ndarray, shape (N, 2)
        Loops found, y, x px.
    stacklevel : int
        As `warnings.warn` takes it, of the caller.

    Warns
    -----
    UserWarning

    Examples
    --------
    >>> with warnings.catch_warnings(record=True) as said:
    ...     warn_of_doubts(np.zeros((64, 64)), np.ones((64, 64), bool), np.zeros((0, 2)), 1)
    >>> str(said[0].message)
    'image is constant where mask is True: no loops'
    """
    doubt = None
    if np.ptp(image[mask]) == 0:
        doubt = "image is constant where mask is True: no loops"
    elif not len(positions):
        doubt = (
            "no loops are found in image. Of another alloy, kind or contrast they may be there and not be known: look "
            'at the candidates, at kinds="all" and polarity="bright", or teach the detector with stemlib.tune_loops. '
            "Atomic columns are found by stemlib.find_columns"
        )
    elif len(positions) > 1 and _lie_on_a_lattice(image, mask, positions):
        doubt = (
            f"image repeats at the distance of its {len(positions)} loops, as atomic columns do: stemlib.find_columns "
            "and stemlib.find_defects are for those"
        )
    if doubt:
        warnings.warn(doubt, stacklevel=stacklevel + 1)


def _lie_on_a_lattice(image, mask, positions):
    """Whether the image has a significant cell at the scale at which its loops are neighbours."""
    spacing = float(np.median(cKDTree(positions).query(positions, k=2)[0][:, 1]))
    if spacing < 1:
        return False
    factor = WORKING_SPACING / spacing
    small = resample(image, factor)
    visible = (resample(mask.astype(np.float32), factor) > 0.5).astype(np.float32)
    return next(significant_cells(small, visible, WORKING_SPACING), None) is not None
