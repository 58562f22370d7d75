"""Atomic columns of an image: where they are, how sure that is, and how bright each is."""

import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from stemlib.columns.detection import FAINTEST, LIKELY, judge_columns
from stemlib.columns.gaussians import fit_columns
from stemlib.columns.network import ColumnNetwork, probability_map, standardised
from stemlib.columns.peaks import find_peaks
from stemlib.columns.spacing import WORKING_SPACING, find_spacing, nearest_distance, resample, resampling_blur
from stemlib.fourier.patterson import significant_cells
from stemlib.io.masking import masked_micrograph
from stemlib.io.micrograph import as_micrograph, check_positive
from stemlib.io.result import Result, View
from stemlib.io.tables import with_nanometres, write_csv

# Images whose columns are this far apart are given to the network as they are.
_AS_IT_IS = (5.0, 9.0)
# Where its peaks are less likely than this on average, the network is asked again with neighbours so far apart, px:
# fewer pixels, less noise in each, and more neighbours within what it sees.
_SURE, _COARSE = 0.7, 4.5
_NARROWEST = 0.5  # of a peak's width in the resampled image, in the image itself
_COLUMNS = ["y", "x", "probability", "intensity"]


@dataclass(frozen=True, eq=False, repr=False)
class Columns(Result):
    """The atomic columns of one image.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per column, from top to bottom: ``y, x`` px, ``probability`` in 0..1 that a column is centred there,
        ``intensity``, the height of its peak over the background around it in units of the image (depth for dark
        columns), and with a known pixel size ``y_nm, x_nm``.
    semantic_image : numpy.ndarray, shape (H, W), float32
        Probability in 0..1 that a column is centred at each pixel, spread over a small Gaussian: positions without
        chemistry.
    spacing : float or None
        Median distance of nearest neighbours, px; None without columns.
    sigma : float or None
        Standard deviation of the columns' peaks, px; None without columns.
    pixel_size_nm : float or None
    ignored : numpy.ndarray of bool, shape (H, W), or None
        What was left out though no mask says so: empty rims, annotation, dead lines, pixels without a number.
    view : stemlib.io.result.View or None
        The image and where it was looked at.
    """

    table: pd.DataFrame
    semantic_image: np.ndarray
    spacing: float | None
    sigma: float | None
    pixel_size_nm: float | None
    ignored: np.ndarray | None = None
    view: View | None = None

    def _image_shape(self):
        return self.semantic_image.shape

    def to_csv(self, path: str | Path) -> None:
        """Write the table as CSV with the unit of each column in the header, e.g. ``y (px)``, ``y (nm)``."""
        write_csv(self.table, path)


def find_columns(
    image,
    *,
    pixel_size_nm=None,
    mask=None,
    dark_columns=False,
    spacing=None,
    threshold=None,
    weights=None,
    device="auto",
):
    """Find the atomic columns of an image, of whatever crystal, scale and brightness.

    A network trained on random synthetic crystals says for every pixel how likely a column is centred there; its peaks
    are the columns; doubtful ones are held against what similar neighbourhoods predict (`stemlib.columns.detection`).
    Gaussian peaks fitted to the image then give position and intensity. Vacancies stay vacancies where they can be
    seen: the network has learnt from crystals with as many missing and displaced columns as made guessing useless, and
    a column is believed where its own height says so. Near the limit, with columns at a signal-to-noise ratio of 5 to
    6.5 in white noise, about one vacancy in 300 is filled in.

    Parameters
    ----------
    image : path, (H, W) array of any real dtype, Micrograph or HyperSpy Signal2D
    pixel_size_nm : float, optional
        Wins over the image's own; only for lengths in nm.
    mask : array_like of bool, shape (H, W), optional
        True where to look.
    dark_columns : bool
        Whether columns are darker than what surrounds them, as in annular bright field.
    spacing : float, optional
        Distance of neighbouring columns, px. Found from the image by default.
    threshold : float, optional
        Smallest probability of a column, in 0..1; by default the one chosen on synthetic images, and 0.5 where
        fewer than 19 columns are as likely as that: too few to hold doubtful ones against. Down to a quarter of it, a
        peak is a column where the rest of the image predicts one that high.
    weights : str or pathlib.Path, optional
        Another file of `stemlib.training.columns`.
    device : str
        "auto" (a GPU where there is one), "cpu", "cuda", ...

    Returns
    -------
    Columns
        Without rows where no column is found, as in an image of noise.

    Raises
    ------
    TypeError, ValueError, FileNotFoundError
        If an argument is no good; see `stemlib.io.micrograph.as_micrograph` for `image`.

    Warns
    -----
    UserWarning
        If the image is constant, shows no columns, or nothing in it repeats, so that what is found may be single atoms
        or the grain of noise.

    References
    ----------
    M. Ziatdinov et al., "Deep learning of atomically resolved scanning transmission electron microscopy images",
    ACS Nano 11, 12742 (2017), https://doi.org/10.1021/acsnano.7b07504, for columns as a network's probability map.

    Examples
    --------
    >>> from stemlib.synthetic import crystal_image
    >>> scene = crystal_image("square", (128, 128), spacing=12, seed=0)
    >>> columns = find_columns(scene.image)
    >>> len(columns.table) == len(scene.columns)
    True
    """
    seen = as_micrograph(image, pixel_size_nm=pixel_size_nm)
    micrograph, mask, ignored = masked_micrograph(seen, mask)
    view = View(seen, mask)
    network = ColumnNetwork.load(weights, device)
    if np.ptp(micrograph.image[mask]) == 0:
        warnings.warn("image is constant where mask is True: no columns", stacklevel=2)
        return _none_found(micrograph, ignored, view)
    threshold = None if threshold is None else check_positive(threshold, "threshold", most=1)
    bright = -micrograph.image if dark_columns else micrograph.image
    spacing = find_spacing(bright, network) if spacing is None else check_positive(spacing, "spacing")
    if spacing is None:
        warnings.warn("image shows no columns at any scale", stacklevel=2)
        return _none_found(micrograph, ignored, view)
    least, least_alone = (
        (network.settings["threshold"], LIKELY) if threshold is None else (threshold, threshold)
    )
    factor = 1.0 if _AS_IT_IS[0] <= spacing <= _AS_IT_IS[1] else WORKING_SPACING / spacing
    small = resample(bright, factor)
    spacing_there = spacing * factor
    flat = standardised(small)
    probabilities = _probabilities(network, small, flat, spacing_there)
    positions, likelihood = find_peaks(probabilities, least=FAINTEST * least)
    positions, likelihood, sigma = judge_columns(
        flat, positions, likelihood, spacing_there, least, least_alone=least_alone
    )
    positions, intensities, sigma = fit_columns(small, positions, spacing_there, sigma=sigma)
    positions = (positions + 0.5) / factor - 0.5
    blurred = sigma / factor
    sigma = math.sqrt(max(blurred**2 - resampling_blur(factor) ** 2, (_NARROWEST * blurred) ** 2))
    # As much as resampling makes a peak wider, it makes it lower.
    intensities = intensities * (blurred / sigma) ** 2
    table = pd.DataFrame(np.column_stack([positions, likelihood, intensities]), columns=_COLUMNS)
    table = table[_inside(positions, mask)].sort_values(["y", "x"], ignore_index=True)
    if table.empty:
        return _none_found(micrograph, ignored, view)
    if len(table) > 1:
        spacing = nearest_distance([table[["y", "x"]].to_numpy()])
    visible = (resample(mask.astype(np.float32), factor) > 0.5).astype(np.float32)
    if next(significant_cells(small, visible, spacing_there), None) is None:
        warnings.warn(
            f"nothing in image repeats in two directions: its {len(table)} columns may be single atoms, or grains of "
            "noise; compare them with the image before you use them",
            stacklevel=2,
        )
    return Columns(
        with_nanometres(table, micrograph.pixel_size_nm, micrograph.origin_nm),
        _enlarged(probabilities, factor, mask),
        float(spacing),
        sigma,
        micrograph.pixel_size_nm,
        ignored,
        view,
    )


def _probabilities(network, small, flat, spacing):
    """The network's answer; where it is unsure, the mean of that and of its answer to a coarser image."""
    fine = probability_map(network, flat)
    _, likelihood = find_peaks(fine, least=network.settings["threshold"])
    if not len(likelihood) or likelihood.mean() >= _SURE:
        return fine
    factor = _COARSE / spacing
    coarse = probability_map(network, standardised(resample(small, factor)))
    return (fine + _enlarged(coarse, factor, np.ones(fine.shape, bool))) / 2


def _inside(positions, mask):
    """True for columns whose centre lies on the image, where the mask is True."""
    nearest = np.rint(positions).astype(int)
    inside = ((nearest >= 0) & (nearest < mask.shape)).all(axis=1)
    row, column = np.where(inside[:, None], nearest, 0).T
    return inside & mask[row, column]


def _enlarged(probabilities, factor, mask):
    """The network's answer on the pixels of the image."""
    if factor == 1:
        return np.where(mask, probabilities, np.float32(0))
    matrix = np.array([[factor, 0, 0.5 * factor - 0.5], [0, factor, 0.5 * factor - 0.5]])
    enlarged = cv2.warpAffine(
        probabilities,
        matrix,
        mask.shape[::-1],
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.where(mask, enlarged, np.float32(0))


def _none_found(micrograph, ignored, view):
    table = pd.DataFrame(columns=_COLUMNS, dtype=float)
    return Columns(
        with_nanometres(table, micrograph.pixel_size_nm, micrograph.origin_nm),
        np.zeros(micrograph.image.shape, np.float32),
        None,
        None,
        micrograph.pixel_size_nm,
        ignored,
        view,
    )
