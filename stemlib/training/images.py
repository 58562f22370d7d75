"""Labelled micrographs in the form that training takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stemlib import datasets
from stemlib.boxes import COLUMNS
from stemlib.detecting import default_min_diameter, working_image
from stemlib.micrograph import read, to_uint8


@dataclass(frozen=True, eq=False)
class LabelledImage:
    """A micrograph at the scale at which Module I works, with a person's loops.

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
    """

    name: str
    series: str
    image: np.ndarray
    factor: int
    loops: np.ndarray


def labelled_image(name: str, series: str, image: np.ndarray, loops: np.ndarray) -> LabelledImage:
    """Reduce a uint8 micrograph and its loops' boxes as `find_loops` would."""
    working, factor = working_image(image, default_min_diameter(image.shape))
    loops = np.asarray(loops, float).reshape(-1, 4)
    return LabelledImage(name, series, working, factor, (loops + 0.5) / factor - 0.5)


def labelled_images(names: Sequence[str]) -> list[LabelledImage]:
    """Read images of the FeCrAl set with their labels of set A.

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
            datasets.read_loop_labels(name, "A")[COLUMNS].to_numpy(float),
        )
        for name in names
    ]
