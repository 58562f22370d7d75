"""The loops of a micrograph, with density and what was proposed: `Loops`."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from stemlib.io.density import Density
from stemlib.io.result import Result, View
from stemlib.io.tables import write_csv
from stemlib.loops.coco import write_coco
from stemlib.loops.imagej import write_imagej_csv
from stemlib.loops.rois import write_imagej_rois
from stemlib.loops.tables import fields_of


@dataclass(frozen=True, eq=False, repr=False)
class Loops(Result):
    """The loops of one micrograph.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per loop, the most certain first: ``y, x, major, minor, angle_deg, area, top, left, bottom, right``
        (px; full axes of the fitted ellipse), ``score`` (0 to 1), ``kind``, ``touches_edge`` (measured as cut off),
        ``flood_failed`` (see `stemlib.loops.measuring`), the score of every kind that the method tells apart
        (``score_loop``, ...) and, with a known pixel size, the lengths again in nm (``major_nm``, ...). Only open
        loops are measured by Module III; other kinds are as large as their boxes.
    candidates : pandas.DataFrame
        Everything that Module I (or the network of ``method="fcn"``) proposed: ``top, left, bottom, right`` (px),
        ``probability`` (calibrated for ``method="cascade"``, an order of trust else), ``kind``, ``accepted`` and the
        score of every kind.
    density : Density
        Objects in the table per area, with a Poisson interval, and per volume where a thickness was given.
    method : str
        ``"cascade"``, ``"fcn"`` or ``"log"``.
    threshold : float
        The score from which on a candidate counts as the first of the kinds asked for.
    pixel_size_nm : float or None
    shape : tuple of int
        Height and width of the micrograph, px.
    ignored : numpy.ndarray of bool, shape (H, W), or None
        What was left out though no mask says so: empty rims, annotation, dead lines, pixels without a number.
    densities : dict of str to Density
        Like `density`, of each kind that was asked for.
    thresholds : dict of str to float
        Like `threshold`, of each kind that the method tells apart.
    scale : float
        Size of the px at which the image was searched, px of the image.
    fit : float or None
        Share of images of series not trained on that are as unlike the training images as this one: near 0 what is
        found may be anything. None where nothing is known of the training images.
    view : stemlib.io.result.View or None
        The image and where it was looked at.
    polarity : {"dark", "bright"}
        Whether loops are darker or brighter than what is around them.
    """

    table: pd.DataFrame
    candidates: pd.DataFrame
    density: Density
    method: str
    threshold: float
    pixel_size_nm: float | None
    shape: tuple[int, int]
    ignored: np.ndarray | None = None
    densities: dict[str, Density] = field(default_factory=dict)
    thresholds: dict[str, float] = field(default_factory=dict)
    scale: float = 1.0
    fit: float | None = None
    view: View | None = None
    polarity: str = "dark"

    def to_csv(self, path: str | Path) -> None:
        """Write the table as CSV with the unit of each column in the header, e.g. ``major (px)``, ``major (nm)``."""
        write_csv(self.table, path)

    def to_imagej_csv(self, path: str | Path) -> None:
        """Write the table as ImageJ writes its results (px, counted from pixel edges), to be corrected by a person.

        `stemlib.loops.read_imagej_csv` reads it back.
        """
        write_imagej_csv(self.table, path)

    def to_imagej_rois(self, path: str | Path) -> None:
        """Write the outlines as a zip for ImageJ's ROI Manager; `stemlib.loops.read_imagej_rois` reads it back."""
        write_imagej_rois(self.table, path)

    def to_coco(self, path: str | Path, image_name: str = "") -> None:
        """Write the loops as COCO's JSON for object detection; `stemlib.loops.read_coco` reads it back."""
        write_coco(self.table, path, self.shape, image_name)

    @classmethod
    def from_table(cls, table, image, *, pixel_size_nm=None, mask=None, thickness_nm=None):
        """Make a result of a table of loops, such as one corrected in ImageJ, with its density.

        Parameters
        ----------
        table : pandas.DataFrame
            ``y, x, major, minor`` px and ``angle_deg``, as `table` of a result; its other columns where they are there.
        image : path, (H, W) array of any real dtype, Micrograph or HyperSpy Signal2D
            That the loops are on.
        pixel_size_nm : float, optional
            Wins over the image's own.
        mask : (H, W) bool, optional
            True where loops were looked for, for the density.
        thickness_nm : float, optional
            Thickness of the foil, for the density per volume.

        Returns
        -------
        Loops

        Raises
        ------
        ValueError
            If a column is missing, or a row is no ellipse on the image.

        Examples
        --------
        >>> table = pd.DataFrame(
        ...     [[40.0, 60.0, 20.0, 12.0, 30.0]], columns=["y", "x", "major", "minor", "angle_deg"]
        ... )
        >>> Loops.from_table(table, np.zeros((100, 100)), pixel_size_nm=0.5).density.per_nm2
        0.0004
        """
        fields = {"pixel_size_nm": pixel_size_nm, "mask": mask, "thickness_nm": thickness_nm}
        return cls(**fields_of(table, image, **fields))
