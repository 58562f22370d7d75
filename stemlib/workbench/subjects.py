"""What the editor has to know of each class of result: its objects, and the result once they are corrected."""

import functools
from dataclasses import replace

import numpy as np
import pandas as pd

from stemlib.columns.spacing import nearest_distance
from stemlib.io.density import number_density
from stemlib.io.grey import to_uint8
from stemlib.io.result import View
from stemlib.io.tables import with_nanometres
from stemlib.loops.boxes import suppress
from stemlib.loops.ellipses import AXES, EDGES, with_edges
from stemlib.loops.measuring import as_boxes_say, measure_loops
from stemlib.loops.proposals import UNNAMED
from stemlib.workbench.marks import centred_inside

_SMALLEST = 1e-6  # threshold, so that a score can be divided by it


class Subject:
    """A result whose objects are corrected; the base of one class for each kind of result.

    Attributes
    ----------
    name : str
        Of the objects, plural; a part of the name of the file of corrections.
    is_elliptic : bool
        Whether objects are ellipses, and no points.
    kinds : tuple of str
        That an object may be of.
    objects : pandas.DataFrame
        All that the finder proposed, the accepted ones first: ``y, x, kind, score``, the axes of ellipses, and whatever
        else the table of the result has.
    threshold : float
        The score from which on they count.
    """

    name = ""
    is_elliptic = False
    kinds: tuple[str, ...] = ()

    def __init__(self, result):
        self.result = result
        self.view = result.view

    @property
    def reach(self):
        """How far apart two places of one object may be, px."""
        return max(self.spacing, 1.0) / 4

    @functools.cached_property
    def spacing(self):
        """Median distance of neighbouring objects, px."""
        at = self.objects[["y", "x"]].to_numpy(float)
        return float(nearest_distance([at])) if len(at) > 1 else min(self.view.mask.shape) / 10

    @property
    def bars(self):
        """The threshold of each object's kind, over the one that is moved: a pandas.Series."""
        return pd.Series(1.0, self.objects.index)

    def in_nanometres(self, table):
        """The table with its lengths in nm."""
        return with_nanometres(table, self.result.pixel_size_nm, self.view.micrograph.origin_nm)

    def kept(self, marks):
        """The rows of the finder's own measurements that still hold, with the kinds that a person gave them."""
        own = marks[~marks["by_hand"]]
        rows = self.objects.iloc[own["row"].to_numpy(int)].reset_index(drop=True)
        if "kind" in rows:
            rows = rows.assign(kind=own["kind"].to_numpy(object))
        # What was drawn in an earlier correction stays so.
        return rows.assign(by_hand=rows.get("by_hand", pd.Series(False, rows.index)).astype(bool))

    def joined(self, kept, drawn, order):
        """Both tables as one, in the result's order of columns, drawn rows after those of the finder."""
        columns = [*kept.columns.drop("by_hand"), "by_hand"]
        drawn = drawn.assign(by_hand=True).reindex(columns=columns)
        table = pd.concat([part for part in (kept, drawn) if len(part)] or [kept], ignore_index=True)
        by, ascending = order
        return table[columns].sort_values(by, ascending=ascending, ignore_index=True, kind="stable")


class LoopSubject(Subject):
    """Dislocation loops: ellipses, those turned down included, which the threshold brings back."""

    name = "loops"
    is_elliptic = True

    @property
    def kinds(self):
        """Those that were asked for, and those in the table."""
        kinds = dict.fromkeys([*self.result.densities, *self.result.table["kind"].astype(str)])
        return tuple(kinds) or ("loop",)

    @property
    def threshold(self):
        """The finder's, of the first kind asked for."""
        return self.result.threshold

    @functools.cached_property
    def bars(self):
        """The threshold of each object's kind, over the first one's."""
        own = self.objects["kind"].map(self.result.thresholds).astype(float).fillna(self.threshold)
        return own / self.threshold if self.threshold else own * 0 + 1.0

    @functools.cached_property
    def grey(self):
        """The image as the finder saw it, uint8."""
        image = self.view.micrograph.image
        return to_uint8(-image if self.result.polarity == "bright" else image)

    @functools.cached_property
    def objects(self):
        """The table, and below it the candidates that were turned down, measured."""
        table, candidates = self.result.table, self._named
        table = table[[name for name in table if not name.endswith(("_nm", "_nm2"))]]
        table = table.assign(candidate=self._accepted())
        left = self._turned_down(table)
        if not len(left):
            return table
        boxes, kind = candidates.loc[left, EDGES].to_numpy(float), candidates.loc[left, "kind"].to_numpy()
        rows, rings = as_boxes_say(boxes, self.grey.shape), kind == "loop"
        if rings.any():
            rows.loc[rings] = measure_loops(self.grey, boxes[rings]).set_axis(np.flatnonzero(rings))
        scores = {name: candidates.loc[left, name].to_numpy() for name in table if name.startswith("score_")}
        scores["score"] = candidates.loc[left, "probability"].to_numpy()
        rows = rows.assign(kind=kind, candidate=left, **scores)
        return pd.concat([table, rows], ignore_index=True)[[*table.columns]]

    @functools.cached_property
    def _named(self):
        """The candidates by the names that they would have at a lower threshold, and ``trust``, their score over it."""
        candidates, thresholds = self.result.candidates, self.result.thresholds
        names = [name for name in thresholds if name != UNNAMED and f"score_{name}" in candidates]
        bars = candidates["kind"].map(thresholds).astype(float).fillna(self.threshold)
        if not names:
            return candidates.assign(trust=candidates["probability"] / np.maximum(bars, _SMALLEST))
        scores = candidates[[f"score_{name}" for name in names]].to_numpy(float)
        trust = scores / np.maximum([thresholds[name] for name in names], _SMALLEST)
        best, rows = trust.argmax(axis=1), np.arange(len(trust))
        # What is seen and not named stays so where it was asked for.
        kept = candidates["accepted"] | (candidates["kind"].eq(UNNAMED) & (UNNAMED in self.result.densities))
        own = candidates["probability"] / np.maximum(bars, _SMALLEST)
        return candidates.assign(
            kind=np.where(kept, candidates["kind"], np.array(names)[best]),
            probability=np.where(kept, candidates["probability"], scores[rows, best]),
            trust=np.where(kept, own, trust[rows, best]),
        )

    def _accepted(self):
        """Which candidate each row of the table was; -1 where that is not known."""
        accepted = np.flatnonzero(self.result.candidates["accepted"].to_numpy(bool))
        same = len(accepted) == len(self.result.table)
        return accepted if same else np.full(len(self.result.table), -1)

    def _turned_down(self, table):
        """Candidates that would be loops at a lower threshold: they lie on no better one, and where to look."""
        candidates = self._named
        boxes = candidates[EDGES].to_numpy(float)
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        seen = centred_inside(*centres.T, self.view.mask) & ((boxes[:, 2:] - boxes[:, :2]).min(axis=1) >= 2)
        rows = np.flatnonzero(seen & ~candidates["accepted"].to_numpy(bool))
        every = np.concatenate([table[EDGES].to_numpy(float), boxes[rows]])
        scores = np.concatenate([np.full(len(table), np.inf), candidates["trust"].to_numpy()[rows]])
        # What is of a kind that was not asked for hides the others on it, but is not shown.
        kept = suppress(every, scores) if len(every) else np.zeros(0, int)
        rows = np.sort(rows[kept[kept >= len(table)] - len(table)])
        asked = candidates["kind"].isin(self.result.densities) & (candidates["trust"] < 1)
        return rows[asked.to_numpy()[rows]]

    @property
    def reach(self):
        """Half of the geometric mean diameter, as in `stemlib.agreement.match`: of the usual loop, px."""
        sizes = np.sqrt(self.objects["major"] * self.objects["minor"])
        return float(sizes.median()) / 2 if len(sizes) else min(self.view.mask.shape) / 50

    def refitted(self, mark):
        """What Module III measures at an ellipse: y, x and its axes."""
        row = with_edges(pd.DataFrame([[mark.y, mark.x, *mark.axes]], columns=AXES))
        y, x, *axes = measure_loops(self.grey, row[EDGES].to_numpy())[AXES].iloc[0].tolist()
        return y, x, tuple(axes)

    def corrected(self, marks, threshold, mask):
        """The result with other loops, density and sizes over a mask."""
        shape = self.view.mask.shape
        kept = self.kept(marks)
        drawn = marks[marks["by_hand"]]
        uncut = with_edges(drawn)
        cut = (uncut[["top", "left"]] <= 0).any(axis=1)
        cut |= (uncut[["bottom", "right"]].to_numpy() >= np.array(shape) - 1).any(axis=1)
        drawn = with_edges(drawn, shape).assign(touches_edge=cut, flood_failed=False, candidate=-1)
        table = self.joined(kept, drawn, ("score", False))
        accepted = np.isin(np.arange(len(self.result.candidates)), table.pop("candidate"))
        table = table.astype({"touches_edge": bool, "flood_failed": bool})
        old = self.result.density
        thickness = None if old.per_nm3 is None else old.high_per_nm2 / old.high_per_nm3
        count = functools.partial(
            number_density,
            area=int(mask.sum()),
            pixel_size_nm=self.result.pixel_size_nm,
            thickness_nm=thickness,
        )
        kinds = dict.fromkeys([*self.result.densities, *table["kind"]])
        moved = threshold / self.threshold if self.threshold else 1.0
        return replace(
            self.result,
            table=self.in_nanometres(table),
            candidates=self.result.candidates.assign(accepted=accepted),
            density=count(len(table)),
            densities={kind: count(int((table["kind"] == kind).sum())) for kind in kinds},
            threshold=float(threshold),
            thresholds={kind: value * moved for kind, value in self.result.thresholds.items()},
            view=View(self.view.micrograph, mask),
        )


class DefectSubject(Subject):
    """Defects: points of several kinds; those less likely than the finder's limit are none of its proposals."""

    name = "defects"
    kinds = ("missing", "dim", "bright", "displaced", "interstitial", "structure")

    @functools.cached_property
    def objects(self):
        """The table."""
        table = self.result.table
        return table[[name for name in table if not name.endswith("_nm")]]

    @property
    def threshold(self):
        """The least unlikely defect's score."""
        return float(self.objects["score"].min()) if len(self.objects) else 0.0

    @property
    def spacing(self):
        """Median distance of neighbouring columns, px."""
        return float(nearest_distance([self.result.columns[["y", "x"]].to_numpy(float)]))

    def corrected(self, marks, threshold, mask):
        """The result with other defects, over a mask."""
        drawn = marks.loc[marks["by_hand"], ["y", "x", "kind", "score"]]
        drawn = drawn.assign(flagged_by="hand", chain=-1)
        table = self.joined(self.kept(marks), drawn, ("score", False)).astype({"chain": int})
        return replace(self.result, table=self.in_nanometres(table), view=View(self.view.micrograph, mask))


class ColumnSubject(Subject):
    """Atomic columns: points."""

    name = "columns"
    kinds = ("column",)

    @functools.cached_property
    def objects(self):
        """The table."""
        table = self.result.table
        table = table[[name for name in table if not name.endswith("_nm")]]
        return table.assign(score=table["probability"], kind="column")

    @property
    def threshold(self):
        """The least likely column's probability."""
        return float(self.objects["score"].min()) if len(self.objects) else 0.0

    def corrected(self, marks, threshold, mask):
        """The result with other columns, over a mask."""
        table = self.joined(self.kept(marks), marks.loc[marks["by_hand"], ["y", "x"]], (["y", "x"], True))
        table = table.drop(columns=["score", "kind"])
        at = table[["y", "x"]].to_numpy(float)
        spacing = float(nearest_distance([at])) if len(at) > 1 else None
        return replace(
            self.result,
            table=self.in_nanometres(table),
            spacing=spacing,
            view=View(self.view.micrograph, mask),
        )


_SUBJECTS = {"Loops": LoopSubject, "Defects": DefectSubject, "Columns": ColumnSubject}


def can_be_edited(result):
    """Whether what a finder returned has objects that can be corrected one by one."""
    return type(result).__name__ in _SUBJECTS


def subject_of(result):
    """Return the subject that a result is.

    Raises
    ------
    TypeError
        If results of its class hold nothing that could be corrected.
    ValueError
        If it was made without its image.
    """
    name = type(result).__name__
    if name not in _SUBJECTS:
        raise TypeError(
            f"a {name} holds no objects to correct one by one; loops, defects and columns can be edited"
        )
    if result.view is None:
        raise ValueError(
            f"this {name} has no image (view=None); edit what stemlib.find_{_SUBJECTS[name].name} returns, or give "
            "the image to from_table"
        )
    return _SUBJECTS[name](result)
