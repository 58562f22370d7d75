"""What each method proposes for loops in a micrograph: boxes, what they may be, and at which scale they were found."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np

from stemlib.loops import blobs, fcn, screening
from stemlib.loops.candidates import find_candidates
from stemlib.loops.cascade_xml import load_cascade
from stemlib.loops.likeness import fit_of
from stemlib.loops.scale import choose_pixel, octave_and_share, pixel_of
from stemlib.loops.tiling import middle, resampled

REPORTED = 0.02  # the network's peaks of a lower score are noise, not candidates
UNNAMED = "other"  # kind of what is seen and not named


@dataclass(frozen=True, eq=False)
class Scene:
    """What is searched, and how.

    Parameters
    ----------
    grey : (H, W) uint8
        Loops dark.
    mask : (H, W) bool
        True where to look.
    diameter : float or None
        Of the usual loop, px; None: found from the image.
    pixel_size_nm : float or None
    weights : dict
        Model files by name.
    device : str
    """

    grey: np.ndarray
    mask: np.ndarray
    diameter: float | None
    pixel_size_nm: float | None
    weights: dict
    device: str

    def pixel(self, found, *, usual=None, sees_all: bool = False) -> float:
        """Return the size of a detector's px, px of the image; `usual` is the diameter that its weights were taught."""
        diameter = usual if self.diameter is None else self.diameter
        if diameter is not None:
            return pixel_of(diameter)
        return choose_pixel(found, self.grey.shape, sees_all=sees_all)

    def middle(self, pixel: float) -> Scene:
        """Return the middle of the scene, enough of it to tell the scale by."""
        part = middle(self.grey.shape, pixel)
        if self.grey[part].shape == self.grey.shape or not self.mask[part].any():
            return self
        return replace(self, grey=self.grey[part], mask=self.mask[part])


@dataclass(frozen=True, eq=False)
class Proposals:
    """What a method proposes.

    Parameters
    ----------
    boxes : (N, 4) float
        As proposed, ``top, left, bottom, right``, px.
    loop_boxes : (N, 4) float
        The objects' own extents, px.
    scores : (N, K) float
        Of each kind, 0 to 1.
    thresholds : dict
        Kind -> the score from which on it counts, in the order of `scores`.
    pixel : float
        Size of the detector's px, px of the image.
    fit : float or None
        See `stemlib.loops.likeness.fit_of`.
    """

    boxes: np.ndarray
    loop_boxes: np.ndarray
    scores: np.ndarray
    thresholds: dict[str, float]
    pixel: float
    fit: float | None = None


def propose_fcn(scene: Scene, kinds) -> Proposals:
    """Ask the fully convolutional network, at the scale at which the kinds that are sought are as large as it knows."""
    network = fcn.CentreNet.load(scene.weights.get("fcn"), scene.device)
    thresholds = network.thresholds
    sought = [kind in (kinds or thresholds) for kind in thresholds]

    @functools.lru_cache(maxsize=8)
    def everything(pixel, part=None):
        seen = scene if part is None else part
        floor = dict.fromkeys(thresholds, REPORTED)
        return fcn.detect_fcn(seen.grey, network, pixel=pixel, thresholds=floor, mask=seen.mask)

    def found(pixel):
        part = scene.middle(pixel)
        boxes, scores = everything(pixel) if part is scene else everything(pixel, part)
        sure = (scores >= list(thresholds.values())) & sought
        best = np.where(sure, scores, 0).max(axis=1, initial=0)
        return boxes[best > 0], best[best > 0]

    usual = network.settings.get("diameter")
    if scene.pixel_size_nm is not None and "diameter_nm" in network.settings:
        usual = network.settings["diameter_nm"] / scene.pixel_size_nm
    pixel = scene.pixel(found, usual=usual)
    boxes, scores = everything(pixel)
    return Proposals(boxes, boxes, scores, thresholds, pixel, _fit(scene, network, pixel))


def _fit(scene, network, pixel):
    """How like those trained on the middle of the scene is."""
    part = scene.middle(pixel)
    frame, seen = resampled(np.float32(part.grey), pixel), resampled(part.mask.view(np.uint8), pixel) > 0
    return fit_of(network, fcn.standardise(frame, seen), seen) if seen.any() else None


def propose_cascade(scene: Scene, kinds) -> Proposals:
    """Ask Modules I and II, which know open loops alone."""
    cascade = load_cascade(scene.weights.get("cascade"))
    network = screening.ScreeningNetwork.load(scene.weights.get("screening"), scene.device)
    threshold = network.settings["threshold"]

    @functools.lru_cache(maxsize=4)
    def everything(pixel, part=None):
        seen = scene if part is None else part
        working = resampled(seen.grey, pixel)
        mask = resampled(seen.mask.view(np.uint8), pixel).view(bool)
        found, _ = find_candidates(cascade, working)
        probability, refined = screening.screen(working, found, network, mask)
        scale = np.tile(np.array(seen.grey.shape) / working.shape, 2)
        boxes, loop_boxes = ((b + 0.5) * scale - 0.5 for b in (found, refined))
        return boxes, np.clip(loop_boxes, -0.5, np.array(seen.grey.shape * 2) - 0.5), probability

    def found(pixel):
        part = scene.middle(pixel)
        _, boxes, probability = everything(pixel) if part is scene else everything(pixel, part)
        sure = probability >= threshold
        return boxes[sure], probability[sure]

    # Module I itself searches all larger windows, so that whole octaves will do.
    pixel = octave_and_share(scene.pixel(found, sees_all=True))[0]
    boxes, loop_boxes, probability = everything(pixel)
    # The modules were trained on the images of the network, which alone keeps what is known of them.
    own = not {"cascade", "screening"} & set(scene.weights)
    fit = _fit(scene, fcn.CentreNet.load(None, scene.device), pixel) if own else None
    return Proposals(boxes, loop_boxes, probability[:, None], {"loop": threshold}, pixel, fit)


def propose_log(scene: Scene, kinds) -> Proposals:
    """Look for dark blobs, which nothing has taught what they are, over three octaves around the usual diameter."""
    pixel = 1.0 if scene.diameter is None else pixel_of(scene.diameter)
    boxes, scores = blobs.find_blobs(scene.grey, scene.mask, pixel=pixel)
    return Proposals(boxes, boxes, scores[:, None], {UNNAMED: blobs.LEAST}, pixel)


PROPOSE = {"fcn": propose_fcn, "cascade": propose_cascade, "log": propose_log}
