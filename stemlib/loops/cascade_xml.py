"""OpenCV's cascade XML, read and written."""

import xml.etree.ElementTree as ElementTree
from functools import lru_cache
from pathlib import Path

import numpy as np

from stemlib.io.files import write_atomically
from stemlib.io.weights import check_card
from stemlib.loops.cascade import Cascade
from stemlib.weights import FOLDER

WEIGHTS = FOLDER / "loop_cascade.xml"


def load_cascade(path: str | Path | None = None) -> Cascade:
    """Read a cascade of local binary patterns from OpenCV's XML.

    Parameters
    ----------
    path : path-like, optional
        The file; by default the cascade that comes with stemlib.

    Returns
    -------
    Cascade

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not XML or not a cascade of boosted local-binary-pattern stumps over a square window.

    Examples
    --------
    >>> load_cascade().n_stages > 1
    True

    References
    ----------
    OpenCV, ``opencv_traincascade``: the format of OpenCV 2.3 and later.
    """
    path = Path(path) if path is not None else WEIGHTS
    if not path.is_file():
        raise FileNotFoundError(
            f"cascade file {str(path)!r} does not exist; give the path of an OpenCV cascade XML file"
        )
    return _load(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _load(path: Path, _changed: int) -> Cascade:
    check_card(path)
    try:
        root = ElementTree.parse(path).getroot().find("cascade")
    except ElementTree.ParseError as error:
        raise ValueError(
            f"cascade file {str(path)!r} is not valid XML ({error}); fetch or train it again"
        ) from None
    try:
        return _parse(root)
    except (AttributeError, TypeError, IndexError, ValueError, OverflowError) as error:
        raise ValueError(
            f"cascade file {str(path)!r} is not an OpenCV cascade of LBP stumps over a square window: {error}"
        ) from None


def _parse(root: ElementTree.Element) -> Cascade:
    kind = (root.findtext("stageType").strip(), root.findtext("featureType").strip())
    if kind != ("BOOST", "LBP"):
        raise ValueError(f"its stages and features are {kind}, not ('BOOST', 'LBP')")
    height, width = int(root.findtext("height")), int(root.findtext("width"))
    if height != width:
        raise ValueError(f"its window is {height} x {width}")
    thresholds, ends, stump_features, subsets, votes = [], [], [], [], []
    for stage in root.find("stages").findall("_"):
        thresholds.append(float(stage.findtext("stageThreshold")))
        for stump in stage.find("weakClassifiers").findall("_"):
            nodes = [int(token) for token in stump.findtext("internalNodes").split()]
            leaves = [float(token) for token in stump.findtext("leafValues").split()]
            if len(nodes) != 11 or len(leaves) != 2:
                raise ValueError("it holds trees deeper than one split")
            stump_features.append(nodes[2])
            subsets.append(nodes[3:])
            votes.append(leaves)
        ends.append(len(votes))
    features = [
        [int(token) for token in f.findtext("rect").split()] for f in root.find("features").findall("_")
    ]
    cascade = Cascade(
        window=width,
        stage_thresholds=np.array(thresholds, np.float32),
        stage_ends=np.array(ends, np.int32),
        features=np.array(features, np.int32).reshape(-1, 4),
        stump_features=np.array(stump_features, np.int32),
        subsets=np.array(subsets, np.int64).astype(np.int32).reshape(-1, 8),
        votes=np.array(votes, np.float32).reshape(-1, 2),
    )
    if not votes or min(stump_features) < 0 or max(stump_features) >= len(features):
        raise ValueError("it has no stages, or a stump whose feature is missing")
    if not (np.isfinite(cascade.stage_thresholds).all() and np.isfinite(cascade.votes).all()):
        raise ValueError("a threshold or a vote is no finite number")
    x, y, block_width, block_height = cascade.features.T
    if (cascade.features < 0).any() or max((x + 3 * block_width).max(), (y + 3 * block_height).max()) > width:
        raise ValueError("a feature reaches out of the window")
    return cascade


def save_cascade(cascade: Cascade, path: str | Path, *, hit_rate: float, false_alarm_rate: float) -> None:
    """Write a cascade as XML that OpenCV's ``CascadeClassifier`` reads; features that no stump uses are dropped.

    Parameters
    ----------
    cascade : Cascade
    path : path-like
        Written in one go: an interrupted call leaves no file, or the old one.
    hit_rate, false_alarm_rate : float
        The targets of each stage in training, kept in the file for the record.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_cascade(
    ...         load_cascade(), pathlib.Path(folder, "loops.xml"), hit_rate=0.997, false_alarm_rate=0.3
    ...     )

    References
    ----------
    OpenCV, ``opencv_traincascade``: the format of OpenCV 2.3 and later.
    """
    used, stump_features = np.unique(cascade.stump_features, return_inverse=True)
    starts = np.concatenate([[0], cascade.stage_ends[:-1]])
    longest = int(np.max(cascade.stage_ends - starts))
    lines = [
        '<?xml version="1.0"?>',
        "<opencv_storage>",
        '<cascade type_id="opencv-cascade-classifier"><stageType>BOOST</stageType>',
        "  <featureType>LBP</featureType>",
        f"  <height>{cascade.window}</height>",
        f"  <width>{cascade.window}</width>",
        "  <stageParams><boostType>GAB</boostType>",
        f"    <minHitRate>{hit_rate!r}</minHitRate>",
        f"    <maxFalseAlarm>{false_alarm_rate!r}</maxFalseAlarm>",
        "    <weightTrimRate>1.</weightTrimRate><maxDepth>1</maxDepth>",
        f"    <maxWeakCount>{longest}</maxWeakCount></stageParams>",
        "  <featureParams><maxCatCount>256</maxCatCount><featSize>1</featSize></featureParams>",
        f"  <stageNum>{cascade.n_stages}</stageNum>",
        "  <stages>",
    ]
    for stage, (start, end) in enumerate(zip(starts, cascade.stage_ends, strict=True)):
        lines.append(f"    <_><maxWeakCount>{end - start}</maxWeakCount>")
        lines.append(f"      <stageThreshold>{cascade.stage_thresholds[stage]:.9e}</stageThreshold>")
        lines.append("      <weakClassifiers>")
        for stump in range(start, end):
            subset = " ".join(str(word) for word in cascade.subsets[stump])
            first, second = cascade.votes[stump]
            lines.append(f"        <_><internalNodes>0 -1 {stump_features[stump]} {subset}</internalNodes>")
            lines.append(f"          <leafValues>{first:.9e} {second:.9e}</leafValues></_>")
        lines.append("      </weakClassifiers></_>")
    lines += ["  </stages>", "  <features>"]
    lines += [f"    <_><rect>{x} {y} {w} {h}</rect></_>" for x, y, w, h in cascade.features[used]]
    lines += ["  </features></cascade>", "</opencv_storage>", ""]
    write_atomically(path, "\n".join(lines))
