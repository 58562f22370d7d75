"""Images of crystals with labelled dopants, with marked vacancies, and without defects, real or drawn."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

import stemlib
from stemlib.datasets import atomic_images, drawn_vacancies, fetch_all
from stemlib.io.micrograph import Micrograph
from stemlib.synthetic import material_image

from .column_scores import ColumnCase, real_column_case

# Classes of labelled columns that stand on sites of one kind, the minority among them.
_SITES = {
    "wse2-ti/adf1": {"W sites": (0, 1), "Se2 sites": (2, 3)},
    "wse2-ti/adf2": {"W sites": (0, 1), "Se2 sites": (2, 3)},
    "wse2-cr": {"sites of class 1": (1, 2), "sites of class 0": (0, 3)},
}
_MARKED = "mose2-40kv"
_CERTAINTIES = ("sure", "likely", "doubtful")


@dataclass(frozen=True, eq=False)
class DefectCase(ColumnCase):
    """One atomic-resolution image with what is known of its defects.

    Attributes
    ----------
    sites : dict of str to tuple of int
        Kind of site -> classes of the labelled columns on it; empty where no dopants are labelled.
    marks : pandas.DataFrame or None
        Vacancies marked by eye: `y`, `x` px, `kind` and `certainty`.
    undecided : tuple of numpy.ndarray
        Polygons (V, 2) in which nothing was marked.
    is_control : bool
        Whether no defects are expected.
    """

    sites: dict | None = None
    marks: pd.DataFrame | None = None
    undecided: tuple = ()
    is_control: bool = False

    @property
    def known_kinds(self):
        """Kinds of defect that somebody marked or labelled."""
        return tuple(dict.fromkeys(kind for kind, _ in self.known_groups))

    @property
    def known_groups(self):
        """Pairs of kind and certainty of what somebody marked or labelled; "any" stands for all of a kind."""
        if self.marks is None:
            return (("minority column", "any"),) if self.sites else ()
        marks = self.marks.sort_values("certainty", key=lambda column: column.map(_CERTAINTIES.index))
        groups = [pair for kind in dict.fromkeys(marks["kind"]) for pair in _groups(marks, kind)]
        return tuple(groups)


def _groups(marks, kind):
    certainties = marks.loc[marks["kind"] == kind, "certainty"]
    return [(kind, "any"), *((kind, certainty) for certainty in dict.fromkeys(certainties))]


def load_defect_cases(name, *, side_px=256, seed=0):
    """Return the images with labelled dopants, with marked vacancies, and the negative controls.

    Parameters
    ----------
    name : {"atomic", "synthetic"}
    side_px, seed : int
        Of "synthetic": one image with dopants, one with vacancies and one control, all drawn.

    Returns
    -------
    list of DefectCase
        Those not at hand have no `source`.

    Raises
    ------
    ValueError
        If the set is unknown, or a file at hand does not match its checksum.

    Examples
    --------
    >>> [case.is_control for case in load_defect_cases("synthetic", side_px=96)]
    [False, False, True]
    """
    if name == "synthetic":
        return _drawn_defect_cases(side_px, seed)
    if name != "atomic":
        raise ValueError(f"name={name!r} must be 'atomic' or 'synthetic'")
    fetch_all("atomic")
    images = atomic_images()
    wanted = images[images.index.isin([*_SITES, _MARKED]) | (images["truth"] == "no defects").to_numpy()]
    return [_defect_case(one, row) for one, row in wanted.iterrows()]


def _defect_case(name, row):
    known = {"sites": _SITES.get(name, {}), "is_control": row["truth"] == "no defects"}
    if name == _MARKED:
        drawing = drawn_vacancies(name)
        known |= {"marks": drawing["marks"], "undecided": tuple(drawing["undecided"])}
    return real_column_case(name, row, DefectCase, **known)


def _drawn_defect_cases(side_px, seed):
    cases = []
    for number, kind in enumerate(("dopants", "vacancies", "control")):
        scene = material_image(
            "WSe2 monolayer",
            (side_px, side_px),
            rotation_deg=17.0 * (number + 1),
            vacancies=0.0 if kind == "control" else 0.02,
            dose_per_nm2=3e6,
            seed=[seed, number],
        )
        known = {"source": Micrograph(scene.image, scene.pixel_size_nm), "is_control": kind == "control"}
        missing = scene.missing[["y", "x"]]
        if kind == "dopants":
            known["labels"] = _labels_of(scene)
            known["sites"] = {"sites of class 0": (0, 2), "sites of class 1": (1, 3)}
            high = side_px - 6
            known["region"] = np.array([[5, 5], [5, high], [high, high], [high, 5]], float)
        elif kind == "vacancies":
            known["marks"] = missing.assign(kind="missing", certainty="sure")
        cases.append(DefectCase(f"synthetic, {kind}", **known))
    return cases


def _labels_of(scene):
    """Every site as labelled column; the empty ones are the minority, of classes 2 and 3."""
    labels = pd.concat([scene.columns.assign(is_minority=False), scene.missing.assign(is_minority=True)])
    labels["class"] = labels["site"] + 2 * labels["is_minority"]
    return labels[["y", "x", "class", "is_minority"]].reset_index(drop=True)


def find_in_defect_cases(cases, **options):
    """Find the defects of every image at hand.

    Parameters
    ----------
    cases : iterable of DefectCase
    options
        As `stemlib.find_defects` takes them.

    Returns
    -------
    dict of str to stemlib.defects.Defects
        By the name of the case.

    Examples
    --------
    >>> find_in_defect_cases([DefectCase("not here", None)])
    {}
    """
    return {
        case.name: stemlib.find_defects(case.source, **options) for case in cases if case.source is not None
    }
