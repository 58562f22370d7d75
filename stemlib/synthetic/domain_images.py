"""Annular dark-field images of several crystals with a known map of which is where."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from stemlib.synthetic.crystals import lattice_points
from stemlib.synthetic.domain_layouts import LAYOUTS
from stemlib.synthetic.imaging import record
from stemlib.synthetic.recording import DarkField, check_positive, slow_drift

_BACKGROUND = 0.03
_TOUCHING = 0.6  # of the nearest-neighbour distance: closer columns of two crystals do not fit side by side
_FAINTEST = 0.02  # share of a column that is left where a boundary runs through the thickness


@dataclass(frozen=True, eq=False)
class DomainImage:
    """A simulated image and which crystal is where.

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
        """How many domains there are."""
        return int(self.labels.max()) + 1


def domain_image(
    name,
    shape=(512, 512),
    *,
    pixel_size_nm=0.02,
    rotation_deg=None,
    boundary_tilt_deg=0.0,
    recording=None,
    seed,
):
    """Simulate an image of several crystals whose map is known.

    Parameters
    ----------
    name : str
        "zirconia-twin" (a twinned nanoparticle), "grain-boundary", "90-degree", "two-phases", "inversion-twins",
        "stacking", "three-phases" (with vacuum), "sphalerite-twin", "stacking-faults", "ordered-lamella" or "single":
        see `stemlib.synthetic.domain_layouts` and `stemlib.synthetic.domain_faulted`.
    shape : tuple of int
        Height and width, px.
    pixel_size_nm : float
    rotation_deg : float, optional
        By how much everything is turned, counter-clockwise as seen; at random by default.
    boundary_tilt_deg : float
        By how much the boundary of two domains leans against the beam: they then lie over each other on both sides
        of it, as far as the thickness says.
    recording : DarkField, optional
        ``DarkField()`` by default; without shear.
    seed : int or numpy.random.Generator

    Returns
    -------
    DomainImage

    Raises
    ------
    ValueError
        If the name is not known, the tilt is not between -60 and 60 degrees, the pixel size is not positive, or the
        recording is sheared.

    Examples
    --------
    >>> recording = DarkField(dose_per_nm2=1e6, support_nm=3)
    >>> scene = domain_image("zirconia-twin", (256, 256), recording=recording, seed=0)
    >>> sorted(set(scene.labels.ravel().tolist()))
    [-1, 0, 1]
    """
    recording = recording or DarkField()
    if name not in LAYOUTS:
        raise ValueError(f"name={name!r} is not a known scene; one of {', '.join(LAYOUTS)} would do")
    check_positive(pixel_size_nm=pixel_size_nm)
    if not abs(boundary_tilt_deg) <= 60:
        raise ValueError(f"boundary_tilt_deg={boundary_tilt_deg!r} must be between -60 and 60")
    if np.any(recording.shear):
        raise ValueError(
            f"recording.shear={recording.shear!r} must be zero: several crystals are not sheared"
        )
    rng = np.random.default_rng(seed)
    rotation = float(rng.uniform(0, 360) if rotation_deg is None else rotation_deg)
    layout = LAYOUTS[name](shape, pixel_size_nm, rotation, rng)
    strongest = max((part.projection for part in layout.parts), key=lambda p: p.strength)
    imaging = recording.imaging(strongest, pixel_size_nm, background=_BACKGROUND)
    overlap = layout.thickness_nm * np.tan(np.radians(boundary_tilt_deg)) / pixel_size_nm
    drift = recording.drift_nm / pixel_size_nm
    margin = 5 * imaging.sigma + abs(overlap) + 2 * drift
    at, intensity = _columns(layout, shape, pixel_size_nm, margin, overlap, strongest.strength, rng)
    drifted = slow_drift(drift, shape[0], rng)
    at[:, 1] += drifted(at[:, 0])
    film = recording.film(shape, strongest.strength, pixel_size_nm, rng)
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
