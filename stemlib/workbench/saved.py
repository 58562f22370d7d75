"""Corrections as a file: what a person said, and nothing that the finder can say again."""

import functools
import hashlib
import json
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from stemlib.agreement import match, match_columns
from stemlib.io.files import write_atomically
from stemlib.loops.ellipses import AXES, EDGES, with_edges
from stemlib.workbench.marks import Mark, Outline, State

_FORMAT = 1


class Corrections:
    """A file of corrections of one result, and what stands in it.

    Parameters
    ----------
    path : str or pathlib.Path
    subject : stemlib.workbench.subjects.Subject
    """

    def __init__(self, path, subject):
        self.path, self.subject = Path(path), subject
        self._known = None

    @functools.cached_property
    def image(self):
        """Which image they belong to: its name, height and width, and the SHA-256 of its pixels as float32."""
        micrograph = self.subject.view.micrograph
        pixels = np.ascontiguousarray(micrograph.image)
        name = Path(micrograph.metadata.get("path") or "").name
        return {"name": name, "shape": list(pixels.shape), "sha256": hashlib.sha256(pixels.data).hexdigest()}

    def check_unchanged(self):
        """Raise ValueError if the file holds what was neither read nor written here."""
        if self._text() not in (None, self._known):
            raise ValueError(
                f"{str(self.path)!r} was changed by another editor; open the result anew with result.edit() to go on "
                "from there, or save under another path"
            )

    def _text(self):
        return self.path.read_text(encoding="utf-8") if self.path.exists() else None

    def write(self, state):
        """Write marks that a person judged, drew or changed, the area looked at, and a threshold that was moved."""
        kinds = self.subject.objects["kind"].tolist()
        marks = [
            _as_dict(mark, self.subject)
            for mark in state.marks.values()
            if mark.verdict is not None or mark.by_hand or mark.kind != kinds[mark.row]
        ]
        content = {
            "format": _FORMAT,
            "stemlib": version("stemlib"),
            "objects": self.subject.name,
            "image": self.image,
            # As the finder has it, it follows the finder.
            "threshold": None if state.threshold == self.subject.threshold else state.threshold,
            "looked_at": [{"adds": one.adds, "vertices": one.vertices} for one in state.region],
            "marks": marks,
        }
        text = json.dumps(content, indent=1, allow_nan=False) + "\n"
        write_atomically(self.path, text)
        self._known = text

    def read(self, start):
        """Return the state that the file makes of what a finder found.

        What a person said of an object holds for the object that is found at the same place now; what they accepted
        and is found no longer stays as they saw it.

        Parameters
        ----------
        start : State
            What was found, before any correction.

        Returns
        -------
        State

        Raises
        ------
        ValueError
            If the file is damaged, or belongs to another image or to other objects.
        """
        content = _content(self.path)
        try:
            self._check_owner(content)
            region = tuple(
                Outline(tuple((float(y), float(x)) for y, x in one["vertices"]), bool(one["adds"]))
                for one in content["looked_at"]
            )
            marks = [(_mark(one, self.subject), one["found"]) for one in content["marks"]]
            threshold = start.threshold if content["threshold"] is None else float(content["threshold"])
            state = State(_merged(start.marks, marks, self.subject), threshold, region)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{str(self.path)!r} is damaged ({error!r}); move it away to start anew"
            ) from error
        self._known = self._text()
        return state

    def _check_owner(self, content):
        if content["objects"] != self.subject.name:
            raise ValueError(
                f"{str(self.path)!r} holds corrections of {content['objects']}, not of {self.subject.name}; give "
                "another path"
            )
        theirs = content["image"]
        if theirs["sha256"] != self.image["sha256"]:
            name, (height, width) = theirs["name"] or "without a name", theirs["shape"]
            raise ValueError(
                f"{str(self.path)!r} holds corrections of another image, {name} of {height} x {width} px; give another "
                "path, or move the file away"
            )


def _content(path):
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{str(path)!r} is no file of corrections ({error}); give another path, or move it away"
        ) from error
    if not isinstance(content, dict) or "format" not in content:
        raise ValueError(f"{str(path)!r} is no file of corrections; give another path, or move it away")
    if content["format"] != _FORMAT:
        raise ValueError(
            f"{str(path)!r} has format {content['format']!r}, this stemlib knows {_FORMAT}; a newer one would do"
        )
    return content


def _as_dict(mark, subject):
    found = None
    if mark.row is not None:
        names = [*(AXES if subject.is_elliptic else AXES[:2]), "score"]
        found = {name: float(value) for name, value in subject.objects[names].iloc[mark.row].items()}
        found["score"] = None if np.isnan(found["score"]) else found["score"]
    axes = None if mark.axes is None else dict(zip(AXES[2:], mark.axes, strict=True))
    place = {"y": mark.y, "x": mark.x} | (axes or {})
    said = {None: None, True: "accepted", False: "rejected"}[mark.verdict]
    return place | {"kind": mark.kind, "verdict": said, "changed": mark.changed, "found": found}


def _mark(one, subject):
    axes = tuple(float(one[name]) for name in AXES[2:]) if subject.is_elliptic else None
    said = {None: None, "accepted": True, "rejected": False}[one["verdict"]]
    place = float(one["y"]), float(one["x"])
    if not np.isfinite([*place, *(axes or ())]).all():
        raise TypeError(f"{one} is not finite")
    return Mark(*place, str(one["kind"]), axes, verdict=said, changed=bool(one["changed"]))


def _merged(marks, saved, subject):
    """What was found, with what a person said of it, and what is found no longer after it."""
    marks = dict(marks)
    known = [pair for pair in saved if pair[1] is not None]
    rows = _rows_at([found for _, found in known], subject)
    for (mark, _), row in zip(known, rows, strict=True):
        if row is None:
            marks[max(marks, default=-1) + 1] = replace(mark, changed=False)
        elif mark.changed:
            marks[row] = replace(mark, row=row, score=marks[row].score, bar=marks[row].bar)
        else:
            marks[row] = replace(marks[row], kind=mark.kind, verdict=mark.verdict)
    for mark, found in saved:
        if found is None:
            marks[max(marks, default=-1) + 1] = mark
    return marks


def _rows_at(places, subject):
    """Which of the objects found now lies at each place; None where none does."""
    rows = [None] * len(places)
    if not places or not len(subject.objects):
        return rows
    places = pd.DataFrame(places)
    if subject.is_elliptic:
        pairs = match(with_edges(places)[EDGES], with_edges(subject.objects)[EDGES]).pairs
    else:
        at = (table[["y", "x"]].to_numpy(float) for table in (places, subject.objects))
        pairs = match_columns(*at, reach_px=subject.reach).pairs
    for place, row in pairs.tolist():
        rows[place] = row
    return rows
