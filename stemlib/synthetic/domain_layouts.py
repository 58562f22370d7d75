"""Which crystal lies where in images of several: twins, grains, phases, and single crystals."""

from dataclasses import replace

import numpy as np

from stemlib.synthetic.domain_faulted import ordered_lamella, sphalerite_twin, stacking_faults
from stemlib.synthetic.domain_parts import Curve, Layout, Part, middle
from stemlib.synthetic.materials import tmd
from stemlib.synthetic.projection import project, projected


def zirconia_twin(shape, pixel_size_nm, rotation_deg, rng):
    """A monoclinic ZrO2 particle along [010] with a (100) twin boundary, mirror plane through the cells' origin.

    (100) is a plane of growth and of transformation twins; it holds [010], so that it stands on edge, and both twins
    lie on this axis at once: only the monoclinic angle, 9.2 degrees to either side of the boundary's normal, and
    what is in the cell tell them apart. By how much the twins are shifted along the boundary is not known, and taken
    as nothing. The particle is about 0.8 of the image wide and 6 nm thick, thinner towards its edge.

    References
    ----------
    Twins of monoclinic zirconia on (100): Bailey, Proc. R. Soc. A 279, 395 (1964),
    https://doi.org/10.1098/rspa.1964.0112
    """
    crystal = projected("ZrO2")
    centre = middle(shape) + rng.uniform(-0.02, 0.02, 2) * min(shape)
    between = Curve(centre + rng.uniform(-0.06, 0.06, 2) * min(shape), rotation_deg)
    parts = [
        Part(crystal, rotation_deg, between.point),
        Part(crystal, rotation_deg, between.point, mirrored=True),
    ]
    outline = _outline(centre, 0.41 * min(shape), rng)
    taper = 2.0 / pixel_size_nm

    def labels_at(y, x):
        return np.where(outline(y, x) > 0, (between.distance(y, x) > 0).astype(int), -1)

    def profile(y, x):
        depth = np.clip(outline(y, x) / taper, 0, 1)
        return np.sqrt(1 - (1 - depth) ** 2)

    return Layout(parts, labels_at, [between.line(sum(shape))], between, 6.0, profile)


def grain_boundary(shape, pixel_size_nm, rotation_deg, rng):
    """Two grains of SrTiO3 along [001], turned against each other by 36.9 degrees (sigma 5), 10 nm thick."""
    crystal = projected("SrTiO3")
    between = _wavy(shape, pixel_size_nm, rotation_deg, rng)
    parts = [
        Part(
            crystal,
            rotation_deg + sign * np.degrees(np.arctan(1 / 3)),
            middle(shape) + rng.uniform(-9, 9, 2),
        )
        for sign in (-1, 1)
    ]
    return _two_sides(shape, parts, between, 10.0)


def ninety_degree(shape, pixel_size_nm, rotation_deg, rng):
    """Two domains of (Li,La)TiO3 whose layers rich in La run at right angles, 10 nm thick."""
    crystal = projected("LLTO")
    # The boundary is the diagonal of the pseudo-cubic cell.
    between = _wavy(shape, pixel_size_nm, rotation_deg + 45, rng)
    parts = [Part(crystal, rotation_deg + turn, between.point) for turn in (0, 90)]
    return _two_sides(shape, parts, between, 10.0)


def two_phases(shape, pixel_size_nm, rotation_deg, rng):
    """A sheet of 1H-MoTe2 that goes on as 1T'-WTe2."""
    between = _wavy(shape, pixel_size_nm, rotation_deg + rng.uniform(-30, 30), rng)
    parts = [
        Part(project(tmd("MoTe2")), rotation_deg, middle(shape)),
        Part(projected("WTe2 1T'"), rotation_deg, between.point),
    ]
    return _two_sides(shape, parts, between)


def inversion_twins(shape, pixel_size_nm, rotation_deg, rng):
    """A sheet of 1H-WSe2 and its inversion twin, W on the same lattice, Se2 in the other half of the triangles.

    Any translation-invariant measure of second order, such as the Patterson function, is the same for both.
    """
    between = _wavy(shape, pixel_size_nm, rotation_deg + rng.uniform(-30, 30), rng, off_centre=0.0)
    crystal = projected("WSe2 monolayer")
    # The first site, W, is in the origin, about which the twin is turned by 180 degrees.
    parts = [Part(crystal, rotation_deg + turn, middle(shape)) for turn in (0, 180)]
    return _two_sides(shape, parts, between)


def stacking(shape, pixel_size_nm, rotation_deg, rng):
    """A bilayer of MoS2, here 2H and there 3R: the same lattice, other columns."""
    between = _wavy(shape, pixel_size_nm, rotation_deg + rng.uniform(-30, 30), rng)
    parts = [
        Part(project(tmd("MoS2", layers=2, stacking=stacked)), rotation_deg, middle(shape))
        for stacked in ("2H", "3R")
    ]
    return _two_sides(shape, parts, between)


def three_phases(shape, pixel_size_nm, rotation_deg, rng):
    """Sheets of 1H-WSe2, 1T'-WTe2 and 2H-MoTe2 (two layers) that meet in a point, and vacuum in a corner."""
    point = middle(shape) + rng.uniform(-0.05, 0.05, 2) * min(shape)
    # Counter-clockwise angles at which one sheet ends and the next begins.
    starts = rotation_deg + np.array([0, 120, 240]) + rng.uniform(-12, 12, 3)
    corner = np.array([rng.choice([-0.5, shape[0] - 0.5]), rng.choice([-0.5, shape[1] - 0.5])])
    hole = 0.38 * min(shape)
    names = (projected("WSe2 monolayer"), projected("WTe2 1T'"), project(tmd("MoTe2", layers=2)))
    parts = [Part(crystal, rng.uniform(0, 360), point) for crystal in names]

    def labels_at(y, x):
        angle = np.degrees(np.arctan2(-(y - point[0]), x - point[1]))
        order = np.argsort(starts % 360)
        sector = np.searchsorted(np.sort(starts % 360), angle % 360) - 1
        inside = np.hypot(y - corner[0], x - corner[1]) > hole
        return np.where(inside, order[sector], -1)

    rays = [Curve(point, start).line(sum(shape), start=0.0) for start in starts]
    return Layout(parts, labels_at, rays)


def single(shape, pixel_size_nm, rotation_deg, rng):
    """One crystal, any of those that have a scale, sheared by up to half a percent: a negative control."""
    name = rng.choice(
        ["MoWTe2 bilayer", "WSe2 monolayer", "MoS2 monolayer", "WTe2 1T'", "SrTiO3", "ZrO2", "LLTO"]
    )
    crystal = projected(str(name))
    shear = np.eye(2) + rng.uniform(-0.005, 0.005, (2, 2))
    sheared = replace(crystal.crystal, cell=crystal.crystal.cell @ shear)
    part = Part(replace(crystal, crystal=sheared), rotation_deg, middle(shape) + rng.uniform(-9, 9, 2))
    return Layout([part], lambda y, x: np.zeros(np.broadcast(y, x).shape, int))


LAYOUTS = {
    "zirconia-twin": zirconia_twin,
    "grain-boundary": grain_boundary,
    "90-degree": ninety_degree,
    "two-phases": two_phases,
    "inversion-twins": inversion_twins,
    "stacking": stacking,
    "three-phases": three_phases,
    "sphalerite-twin": sphalerite_twin,
    "stacking-faults": stacking_faults,
    "ordered-lamella": ordered_lamella,
    "single": single,
}


def _wavy(shape, pixel_size_nm, direction_deg, rng, off_centre=0.06):
    """A line near the middle that swings by about a cell."""
    point = middle(shape) + rng.uniform(-off_centre, off_centre, 2) * min(shape)
    return Curve(point, direction_deg, 0.3 / pixel_size_nm, rng.uniform(0.5, 0.9) * min(shape))


def _two_sides(shape, parts, between, thickness_nm=0.0):
    def labels_at(y, x):
        return (between.distance(y, x) > 0).astype(int)

    return Layout(parts, labels_at, [between.line(sum(shape))], between, thickness_nm)


def _outline(centre, radius, rng):
    """Signed distance from a rounded outline, about, px; positive inside."""
    orders = np.array([2, 3, 5])
    heights = np.array([0.05, 0.03, 0.02]) * rng.uniform(0.5, 1, 3)
    phases = rng.uniform(0, 2 * np.pi, 3)

    def inside(y, x):
        dy, dx = y - centre[0], x - centre[1]
        angle = np.arctan2(-dy, dx)
        waves = (heights * np.cos(orders * angle[..., None] + phases)).sum(axis=-1)
        return radius * (1 + waves) - np.hypot(dy, dx)

    return inside
