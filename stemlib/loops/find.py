"""Dislocation loops of a micrograph: found, screened, measured and counted by `find_loops`."""

from dataclasses import dataclass
from numbers import Real
from pathlib import Path

import numpy as np
import pandas as pd

from stemlib.io.density import Density, number_density
from stemlib.io.masking import masked_micrograph
from stemlib.io.micrograph import as_micrograph, to_uint8
from stemlib.io.result import Result, View
from stemlib.io.tables import with_nanometres, write_csv
from stemlib.loops import fcn, measuring, screening
from stemlib.loops.boxes import COLUMNS, suppress
from stemlib.loops.candidates import default_min_diameter, find_candidates, working_image
from stemlib.loops.cascade_xml import load_cascade
from stemlib.loops.coco import write_coco
from stemlib.loops.imagej import write_imagej_csv
from stemlib.loops.rois import write_imagej_rois
from stemlib.loops.tables import fields_of

_REPORTED = 0.02  # the network's peaks of a lower score are noise, not candidates


@dataclass(frozen=True, eq=False, repr=False)
class Loops(Result):
    """The loops of one micrograph.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per loop, the most certain first: ``y, x, major, minor, angle_deg, area, top, left, bottom, right``
        (px; full axes of the fitted ellipse), ``score`` (0 to 1), ``touches_edge`` (measured as cut off),
        ``flood_failed`` (see `stemlib.loops.measuring`) and, with a known pixel size, the lengths again in nm
        (``major_nm``, ...).
    candidates : pandas.DataFrame
        Everything that Module I (or the network of ``method="fcn"``) proposed: ``top, left, bottom, right`` (px),
        ``probability`` (calibrated for ``method="cascade"``, an order of trust for ``"fcn"``) and ``accepted``.
    density : Density
        Loops per area, with a Poisson interval, and per volume where a thickness was given.
    method : str
        ``"cascade"`` or ``"fcn"``.
    threshold : float
        The score from which on a candidate counts as a loop.
    pixel_size_nm : float or None
    shape : tuple of int
        Height and width of the micrograph, px.
    ignored : numpy.ndarray of bool, shape (H, W), or None
        What was left out though no mask says so: empty rims, annotation, dead lines, pixels without a number.
    view : stemlib.io.result.View or None
        The image and where it was looked at.
    """

    table: pd.DataFrame
    candidates: pd.DataFrame
    density: Density
    method: str
    threshold: float
    pixel_size_nm: float | None
    shape: tuple[int, int]
    ignored: np.ndarray | None = None
    view: View | None = None

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


def find_loops(
    image,
    *,
    method: str = "fcn",
    pixel_size_nm: float | None = None,
    mask: np.ndarray | None = None,
    threshold: float | None = None,
    min_diameter: float | None = None,
    thickness_nm: float | None = None,
    weights: dict[str, str | Path] | None = None,
    device: str = "auto",
) -> Loops:
    """Find, screen, measure and count the dislocation loops of a bright-field micrograph.

    Parameters
    ----------
    image : path, (H, W) array of any real dtype, Micrograph or HyperSpy Signal2D
        At least 64 px on a side.
    method : {"fcn", "cascade"}
        One fully convolutional network followed by Module III, or the published three modules. On image series that
        neither had seen they score alike; the modules are several times faster on a CPU.
    pixel_size_nm : float, optional
        Wins over the image's own.
    mask : (H, W) bool, optional
        True where to look; what is elsewhere is not seen, and its area does not count for the density.
    threshold : float, optional
        Score from which on a candidate counts, 0 to 1; by default the value chosen on validation images.
    min_diameter : float, optional
        Diameter of the smallest loops sought, px; by default 1/85 of the longer side, at least 12. For
        ``method="cascade"``, which reduces the image by the whole part of a twelfth of it.
    thickness_nm : float, optional
        Thickness of the foil, for the density per volume.
    weights : dict, optional
        Other model files, by name: ``{"cascade": ..., "screening": ..., "fcn": ...}``; those missing are stemlib's,
        those of the other method are not used.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ...; Module I always runs on the CPU.

    Returns
    -------
    Loops

    Raises
    ------
    FileNotFoundError
        If the image or a model file does not exist.
    TypeError
        If `image` is of none of these kinds, or `weights` is no dict.
    ValueError
        If the image is too small, not finite or not two-dimensional, an argument is out of its range, or a model file
        is damaged.

    Examples
    --------
    >>> from stemlib.synthetic import loop_micrograph
    >>> scene = loop_micrograph((512, 512), n_loops=8, seed=3)
    >>> loops = find_loops(scene.image, pixel_size_nm=0.5)
    >>> {"y", "x", "major_nm", "score"} <= set(loops.table.columns)
    True

    References
    ----------
    Li, Field & Morgan, npj Comput. Mater. 4, 36 (2018), doi:10.1038/s41524-018-0093-8.
    """
    if method not in ("cascade", "fcn"):
        raise ValueError(f"method={method!r} is not known; 'cascade' or 'fcn' would do")
    _check_range("threshold", threshold, 0, 1)
    _check_range("min_diameter", min_diameter, 4, np.inf)
    _check_range("thickness_nm", thickness_nm, 0, np.inf)
    weights = _check_weights(weights)
    seen = as_micrograph(image, pixel_size_nm=pixel_size_nm)
    micrograph, mask, ignored = masked_micrograph(seen, mask)
    shape = micrograph.image.shape
    if min(shape) < fcn.SMALLEST_SIDE:
        raise ValueError(
            f"image is {shape[0]} x {shape[1]} px; at least {fcn.SMALLEST_SIDE} px a side would do"
        )
    if thickness_nm is not None and micrograph.pixel_size_nm is None:
        raise ValueError(
            f"thickness_nm={thickness_nm} is of no use without a pixel size; give pixel_size_nm too"
        )
    grey = to_uint8(micrograph.image)
    propose = _propose_cascade if method == "cascade" else _propose_fcn
    boxes, loop_boxes, probability, chosen = propose(grey, min_diameter, weights, device)
    threshold = chosen if threshold is None else threshold
    inside = _centred_inside(loop_boxes, shape, mask)
    kept = suppress(loop_boxes, probability, inside & (probability >= threshold))
    accepted = np.isin(np.arange(len(boxes)), kept)
    candidates = pd.DataFrame(boxes, columns=COLUMNS).assign(probability=probability, accepted=accepted)
    table = measuring.measure_loops(grey, loop_boxes[kept])
    table.insert(table.columns.get_loc("touches_edge"), "score", probability[kept])
    return Loops(
        table=with_nanometres(table, micrograph.pixel_size_nm, micrograph.origin_nm),
        candidates=candidates.sort_values("probability", ascending=False, ignore_index=True),
        density=number_density(
            len(table),
            int(mask.sum()),
            pixel_size_nm=micrograph.pixel_size_nm,
            thickness_nm=thickness_nm,
        ),
        method=method,
        threshold=float(threshold),
        pixel_size_nm=micrograph.pixel_size_nm,
        shape=shape,
        ignored=ignored,
        view=View(seen, mask),
    )


def _propose_cascade(grey, min_diameter, weights, device):
    """Modules I and II: candidates, the loops' own boxes, probabilities, and the network's own threshold."""
    cascade = load_cascade(weights.get("cascade"))
    network = screening.ScreeningNetwork.load(weights.get("screening"), device)
    working, factor = working_image(grey, min_diameter or default_min_diameter(grey.shape))
    found, _ = find_candidates(cascade, working)
    probability, refined = screening.screen(working, found, network)
    boxes, loop_boxes = ((b + 0.5) * factor - 0.5 for b in (found, refined))
    loop_boxes = np.clip(loop_boxes, -0.5, np.array(grey.shape * 2) - 0.5)
    return boxes, loop_boxes, probability, network.settings["threshold"]


def _propose_fcn(grey, min_diameter, weights, device):
    if min_diameter is not None:
        raise ValueError(
            f"min_diameter={min_diameter} has no meaning for method='fcn', which finds loops of all sizes"
        )
    network = fcn.CentreNet.load(weights.get("fcn"), device)
    boxes, score = fcn.detect_fcn(grey, network, threshold=_REPORTED)
    return boxes, boxes, score, network.settings["threshold"]


def _centred_inside(boxes, shape, mask):
    """Boxes of some extent whose centre lies where to look."""
    centre = np.rint((boxes[:, :2] + boxes[:, 2:]) / 2).astype(int)
    centre = np.clip(centre, 0, np.array(shape) - 1)
    return mask[tuple(centre.T)] & ((boxes[:, 2:] - boxes[:, :2]).min(axis=1) >= 2)


def _check_range(name, value, low, high):
    if value is not None and not (isinstance(value, Real) and low <= value <= high):
        raise ValueError(f"{name}={value!r} must be a number between {low} and {high}")


def _check_weights(weights):
    if not isinstance(weights, dict | None):
        raise TypeError(
            f"weights={weights!r} must be a dict of files, such as {{'cascade': 'loop_cascade.xml'}}"
        )
    weights = weights or {}
    unknown = set(weights) - {"cascade", "screening", "fcn"}
    if unknown:
        raise ValueError(f"weights names {sorted(unknown)}; 'cascade', 'screening' and 'fcn' would do")
    return weights
