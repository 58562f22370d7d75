"""Annular dark-field images of several crystals with a known map of which is where."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from stemlib.synthetic.crystals import lattice_points
from stemlib.synthetic.domain_layouts import LAYOUTS
from stemlib.synthetic.imaging import record, speckle
from stemlib.synthetic.material_images import (
    contaminated,
    dark_field,
    peak_sigma_nm,
)

_BACKGROUND, _TAIL = 0.03, 0.2
_TOUCHING = 0.6  # of the nearest-neighbour distance: closer columns of two crystals do not fit side by side
_FAINTEST = 0.02  # share of a column that is left where a boundary runs through the thickness
# Amorphous carbon of the support film: atoms per nm^3 (2 g/cm^3).
_CARBON_PER_NM3 = 100.0


@dataclass(frozen=True, eq=False)
class DomainImage:
    """A drawn image and which crystal is where.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W), float32
    labels : numpy.ndarray of int, shape (H, W)
        0, 1, ... inside the domains, -1 outside the crystals.
    boundaries : list of numpy.ndarray, shape (N, 2)
        Lines between two domains, (y, x) px; the edges of the crystals are none.
    faults : list of numpy.ndarray, shape (N, 2)
        Middles of stacking faults inside a domain, (y, x) px.
    cell_edge : float
        The longest edge of the domains' projected cells, px.
    pixel_size_nm : float

    Examples
    --------
    >>> scene = domain_image("two-phases", (128, 128), seed=0)
    >>> scene.n_domains, len(scene.boundaries)
    (2, 1)
    """

    image: np.ndarray
    labels: np.ndarray
    boundaries: list[np.ndarray]
    faults: list[np.ndarray]
    cell_edge: float
    pixel_size_nm: float

    @property
    def n_domains(self):
        """How many domains were drawn."""
        return int(self.labels.max()) + 1


def domain_image(
    name,
    shape=(512, 512),
    *,
    pixel_size_nm=0.02,
    dose_per_nm2=1e7,
    rotation_deg=None,
    source_fwhm_nm=0.07,
    boundary_tilt_deg=0.0,
    drift_nm=0.0,
    jitter_nm=0.003,
    contamination=0.0,
    support_nm=0.0,
    seed,
):
    """Draw an image of several crystals whose map is known.

    Parameters
    ----------
    name : str
        "zirconia-twin" (a twinned nanoparticle), "grain-boundary", "90-degree", "two-phases", "inversion-twins",
        "stacking", "three-phases" (with vacuum), "sphalerite-twin", "stacking-faults", "ordered-lamella" or "single":
        see `stemlib.synthetic.domain_layouts` and `stemlib.synthetic.domain_faulted`.
    shape : tuple of int
        Height and width, px.
    pixel_size_nm : float
    dose_per_nm2 : float
        Incident electrons.
    rotation_deg : float, optional
        By how much everything is turned, counter-clockwise as seen; at random by default.
    source_fwhm_nm : float
        Width of the electron source in the image.
    boundary_tilt_deg : float
        By how much the boundary of two domains leans against the beam: they then lie over each other on both sides
        of it, as far as the thickness says.
    drift_nm, jitter_nm : float
        Greatest deviation by slow drift, and standard deviation of the shifts of scan lines.
    contamination : float
        Standard deviation of the intensity of patches a few nm large, over the height of the strongest columns.
    support_nm : float
        Thickness of a film of amorphous carbon under everything.
    seed : int or numpy.random.Generator

    Returns
    -------
    DomainImage

    Raises
    ------
    ValueError
        If the name is not known, or the tilt is not between -60 and 60 degrees.

    Examples
    --------
    >>> scene = domain_image("zirconia-twin", (256, 256), dose_per_nm2=1e6, support_nm=3, seed=0)
    >>> sorted(set(scene.labels.ravel().tolist()))
    [-1, 0, 1]
    """
    if name not in LAYOUTS:
        raise ValueError(f"name={name!r} is not a known scene; one of {', '.join(LAYOUTS)} would do")
    if not abs(boundary_tilt_deg) <= 60:
        raise ValueError(f"boundary_tilt_deg={boundary_tilt_deg!r} must be between -60 and 60")
    rng = np.random.default_rng(seed)
    rotation = float(rng.uniform(0, 360) if rotation_deg is None else rotation_deg)
    layout = LAYOUTS[name](shape, pixel_size_nm, rotation, rng)
    strongest = max((part.projection for part in layout.parts), key=lambda p: p.strength)
    sigma_nm = peak_sigma_nm(source_fwhm_nm=source_fwhm_nm)
    imaging = dark_field(
        strongest,
        pixel_size_nm,
        dose_per_nm2=dose_per_nm2,
        sigma_nm=sigma_nm,
        jitter_nm=jitter_nm,
        background=_BACKGROUND,
        tail=_TAIL,
    )
    overlap = layout.thickness_nm * np.tan(np.radians(boundary_tilt_deg)) / pixel_size_nm
    margin = 5 * imaging.sigma + abs(overlap) + 2 * drift_nm / pixel_size_nm
    at, intensity = _columns(layout, shape, pixel_size_nm, margin, overlap, strongest.strength, rng)
    phase = rng.uniform(0, 2 * np.pi)
    shift = drift_nm / pixel_size_nm

    def drifted(y):
        return shift * np.sin(np.pi * y / shape[0] + phase)

    at[:, 1] += drifted(at[:, 0])
    film = _film(shape, contamination, support_nm, sigma_nm, strongest.strength, pixel_size_nm, rng)
    image, _ = record(at, intensity, shape, imaging, rng, film=film)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    labels = layout.labels_at(rows, columns - drifted(rows))
    boundaries, faults = (
        [
            np.column_stack([line[:, 0], line[:, 1] + drifted(line[:, 0])])
            for line in layout.lines(shape, curves)
        ]
        for curves in (layout.curves, layout.faults)
    )
    return DomainImage(image, labels, boundaries, faults, layout.cell_edge / pixel_size_nm, pixel_size_nm)


def _columns(layout, shape, pixel_size_nm, margin, overlap, strength, rng):
    """Positions and intensities of the columns of all crystals, each where it lies."""
    positions, intensities = np.empty((0, 2)), np.empty(0)
    for k, part in enumerate(layout.parts):
        spacing = part.projection.spacing_nm / pixel_size_nm
        at, site, _ = lattice_points(
            part.crystal,
            shape,
            spacing=spacing,
            rotation_deg=part.rotation_deg,
            offset=part.origin,
            margin=margin,
        )
        share = layout.shares(k, at, overlap) * layout.thickness_at(at)
        height = share * part.projection.intensities(site, rng) * part.projection.strength / strength
        kept = share > _FAINTEST
        if len(positions) and not overlap and layout.shares_at is None:
            kept &= cKDTree(positions).query(at)[0] > _TOUCHING * spacing
        positions, intensities = np.vstack([positions, at[kept]]), np.append(intensities, height[kept])
    return positions, intensities


def _film(shape, contamination, support_nm, sigma_nm, strength, pixel_size_nm, rng):
    film = contaminated(shape, contamination, pixel_size_nm, rng)
    if not support_nm:
        return film
    # Atoms at random, each a peak like a column's: their number in a peak's area fluctuates like a count.
    per_nm2 = _CARBON_PER_NM3 * support_nm
    area = 2 * np.pi * sigma_nm**2
    mean = per_nm2 * area * 6**1.7 / strength
    spread = mean / np.sqrt(2 * area * per_nm2)
    carbon = mean + spread * speckle(shape, sigma_nm / pixel_size_nm, rng)
    return carbon if film is None else film + carbon
