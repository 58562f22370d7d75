"""Layouts of crystals with twins, stacking faults and order: what is thin, or differs little."""

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from stemlib.synthetic.domain_parts import Curve, Layout, Part, middle
from stemlib.synthetic.projection import projected

_LAYERS_APART = (2, 40)  # between two faults
_MOST_FAULTS = 4
_CUT = 0.375  # of a layer over a Cd column: halfway to the Te column that stands on it


def stacking_faults(shape, pixel_size_nm, rotation_deg, rng):
    """One crystal of CdTe along [1-10], 15 nm thick, with one to four stacking faults on (111).

    Twins of one layer (intrinsic faults), two (extrinsic ones) or three, two to forty layers apart.
    """
    return _layered(shape, pixel_size_nm, rotation_deg, rng, twinned=False)


def sphalerite_twin(shape, pixel_size_nm, rotation_deg, rng):
    """CdTe along [1-10], 15 nm thick: a twin on (111), turned about [111] by 180 degrees, and up to three faults.

    The boundary lies anywhere between the middle and a distance at which the twin fills but a corner or a strip.
    """
    return _layered(shape, pixel_size_nm, rotation_deg, rng, twinned=True)


def ordered_lamella(shape, pixel_size_nm, rotation_deg, rng):
    """(Li,La)TiO3 whose layers run across in a lamella, and beyond it in antiphase to before; 10 nm thick.

    Order is not perfect and changes slowly, so that the layers fade here and there, and the lamella's sides lean
    against the beam: both kinds of layers lie over each other within a few cells.
    """
    crystal = projected("LLTO")
    edge = 0.775 / pixel_size_nm
    centre = middle(shape) + rng.uniform(-0.15, 0.15, 2) * min(shape)
    direction = rotation_deg + 45 + rng.uniform(-12, 12)
    half = rng.uniform(0.07, 0.16) * min(shape)
    sides = []
    for sign in (-1, 1):
        normal = Curve(centre, direction).axes[1]
        swing, wavelength = rng.uniform(0.3, 1.0) * edge, rng.uniform(0.4, 0.8) * min(shape)
        sides.append(Curve(centre + sign * half * normal, direction + rng.uniform(-6, 6), swing, wavelength))
    widths = rng.uniform(0.5, 3.0, 2) * edge
    along, across = Curve(centre, rotation_deg).axes
    # Each kind in both antiphases: their shares make the order.
    parts = [
        Part(crystal, rotation_deg + turn, centre + 0.5 * edge * shifted)
        for turn, layers in ((0, across), (90, along))
        for shifted in (0, layers)
    ]
    order = _order(shape, rng)
    # Before the lamella, in it and beyond it.
    ordered = rng.uniform(0.5, 1.0, 3)

    def inside(y, x):
        return (sides[0].distance(y, x) > 0) & (sides[1].distance(y, x) < 0)

    def share(k, at):
        first, second = (
            np.clip(side.distance(*at.T) / width + 0.5, 0, 1)
            for side, width in zip(sides, widths, strict=True)
        )
        whole = (1 - first, first * (1 - second), second)
        value = map_coordinates(order, (at + 0.5).T / 16, order=1, mode="nearest")
        rich, poor = ((1 + sign * ordered[:, None] * value) / 2 for sign in (1, -1))
        # Beyond the lamella rich layers lie where poor ones are before it.
        return {
            0: whole[0] * rich[0] + whole[2] * poor[2],
            1: whole[0] * poor[0] + whole[2] * rich[2],
            2: whole[1] * rich[1],
            3: whole[1] * poor[1],
        }[k]

    return Layout(
        parts,
        lambda y, x: inside(y, x).astype(int),
        [side.line(sum(shape)) for side in sides],
        thickness_nm=10.0,
        shares_at=share,
    )


def _order(shape, rng):
    """Order of layers, 0 to 1, every 16 px."""
    nodes = [n // 16 + 2 for n in shape]
    field = gaussian_filter(rng.normal(size=nodes), 0.2 * min(nodes), mode="nearest")
    field = (field - field.min()) / np.ptp(field)
    low = rng.uniform(0.25, 0.6)
    return low + (0.9 - low) * field


def _layered(shape, pixel_size_nm, rotation_deg, rng, *, twinned):
    """A crystal in whose stack of layers some are turned over; from the twin's first layer on all of them."""
    crystal = projected("CdTe")
    unit = crystal.spacing_nm / pixel_size_nm
    # From layer to layer the next pair of columns lies up a layer and to the side by a third of the repeat.
    layer, aside = crystal.crystal.cell[1] * [-unit, unit]
    along, down = Curve(middle(shape), rotation_deg).axes
    up = -down
    reach = int((np.abs(up) @ (np.array(shape) / 2)) / layer)
    start = int(rng.uniform(0.1, 0.8) * reach) if twinned else None
    runs = _turned_over(rng, reach, start)
    origin = middle(shape) + rng.uniform(-0.5, 0.5, 2) * layer
    parts = [Part(crystal, rotation_deg, origin)]
    cuts, lateral, before = [], 0.0, 0
    for first, last in runs:
        for at, turned in ((first, True), (last, False)):
            if at is None:
                continue
            lateral += (at - before) * aside * (1 if turned else -1)
            before = at
            cuts.append(at + _CUT)
            place = origin + at * layer * up + lateral * along
            # A mirror image turned by 180 degrees: left and right change places, up and down do not.
            parts.append(Part(crystal, rotation_deg + 180 * turned, place, mirrored=turned))

    def height(y, x):
        return ((y - origin[0]) * up[0] + (x - origin[1]) * up[1]) / layer

    def line(level):
        return Curve(origin + level * layer * up, rotation_deg).line(sum(shape))

    limit = np.inf if start is None else start + _CUT
    return Layout(
        parts,
        lambda y, x: (height(y, x) > limit).astype(int),
        [] if start is None else [line(limit)],
        thickness_nm=15.0,
        faults=[line((first + last) / 2 + _CUT) for first, last in runs if last is not None],
        shares_at=lambda k, at: (np.searchsorted(cuts, height(*at.T)) == k).astype(float),
    )


def _turned_over(rng, reach, start):
    """First and last layers of what is turned over; None for the last of a twin."""
    count = int(rng.integers(1 if start is None else 0, _MOST_FAULTS + 1))
    end = reach // 2 if start is None else start - 4
    runs, at = [], int(rng.integers(-reach // 2, 1))
    for _ in range(count):
        thick = int(rng.choice([1, 1, 2, 3]))
        if at + thick > end:
            break
        runs.append((at, at + thick))
        at += thick + int(np.exp(rng.uniform(*np.log(_LAYERS_APART))))
    return runs if start is None else [*runs, (start, None)]
