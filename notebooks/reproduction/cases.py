"""Images with what is known of them, real or simulated, in one form for each subject."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from stemlib.io.micrograph import Micrograph, as_micrograph

# Roles of images that no shipped weights have seen and no threshold was chosen on.
UNSEEN_ROLES = ("six", "test", "size-test", "316l", "synthetic")
_CERTAINTIES = ("sure", "likely", "doubtful")


@dataclass(frozen=True, eq=False)
class Case:
    """One image.

    Attributes
    ----------
    name : str
    source : pathlib.Path, numpy.ndarray, stemlib.Micrograph or None
        What the finders take; None where the image is not at hand.
    role : str
        As in `stemlib.datasets.loop_images` and `stemlib.datasets.atomic_images`, "316l" or "synthetic".
    pixel_size_sure : bool
    may_be_shown : bool
        Whether the licence of the image is known, so that a picture of it may be published.
    paths : tuple of str
        Registry paths of what was read; empty for a simulated image.
    """

    name: str
    source: Path | np.ndarray | Micrograph | None
    role: str = "synthetic"
    pixel_size_sure: bool = True
    may_be_shown: bool = True
    paths: tuple[str, ...] = ()

    @property
    def available(self):
        """Whether the image itself is at hand."""
        return self.source is not None

    @property
    def options(self):
        """What a finder must be told of this image."""
        return {}


@dataclass(frozen=True, eq=False, kw_only=True)
class LoopCase(Case):
    """One micrograph of dislocation loops: its `shape` (px), pixel size and label sets.

    `labels` maps "A", "B", "C", or "M" for the masks of 316L, to a table as `stemlib.datasets.read_loop_labels` gives
    it; `ellipse_sets` names those that hold axes.
    """

    shape: tuple[int, int]
    pixel_size_nm: float | None = None
    labels: dict[str, pd.DataFrame] = field(default_factory=dict)
    ellipse_sets: str = ""

    @property
    def options(self):
        """The pixel size."""
        return {"pixel_size_nm": self.pixel_size_nm}

    @property
    def unseen(self):
        """Whether no shipped weights were trained, and no threshold chosen, on this image."""
        return self.role in UNSEEN_ROLES

    def image(self):
        """Return the image, (H, W) float32."""
        return as_micrograph(self.source).image

    def loops(self, label_set):
        """Return one team's open loops: class 0, the truth."""
        table = self.labels[label_set]
        return table[table["class"] == 0].reset_index(drop=True)

    def others(self):
        """Return what team B or C calls a black dot or a closed loop (classes 1 and 2)."""
        tables = [self.labels[name] for name in "BC" if name in self.labels]
        if not tables:
            return pd.DataFrame(columns=["top", "left", "bottom", "right", "class"])
        table = pd.concat(tables, ignore_index=True)
        return table[table["class"].isin([1, 2])].reset_index(drop=True)


@dataclass(frozen=True, eq=False)
class ColumnCase(Case):
    """One atomic-resolution image, with its labelled columns where it has any.

    `labels` are columns `y` and `x` (px), compared inside the polygon `region` (V, 2).
    """

    labels: pd.DataFrame | None = None
    region: np.ndarray | None = None
    dark_columns: bool = False

    @property
    def options(self):
        """Whether columns are dark."""
        return {"dark_columns": self.dark_columns}


@dataclass(frozen=True, eq=False)
class DefectCase(ColumnCase):
    """One atomic-resolution image with what is known of its defects.

    `sites` maps a kind of site to the classes of the labelled columns on it, where dopants are labelled; `marks` are
    vacancies marked by eye (`y`, `x` px, `kind`, `certainty`), and none were marked inside the polygons `undecided`.
    In a control no defects are expected.
    """

    sites: dict | None = None
    marks: pd.DataFrame | None = None
    undecided: tuple = ()
    is_control: bool = False

    @property
    def known_groups(self):
        """Pairs of kind and certainty of what somebody marked or labelled; "any" stands for all of a kind."""
        if self.marks is None:
            return (("minority column", "any"),) if self.sites else ()
        marks = self.marks.sort_values("certainty", key=lambda column: column.map(_CERTAINTIES.index))
        return tuple(
            (kind, certainty)
            for kind in dict.fromkeys(marks["kind"])
            for certainty in ("any", *dict.fromkeys(marks.loc[marks["kind"] == kind, "certainty"]))
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class DomainCase(Case):
    """One image with its domains.

    Attributes
    ----------
    n_domains : int
        How many are expected.
    labels : numpy.ndarray of int, shape (H, W), or None
        0, 1, ... in the domains, -1 outside the crystals; None where the image is not at hand.
    boundaries, second : tuple of numpy.ndarray, shape (N, 2)
        Lines between two domains, (y, x) px, and the same drawn a second time; empty where boundaries are known.
    faults : tuple of numpy.ndarray, shape (N, 2)
        Faults inside a domain.
    drawing_error_px : float
        Mean distance of the two drawings; 0 where the boundaries are known.
    cell_edge : float or None
        Longest edge of the cells, px; None where no boundary is expected.
    undecided : numpy.ndarray of bool, shape (H, W), or None
        True where nobody can say.
    """

    n_domains: int
    labels: np.ndarray | None = None
    boundaries: tuple = ()
    second: tuple = ()
    faults: tuple = ()
    drawing_error_px: float = 0.0
    cell_edge: float | None = None
    undecided: np.ndarray | None = None

    @classmethod
    def of(cls, name, scene):
        """Return the case of a `stemlib.synthetic.DomainImage`."""
        return cls(
            name,
            Micrograph(scene.image, scene.pixel_size_nm),
            n_domains=scene.n_domains,
            labels=scene.labels,
            boundaries=tuple(scene.boundaries),
            faults=tuple(scene.faults),
            cell_edge=scene.cell_edge,
        )
