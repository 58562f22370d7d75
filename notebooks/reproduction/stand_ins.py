"""Simulated images of known truth, in the place of real ones that are not at hand."""

import numpy as np
import pandas as pd

from stemlib.io.micrograph import Micrograph
from stemlib.synthetic import (
    DarkField,
    OtherDefects,
    PointDefects,
    Recording,
    crystal_image,
    domain_image,
    loop_micrograph,
    material_image,
)

from .cases import ColumnCase, DefectCase, DomainCase, LoopCase

_BRIGHT_CRYSTALS = ("square", "graphene", "perovskite")


def simulated_cases(subject, *, n_images=2, side_px=256, seed=0, **options):
    """Return simulated images of one subject: "loops", "columns", "defects" or "domains".

    `n_images` are as many as there are micrographs of loops, and bright images of columns (a dark one comes on top);
    for defects there are always one with dopants, one with vacancies and a control, for domains one of two phases and
    a single crystal. `side_px` is their height and width. Of loops, `pixel_size_nm` may be given.
    """
    if subject == "loops":
        return [_loops(number, side_px, seed, **options) for number in range(n_images)]
    if subject == "columns":
        return [_columns(number, side_px, seed, dark=number == n_images) for number in range(n_images + 1)]
    if subject == "defects":
        kinds = ("dopants", "vacancies", "control")
        return [_defects(number, kind, side_px, seed) for number, kind in enumerate(kinds)]
    return [
        DomainCase.of(f"synthetic {number}", domain_image(scene, (side_px, side_px), seed=[seed, number]))
        for number, scene in enumerate(("two-phases", "single"), start=1)
    ]


def _loops(number, side_px, seed, pixel_size_nm=0.5):
    """A micrograph with three made-up annotators: A labels every loop by its box, C and M by its ellipse.

    B misses about one in eight, places the others a few per cent off, and marks the black dots as class 1.
    """
    rng = np.random.default_rng([seed, number])
    n_loops = max(3, round(40 * (side_px / 1024) ** 2))
    scene = loop_micrograph(
        (side_px, side_px),
        n_loops=n_loops,
        others=OtherDefects(n_black_dots=n_loops),
        pixel_size_nm=pixel_size_nm,
        seed=rng,
    )
    columns = ["top", "left", "bottom", "right", "y", "x", "major", "minor", "angle_deg"]
    truth = scene.loops[columns].assign(**{"class": 0, "clipped": scene.loops["touches_edge"]})
    return LoopCase(
        f"synthetic {number + 1}",
        scene.image,
        shape=scene.image.shape,
        pixel_size_nm=scene.pixel_size_nm,
        labels={"A": truth, "B": _second_annotator(truth, scene.other, rng), "C": truth, "M": truth},
        ellipse_sets="BCM",
    )


def _second_annotator(truth, other, rng):
    kept = truth[rng.random(len(truth)) > 0.12].reset_index(drop=True)
    grown = 1 + rng.normal(0, 0.05, len(kept))
    for low, high in (("top", "bottom"), ("left", "right")):
        middle, half = (kept[low] + kept[high]) / 2, (kept[high] - kept[low]) / 2 * grown
        kept[low], kept[high] = middle - half, middle + half
    kept["major"] *= grown
    kept["minor"] *= grown
    dots = other[other["kind"] == "black dot"][["top", "left", "bottom", "right", "y", "x"]]
    return pd.concat([kept, dots.assign(**{"class": 1, "clipped": False})], ignore_index=True)


def _columns(number, side_px, seed, *, dark):
    scene = crystal_image(
        "perovskite" if dark else _BRIGHT_CRYSTALS[number % len(_BRIGHT_CRYSTALS)],
        (side_px, side_px),
        spacing=10.0 + 2 * number,
        rotation_deg=17.0 * (number + 1),
        defects=PointDefects(vacancies=0.02),
        recording=Recording(snr=15.0),
        seed=[seed, number],
    )
    return ColumnCase(
        f"synthetic {number + 1}" + (", dark columns" if dark else ""),
        Micrograph(1 - scene.image if dark else scene.image),
        labels=scene.columns[["y", "x"]],
        region=_inside(side_px),
        dark_columns=dark,
    )


def _defects(number, kind, side_px, seed):
    scene = material_image(
        "WSe2 monolayer",
        (side_px, side_px),
        rotation_deg=17.0 * (number + 1),
        defects=PointDefects(vacancies=0.0 if kind == "control" else 0.02),
        recording=DarkField(dose_per_nm2=3e6),
        seed=[seed, number],
    )
    known = {"is_control": kind == "control"}
    if kind == "dopants":
        known["labels"] = _labels_of(scene)
        known["sites"] = {"sites of class 0": (0, 2), "sites of class 1": (1, 3)}
        known["region"] = _inside(side_px)
    elif kind == "vacancies":
        known["marks"] = scene.missing[["y", "x"]].assign(kind="missing", certainty="sure")
    return DefectCase(f"synthetic, {kind}", Micrograph(scene.image, scene.pixel_size_nm), **known)


def _labels_of(scene):
    """Every site as labelled column; the empty ones are the minority, of classes 2 and 3."""
    labels = pd.concat([scene.columns.assign(is_minority=False), scene.missing.assign(is_minority=True)])
    labels["class"] = labels["site"] + 2 * labels["is_minority"]
    return labels[["y", "x", "class", "is_minority"]].reset_index(drop=True)


def _inside(side_px):
    """Polygon a few px inside the image's edges."""
    low, high = 5, side_px - 6
    return np.array([[low, low], [low, high], [high, high], [high, low]], float)
