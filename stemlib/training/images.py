"""Labelled micrographs in the form that training takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from stemlib import datasets
from stemlib.agreement import match
from stemlib.io.micrograph import read, to_uint8
from stemlib.loops.boxes import COLUMNS
from stemlib.loops.candidates import default_min_diameter, working_image

_OPEN_LOOP = 0  # class of sets B and C, and the only one of set A


@dataclass(frozen=True, eq=False)
class LabelledImage:
    """A micrograph at the scale at which Module I works, with what people marked in it.

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


def labelled_image(
    name: str,
    series: str,
    image: np.ndarray,
    loops: np.ndarray,
    disputed: np.ndarray | None = None,
    *,
    group: str = "",
) -> LabelledImage:
    """Reduce a uint8 micrograph and its boxes as `find_loops` would; no `disputed` means no second opinion."""
    working, factor = working_image(image, default_min_diameter(image.shape))
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
    table = datasets.loop_images()
    return [
        labelled_image(
            name,
            table.loc[name, "series"],
            to_uint8(read(datasets.fetch(table.loc[name, "path"])).image),
            *loops_of_teams(name),
            group=f"{table.loc[name, 'group']:03d}",
        )
        for name in names
    ]


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
