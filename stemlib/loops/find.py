"""Dislocation loops of a micrograph: found, screened, measured and counted by `find_loops`."""

import functools
import warnings
from numbers import Real
from pathlib import Path

import numpy as np
import pandas as pd

from stemlib.io.density import number_density
from stemlib.io.masking import masked_micrograph
from stemlib.io.micrograph import as_micrograph, to_uint8
from stemlib.io.result import View
from stemlib.io.tables import with_nanometres
from stemlib.loops import measuring
from stemlib.loops.boxes import COLUMNS, suppress
from stemlib.loops.fcn import SMALLEST_SIDE, margins
from stemlib.loops.likeness import UNLIKE
from stemlib.loops.proposals import PROPOSE, UNNAMED, Proposals, Scene
from stemlib.loops.result import Loops


def find_loops(
    image,
    *,
    method: str = "fcn",
    kinds: str | tuple[str, ...] | None = None,
    diameter: float | None = None,
    diameter_nm: float | None = None,
    polarity: str = "dark",
    pixel_size_nm: float | None = None,
    mask: np.ndarray | None = None,
    threshold: float | None = None,
    thickness_nm: float | None = None,
    weights: dict[str, str | Path] | None = None,
    device: str = "auto",
) -> Loops:
    """Find, screen, measure and count the dislocation loops of a micrograph.

    Parameters
    ----------
    image : path, (H, W) array of any real dtype, Micrograph or HyperSpy Signal2D
        At least 64 px on a side. Images larger than a tile of about 1200 px are searched tile by tile.
    method : {"fcn", "cascade", "log"}
        One fully convolutional network followed by Module III; the published three modules, which know open loops
        alone; or a multi-scale Laplacian of Gaussian, which finds whatever is dark and compact, names nothing and was
        taught nothing. On image series that neither had seen the first two score alike; the modules are several times
        faster on a CPU.
    kinds : tuple of str or "all", optional
        What to return: of ``"loop"`` (open loops), ``"edge-on"``, ``"dot"`` (black dots) and ``"other"`` (seen, not
        named), as far as the method knows them. By default open loops, with ``method="log"`` everything.
    diameter : float, optional
        Diameter of the usual loop, px; by default found from the image, where it is 16 px or more. Loops of a third to
        three times as much are found with it.
    diameter_nm : float, optional
        The same in nm.
    polarity : {"dark", "bright"}
        Whether loops are darker than what is around them, as in bright field, or brighter, as in dark field and weak
        beam.
    pixel_size_nm : float, optional
        Wins over the image's own.
    mask : (H, W) bool, optional
        True where to look; what is elsewhere is not seen, and its area does not count for the density.
    threshold : float, optional
        Score from which on a candidate of any kind counts, 0 to 1; by default, for each kind, the value chosen on
        validation images.
    thickness_nm : float, optional
        Thickness of the foil, for the density per volume.
    weights : dict, optional
        Other model files, by name: ``{"cascade": ..., "screening": ..., "fcn": ...}``; those missing are stemlib's,
        those of the other method are not used.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ...; Module I always runs on the CPU.

    Returns
    -------
    Loops

    Warns
    -----
    UserWarning
        If the image is unlike those that the weights were trained on.

    Raises
    ------
    FileNotFoundError
        If the image or a model file does not exist.
    TypeError
        If `image` is of none of these kinds, or `weights` is no dict.
    ValueError
        If the image is too small, not finite or not two-dimensional, an argument is out of its range, or a model file
        is damaged.

    Examples
    --------
    >>> from stemlib.synthetic import loop_micrograph
    >>> scene = loop_micrograph((512, 512), n_loops=8, seed=3)
    >>> loops = find_loops(scene.image, pixel_size_nm=0.5)
    >>> {"y", "x", "major_nm", "score", "kind"} <= set(loops.table.columns)
    True

    References
    ----------
    Li, Field & Morgan, npj Comput. Mater. 4, 36 (2018), doi:10.1038/s41524-018-0093-8.
    """
    _check_choice("method", method, tuple(PROPOSE))
    _check_choice("polarity", polarity, ("dark", "bright"))
    for name, value, low, high in (
        ("threshold", threshold, 0, 1),
        ("diameter", diameter, 4, np.inf),
        ("diameter_nm", diameter_nm, 0, np.inf),
        ("thickness_nm", thickness_nm, 0, np.inf),
    ):
        _check_range(name, value, low, high)
    weights = _check_weights(weights)
    seen = as_micrograph(image, pixel_size_nm=pixel_size_nm)
    micrograph, mask, ignored = masked_micrograph(seen, mask)
    shape = micrograph.image.shape
    if min(shape) < SMALLEST_SIDE:
        raise ValueError(f"image is {shape[0]} x {shape[1]} px; at least {SMALLEST_SIDE} px a side would do")
    for name, value in (("thickness_nm", thickness_nm), ("diameter_nm", diameter_nm)):
        if value is not None and micrograph.pixel_size_nm is None:
            raise ValueError(f"{name}={value} is of no use without a pixel size; give pixel_size_nm too")
    diameter = _in_px(diameter, diameter_nm, micrograph.pixel_size_nm, shape)
    grey = to_uint8(micrograph.image if polarity == "dark" else -micrograph.image)
    proposals = PROPOSE[method](Scene(grey, mask, diameter, micrograph.pixel_size_nm, weights, device), kinds)
    wanted = _check_kinds(kinds, method, tuple(proposals.thresholds))
    if proposals.fit is not None and proposals.fit < UNLIKE:
        warnings.warn(
            f"image is unlike those trained on (fit {proposals.fit:.1g}), so that what is found may be something else "
            "and what is there be missed: look at the picture, try kinds='all' or method='log', and teach the network "
            "a few dozen labels with stemlib.tune_loops",
            stacklevel=2,
        )
    thresholds = {
        kind: float(chosen if threshold is None else threshold)
        for kind, chosen in proposals.thresholds.items()
    }
    candidates, kept = _sorted_out(proposals, thresholds, wanted, mask)
    table = _measured(grey, proposals, candidates, kept)
    count = functools.partial(
        number_density,
        area=int(mask.sum()),
        pixel_size_nm=micrograph.pixel_size_nm,
        thickness_nm=thickness_nm,
    )
    return Loops(
        table=with_nanometres(table, micrograph.pixel_size_nm, micrograph.origin_nm),
        candidates=candidates.sort_values("probability", ascending=False, ignore_index=True),
        density=count(len(table)),
        densities={kind: count(int((table["kind"] == kind).sum())) for kind in wanted},
        method=method,
        threshold=thresholds[wanted[0]],
        thresholds=thresholds,
        scale=proposals.pixel,
        fit=proposals.fit,
        pixel_size_nm=micrograph.pixel_size_nm,
        shape=shape,
        ignored=ignored,
        view=View(seen, mask),
        polarity=polarity,
    )


def _sorted_out(proposals: Proposals, thresholds, wanted, mask):
    """Table of all candidates with their kinds, and which rows are kept, best first."""
    names = np.array(list(thresholds))
    over = margins(proposals.scores, np.array([max(value, 1e-6) for value in thresholds.values()]))
    named = np.where(names == UNNAMED, -np.inf, over)
    # What is sure of a name has it, however sure it is that there is something.
    has_name = named.max(axis=1) >= 0
    best = np.where(has_name, named.argmax(axis=1), over.argmax(axis=1))
    kind, rows = names[best], np.arange(len(best))
    trust = over[rows, best]
    eligible = _centred_inside(proposals.loop_boxes, mask.shape, mask) & (trust >= 0)
    order = np.argsort(np.lexsort((trust, has_name)))
    kept = suppress(proposals.loop_boxes, order.astype(float), eligible)
    kept = kept[np.isin(kind[kept], wanted)]
    probability = proposals.scores[rows, best]
    kept = kept[np.argsort(-probability[kept], kind="stable")]
    candidates = pd.DataFrame(proposals.boxes, columns=COLUMNS)
    candidates = candidates.assign(probability=probability, kind=kind, accepted=np.isin(rows, kept))
    return candidates.assign(**_scores_of(proposals, rows)), kept


def _scores_of(proposals, rows):
    """The score of every kind, where there are several, by its column."""
    kinds = proposals.thresholds if len(proposals.thresholds) > 1 else ()
    return {f"score_{name}": proposals.scores[rows, number] for number, name in enumerate(kinds)}


def _measured(grey, proposals, candidates, kept):
    """Table of what is kept: loops measured by Module III, all else as large as its box."""
    boxes, kind = proposals.loop_boxes[kept], candidates["kind"].to_numpy()[kept]
    rings = kind == "loop"
    table = measuring.as_boxes_say(boxes, grey.shape)
    if rings.any():
        table.loc[rings] = measuring.measure_loops(grey, boxes[rings]).set_axis(np.flatnonzero(rings))
    at = table.columns.get_loc("touches_edge")
    table.insert(at, "score", candidates["probability"].to_numpy()[kept])
    table.insert(at + 1, "kind", kind)
    return table.assign(**_scores_of(proposals, kept))


def _centred_inside(boxes, shape, mask):
    """Boxes of some extent whose centre lies where to look."""
    centre = np.rint((boxes[:, :2] + boxes[:, 2:]) / 2).astype(int)
    centre = np.clip(centre, 0, np.array(shape) - 1)
    return mask[tuple(centre.T)] & ((boxes[:, 2:] - boxes[:, :2]).min(axis=1) >= 2)


def _in_px(diameter, diameter_nm, pixel_size_nm, shape):
    if diameter is not None and diameter_nm is not None:
        raise ValueError(f"diameter={diameter} and diameter_nm={diameter_nm} are both given; one would do")
    if diameter_nm is not None:
        diameter = diameter_nm / pixel_size_nm
        if diameter < 4:
            raise ValueError(f"diameter_nm={diameter_nm} is {diameter:.2g} px; at least 4 px would do")
    if diameter is not None and diameter > min(shape):
        raise ValueError(
            f"diameter={diameter} px is too large for an image of {shape[0]} x {shape[1]} px; at most its shorter "
            "side would do"
        )
    return diameter


def _check_choice(name, value, known):
    if value not in known:
        raise ValueError(f"{name}={value!r} is not known; {' or '.join(map(repr, known))} would do")


def _check_kinds(kinds, method, known):
    """The kinds to return, of those that the method knows."""
    if kinds is None:
        return ("loop",) if "loop" in known else known
    if isinstance(kinds, str) and kinds == "all":
        return known
    wanted = (kinds,) if isinstance(kinds, str) else tuple(kinds)
    if not wanted or not set(wanted) <= set(known):
        raise ValueError(
            f"kinds={kinds!r} is not known to method={method!r}; 'all' or some of {known} would do"
        )
    return wanted


def _check_range(name, value, low, high):
    if value is None:
        return
    if isinstance(value, bool | np.bool_) or not (isinstance(value, Real) and low <= value <= high):
        raise ValueError(f"{name}={value!r} must be a number between {low} and {high}")


def _check_weights(weights):
    if not isinstance(weights, dict | None):
        raise TypeError(
            f"weights={weights!r} must be a dict of files, such as {{'cascade': 'loop_cascade.xml'}}"
        )
    weights = weights or {}
    unknown = set(weights) - {"cascade", "screening", "fcn"}
    if unknown:
        raise ValueError(f"weights names {sorted(unknown)}; 'cascade', 'screening' and 'fcn' would do")
    return weights
