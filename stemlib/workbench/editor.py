"""Correct what was found by hand: `edit` and its `Editor`."""

import os

from stemlib.workbench import outcome
from stemlib.workbench.session import Session


def edit(result, path=None, *, kinds=None):
    """Open a result for correction by hand.

    Parameters
    ----------
    result : Loops, Defects or Columns
    path : str or pathlib.Path, optional
        The JSON file in which every step is saved at once, and found again the next time. By default
        ``IMAGE.loops.json`` (or ``.defects.json``, ``.columns.json``) beside the image; an image that came from no
        file is saved nowhere.
    kinds : list of str, optional
        Kinds that objects may be given beside those that the finder knows.

    Returns
    -------
    Editor

    Raises
    ------
    TypeError
        If a result of this class holds nothing that could be corrected.
    ValueError
        If the result was made without its image, or the file is damaged or belongs to another image.

    Examples
    --------
    >>> import stemlib
    >>> from stemlib.synthetic import crystal_image
    >>> editor = edit(stemlib.find_columns(crystal_image("square", (96, 96), seed=0).image))
    >>> before = len(editor.result.table)
    >>> editor.reject(editor.at(48, 48))
    >>> len(editor.result.table) - before
    -1
    """
    return Editor(result, path, kinds=kinds)


class Editor(Session):
    """A result under correction: in a notebook it shows itself, without one it does the same by its methods.

    ``result`` is the corrected result, ``score`` says how well the finder did, ``tune`` teaches it.

    Parameters
    ----------
    result, path, kinds
        As `edit` takes them.
    """

    _widget = None

    @property
    def result(self):
        """The corrected result: of the same class, its density and sizes those of what was looked at."""
        return self.subject.corrected(self.marks, self.state.threshold, self.looked_at)

    def score(self, kind=None):
        """Compare what was found with what a person made of it, over the area looked at.

        Who starts from what was found agrees with it more than who starts from nothing: the recall is that of a person
        who has looked for what was missed.

        Parameters
        ----------
        kind : str, optional
            Only this kind; what was found on objects of another kind is false.

        Returns
        -------
        dict
            As `stemlib.agreement.score`; of ellipses also as `stemlib.agreement.axis_errors` of the major axes, their
            names with ``axis_`` before them.

        Raises
        ------
        ValueError
            If the kind is not known.
        """
        return outcome.score(self, kind)

    def tune(self, *others, output, seed=0):
        """Teach the loop detector what was corrected here, and by other editors.

        Parameters
        ----------
        *others : Editor
            Of further images.
        output : str or pathlib.Path
            The safetensors file of the new weights.
        seed : int

        Returns
        -------
        pathlib.Path
            As `stemlib.tune_loops`.

        Raises
        ------
        TypeError
            If these are no loops.
        ValueError
            If they are not all of one polarity, or labels are too few.
        """
        return outcome.tune((self, *others), output, seed)

    def __repr__(self):
        now, where = f"{len(self.marks)} {self.subject.name} now", os.fspath(self.path or "not saved")
        return f"<Editor of {self.found}; {now}; {where}>"

    @property
    def widget(self):
        """The editor in a notebook: an anywidget."""
        if self._widget is None:
            try:
                from stemlib.workbench.widget import EditorWidget
            except ModuleNotFoundError as error:
                raise ModuleNotFoundError(
                    f"{error}: the editor in a notebook needs it; install stemlib with pip install 'stemlib[notebooks]'"
                ) from error
            self._widget = EditorWidget(self)
        return self._widget

    def _repr_mimebundle_(self, **options):
        shown = self.widget._repr_mimebundle_(**options)
        data, *metadata = shown if isinstance(shown, tuple) else (shown,)
        # Where no widget can be shown, as in a notebook that is only read.
        data = data | {"text/html": self.result._repr_html_(), "text/plain": repr(self)}
        return (data, *metadata) if metadata else data
