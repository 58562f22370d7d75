"""The editor in a notebook: what `editor.js` shows and sends, answered by an editor that knows nothing of it."""

import functools
import math
from pathlib import Path

import anywidget
import numpy as np
import traitlets

from stemlib.io.density import number_density
from stemlib.io.grey import to_uint8
from stemlib.workbench.measured import counted, density_row, with_interval
from stemlib.workbench.tiles import SIDE, Pyramid

_HERE = Path(__file__).parent
# What the browser may ask of an editor.
_STEPS = {
    "accept",
    "reject",
    "toggle",
    "draw",
    "move",
    "set_kind",
    "look_at",
    "look_everywhere",
    "undo",
    "redo",
}


class EditorWidget(anywidget.AnyWidget):
    """What the browser holds: the scene, which never changes, a reduced image, and how it all began.

    So it shows something while Python is busy with the next cells; all that changes comes by messages.

    Parameters
    ----------
    editor : stemlib.workbench.Editor
    """

    _esm = _HERE / "editor.js"
    _css = _HERE / "editor.css"
    scene = traitlets.Dict().tag(sync=True)
    overview = traitlets.Bytes().tag(sync=True)
    start = traitlets.Dict().tag(sync=True)

    def __init__(self, editor):
        self.editor = editor
        super().__init__(
            scene=_scene(editor, len(self.pyramid.levels)),
            overview=self.pyramid.overview(),
            start=_everything(editor),
        )
        self.on_msg(self._answer)
        editor.listen(self._tell)

    @functools.cached_property
    def pyramid(self):
        """The image's tiles."""
        return Pyramid(to_uint8(self.editor.subject.view.micrograph.image))

    def _answer(self, _, content, _buffers):
        """Do what the browser asks; whatever cannot be done is said there, and changes nothing."""
        try:
            match content:
                case {"type": "hello"}:
                    self.send(_everything(self.editor))
                case {"type": "tile", "level": level, "row": row, "column": column}:
                    self.send(content, [self.pyramid.tile(level, row, column)])
                case {"type": "step", "name": "threshold", "value": value}:
                    self.editor.threshold = value
                case {"type": "step", "name": name} if name in _STEPS:
                    getattr(self.editor, name)(*content.get("at", ()), **content.get("with", {}))
                case {"type": "refit", "number": number}:
                    y, x, axes = self.editor.refit(number)
                    self.send({"type": "proposal", "number": number, "y": y, "x": x, "axes": axes})
        except (ValueError, TypeError, OSError) as error:
            self.send({"type": "error", "text": str(error)})

    def _tell(self, before, after):
        """Send what a step changed."""
        if before.region is not after.region:
            self.send(_everything(self.editor))
            return
        changed = [n for n, mark in after.marks.items() if before.marks.get(n) is not mark]
        self.send(
            {
                "type": "step",
                "marks": _rows(self.editor, changed),
                "gone": list(before.marks.keys() - after.marks.keys()),
                "rest": _rest(self.editor),
            }
        )


def _everything(editor):
    return {"type": "all", "marks": _rows(editor, list(editor.state.marks)), "rest": _rest(editor)}


def _scene(editor, n_levels):
    subject = editor.subject
    height, width = subject.view.mask.shape
    scores = subject.objects["score"].to_numpy(float)
    scores = scores[np.isfinite(scores)]
    return {
        "height": height,
        "width": width,
        "side": SIDE,
        "levels": n_levels,
        "name": subject.name,
        "elliptic": subject.is_elliptic,
        "refits": hasattr(subject, "refitted"),
        "reach": subject.reach,
        "pixel_size_nm": subject.result.pixel_size_nm,
        "found": subject.threshold,
        "scores": [float(scores.min()), float(scores.max())] if len(scores) else [0.0, 1.0],
    }


def _rows(editor, numbers):
    """Marks as the browser has them: number, y, x, axes, kind, score, verdict, by hand, inside, bar."""
    state, height_width = editor.state, editor.looked_at.shape
    rows = []
    for number in numbers:
        mark = state.marks[number]
        row, column = (
            min(max(round(v), 0), n - 1) for v, n in zip((mark.y, mark.x), height_width, strict=True)
        )
        score = None if math.isnan(mark.score) else mark.score
        said = {None: -1, False: 0, True: 1}[mark.verdict]
        inside = bool(editor.looked_at[row, column])
        kind = editor.kinds.index(mark.kind)
        rows.append([number, mark.y, mark.x, mark.axes, kind, score, said, mark.by_hand, inside, mark.bar])
    return rows


def _rest(editor):
    marks, size = editor.marks, editor.subject.result.pixel_size_nm
    density = number_density(len(marks), int(editor.looked_at.sum()), pixel_size_nm=size)
    what, *values, unit = density_row("", vars(density))
    row = dict(zip(("value", "low", "high"), values, strict=True)) | {"unit": unit}
    return {
        "threshold": editor.threshold,
        "kinds": editor.kinds,
        "region": [{"adds": one.adds, "vertices": one.vertices} for one in editor.state.region],
        "area": density.area,
        "text": f"{counted(len(marks), editor.subject.name)} · {with_interval(row)}",
        "aspect": editor.usual_aspect if editor.subject.is_elliptic else 1.0,
        "can_undo": editor.can_undo,
        "can_redo": editor.can_redo,
        "path": None if editor.path is None else str(editor.path),
    }
