"""Published crystal structures as ASE atoms, cut so that the electron beam runs along the third cell vector."""

from functools import partial

import numpy as np
from ase import Atoms
from ase.build import cut, graphene, mx2
from ase.spacegroup import crystal

# In-plane lattice parameter, distance of the chalcogen planes of a layer, distance of layers; angstrom.
# MoTe2: Puotinen & Newnham (1961). The others: Schutte, de Boer & Jellinek (1987) and, MoS2, Schoenfeld et al. (1983).
_TMD = {
    "MoTe2": (3.519, 3.60, 6.982),
    "MoS2": (3.160, 3.17, 6.147),
    "WSe2": (3.282, 3.34, 6.480),
    "WS2": (3.153, 3.14, 6.162),
}
# Symbols, sites, space group, edges and angles, what sits in mixed places, and the cell with the beam along its third
# vector where that is not [001].
_BULK = {
    "SrTiO3": (
        ("Sr", "Ti", "O"),
        [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)],
        221,
        [3.9053, 3.9053, 3.9053, 90, 90, 90],
        {},
        None,
    ),
    "LLTO": (
        ("La", "Li", "Ti", "O", "O", "O"),
        [(0, 0, 0), (0, 0, 0.5), (0.5, 0.5, 0.26), (0.5, 0.5, 0), (0.5, 0.5, 0.5), (0.5, 0, 0.235)],
        123,
        [3.875, 3.875, 7.75, 90, 90, 90],
        # One in twenty places of the rich layer is empty, one in five of the poor one holds La.
        {57: (0, 0.05), 3: (57, 0.2)},
        [(0, 1, 0), (0, 0, 1), (1, 0, 0)],
    ),
    "ZrO2": (
        ("Zr", "O", "O"),
        [(0.2754, 0.0395, 0.2083), (0.0700, 0.3317, 0.3447), (0.4496, 0.7569, 0.4792)],
        14,
        [5.1505, 5.2116, 5.3173, 90, 99.230, 90],
        {},
        [(0, 0, 1), (1, 0, 0), (0, 1, 0)],
    ),
    "CdTe": (
        ("Cd", "Te"),
        [(0, 0, 0), (0.25, 0.25, 0.25)],
        216,
        [6.482, 6.482, 6.482, 90, 90, 90],
        {},
        [(0.5, 0.5, -1), (1, 1, 1), (0.5, -0.5, 0)],
    ),
}


def mowte2_bilayer(tungsten=0.5):
    """Bilayer 2H-MoWTe2 along [001]: every column holds one metal, Mo or W at random, and two Te.

    Parameters
    ----------
    tungsten : float
        Share of the metal sites that hold W, 0 to 1. The published alloy's is not stated; a half is our choice.

    Returns
    -------
    ase.Atoms
        ``info["mixed"]`` is ``{42: (74, tungsten)}``.

    Raises
    ------
    ValueError
        If `tungsten` is not between 0 and 1.

    References
    ----------
    2H-MoTe2, P6_3/mmc, a 3.519, c 13.964 angstrom: Puotinen & Newnham, Acta Cryst. 14, 691 (1961),
    https://doi.org/10.1107/S0365110X61002084. The alloy takes its cell: W and Mo are equally large.

    Examples
    --------
    >>> mowte2_bilayer().get_chemical_formula()
    'Mo2Te4'
    """
    if not 0 <= tungsten <= 1:
        raise ValueError(f"tungsten={tungsten!r} must be a share between 0 and 1")
    atoms = tmd("MoTe2", layers=2)
    atoms.info["mixed"] = {42: (74, float(tungsten))}
    return atoms


def tmd(formula="WSe2", *, layers=1, stacking="2H"):
    """One or two 1H layers of a transition-metal dichalcogenide along [001].

    Parameters
    ----------
    formula : {"WSe2", "MoS2", "WS2", "MoTe2"}
    layers : {1, 2}
    stacking : {"2H", "3R"}
        Of two layers: "2H" turns the second by 180 degrees, metal over chalcogen; "3R" shifts it unturned.

    Returns
    -------
    ase.Atoms

    Raises
    ------
    ValueError
        If `formula`, `layers` or `stacking` is not one of these.

    References
    ----------
    WSe2 (a 3.282, c 12.96, z 0.621) and WS2: Schutte, de Boer & Jellinek, J. Solid State Chem. 70, 207 (1987),
    https://doi.org/10.1016/0022-4596(87)90057-0. MoS2: Schoenfeld, Huang & Moss, Acta Cryst. B39, 404 (1983),
    https://doi.org/10.1107/S0108768183002645. MoTe2: see `mowte2_bilayer`.

    Examples
    --------
    >>> tmd("MoS2").get_chemical_formula()
    'MoS2'
    """
    if formula not in _TMD:
        raise ValueError(f"formula={formula!r} must be one of {', '.join(_TMD)}")
    if layers not in (1, 2) or stacking not in ("2H", "3R"):
        raise ValueError(f"layers={layers!r} must be 1 or 2, and stacking={stacking!r} '2H' or '3R'")
    a, thickness, apart = _TMD[formula]
    atoms = mx2(formula, kind="2H", a=a, thickness=thickness, vacuum=2.0)
    if layers == 2:
        second = atoms.copy()
        scaled = second.get_scaled_positions()
        metal = scaled[0, :2].copy()
        # Chalcogens of mx2 are one step of (1/3, 2/3) from the metal; the turned layer's one step back.
        step = scaled[1, :2] - metal
        if stacking == "2H":
            scaled[:, :2] = scaled[1, :2] - (scaled[:, :2] - metal)
        else:
            scaled[:, :2] += step
        second.set_scaled_positions(scaled)
        second.positions[:, 2] += apart
        atoms += second
    atoms.center(vacuum=2.0, axis=2)
    atoms.pbc = True, True, False
    return atoms


def wte2_1t_prime():
    """One layer of WTe2 along [001], dimerised metal chains: rectangular cell of 3.48 x 6.25 angstrom.

    Returns
    -------
    ase.Atoms

    References
    ----------
    The lower layer of Td-WTe2, Pmn2_1, a 3.477, b 6.249, c 14.018 angstrom: Mar, Jobic & Ibers,
    J. Am. Chem. Soc. 114, 8963 (1992), https://doi.org/10.1021/ja00049a029

    Examples
    --------
    >>> wte2_1t_prime().get_chemical_formula()
    'Te4W2'
    """
    scaled = np.array(
        [
            (0.0, 0.03980, 0.01522),
            (0.5, 0.39938, 0.0),
            (0.5, 0.14239, 0.15525),
            (0.0, 0.64631, 0.11112),
            (0.0, 0.29845, -0.14017),
            (0.5, 0.79278, -0.09613),
        ]
    )
    cell = np.array([3.477, 6.249, 14.018])
    atoms = Atoms("W2Te4", scaled * cell, cell=cell, pbc=(True, True, False))
    atoms.center(vacuum=2.0, axis=2)
    return atoms


def graphene_layer():
    """Graphene along [001].

    Returns
    -------
    ase.Atoms

    References
    ----------
    a 2.461 angstrom, as in graphite: Baskin & Meyer, Phys. Rev. 100, 544 (1955),
    https://doi.org/10.1103/PhysRev.100.544

    Examples
    --------
    >>> graphene_layer().get_chemical_formula()
    'C2'
    """
    atoms = graphene(a=2.461, vacuum=2.0)
    atoms.pbc = True, True, False
    return atoms


def bulk_crystal(name):
    """Return a published bulk structure, cut so that the beam runs along its third cell vector.

    Parameters
    ----------
    name : {"SrTiO3", "LLTO", "ZrO2", "CdTe"}
        "SrTiO3" is seen along [001]. "LLTO", Li-poor (Li,La)TiO3, along [100]: layers rich and poor in La by turns, c
        of 7.75 angstrom in the image; how much La they hold is our choice between the published extremes. "ZrO2",
        monoclinic (baddeleyite), along [010], c along x: only there does the monoclinic angle show undistorted, and
        [010] lies in (100) and (001), both planes of common twins, so that these stand on edge. Zr columns are 2.3 and
        2.7 angstrom apart, which an aberration-corrected probe resolves; the O columns between them hardly scatter.
        "CdTe" along [1-10], [11-2] along x and [111] upwards: pairs of Cd and Te columns, 1.6 angstrom apart.

    Returns
    -------
    ase.Atoms
        ``info["mixed"]`` says what else may sit in a place, see `stemlib.synthetic.project`.

    References
    ----------
    SrTiO3, Pm-3m, a 3.9053 angstrom: Schmidbauer, Kwasniewski & Schwarzkopf, Acta Cryst. B68, 8 (2012),
    https://doi.org/10.1107/S0108768111046738. LLTO, P4/mmm, a 3.875, c 7.75 angstrom: Fourquet, Duroy &
    Crosnier-Lopez, J. Solid State Chem. 127, 283 (1996), https://doi.org/10.1006/jssc.1996.0385. ZrO2, P2_1/c, a
    5.1505, b 5.2116, c 5.3173 angstrom, beta 99.230 degrees: Howard, Hill & Reichert, Acta Cryst. B44, 116 (1988),
    https://doi.org/10.1107/S0108768187010279. CdTe, zinc blende, F-43m, a 6.482 angstrom: Rabadanov, Verin, Ivanov &
    Simonov, Crystallogr. Rep. 46, 636 (2001).

    Examples
    --------
    >>> atoms = bulk_crystal("ZrO2")
    >>> atoms.get_chemical_formula(), atoms.cell.angles().round(2).tolist()
    ('O8Zr4', [90.0, 90.0, 99.23])
    """
    symbols, sites, spacegroup, cell, mixed, axes = _BULK[name]
    atoms = crystal(symbols, sites, spacegroup=spacegroup, cellpar=cell)
    if axes is not None:
        atoms = along_beam(atoms, *axes)
    atoms.info["mixed"] = dict(mixed)
    return atoms


def along_beam(atoms, first, second, zone):
    """Cut a crystal anew so that its third cell vector is a zone axis, and turn it along z.

    Parameters
    ----------
    atoms : ase.Atoms
    first, second, zone : (int, int, int)
        The new cell vectors as multiples of the old ones; `first` will lie over x, `zone` along z.

    Returns
    -------
    ase.Atoms

    Raises
    ------
    ValueError
        If the three vectors span no volume.

    Examples
    --------
    >>> turned = along_beam(bulk_crystal("SrTiO3"), (0, 0, 1), (1, -1, 0), (1, 1, 0))
    >>> turned.cell.lengths().round(2).tolist()
    [3.91, 5.52, 5.52]
    """
    if np.linalg.det([first, second, zone]) < 0.5:
        raise ValueError(
            f"first={first!r}, second={second!r} and zone={zone!r} must span a right-handed cell of whole cells"
        )
    atoms = cut(atoms, a=first, b=second, c=zone)
    atoms.rotate(atoms.cell[2], "z", rotate_cell=True)
    x, y, _ = atoms.cell[0]
    atoms.rotate(-np.degrees(np.arctan2(y, x)), "z", rotate_cell=True)
    return atoms


# Name -> (function, thickness in nm that an image of it has by default; 0 for sheets).
MATERIALS = {
    "MoWTe2 bilayer": (mowte2_bilayer, 0.0),
    "WSe2 monolayer": (tmd, 0.0),
    "MoS2 monolayer": (partial(tmd, "MoS2"), 0.0),
    "WTe2 1T'": (wte2_1t_prime, 0.0),
    "SrTiO3": (partial(bulk_crystal, "SrTiO3"), 10.0),
    "LLTO": (partial(bulk_crystal, "LLTO"), 10.0),
    "graphene": (graphene_layer, 0.0),
    "ZrO2": (partial(bulk_crystal, "ZrO2"), 6.0),
    "CdTe": (partial(bulk_crystal, "CdTe"), 15.0),
}
