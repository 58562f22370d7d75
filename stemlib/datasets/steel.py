"""The 316L steel images: a second material, with masks, to test on and never to train on."""

import numpy as np
import pandas as pd
from skimage import io, measure

from stemlib.datasets import formats, registry

_FOLDER = "316l-loops/ds25s"
_SPARSE, _DENSE = "fov200nm", "test"


def steel_316l_images():
    """Return the table of the 17 labelled images of the 316L set.

    Returns
    -------
    pandas.DataFrame
        Indexed by name ("fov200nm/1.png", ..., "test/3.png"): `path`, `mask_path`, `height_px`, `width_px`,
        `dense` (bool: the one image labelled very densely, objects of about 10 px; report it apart),
        `pixel_size_nm` (200 nm over 512 px as the folder's name says, NaN for the dense one),
        `pixel_size_sure` (bool, False: nothing but that name says so), `pixel_size_basis` and `available`
        (bool: image and mask are here).

    Examples
    --------
    >>> from stemlib.datasets import steel_316l_images
    >>> images = steel_316l_images()
    >>> len(images), int(images["dense"].sum())
    (17, 1)
    """
    paths = [path for path in registry.table()["path"] if path.startswith(_FOLDER) and "/imgs/" in path]
    table = pd.DataFrame({"path": paths})
    table["mask_path"] = table["path"].str.replace("/imgs/", "/masks1/")
    table["dense"] = table["path"].str.contains(f"/{_DENSE}/")
    side = np.where(table["dense"], 1024, 512)
    table["height_px"] = table["width_px"] = side
    table["pixel_size_nm"] = np.where(table["dense"], np.nan, 200 / 512)
    table["pixel_size_sure"] = False
    table["pixel_size_basis"] = np.where(table["dense"], "unknown", "name of the folder")
    table["available"] = [
        registry.at_hand(pair) for pair in zip(table["path"], table["mask_path"], strict=True)
    ]
    table.index = table["path"].str.replace(f"{_FOLDER}/", "").str.replace("/imgs/", "/").rename("image")
    # By number, not by digit, so that 2.png stands before 10.png.
    number = table.index.str.extract(r"(\d+)\.png", expand=False).astype(int)
    return table.iloc[np.lexsort([number, table["dense"]])]


def read_316l_labels(name):
    """Read the labelled objects of one image of the 316L set.

    Parameters
    ----------
    name : str
        An index entry of `steel_316l_images`.

    Returns
    -------
    pandas.DataFrame
        One row per connected region of the mask: `top`, `left`, `bottom`, `right` (edges, px, pixel-centre
        coordinates), `class` (0), `clipped` (bool: touches the image's edge), `y`, `x`, `major`, `minor`
        (full axes of the ellipse of equal second moments, px), `angle_deg` (counter-clockwise from +x) and
        `area` (px). In the sparse images, specks of the mask without an annotation are left out; in the
        dense image touching objects are one region.

    Raises
    ------
    ValueError
        If the name is unknown, or the annotation file contradicts the mask.
    FileNotFoundError
        If a file is neither local nor downloadable.

    Examples
    --------
    >>> from stemlib.datasets import read_316l_labels, steel_316l_images
    >>> if steel_316l_images().loc["fov200nm/1.png", "available"]:
    ...     loops = read_316l_labels("fov200nm/1.png")
    """
    images = steel_316l_images()
    if name not in images.index:
        raise ValueError(f"name={name!r} is not an image of the 316L set; steel_316l_images() lists them")
    mask = io.imread(registry.fetch(images.loc[name, "mask_path"])) > 0
    table = _regions(mask)
    if images.loc[name, "dense"]:
        return table
    path = f"{_FOLDER}/{_SPARSE}/clean.json"
    boxes = formats.coco_boxes(
        registry.fetch(path).read_text(encoding="utf-8"), name.split("/")[1], name=path
    )
    # The polygons are coarse, the mask is not: an annotation only says which regions are objects.
    off = np.abs(table[formats.EDGES].to_numpy()[:, None] - boxes[None]).max(axis=2)
    nearest = off.argmin(axis=0)
    if len(set(nearest)) < len(boxes) or off.min(axis=0).max(initial=0) > 3:
        raise ValueError(f"{path}: the boxes of {name} do not fit the regions of its mask one to one")
    return table.iloc[np.sort(nearest)].reset_index(drop=True)


def _regions(mask):
    properties = ("bbox", "centroid", "axis_major_length", "axis_minor_length", "orientation", "area")
    found = measure.regionprops_table(measure.label(mask), properties=properties)
    edges = np.column_stack([found[f"bbox-{i}"] for i in range(4)])
    table = pd.DataFrame(edges - 0.5, columns=formats.EDGES)
    table["class"] = 0
    height, width = mask.shape
    table["clipped"] = (edges[:, :2] <= 0).any(axis=1) | (edges[:, 2:] >= [height, width]).any(axis=1)
    table["y"], table["x"] = found["centroid-0"], found["centroid-1"]
    table["major"], table["minor"] = found["axis_major_length"], found["axis_minor_length"]
    # skimage counts from the row axis, which points down as seen.
    table["angle_deg"] = (np.degrees(found["orientation"]) + 90) % 180
    table["area"] = found["area"].astype(float)
    return table
