"""What corrections are good for: how well the finder did, and a detector that learns from them."""

import stemlib
from stemlib import agreement
from stemlib.loops.ellipses import EDGES, with_edges
from stemlib.workbench.marks import centred_inside


def score(editor, kind=None):
    """Compare what was found with what a person made of it; see `stemlib.workbench.Editor.score`."""
    subject, truth = editor.subject, editor.marks
    found = subject.objects[~(subject.objects["score"] < subject.threshold * subject.bars)]
    found = found[centred_inside(found["y"], found["x"], editor.looked_at)]
    other = truth[:0]
    if kind is not None:
        if kind not in editor.kinds:
            raise ValueError(f"kind={kind!r} must be one of {', '.join(map(repr, editor.kinds))}")
        truth, other = truth[truth["kind"] == kind], truth[truth["kind"] != kind]
        found = found[found["kind"] == kind]
    if not subject.is_elliptic:
        at = (table[["y", "x"]].to_numpy(float) for table in (truth, found))
        return agreement.score(agreement.match_columns(*at, reach_px=subject.reach))
    boxes = [with_edges(table)[EDGES] for table in (truth, found, other)]
    matched = agreement.match(boxes[0], boxes[1], other=boxes[2])
    sizes = agreement.axis_errors(matched, truth["major"], found["major"])
    return agreement.score(matched) | {f"axis_{name}": value for name, value in sizes.items()}


def tune(editors, output, seed):
    """Teach the loop detector what was corrected; see `stemlib.workbench.Editor.tune`."""
    if any(editor.subject.name != "loops" for editor in editors):
        raise TypeError("only the detector of loops learns from corrections; edit what find_loops returns")
    polarities = {editor.found.polarity for editor in editors}
    if len(polarities) > 1:
        raise ValueError(
            "some of these loops are darker than what is around them, some brighter; teach them apart"
        )
    return stemlib.tune_loops(
        [editor.subject.view.micrograph for editor in editors],
        [editor.result.table for editor in editors],
        regions=[editor.looked_at for editor in editors],
        output=output,
        polarity=polarities.pop(),
        seed=seed,
    )
