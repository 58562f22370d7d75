"""One crystal grain of an image: where it is, and its lattice to the last digit."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from scipy import ndimage

from stemlib.fourier.filters import even_contrast, natural_factor, reduced
from stemlib.fourier.geometric_phase import NodeWaves, NoLatticeError, PhaseField, affine_part, measure_phases
from stemlib.fourier.patterson import bandpassed, significant_cells
from stemlib.fourier.unit_cell import reflections_of
from stemlib.lattice.cell_samples import CellSamples, cell_displacements, fit_gradient

_MOST_PHASES = 8  # reflections whose phases are measured
_LARGEST_FIT = 0.02  # mean displacement gradient by which a refined cell may still be off
_FEWEST_FITTED = 12  # cells
_COVERING = 0.5  # share of the image from which on no other grain is larger
_LARGEST_GRADIENT = 0.25


class NaturalImage:
    """An image reduced by a whole number to the natural scale of its columns: 8 to 16 px apart, or as they are.

    Means over blocks of pixels leave every position where it was to the last digit; interpolation would not.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W), float32
    mask : numpy.ndarray of bool, shape (H, W)
    spacing : float
        Distance of neighbouring columns, px.
    """

    def __init__(self, image, mask, spacing):
        self.factor = natural_factor(spacing)
        self.spacing = spacing / self.factor
        self.image, self.weights = reduced(image, mask, self.factor)

    def enlarged(self, positions):
        """Positions (..., 2) in px of the image itself."""
        return (positions + 0.5) * self.factor - 0.5


@dataclass(frozen=True, eq=False)
class Grain:
    """A crystal grain: its mean lattice, where it is, and how it is displaced there; px of the natural image.

    Parameters
    ----------
    cell : numpy.ndarray, shape (2, 2)
        Translations as rows.
    variance : numpy.ndarray, shape (2, 2, 2)
        Covariance of the rows of the mean displacement gradient.
    field : stemlib.fourier.geometric_phase.PhaseField
    flat, weights : numpy.ndarray, shape (H, W), float32
    spacing : float
    """

    cell: np.ndarray
    variance: np.ndarray
    field: PhaseField
    flat: np.ndarray
    weights: np.ndarray
    spacing: float

    @property
    def coverage(self):
        """Share of the image in which the grain is."""
        return float((self.field.weights > 0).mean())

    def samples(self, seed):
        """The grain's cells, sampled; of very many, `seed` chooses."""
        sigma = 0.16 * self.spacing
        smooth = cv2.GaussianBlur(self.flat, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
        smooth = ndimage.spline_filter(smooth, order=3, output=np.float32)
        return CellSamples(smooth, self.weights > 0, self.cell, self.field, 1.25 * sigma, seed)

    def fitted(self, seed):
        """The grain with its lattice fitted to all that its cells show, where there are enough; and those cells.

        Raises
        ------
        NoLatticeError
            If hardly a cell is whole, or fewer than a dozen of more look alike.
        """
        grain, samples = self, self.samples(seed)
        if len(samples.cells) < 2:
            raise NoLatticeError
        if len(samples.cells) < _FEWEST_FITTED:
            return grain, samples
        for _ in range(2):
            positions, displacements = cell_displacements(samples)
            if len(positions) < _FEWEST_FITTED:
                raise NoLatticeError
            total = displacements + grain.field.at(positions)
            shift, gradient, variance, centre = fit_gradient(positions, total)
            grain = replace(grain, variance=variance)
            if np.abs(gradient).max() > _LARGEST_FIT:
                break
            cell = grain.cell + grain.cell @ gradient.T
            grain = replace(grain, cell=cell, field=grain.field.without(shift, gradient, centre))
            samples = grain.samples(seed)
        return grain, samples


def grain_of(natural, cell):
    """Find where in an image a lattice is, and refine it there on the phases of its strongest reflections.

    Parameters
    ----------
    natural : NaturalImage
    cell : numpy.ndarray, shape (2, 2)

    Returns
    -------
    Grain

    Raises
    ------
    NoLatticeError
        If the phases follow no lattice like this one.
    """
    longest = np.linalg.norm(cell, axis=1).max()
    flat = even_contrast(bandpassed(natural.image, natural.weights, natural.spacing), longest)
    waves = NodeWaves(flat, natural.weights, max(longest, max(flat.shape) / 48))
    indices = _strongest(waves, cell, natural.spacing)
    for _ in range(4):
        gradient, variance, field = affine_part(measure_phases(waves, cell, indices))
        if np.abs(gradient).max() > _LARGEST_GRADIENT:
            raise NoLatticeError
        cell = cell + cell @ gradient.T
        if np.abs(gradient).max() < 1e-5:
            break
    return Grain(cell, variance, field, flat, natural.weights, natural.spacing)


def _strongest(waves, cell, spacing):
    """Indices (h, k) of the lattice's strongest reflections, the first two not collinear."""
    indices, vectors = reflections_of(cell, spacing)
    powers = (np.abs(waves.amplitudes(vectors)) ** 2 * (waves.coverage > 0)).sum(axis=(1, 2))
    indices = indices[np.argsort(-powers)]
    across = np.flatnonzero(indices[:, 0] * indices[0, 1] != indices[:, 1] * indices[0, 0])
    if not len(across):
        raise NoLatticeError
    order = np.r_[0, across[0], np.delete(np.arange(1, len(indices)), across[0] - 1)]
    return indices[order][:_MOST_PHASES]


def largest_grain(natural, seed):
    """Find the grain that covers most of an image, and its cells.

    Parameters
    ----------
    natural : NaturalImage
    seed : int or numpy.random.Generator
        Chooses among very many cells.

    Returns
    -------
    grain : Grain
    samples : stemlib.lattice.cell_samples.CellSamples

    Raises
    ------
    NoLatticeError
        If nothing is periodic in two directions; it says what was seen.
    """
    best = None
    for cell in significant_cells(natural.image, natural.weights, natural.spacing):
        try:
            grain, samples = grain_of(natural, cell.vectors).fitted(seed)
        except NoLatticeError:
            continue
        if best is None or grain.coverage > best[0].coverage:
            best = grain, samples
        if grain.coverage > _COVERING * natural.weights.mean():
            break
    if best is None:
        across = min(natural.image.shape) / natural.spacing
        raise NoLatticeError(
            f"columns seem to be {natural.spacing * natural.factor:.3g} px apart, but nothing repeats in two "
            f"directions beyond chance in the {across:.0f} spacings across; a lattice needs about three of its cells "
            "each way"
        )
    return best
