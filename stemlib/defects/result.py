"""The defects of an image, and every column with its score: `Defects`."""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from stemlib.defects.densities import densities, judged_area
from stemlib.defects.merging import nearest_values
from stemlib.io.result import Result, View
from stemlib.io.tables import write_csv
from stemlib.lattice.result import Lattice


@dataclass(frozen=True, eq=False, repr=False)
class Defects(Result):
    """The defects of one image.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per defect, the least likely first: ``y, x`` px; ``kind`` ("missing", "dim", "bright" and "displaced"
        columns, "interstitial" ones on no site, and "structure", which the Patterson function alone shows); ``score``,
        minus the decimal logarithm of ``p_value``, of a normal place looking as unusual, weighted by how
        often the image shows changes of this direction; ``flagged_by``
        ("contrast", "patterson" or "both"); ``chain``, the number of the line of defects it belongs to, -1 for none;
        ``intensity_ratio``, the column's intensity over that of its neighbours of the same sublattice, and
        ``offset`` px from its site (NaN where it does not apply); with a known pixel size ``y_nm, x_nm, offset_nm``.
    columns : pandas.DataFrame
        Every column, and every site that should have one: ``y, x`` px (of one that the edge cuts, its site),
        ``probability``, ``intensity``, ``site`` of the cell (-1: none),
        ``score`` as above, 0 where it could not be judged, and ``is_empty`` (no column is seen on this site; its
        ``intensity`` is what stands there, its ``probability`` 0).
    segments : pandas.DataFrame
        Every segment that was compared: ``y, x`` px of its centre and ``score``.
    lattice : stemlib.lattice.Lattice or None
        None only with ``scheme="columns"`` where no lattice is found.
    n_tried : int
        Tests made in all.
    shape : tuple of int
        Height and width of the image, px.
    pixel_size_nm : float or None
    ignored : numpy.ndarray of bool, shape (H, W), or None
        What was left out though no mask says so: empty rims, annotation, dead lines, pixels without a number, and rows
        beside those at which the scan slipped.
    view : stemlib.io.result.View or None
        The image and where it was looked at.
    """

    table: pd.DataFrame
    columns: pd.DataFrame
    segments: pd.DataFrame
    lattice: Lattice | None
    n_tried: int
    shape: tuple[int, int]
    pixel_size_nm: float | None
    ignored: np.ndarray | None = None
    view: View | None = None

    @functools.cached_property
    def judged(self):
        """Where a defect would have been seen: (H, W) bool."""
        near = judged_area(self.columns, self.segments, self.shape)
        return near if self.view is None else near & self.view.mask

    @property
    def densities(self):
        """How many defects of each kind there are per area judged, with Poisson intervals: a pandas.DataFrame."""
        return densities(self.table, self.judged, self.pixel_size_nm)

    @functools.cached_property
    def score_map(self):
        """Score of the nearest column, defect or segment's centre at every pixel, whichever is largest: (H, W) float32.

        NaN where nothing near was judged.
        """
        at = self.columns[["y", "x"]].to_numpy()
        spacing = np.median(cKDTree(at).query(at, k=2)[0][:, 1])
        return nearest_values([self.columns, self.table, self.segments], self.shape, spacing)

    def to_csv(self, path: str | Path) -> None:
        """Write the table as CSV with the unit of each column in the header, e.g. ``y (px)``, ``offset (nm)``."""
        write_csv(self.table, path)
