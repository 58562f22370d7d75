"""A correction by hand, step by step: every step can be undone, and is saved at once."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from stemlib.loops.ellipses import AXES
from stemlib.workbench import saved
from stemlib.workbench.history import History
from stemlib.workbench.marks import Mark, Outline, State, centred_inside, region_mask
from stemlib.workbench.subjects import subject_of

_SMALLEST = 2.0  # px, of an axis: less is a slip of the mouse


class Session:
    """A result under correction, which needs no browser. Every step can be undone, and is saved at once.

    Objects are known by number. Those that the finder proposed and turned down are there as well, so that the
    threshold brings them back without a new run.

    Parameters
    ----------
    result, path, kinds
        As `stemlib.workbench.edit` takes them.
    """

    def __init__(self, result, path=None, *, kinds=None):
        self.found = result
        self.subject = subject_of(result)
        path = self._beside_the_image() if path is None else path
        self._file = None if path is None else saved.Corrections(path, self.subject)
        start = State(self._proposed(), float(self.subject.threshold))
        if self._file is not None and self._file.path.exists():
            start = self._file.read(start)
        self._history = History(start)
        used = {mark.kind for mark in start.marks.values()}
        self.kinds = tuple(dict.fromkeys([*self.subject.kinds, *(kinds or ()), *sorted(used)]))
        self._listeners, self._region = [], (None, None)

    def _beside_the_image(self):
        path = self.subject.view.micrograph.metadata.get("path")
        return None if not path else Path(f"{path}.{self.subject.name}.json")

    def _proposed(self):
        """A mark for each of the finder's objects."""
        objects, axes = self.subject.objects, [None] * len(self.subject.objects)
        if self.subject.is_elliptic:
            axes = list(objects[AXES[2:]].itertuples(index=False, name=None))
        columns = zip(
            *(objects[name].tolist() for name in ("y", "x", "kind")),
            axes,
            objects["score"].tolist(),
            self.subject.bars.tolist(),
            strict=True,
        )
        return {
            row: Mark(y, x, kind, each, score, row, bar=bar)
            for row, (y, x, kind, each, score, bar) in enumerate(columns)
        }

    # What there is.

    @property
    def path(self):
        """The file in which every step is saved; None where there is none."""
        return None if self._file is None else self._file.path

    @property
    def state(self):
        """Everything that can be changed, as it is now: `stemlib.workbench.marks.State`."""
        return self._history.state

    @property
    def threshold(self):
        """Score from which on an object counts that nobody has judged; set it to change it."""
        return self.state.threshold

    @threshold.setter
    def threshold(self, value):
        if not isinstance(value, int | float | np.number) or not np.isfinite(value):
            raise ValueError(f"threshold={value!r} must be a number")
        self._do(replace(self.state, threshold=float(value)))

    @property
    def looked_at(self):
        """Where was looked: (H, W) bool."""
        region, mask = self._region
        if region is not self.state.region:
            mask = region_mask(self.state.region, self.subject.view.mask)
            self._region = self.state.region, mask
        return mask

    @property
    def marks(self):
        """One row per object that counts and lies where was looked: a pandas.DataFrame, its index their numbers."""
        marks = self.everything
        return marks[marks["counts"] & marks["inside"]].drop(columns=["counts", "inside"])

    @property
    def everything(self):
        """As `marks`, with what does not count, and ``counts`` and ``inside``."""
        names = AXES if self.subject.is_elliptic else AXES[:2]
        rows = [
            (m.y, m.x, *(m.axes or ()), m.kind, m.score, m.row, m.by_hand, self.state.counts(m))
            for m in self.state.marks.values()
        ]
        columns = [*names, "kind", "score", "row", "by_hand", "counts"]
        table = pd.DataFrame(rows, columns=columns, index=list(self.state.marks))
        table = table.astype(
            dict.fromkeys(["by_hand", "counts"], bool) | dict.fromkeys([*names, "score"], float)
        )
        return table.assign(inside=centred_inside(table["y"], table["x"], self.looked_at))

    def at(self, y, x, tolerance=0.0):
        """Return the number of the object at a place, px, or of the nearest within a tolerance; None without any.

        What counts goes before what does not.
        """
        hits = [
            (not self.state.counts(mark), mark.distance(y, x), number)
            for number, mark in self.state.marks.items()
            if mark.holds(y, x, tolerance if mark.axes else max(tolerance, self.subject.reach))
        ]
        return min(hits)[2] if hits else None

    # What a person does.

    def accept(self, number):
        """Say that an object is one, whatever the threshold."""
        self._change(number, verdict=True)

    def reject(self, number):
        """Say that an object is none; one that was drawn by hand goes altogether."""
        if self._mark(number).row is None:
            self._do(self.state.with_mark(number, None))
        else:
            self._change(number, verdict=False)

    def toggle(self, number):
        """Reject what counts, accept what does not."""
        (self.reject if self.state.counts(self._mark(number)) else self.accept)(number)

    def draw(self, y, x, major=None, minor=None, angle_deg=0.0, *, kind=None):
        """Add an object: a point, or a rotated ellipse.

        Parameters
        ----------
        y, x : float
            Centre, px.
        major, minor : float, optional
            Full axes, px, of an ellipse; minor by default as usual among those that count.
        angle_deg : float
            Of the major axis, counter-clockwise from +x as seen.
        kind : str, optional
            By default the first of `kinds`.

        Returns
        -------
        int
            Its number.

        Raises
        ------
        ValueError
            If it lies outside the image, is too small, or of no known kind.
        """
        axes = None
        if self.subject.is_elliptic:
            if major is None:
                raise ValueError("major=None: an ellipse has axes; give major, px")
            minor = self.usual_aspect * major if minor is None else minor
            axes = (float(major), float(minor), float(angle_deg))
        number = self.state.free_number()
        mark = Mark(float(y), float(x), kind or self.kinds[0], axes, verdict=True)
        self._do(self.state.with_mark(number, self._checked(mark)))
        return number

    def move(self, number, *, y=None, x=None, major=None, minor=None, angle_deg=None):
        """Move, resize or turn an object; what is not given stays. A person who moves it accepts it."""
        mark = self._mark(number)
        place = {name: float(v) for name, v in (("y", y), ("x", x)) if v is not None}
        if mark.axes is not None:
            given = (major, minor, angle_deg)
            place["axes"] = tuple(
                float(old if new is None else new) for old, new in zip(mark.axes, given, strict=True)
            )
        moved = replace(mark, **place, verdict=True, changed=mark.row is not None)
        self._do(self.state.with_mark(number, self._checked(moved)))

    def set_kind(self, number, kind):
        """Give an object another kind, one of `kinds`."""
        self._do(self.state.with_mark(number, self._checked(replace(self._mark(number), kind=kind))))

    def look_at(self, vertices, *, adds=True):
        """Outline a part of the image that was looked at, or was not.

        Objects elsewhere do not count, nor does the area. The first outline, if it adds, is all that is looked at.

        Parameters
        ----------
        vertices : array_like, shape (N, 2)
            y, x px.
        adds : bool
        """
        vertices = np.asarray(vertices, float)
        if (
            vertices.ndim != 2
            or vertices.shape[1] != 2
            or len(vertices) < 3
            or not np.isfinite(vertices).all()
        ):
            raise ValueError(f"vertices has the shape {vertices.shape}; (N, 2) with three or more would do")
        outline = Outline(tuple(map(tuple, vertices.tolist())), bool(adds))
        region = (*self.state.region, outline)
        if not region_mask(region, self.subject.view.mask).any():
            raise ValueError("vertices leave nothing of the image that is looked at")
        self._do(replace(self.state, region=region))

    def look_everywhere(self):
        """Forget all outlines."""
        self._do(replace(self.state, region=()))

    def undo(self):
        """Take the last step back; without one, nothing happens."""
        self._enter(self._history.undone())

    def redo(self):
        """Do again what was undone last."""
        self._enter(self._history.redone())

    @property
    def can_undo(self):
        """Whether there is a step to take back."""
        return bool(self._history.past)

    @property
    def can_redo(self):
        """Whether there is a step to do again."""
        return bool(self._history.future)

    @property
    def usual_aspect(self):
        """Median ratio of minor to major axis of the ellipses that count."""
        marks = self.marks
        return float((marks["minor"] / marks["major"]).median()) if len(marks) else 1.0

    def refit(self, number):
        """Return what Module III measures at a loop, as a proposal: y, x and (major, minor, angle_deg).

        Give it to `move` to take it.
        """
        if not hasattr(self.subject, "refitted"):
            raise TypeError(f"{self.subject.name} are points; only loops can be measured again")
        return self.subject.refitted(self._mark(number))

    def save(self, path=None):
        """Write the corrections, by default where every step is saved, and return the path.

        Raises
        ------
        ValueError
            If there is no path, or another editor has changed the file meanwhile.
        """
        file = (
            self._file if path is None or Path(path) == self.path else saved.Corrections(path, self.subject)
        )
        if file is None:
            raise ValueError("path=None: the image came from no file; give the path of a JSON file")
        file.check_unchanged()
        file.write(self.state)
        self._file = file
        return self.path

    # How steps are made.

    def _mark(self, number):
        try:
            return self.state.marks[number]
        except KeyError:
            raise ValueError(f"number={number!r} is no object here; at(y, x) tells which there are") from None

    def _checked(self, mark):
        height, width = self.subject.view.mask.shape
        if not (-0.5 <= mark.y <= height - 0.5 and -0.5 <= mark.x <= width - 0.5):
            raise ValueError(f"y={mark.y}, x={mark.x} lies outside the image of {height} x {width} px")
        if mark.kind not in self.kinds:
            raise ValueError(f"kind={mark.kind!r} must be one of {', '.join(map(repr, self.kinds))}")
        if mark.axes is None:
            return mark
        major, minor, angle = mark.axes
        if not (min(major, minor) >= _SMALLEST and max(major, minor) <= 2 * max(height, width)):
            raise ValueError(
                f"major={major}, minor={minor} must be {_SMALLEST:g} px at least, and fit the image"
            )
        if minor > major:
            major, minor, angle = minor, major, angle + 90
        return replace(mark, axes=(major, minor, angle % 180))

    def _change(self, number, **what):
        self._do(self.state.with_mark(number, replace(self._mark(number), **what)))

    def _do(self, state):
        self._enter(self._history.with_step(state))

    def _enter(self, history):
        if history is self._history:
            return
        if self._file is not None:
            self._file.check_unchanged()
        before, self._history = self.state, history
        self._autosave()
        for listener in self._listeners:
            listener(before, self.state)

    def _autosave(self):
        if self._file is None:
            return
        try:
            self._file.write(self.state)
        except OSError as error:
            warnings.warn(
                f"corrections are not saved: {str(self.path)!r} cannot be written ({error}); save them elsewhere with "
                "editor.save(path)",
                stacklevel=5,
            )
            self._file = None

    def listen(self, listener):
        """Have a function called with the states before and after every step."""
        self._listeners.append(listener)
