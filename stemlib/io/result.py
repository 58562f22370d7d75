"""What every result of a finder can do beside its own: show itself, draw itself, give its numbers, be corrected."""

from dataclasses import dataclass

import numpy as np

from stemlib.io.micrograph import Micrograph
from stemlib.io.signals import OnSignals


@dataclass(frozen=True, eq=False)
class View:
    """What a finder looked at.

    Parameters
    ----------
    micrograph : Micrograph
        The image as it came, nothing filled in.
    mask : numpy.ndarray of bool, shape (H, W)
        True where it looked.
    """

    micrograph: Micrograph
    mask: np.ndarray

    @property
    def area(self):
        """How much it looked at, px²."""
        return int(self.mask.sum())


class Result(OnSignals):
    """A finder's result, which has a `view` of the image it was found in.

    Drawing and correcting are done upstairs, in `stemlib.workbench`; here are the doors to it.
    """

    view: View | None

    def numbers(self):
        """Return what was measured, a row each: a pandas.DataFrame of ``what, value, low, high, unit``.

        ``low`` and ``high`` bound the 95 % interval, NaN where there is none.
        """
        from stemlib import workbench

        return workbench.numbers(self)

    def plot(self, ax=None):
        """Draw the result on its image.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default on a new figure.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        ValueError
            If the result was made without the image it belongs to.
        """
        from stemlib import workbench

        return workbench.draw(self, ax)

    def edit(self, path=None, *, kinds=None):
        """Correct the result by hand: reject, accept, draw, move, and outline what was looked at.

        Parameters
        ----------
        path : str or pathlib.Path, optional
            The JSON file in which every step is saved at once, and found again the next time; by default beside the
            image, where the image came from a file.
        kinds : list of str, optional
            Kinds that objects may be given beside those that the finder knows.

        Returns
        -------
        stemlib.workbench.Editor
            It shows itself in a notebook; ``editor.result`` is the corrected result.

        Raises
        ------
        TypeError
            If a result of this class holds nothing that could be corrected.
        ValueError
            If the result was made without its image, or the file belongs to another image.
        """
        from stemlib import workbench

        return workbench.edit(self, path, kinds=kinds)

    def __str__(self):
        from stemlib import workbench

        return workbench.in_words(self)

    def __repr__(self):
        return f"<{type(self).__name__}: {self}>"

    def _repr_html_(self):
        from stemlib import workbench

        return workbench.as_html(self)
