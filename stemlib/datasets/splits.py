"""The FeCrAl loop images: who trains, who tests, and which images show the same area."""

from stemlib.datasets import labels, registry

IMAGE_SETS = ("six", "test28", "c-nine", "training", "validation", "size-test", "all")

# The authors' list of test images holds 29 names; their paper evaluates 28 of them.
_NOT_IN_THE_PAPER = "BF X500K, 05 (3).jpg"


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
    table = registry.image_facts().copy()
    table.insert(0, "path", [f"{registry.IMAGE_FOLDER}/{name}" for name in table.index])
    table["pixel_size_sure"] = table["pixel_size_certainty"] == "sure"
    table["label_sets"], table["ellipse_sets"] = zip(*map(labels.label_sets, table.index), strict=True)
    table["available"] = [registry.local_file(path) is not None for path in table["path"]]
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
    facts = registry.image_facts()
    if name == "all":
        return list(facts.index)
    if name == "test28":
        chosen = facts["role"].isin(["six", "test"]) & (facts.index != _NOT_IN_THE_PAPER)
    elif name == "c-nine":
        chosen = ["ellipses-c" in labels.label_files(image) for image in facts.index]
    elif name in IMAGE_SETS:
        chosen = facts["role"] == name
    else:
        raise ValueError(f"name={name!r} is not an image set; use one of {list(IMAGE_SETS)}")
    return list(facts.index[chosen])


def leave_one_series_out():
    """Yield every series of the training and validation images once as the one left out.

    Yields
    ------
    series : str
        The series left out.
    train_names, test_names : list of str
        Image names; no overlap group has members in both.

    Examples
    --------
    >>> from stemlib.datasets import leave_one_series_out
    >>> [series for series, train, test in leave_one_series_out()][:3]
    ['0501', '100kx', '200kV']
    """
    facts = registry.image_facts()
    facts = facts[facts["role"].isin(["training", "validation"])]
    for series in sorted(facts["series"].unique()):
        test = facts[facts["series"] == series]
        train = facts[(facts["series"] != series) & ~facts["group"].isin(test["group"])]
        yield series, list(train.index), list(test.index)
