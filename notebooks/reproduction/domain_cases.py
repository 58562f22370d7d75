"""Images of several crystals with a map of which is where: drawn by eye on real ones, known of synthetic ones."""

from dataclasses import dataclass

import numpy as np
from skimage.draw import polygon2mask

from stemlib.datasets import atomic_images, drawn_boundaries, fetch_all, read_atomic_image
from stemlib.io.micrograph import Micrograph
from stemlib.synthetic import domain_image

# Longest edge of the cells, px, as `stemlib.find_lattice` measured it in the largest grain; it sets the bands' widths.
_CELL_EDGES = {"fe-boundary": 16.6, "llto-domains": 19.9, "cdte-faults": 14.7, "ws2te2-edge": 16.4}
# Of one image each of the folders with perfect crystals.
_CONTROLS = ("nsmo-perfect", "bto-perfect/1", "bto-perfect/2")


@dataclass(frozen=True, eq=False)
class DomainCase:
    """One image with its domains.

    Attributes
    ----------
    name : str
    source : stemlib.Micrograph or None
        None where the image is not at hand.
    n_domains : int
        How many are expected.
    labels : numpy.ndarray of int, shape (H, W), or None
        0, 1, ... in the domains, -1 outside the crystals; None where the image is not at hand.
    boundaries : list of numpy.ndarray, shape (N, 2)
        Lines between two domains, (y, x) px.
    second : list of numpy.ndarray, shape (N, 2)
        The same, drawn a second time; empty where the boundaries are known.
    faults : list of numpy.ndarray, shape (N, 2)
        Faults inside a domain.
    drawing_error_px : float
        Mean distance of the two drawings; 0 where the boundaries are known.
    cell_edge : float or None
        Longest edge of the cells, px; None where no boundary is expected.
    undecided : numpy.ndarray of bool, shape (H, W), or None
        True where nobody can say.
    role : str
        "development", "test" or "synthetic".
    may_be_shown, pixel_size_sure : bool
        As of `reproduction.ColumnCase`.
    paths : tuple of str
        Registry paths of what was read; empty for a drawn image.
    """

    name: str
    source: Micrograph | None
    n_domains: int
    labels: np.ndarray | None = None
    boundaries: tuple = ()
    second: tuple = ()
    faults: tuple = ()
    drawing_error_px: float = 0.0
    cell_edge: float | None = None
    undecided: np.ndarray | None = None
    role: str = "synthetic"
    may_be_shown: bool = True
    pixel_size_sure: bool = True
    paths: tuple[str, ...] = ()

    @classmethod
    def of(cls, name, scene):
        """Return the case of a `stemlib.synthetic.DomainImage`."""
        return cls(
            name,
            Micrograph(scene.image, scene.pixel_size_nm),
            scene.n_domains,
            scene.labels,
            tuple(scene.boundaries),
            faults=tuple(scene.faults),
            cell_edge=scene.cell_edge,
        )


def load_domain_cases(name, *, side_px=256, seed=0):
    """Return the images with drawn boundaries and the negative controls; those not at hand have no `source`.

    Parameters
    ----------
    name : {"atomic", "synthetic"}
    side_px, seed : int
        Of "synthetic": one image of two phases and one single crystal, both drawn.

    Returns
    -------
    list of DomainCase

    Raises
    ------
    ValueError
        If the set is unknown, or a file at hand does not match its checksum.

    Examples
    --------
    >>> [case.n_domains for case in load_domain_cases("synthetic", side_px=128)]
    [2, 1]
    """
    if name == "synthetic":
        return [
            DomainCase.of(f"synthetic {number}", domain_image(scene, (side_px, side_px), seed=[seed, number]))
            for number, scene in enumerate(("two-phases", "single"), start=1)
        ]
    if name != "atomic":
        raise ValueError(f"name={name!r} must be 'atomic' or 'synthetic'")
    fetch_all("atomic")
    images = atomic_images()
    return [_real_case(one, images.loc[one]) for one in (*_CELL_EDGES, *_CONTROLS)]


def _real_case(name, row):
    here = bool(row["available"])
    facts = {
        "source": read_atomic_image(name) if here else None,
        "role": row["role"],
        "may_be_shown": row["licence"] != "none",
        "pixel_size_sure": bool(row["pixel_size_sure"]),
        "paths": (row["path"],) if here else (),
    }
    shape = (int(row["height_px"]), int(row["width_px"]))
    if name in _CONTROLS:
        return DomainCase(name, n_domains=1, labels=np.zeros(shape, int) if here else None, **facts)
    drawing = drawn_boundaries(name)
    lines = list(drawing["lines"].values())
    between = [line for line in lines if line["kind"] == "boundary"]
    undecided = np.zeros(shape, bool)
    for polygon in drawing["undecided"]:
        undecided |= polygon2mask(shape, polygon)
    return DomainCase(
        name,
        n_domains=drawing["n_domains"],
        labels=sides(shape, [line["first"] for line in between]) if here else None,
        boundaries=tuple(line["first"] for line in between),
        second=tuple(line["second"] for line in between),
        faults=tuple(line["first"] for line in lines if line["kind"] == "fault"),
        drawing_error_px=float(np.mean([line["drawing_error_px"] for line in between])),
        cell_edge=_CELL_EDGES[name],
        undecided=undecided,
        **facts,
    )


def sides(shape, lines):
    """Label areas 0 and 1, the other at every line that is crossed.

    Parameters
    ----------
    shape : tuple of int
    lines : iterable of array_like, shape (N, 2)
        Vertices (y, x), px; both ends on the image's edge.

    Returns
    -------
    numpy.ndarray of int, shape (H, W)
        0 at the top left pixel.

    Examples
    --------
    >>> sides((2, 4), [[(-0.5, 1.5), (1.5, 1.5)]]).tolist()
    [[0, 0, 1, 1], [0, 0, 1, 1]]
    """
    labels = np.zeros(shape, int)
    for line in lines:
        line = np.asarray(line, float)
        labels ^= polygon2mask(shape, np.vstack([line, _way_round(shape, line[-1], line[0])])).astype(int)
    return labels ^ labels[0, 0]


def _way_round(shape, start, end):
    """Corners of the image from one point on its edge to another, clockwise."""
    height, width = shape
    # Half a px more, so that the outermost pixels are inside.
    corners = np.array([(-1, -1), (-1, width), (height, width), (height, -1)], float)

    def place(point):
        y, x = (point[0] + 0.5) / height, (point[1] + 0.5) / width
        gaps = [abs(y), abs(1 - x), abs(1 - y), abs(x)]
        side = int(np.argmin(gaps))
        return side + (x, y, 1 - x, 1 - y)[side]

    first, last = place(start), place(end)
    if last < first:
        last += 4
    return corners[np.arange(int(np.ceil(first)), int(np.floor(last)) + 1) % 4]
