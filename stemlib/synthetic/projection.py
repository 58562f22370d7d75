"""From atoms to columns: what an annular dark-field image shows of a crystal along the beam."""

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.geometry import minkowski_reduce
from scipy.sparse.csgraph import connected_components

from stemlib.synthetic.crystals import Crystal, separations
from stemlib.synthetic.materials import MATERIALS

EXPONENT = 1.7  # of Z in the intensity of the usual annular dark-field detectors
MERGED_ANGSTROM = 0.3  # atoms closer than this in projection are one column
VISIBLE = 0.2  # of the strongest column, from which on a column counts in the spacing


@dataclass(frozen=True, eq=False)
class Projection:
    """A crystal along the beam.

    Parameters
    ----------
    crystal : Crystal
        The projected primitive cell with the columns' mean intensities.
    spacing_nm : float
        The unit of `crystal.cell`: the median nearest-neighbour distance of the columns that HAADF shows, those with
        at least a fifth of the strongest one's intensity.
    columns : tuple of tuple of int
        Atomic numbers of the atoms of one repeat of each column.
    strength : float
        Sum of Z ** 1.7 over the strongest column, all repeats.
    mixed : dict
        Atomic number -> (the other that may sit in its place, 0 for none, and the probability of that).
    repeats : int
        Of the cell along the beam.
    """

    crystal: Crystal
    spacing_nm: float
    columns: tuple[tuple[int, ...], ...]
    strength: float
    mixed: dict
    repeats: int

    def intensities(self, sites, rng):
        """Return the intensities of columns on given sites, mixed places occupied at random.

        Parameters
        ----------
        sites : array_like of int, shape (N,)
        rng : numpy.random.Generator

        Returns
        -------
        numpy.ndarray, shape (N,)
            1 is the mean of the strongest site.
        """
        sites = np.asarray(sites, int)
        mean = self.crystal.intensities[sites]
        gain = np.zeros(len(sites))
        for site, numbers in enumerate(self.columns):
            here = np.flatnonzero(sites == site)
            per_repeat = sum(_weight(number, self.mixed) for number in numbers)
            for number in numbers:
                if number in self.mixed:
                    other, share = self.mixed[number]
                    step = (other**EXPONENT - number**EXPONENT) / per_repeat
                    gain[here] += step * (rng.binomial(self.repeats, share, len(here)) / self.repeats - share)
        return mean * (1 + gain)


def project(atoms, *, thickness_nm=0.0):
    """Project a crystal along its third cell vector, and merge atoms that fall on one another.

    Atoms closer than 0.3 angstrom in projection are one column. Its intensity is the sum of Z ** 1.7 over its atoms, as
    the usual annular dark-field detectors give it: incoherent imaging, no channelling. Columns that
    hardly scatter, such as O beside Zr, stay, at their tiny intensity.

    Parameters
    ----------
    atoms : ase.Atoms
        Third cell vector along z. ``info["mixed"]``, if there, maps an atomic number to the other that may sit in
        its place (0 for none) and the probability of that.
    thickness_nm : float
        0 is one repeat along the beam.

    Returns
    -------
    Projection

    Raises
    ------
    ValueError
        If the third cell vector is not along z.

    References
    ----------
    Intensity as about Z ** 1.7: Krivanek et al., Nature 464, 571 (2010), https://doi.org/10.1038/nature08879

    Examples
    --------
    >>> from stemlib.synthetic.materials import bulk_crystal, mowte2_bilayer
    >>> project(bulk_crystal("SrTiO3")).columns
    ((38,), (22, 8), (8,), (8,))
    >>> len(project(mowte2_bilayer()).columns)
    2
    """
    if np.abs(atoms.cell[2, :2]).max() > 1e-3 or atoms.cell[2, 2] <= 0:
        raise ValueError(f"atoms: the third cell vector {atoms.cell[2].round(3)} must be along z")
    # Images count y downwards.
    cell = atoms.cell[:2, :2] * [1, -1]
    cell = cell[:, ::-1]
    places = (atoms.positions[:, :2] * [1, -1])[:, ::-1]
    mixed = atoms.info.get("mixed", {})
    weights = np.array([_weight(number, mixed) for number in atoms.numbers])
    sites, heights, groups = _merged(cell, places @ np.linalg.inv(cell), weights, MERGED_ANGSTROM)
    columns = [tuple(int(number) for number in atoms.numbers[group]) for group in groups]
    cell, sites, kept = _primitive(cell, sites, heights, MERGED_ANGSTROM)
    columns, heights = [columns[k] for k in kept], heights[kept]
    spacing = _nearest(cell, sites[heights >= VISIBLE * heights.max()])
    repeats = max(1, round(10 * thickness_nm / atoms.cell[2, 2]))
    return Projection(
        Crystal(cell / spacing, sites, heights / heights.max()),
        spacing / 10,
        tuple(columns),
        float(repeats * heights.max()),
        dict(mixed),
        repeats,
    )


def projected(material):
    """Return the projection of a material of usual thickness by its name, of a repeat of atoms, or as it is.

    Parameters
    ----------
    material : str, ase.Atoms or Projection
        A name among `stemlib.synthetic.materials.MATERIALS`.

    Returns
    -------
    Projection

    Raises
    ------
    ValueError
        If the name is not known.
    TypeError
        If it is none of these.

    Examples
    --------
    >>> round(projected("graphene").spacing_nm, 3)
    0.142
    """
    if isinstance(material, Projection):
        return material
    if isinstance(material, Atoms):
        return project(material)
    if not isinstance(material, str):
        raise TypeError(f"material={material!r} must be a name, ase.Atoms or a Projection")
    if material not in MATERIALS:
        raise ValueError(f"material={material!r} is not known; one of {', '.join(MATERIALS)} would do")
    build, usual = MATERIALS[material]
    return project(build(), thickness_nm=usual)


def _weight(number, mixed):
    other, share = mixed.get(number, (number, 0.0))
    return (1 - share) * float(number) ** EXPONENT + share * float(other) ** EXPONENT


def _merged(cell, fractional, weights, reach):
    """Merge atoms that are close in projection, across cell edges too."""
    apart = fractional[:, None] - fractional[None]
    apart -= np.rint(apart)
    near = np.linalg.norm(apart @ cell, axis=-1) < reach
    count, label = connected_components(near)
    sites, heights, groups = [], [], []
    for group in (np.flatnonzero(label == k) for k in range(count)):
        # Relative to one atom of the column, so that an average is not taken across the cell.
        offsets = apart[group, group[0]]
        sites.append(fractional[group[0]] + np.average(offsets, axis=0, weights=weights[group]))
        heights.append(weights[group].sum())
        groups.append(group)
    return np.array(sites) % 1.0, np.array(heights), groups


def _primitive(cell, sites, heights, tolerance):
    """Return the smallest and least oblique cell that the projected columns have, and which of them it keeps."""
    kept = np.arange(len(sites))
    while (shift := _translation(cell, sites, heights[kept], tolerance)) is not None:
        cell, sites, chosen = _divided(cell, sites, shift, tolerance)
        kept = kept[chosen]
    upright = np.vstack([np.pad(cell, ((0, 0), (0, 1))), [0, 0, 1]])
    reduced = minkowski_reduce(upright, pbc=(True, True, False))[0][:2, :2]
    sites = sites @ cell @ np.linalg.inv(reduced)
    return reduced, (sites + 1e-9) % 1.0 - 1e-9, kept


def _translation(cell, sites, heights, tolerance):
    """A fractional shift that maps all columns onto like ones, or None."""
    for shift in sites[1:] - sites[0]:
        distance = _apart(cell, sites + shift, sites)
        nearest = distance.argmin(axis=1)
        if distance.min(axis=1).max() < 0.2 * tolerance and np.allclose(heights, heights[nearest], rtol=1e-6):
            return shift - np.rint(shift)
    return None


def _divided(cell, sites, shift, tolerance):
    """The cell in which a fractional shift is a translation too."""
    along = int(np.abs(shift).argmax())
    # Shift is a fraction m / n of the cell: of its multiples, the shortest step that is left along this edge.
    multiples = [k * shift - np.rint(k * shift) for k in range(1, 2 * len(sites) + 1)]
    step = min((m for m in multiples if abs(m[along]) > 1e-3), key=lambda m: abs(m[along]))
    new = cell.copy()
    new[along] = step @ cell * np.sign(step[along])
    moved = sites @ cell @ np.linalg.inv(new)
    same = _apart(new, moved, moved) < tolerance
    chosen = np.flatnonzero(same.argmax(axis=1) == np.arange(len(sites)))
    return new, moved[chosen], chosen


def _apart(cell, first, second):
    apart = first[:, None] - second[None]
    return np.linalg.norm((apart - np.rint(apart)) @ cell, axis=-1)


def _nearest(cell, sites):
    distance = separations(cell, sites, sites).reshape(len(sites), -1)
    return float(np.median(np.sort(distance, axis=1)[:, 1]))
