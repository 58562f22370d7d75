"""Labelled micrographs in the form that training takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from stemlib import datasets
from stemlib.agreement import match
from stemlib.io.micrograph import read, to_uint8
from stemlib.loops.boxes import COLUMNS
from stemlib.loops.tiling import resampled

_OPEN_LOOP = 0  # class of sets B and C, and the only one of set A


@dataclass(frozen=True, eq=False)
class LabelledImage:
    """A micrograph at the scale at which Module I works, with what annotators marked in it.

    Parameters
    ----------
    name : str
    series : str
        Images of one series look alike; none is ever split between training and test.
    image : (H, W) uint8
        Reduced by `factor`.
    factor : int
    loops : (N, 4) float
        ``top, left, bottom, right`` as drawn, px of the reduced image.
    disputed : (M, 4) float
        Loops that another team marked and the one of `loops` did not, likewise: neither loops nor anything else.
    second_opinion : bool
        Whether another team labelled the image at all.
    group : str
        Images of one group show the same area, in part: only together are they left out. The name by default.
    """

    name: str
    series: str
    image: np.ndarray
    factor: int
    loops: np.ndarray
    disputed: np.ndarray = field(default_factory=lambda: np.empty((0, 4)))
    second_opinion: bool = False
    group: str = ""

    def __post_init__(self):
        object.__setattr__(self, "group", self.group or self.name)


def usual_pixel(shape):
    """Whole number by which images of this shape are reduced in training: those of the loop set show like fields.

    Parameters
    ----------
    shape : tuple of int
        Height and width, px.

    Returns
    -------
    int
        1 for 1024 × 1024 px, 2 for 2048 × 2048 px.

    Examples
    --------
    >>> usual_pixel((1024, 1024)), usual_pixel((2048, 2048)), usual_pixel((256, 256))
    (1, 2, 1)
    """
    return max(1, round((shape[0] * shape[1]) ** 0.5 / 1024))


def labelled_image(
    name: str,
    series: str,
    image: np.ndarray,
    loops: np.ndarray,
    disputed: np.ndarray | None = None,
    *,
    group: str = "",
) -> LabelledImage:
    """Reduce a uint8 micrograph and its boxes to the usual scale; no `disputed` means no second opinion."""
    factor = usual_pixel(image.shape)
    working = resampled(image, factor)
    opinion = disputed is not None
    reduced = [
        (np.asarray(boxes, float).reshape(-1, 4) + 0.5) / factor - 0.5
        for boxes in (loops, disputed if opinion else ())
    ]
    return LabelledImage(name, series, working, factor, *reduced, opinion, group)


def labelled_images(names: Sequence[str]) -> list[LabelledImage]:
    """Read images of the FeCrAl set with the loops of `loops_of_teams`.

    Parameters
    ----------
    names : sequence of str
        Image names as in `stemlib.datasets.loop_images`.

    Returns
    -------
    list of LabelledImage

    Raises
    ------
    FileNotFoundError
        If an image or its labels are neither local nor to be downloaded.

    Examples
    --------
    >>> labelled_images([])
    []
    """
    return [
        labelled_image(name, row["series"], *read_example(name), group=f"{row['group']:03d}")
        for name, row in datasets.loop_images().loc[list(names)].iterrows()
    ]


def read_example(item):
    """Image and boxes of one training or validation example.

    Parameters
    ----------
    item : str or (numpy.ndarray (H, W) uint8, array_like (N, 4))
        Name of an image of `stemlib.datasets.loop_images`, taken with label set A; or image and boxes
        themselves.

    Returns
    -------
    image : numpy.ndarray, (H, W), uint8
    boxes : numpy.ndarray, (N, 4), float64
        Top, left, bottom, right, px.
    disputed : numpy.ndarray, (M, 4), float64, or None
        As `loops_of_teams` returns them.

    Raises
    ------
    ValueError, FileNotFoundError
        As `stemlib.datasets.fetch` and `stemlib.datasets.read_loop_labels`.

    Examples
    --------
    >>> image, boxes, disputed = read_example((np.zeros((64, 64), np.uint8), []))
    >>> boxes.shape
    (0, 4)
    """
    if isinstance(item, str):
        path = datasets.fetch(datasets.loop_images().loc[item, "path"])
        return to_uint8(read(path).image), *loops_of_teams(item)
    image, boxes = item
    return image, np.asarray(boxes, dtype=np.float64).reshape(-1, 4), None


def loops_of_teams(name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the loops of set A in one image, and what set B calls an open loop and A lacks.

    Of the classes of B only the open loop is one that A marks in more cases than not (64 % of them in the training
    images; 18 % of the closed loops, 12 to 19 % of the ambiguous classes, 3 % of the black dots): what B says of the
    other classes does not speak against A.

    Parameters
    ----------
    name : str
        As in `stemlib.datasets.loop_images`.

    Returns
    -------
    loops : (N, 4) float
        ``top, left, bottom, right`` as drawn, px.
    disputed : (M, 4) float or None
        Open loops of B that match none of `loops` by the published rule; None where there is no set B.

    Raises
    ------
    ValueError, FileNotFoundError
        As `stemlib.datasets.read_loop_labels`.

    Examples
    --------
    >>> name = "K713_300kx_store4_grid1_0025.jpg"
    >>> if datasets.available("loops"):
    ...     loops, disputed = loops_of_teams(name)
    """
    loops = datasets.read_loop_labels(name, "A")[COLUMNS].to_numpy(float)
    if "B" not in datasets.label_sets(name)[0]:
        return loops, None
    labels = datasets.read_loop_labels(name, "B")
    theirs = labels.loc[labels["class"] == _OPEN_LOOP, COLUMNS].to_numpy(float)
    return loops, theirs[~match(loops, theirs, rule="published").is_true]


def parts_of(images, *, n_parts=3):
    """Divide every series into parts, images of one group together.

    Parameters
    ----------
    images : sequence of LabelledImage
    n_parts : int

    Returns
    -------
    dict of str to set of str
        The names of the images of each part.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> images = [SimpleNamespace(name=n, series="A", group=g) for n, g in ("ax", "bx", "cy", "dz")]
    >>> [sorted(part) for part in parts_of(images, n_parts=2).values()]
    [['a', 'b', 'd'], ['c']]
    """
    part_of = {}
    for series in sorted({image.series for image in images}):
        groups = sorted({image.group for image in images if image.series == series})
        part_of |= {group: number % n_parts for number, group in enumerate(groups)}
    return {
        f"part {part + 1} of {n_parts}": {image.name for image in images if part_of[image.group] == part}
        for part in range(n_parts)
    }
