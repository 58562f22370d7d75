"""Atomic columns of an image: where they are, how sure that is, and how bright each is."""

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from stemlib.columns.detection import FAINTEST, judge_columns
from stemlib.columns.gaussians import fit_columns
from stemlib.columns.network import load_column_network, probability_map, standardised
from stemlib.columns.peaks import find_peaks
from stemlib.columns.spacing import WORKING_SPACING, find_spacing, nearest_distance, resample, resampling_blur
from stemlib.io.files import write_atomically
from stemlib.io.micrograph import as_micrograph, check_mask
from stemlib.io.tables import with_nanometres, with_units

# Images whose columns are this far apart are given to the network as they are.
_AS_IT_IS = (5.0, 9.0)
# Where its peaks are less likely than this on average, the network is asked again with neighbours so far apart, px:
# fewer pixels, less noise in each, and more neighbours within what it sees.
_SURE, _COARSE = 0.7, 4.5
_NARROWEST = 0.5  # of a peak's width in the resampled image, in the image itself


@dataclass(frozen=True, eq=False)
class Columns:
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
    """

    table: pd.DataFrame
    semantic_image: np.ndarray
    spacing: float | None
    sigma: float | None
    pixel_size_nm: float | None

    def to_csv(self, path: str | Path) -> None:
        """Write the table as CSV with the unit of each column in the header, e.g. ``y (px)``, ``y (nm)``."""
        write_atomically(Path(path), with_units(self.table).to_csv(index=False))


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
    are the columns; doubtful ones are held against what their look-alikes foretell (`stemlib.columns.detection`).
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
        Smallest probability of a column, in 0..1; by default the one chosen on synthetic images. Down to a quarter of
        it, a peak is a column where the rest of the image foretells one that high.
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
    micrograph = as_micrograph(image, pixel_size_nm=pixel_size_nm)
    mask = check_mask(mask, micrograph.image.shape)
    network = load_column_network(weights, device)
    threshold = _checked(threshold, "threshold", network.threshold, 1.0)
    bright = _filled(-micrograph.image if dark_columns else micrograph.image, mask)
    given = _checked(spacing, "spacing", None, math.inf)
    spacing = find_spacing(bright, network) if given is None else given
    if spacing is None:
        return _none_found(micrograph)
    factor = 1.0 if _AS_IT_IS[0] <= spacing <= _AS_IT_IS[1] else WORKING_SPACING / spacing
    small = resample(bright, factor)
    flat = standardised(small)
    probabilities = _probabilities(network, small, flat, spacing * factor)
    positions, likelihood = find_peaks(probabilities, least=FAINTEST * threshold)
    positions, likelihood, sigma = judge_columns(flat, positions, likelihood, spacing * factor, threshold)
    positions, intensities, _, sigma = fit_columns(small, positions, spacing * factor, sigma=sigma)
    positions = (positions + 0.5) / factor - 0.5
    blurred = sigma / factor
    sigma = math.sqrt(max(blurred**2 - resampling_blur(factor) ** 2, (_NARROWEST * blurred) ** 2))
    # As much as resampling makes a peak wider, it makes it lower.
    intensities = intensities * (blurred / sigma) ** 2
    kept = _inside(positions, mask)
    table = pd.DataFrame(
        {
            "y": positions[kept, 0],
            "x": positions[kept, 1],
            "probability": likelihood[kept],
            "intensity": intensities[kept],
        }
    ).sort_values(["y", "x"], ignore_index=True)
    if table.empty:
        return _none_found(micrograph)
    return Columns(
        with_nanometres(table, micrograph.pixel_size_nm),
        _enlarged(probabilities, factor, mask),
        _spacing_of(table, spacing),
        sigma,
        micrograph.pixel_size_nm,
    )


def _probabilities(network, small, flat, spacing):
    """The network's answer; where it is unsure, the mean of that and of its answer to a coarser image."""
    fine = probability_map(network, flat)
    _, likelihood = find_peaks(fine, least=network.threshold)
    if not len(likelihood) or likelihood.mean() >= _SURE:
        return fine
    factor = _COARSE / spacing
    coarse = probability_map(network, standardised(resample(small, factor)))
    return (fine + _enlarged(coarse, factor, np.ones(fine.shape, bool))) / 2


def _checked(value, name, default, most):
    if value is None:
        return default
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be a number, not {value!r}") from error
    if not 0 < number <= most or math.isinf(number):
        raise ValueError(
            f"{name}={value!r} must be positive" + (f" and at most {most:g}" if most == 1 else "")
        )
    return number


def _inside(positions, mask):
    """True for columns whose centre lies on the image, where the mask is True."""
    nearest = np.rint(positions).astype(int)
    inside = ((nearest >= 0) & (nearest < mask.shape)).all(axis=1)
    row, column = np.where(inside[:, None], nearest, 0).T
    return inside & mask[row, column]


def _filled(image, mask):
    """Give masked-out pixels the mean of what is near, so that they neither count nor make an edge."""
    if mask.all():
        return image
    share = mask.astype(np.float32)
    filled = np.full_like(image, image[mask].mean(dtype=np.float64))
    for sigma in (64, 16, 4):
        near = cv2.GaussianBlur(share, (0, 0), sigma)
        mean = cv2.GaussianBlur(image * share, (0, 0), sigma)
        filled = np.where(near > 1e-3, mean / np.maximum(near, 1e-3), filled)
    return np.where(mask, image, filled).astype(np.float32)


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


def _spacing_of(table, asked):
    if len(table) < 2:
        return float(asked)
    return nearest_distance([table[["y", "x"]].to_numpy()])


def _none_found(micrograph):
    table = pd.DataFrame(columns=["y", "x", "probability", "intensity"], dtype=float)
    return Columns(
        with_nanometres(table, micrograph.pixel_size_nm),
        np.zeros(micrograph.image.shape, np.float32),
        None,
        None,
        micrograph.pixel_size_nm,
    )
