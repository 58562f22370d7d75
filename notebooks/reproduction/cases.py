"""Images with what people drew on them, real or synthetic, in one form."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from stemlib.datasets import (
    fetch,
    fetch_all,
    image_set,
    label_files,
    loop_images,
    read_316l_labels,
    read_loop_labels,
    steel_316l_images,
)
from stemlib.datasets.registry import local_file
from stemlib.io.micrograph import as_micrograph
from stemlib.synthetic import loop_micrograph

# Roles of images that no shipped weights have seen and no threshold was chosen on.
UNSEEN_ROLES = ("six", "test", "size-test", "316l", "synthetic")


@dataclass(frozen=True, eq=False)
class LoopCase:
    """One image and its labels.

    Attributes
    ----------
    name : str
    source : pathlib.Path, numpy.ndarray or None
        What `stemlib.find_loops` takes; None where the image is not at hand.
    shape : tuple of int
        Height and width, px.
    role : str
        As in `stemlib.datasets.loop_images`, "316l" or "synthetic".
    pixel_size_nm : float or None
    pixel_size_sure : bool
    labels : dict of str to pandas.DataFrame
        Label set ("A", "B", "C") -> table as `stemlib.datasets.read_loop_labels` gives it.
    ellipse_sets : str
        The label sets that hold axes.
    paths : tuple of str
        Registry paths of the image and of the labels read; empty for a synthetic image.
    """

    name: str
    source: Path | np.ndarray | None
    shape: tuple[int, int]
    role: str
    pixel_size_nm: float | None
    pixel_size_sure: bool
    labels: dict[str, pd.DataFrame] = field(default_factory=dict)
    ellipse_sets: str = ""
    paths: tuple[str, ...] = ()

    @property
    def available(self):
        """Whether the image itself is at hand."""
        return self.source is not None

    @property
    def unseen(self):
        """Whether no shipped weights were trained, and no threshold chosen, on this image."""
        return self.role in UNSEEN_ROLES

    def image(self):
        """Return the image, (H, W) float32."""
        return as_micrograph(self.source).image

    def loops(self, label_set):
        """Return one team's open loops: class 0, the truth."""
        table = self.labels[label_set]
        return table[table["class"] == 0].reset_index(drop=True)

    def others(self):
        """Return what team B or C calls a black dot or a closed loop (classes 1 and 2)."""
        tables = [self.labels[name] for name in "BC" if name in self.labels]
        if not tables:
            return pd.DataFrame(columns=["top", "left", "bottom", "right", "class"])
        table = pd.concat(tables, ignore_index=True)
        return table[table["class"].isin([1, 2])].reset_index(drop=True)


def load_cases(name, *, pixel_size_nm=None, n_images=2, side_px=512, seed=0):
    """Return the images of a named set with all their labels; those not at hand have no `source`.

    Parameters
    ----------
    name : str
        A set of `stemlib.datasets.image_set`, "people" (every image that carries two or three label sets),
        "316l" or "synthetic".
    pixel_size_nm : float, optional
        Wins over the registry's, for every image.
    n_images, side_px, seed
        Of "synthetic": see `drawn_cases`.

    Returns
    -------
    list of LoopCase

    Raises
    ------
    ValueError
        If the set is unknown, or a file at hand does not match its checksum.

    Examples
    --------
    >>> [case.name for case in load_cases("synthetic", n_images=1, side_px=256)]
    ['synthetic 1']
    """
    if name == "synthetic":
        return drawn_cases(n_images, side_px=side_px, pixel_size_nm=pixel_size_nm or 0.5, seed=seed)
    if name == "316l":
        return load_steel_cases(pixel_size_nm=pixel_size_nm)
    facts = loop_images()
    if name == "people":
        names = list(facts.index[facts["label_sets"].str.len() > 1])
    else:
        names = image_set(name)
        # Tried once and together: a request per file would wait as often as there are files.
        fetch_all(name)
    return [_loop_case(one, facts.loc[one], pixel_size_nm) for one in names]


def _loop_case(name, facts, pixel_size_nm):
    paths = [facts["path"]] if local_file(facts["path"]) else []
    labels = {}
    for label_set in facts["label_sets"]:
        files = [path for kind, path in label_files(name).items() if kind.endswith(f"-{label_set.lower()}")]
        if all(local_file(path) for path in files):
            labels[label_set] = read_loop_labels(name, label_set)
            paths += files
    known = not np.isnan(facts["pixel_size_nm"])
    return LoopCase(
        name=name,
        source=fetch(facts["path"]) if local_file(facts["path"]) else None,
        shape=(int(facts["height_px"]), int(facts["width_px"])),
        role=facts["role"],
        pixel_size_nm=pixel_size_nm or (float(facts["pixel_size_nm"]) if known else None),
        pixel_size_sure=pixel_size_nm is not None or bool(facts["pixel_size_sure"]),
        labels=labels,
        ellipse_sets="".join(one for one in facts["ellipse_sets"] if one in labels),
        paths=tuple(sorted(paths)),
    )


def load_steel_cases(*, pixel_size_nm=None):
    """Return the images of the 316L set; their masks stand as label set "M", and hold axes.

    Parameters
    ----------
    pixel_size_nm : float, optional
        Wins over the registry's.

    Returns
    -------
    list of LoopCase
        The densely labelled image, ``"test/3.png"``, comes last.

    Raises
    ------
    ValueError
        If a file at hand does not match its checksum.

    Examples
    --------
    >>> len(load_steel_cases())
    17
    """
    fetch_all("316l")
    cases = []
    for name, facts in steel_316l_images().iterrows():
        here = bool(facts["available"])
        known = not np.isnan(facts["pixel_size_nm"])
        cases.append(
            LoopCase(
                name=name,
                source=fetch(facts["path"]) if here else None,
                shape=(int(facts["height_px"]), int(facts["width_px"])),
                role="316l",
                pixel_size_nm=pixel_size_nm or (float(facts["pixel_size_nm"]) if known else None),
                pixel_size_sure=pixel_size_nm is not None,
                labels={"M": read_316l_labels(name)} if here else {},
                ellipse_sets="M" if here else "",
                paths=(facts["path"], facts["mask_path"]) if here else (),
            )
        )
    return cases


def drawn_cases(n_images=2, *, side_px=512, pixel_size_nm=0.5, seed=0):
    """Draw images whose loops are known, with three made-up labellers: the stand-in for real ones.

    A labels every loop by its box, C by its ellipse. B misses about one in eight, draws the others a few per
    cent off, and marks the black dots as class 1.

    Parameters
    ----------
    n_images : int
    side_px : int
        Height and width of each, px.
    pixel_size_nm : float
    seed : int
        Same seed, same images and labels.

    Returns
    -------
    list of LoopCase

    Raises
    ------
    ValueError
        As `stemlib.synthetic.loop_micrograph`.

    Examples
    --------
    >>> case = drawn_cases(1, side_px=256)[0]
    >>> sorted(case.labels), case.available, case.unseen
    (['A', 'B', 'C', 'M'], True, True)
    """
    cases = []
    for number in range(n_images):
        rng = np.random.default_rng([seed, number])
        n_loops = max(3, round(40 * (side_px / 1024) ** 2))
        scene = loop_micrograph(
            (side_px, side_px), n_loops=n_loops, n_black_dots=n_loops, pixel_size_nm=pixel_size_nm, seed=rng
        )
        columns = ["top", "left", "bottom", "right", "y", "x", "major", "minor", "angle_deg"]
        truth = scene.loops[columns].assign(**{"class": 0, "clipped": scene.loops["touches_edge"]})
        cases.append(
            LoopCase(
                name=f"synthetic {number + 1}",
                source=scene.image,
                shape=scene.image.shape,
                role="synthetic",
                pixel_size_nm=scene.pixel_size_nm,
                pixel_size_sure=True,
                labels={"A": truth, "B": _second_labeller(truth, scene.other, rng), "C": truth, "M": truth},
                ellipse_sets="BCM",
            )
        )
    return cases


def _second_labeller(truth, other, rng):
    kept = truth[rng.random(len(truth)) > 0.12].reset_index(drop=True)
    grown = 1 + rng.normal(0, 0.05, len(kept))
    for low, high in (("top", "bottom"), ("left", "right")):
        middle, half = (kept[low] + kept[high]) / 2, (kept[high] - kept[low]) / 2 * grown
        kept[low], kept[high] = middle - half, middle + half
    kept["major"] *= grown
    kept["minor"] *= grown
    dots = other[other["kind"] == "black dot"][["top", "left", "bottom", "right", "y", "x"]]
    return pd.concat([kept, dots.assign(**{"class": 1, "clipped": False})], ignore_index=True)
