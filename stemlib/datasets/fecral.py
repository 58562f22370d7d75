"""The FeCrAl loop set: who trains, who tests, which images show the same area, and what three teams labelled."""

import functools
import re
import warnings

import numpy as np
import pandas as pd

from stemlib.datasets import formats, registry

IMAGE_FOLDER = "fecral-loops/images"
IMAGE_SETS = ("six", "test28", "c-nine", "training", "validation", "size-test", "all")

# The authors' list of test images holds 29 names; their paper evaluates 28 of them.
_NOT_IN_THE_PAPER = "BF X500K, 05 (3).jpg"
# Of its 16 loops, 8 lie on A's loops of ..._0005.jpg and none on A's loops of the image that names the file.
_B_SHOWS_ANOTHER_IMAGE = "grid1_roi1_500kx_0p5nm_haadf1_0003.jpg"
# The box files were written with two decimals.
_SAME_BOX_PX = 0.02


@functools.cache
def facts():
    """Return what is known of every image, which no caller may change."""
    return registry.packaged("loops.csv").set_index("image")


def loop_images():
    """Return the table of all 295 images of the FeCrAl loop set.

    Roles: "six" (the paper's human comparison), "test" (its other test images), "size-test" (training images
    of the authors that carry C ellipses, and their overlap groups), "excluded" (their training images that
    share 12 % or more of their area with a test image, or a strip of 1.5 to 10 % with a test or size-test
    image), "validation" (series 5401 and 2501 less those) and "training" (the rest). No overlap group is split
    between "size-test", "validation" and "training". Strips that training images share with the 23 "test"
    images other than the six are known from 12 % on.

    Returns
    -------
    pandas.DataFrame
        Indexed by image name: `path`, `role`, `excluded_because` (empty where not excluded), `series`, `group`
        (number of the overlap group: images joined by shared area, over any number of steps), `height_px`,
        `width_px`, `pixel_size_nm` (NaN where unknown), `pixel_size_certainty` ("sure", "ambiguous",
        "doubtful" or "unknown"), `pixel_size_sure` (bool), `pixel_size_basis`, `duplicate_of`, `label_sets`
        (subset of "ABC"), `ellipse_sets` (subset of "BC") and `available` (bool: the image is on this machine).

    References
    ----------
    Li, Field & Morgan, npj Comput. Mater. 4, 36 (2018), https://doi.org/10.1038/s41524-018-0093-8

    Examples
    --------
    >>> from stemlib.datasets import loop_images
    >>> images = loop_images()
    >>> len(images), int((images["role"] == "six").sum())
    (295, 6)
    """
    table = facts().copy()
    table.insert(0, "path", [f"{IMAGE_FOLDER}/{name}" for name in table.index])
    table["pixel_size_sure"] = table["pixel_size_certainty"] == "sure"
    table["label_sets"], table["ellipse_sets"] = zip(*map(label_sets, table.index), strict=True)
    table["available"] = [registry.at_hand([path]) for path in table["path"]]
    return table


def image_set(name):
    """Return the image names of a named set, in order.

    Parameters
    ----------
    name : str
        "six", "test28" (the 28 test images of the paper, the six among them), "c-nine" (the nine images with
        published C ellipses), "training", "validation", "size-test" or "all".

    Returns
    -------
    list of str
        Image names, with their ending.

    Raises
    ------
    ValueError
        If the set is unknown.

    Examples
    --------
    >>> from stemlib.datasets import image_set
    >>> len(image_set("test28")), len(image_set("c-nine"))
    (28, 9)
    """
    known = facts()
    if name == "all":
        return list(known.index)
    if name == "test28":
        chosen = known["role"].isin(["six", "test"]) & (known.index != _NOT_IN_THE_PAPER)
    elif name == "c-nine":
        chosen = ["ellipses-c" in label_files(image) for image in known.index]
    elif name in IMAGE_SETS:
        chosen = known["role"] == name
    else:
        raise ValueError(f"name={name!r} is not an image set; use one of {list(IMAGE_SETS)}")
    return list(known.index[chosen])


def label_files(image_name):
    """Return the registered label files of one image, by kind.

    Parameters
    ----------
    image_name : str
        An image of `loop_images`, with its ending.

    Returns
    -------
    dict of str to str
        Keys among "boxes-a", "boxes-b", "ellipses-b", "log-b", "ellipses-c" and "log-c"; values are registry
        paths.

    Raises
    ------
    ValueError
        If the image is unknown.

    Examples
    --------
    >>> from stemlib.datasets import label_files
    >>> label_files("7ROI_100kx_4100CL_foil1.jpg")["log-b"]
    'fecral-loops/labels_b/logs/7ROI_100kx_4100CL_foil1 copy_log.txt'
    """
    if image_name not in facts().index:
        raise ValueError(
            f"image_name={image_name!r} is not an image of the loop set; loop_images() lists them"
        )
    return dict(_files_of_images().get(_stem(image_name), {}))


def label_sets(image_name):
    """Return the label sets of one image, and those of them that hold ellipses.

    Parameters
    ----------
    image_name : str
        An image of `loop_images`, with its ending.

    Returns
    -------
    sets, ellipse_sets : str
        Subsets of "ABC" and "BC". One image's B files that describe another image are left out.

    Raises
    ------
    ValueError
        If the image is unknown.

    Examples
    --------
    >>> from stemlib.datasets import label_sets
    >>> label_sets("grid1_roi2_500kx_0p5nm_haadf1_0047.jpg")
    ('ABC', 'C')
    """
    kinds = set(label_files(image_name))
    if image_name == _B_SHOWS_ANOTHER_IMAGE:
        kinds -= {"boxes-b", "ellipses-b", "log-b"}
    sets = "".join(s for s in "ABC" if {f"boxes-{s.lower()}", f"ellipses-{s.lower()}"} & kinds)
    return sets, "".join(s for s in sets if f"ellipses-{s.lower()}" in kinds)


def read_loop_labels(image_name, label_set):
    """Read one team's labels of one image.

    Parameters
    ----------
    image_name : str
        An image of `loop_images`, with its ending.
    label_set : {"A", "B", "C"}
        A: the 2018 paper's boxes, their enlargement undone. B: a second team's boxes and, for some images,
        ellipses. C: a later expert's ellipses.

    Returns
    -------
    pandas.DataFrame
        One row per object: `top`, `left`, `bottom`, `right` (edges of the drawn extent, px, in pixel-centre
        coordinates, clipped to the image), `class` (int: 0 is the open loop, 1 black dot, 2 closed loop, 3
        to 6 ambiguous; -1 where nobody said) and `clipped` (bool: reached over the edge). A also has
        `stored_top`, ..., the box as published. B and C have `y`, `x`, `major`, `minor` (full axes, px) and
        `angle_deg` (counter-clockwise from +x), NaN where only a box was drawn. ``attrs["files"]`` lists the
        files.

    Raises
    ------
    ValueError
        If the image or the set is unknown, the image has no such labels, or a file is malformed (the message
        names file and row).
    FileNotFoundError
        If a file is neither local nor downloadable.

    Examples
    --------
    >>> from stemlib.datasets import available, read_loop_labels
    >>> if available("six"):
    ...     loops = read_loop_labels("K713_300kx_store4_grid1_0027.jpg", "A")
    """
    files = label_files(image_name)
    if label_set not in ("A", "B", "C"):
        raise ValueError(f"label_set={label_set!r} must be 'A', 'B' or 'C'")
    letter = label_set.lower()
    files = {kind: path for kind, path in files.items() if kind.endswith(f"-{letter}")}
    if not files:
        raise ValueError(f"{image_name} has no labels of set {label_set}; see label_sets of loop_images()")
    if label_set == "B" and image_name == _B_SHOWS_ANOTHER_IMAGE:
        warnings.warn(f"set B's files for {image_name} describe another image", stacklevel=2)
    size = facts().loc[image_name, ["height_px", "width_px"]]
    shape = tuple(map(int, size))
    texts = {kind: registry.fetch(path).read_text(encoding="utf-8-sig") for kind, path in files.items()}
    if label_set == "A":
        table = formats.parse_boxes_a(texts["boxes-a"], shape, name=files["boxes-a"])
    else:
        table = _joined(texts, files, letter, shape)
    table.attrs["files"] = sorted(files.values())
    return table


@functools.cache
def _files_of_images():
    rows = registry.table()
    found = {}
    for path, kind in zip(rows["path"], rows["kind"], strict=True):
        if kind in ("boxes-a", "boxes-b", "ellipses-b", "log-b", "ellipses-c", "log-c"):
            found.setdefault(_stem(path), {})[kind] = path
    return found


def _stem(path):
    stem = re.sub(r"\.(txt|csv|jpg)$", "", path.rsplit("/", 1)[-1])
    # Some label files carry another "copy" ending than their image, or none.
    return re.sub(r"( - Copy| copy)$", "", re.sub(r"_(results|log)$", "", stem))


def _joined(texts, files, letter, shape):
    """Return boxes and ellipses as one table, the class from the box file where that lists the object."""
    columns = [*formats.EDGES, "class", "clipped", *formats.ELLIPSE]
    ellipse_file = f"ellipses-{letter}"
    if ellipse_file not in texts:
        boxes = formats.parse_boxes_b(texts["boxes-b"], shape, name=files["boxes-b"])
        return boxes.reindex(columns=columns).astype(dict.fromkeys(formats.ELLIPSE, np.float64))
    ellipses = formats.parse_imagej_ellipses(texts[ellipse_file], shape, name=files[ellipse_file])
    log = texts.get(f"log-{letter}", "")
    ellipses["class"] = formats.parse_class_log(log, ellipses.index.max())[ellipses.index - 1]
    ellipses = ellipses.reset_index(drop=True)
    if f"boxes-{letter}" not in texts:
        return ellipses[columns]
    boxes = formats.parse_boxes_b(texts["boxes-b"], shape, name=files["boxes-b"])
    row = _ellipse_of_each_box(boxes, ellipses, shape)
    drawn = row >= 0
    boxes = boxes.reindex(columns=columns).astype(dict.fromkeys(formats.ELLIPSE, np.float64))
    boxes.loc[drawn, formats.ELLIPSE] = ellipses.loc[row[drawn], formats.ELLIPSE].to_numpy()
    unboxed = ellipses[~ellipses.index.isin(row)]
    return pd.concat([boxes, unboxed[columns]], ignore_index=True)


def _ellipse_of_each_box(boxes, ellipses, shape):
    """Return the row of the ellipse that each box was made from, -1 where none was.

    The boxes are centroid plus and minus half the bounding rectangle, so the same can be drawn from the
    ellipses.
    """
    half = (ellipses[["bottom", "right"]].to_numpy() - ellipses[["top", "left"]].to_numpy()) / 2
    centre = ellipses[["y", "x"]].to_numpy()
    expected = np.hstack([centre - half, centre + half])
    expected = np.clip(expected, -0.5, np.array([*shape, *shape]) - 0.5)
    off = np.abs(boxes[formats.EDGES].to_numpy()[:, None] - expected[None]).max(axis=2)
    nearest = off.argmin(axis=1)
    return np.where(off.min(axis=1) <= _SAME_BOX_PX, nearest, -1)
