"""Roles, overlap groups and named sets of the loop images."""

import pandas as pd
import pytest

from stemlib import datasets

TRAINING_ROLES = ["training", "validation", "size-test"]


def test_sets_have_their_published_sizes():
    images = datasets.loop_images()
    assert len(images) == 295
    assert images["role"].value_counts()[["six", "test", "excluded"]].tolist() == [6, 23, 54]
    assert images["role"].value_counts()[["training", "validation"]].tolist() == [160, 18]
    assert len(datasets.image_set("six")) == 6
    assert len(datasets.image_set("test28")) == 28
    assert set(datasets.image_set("six")) < set(datasets.image_set("test28"))
    assert "BF X500K, 05 (3).jpg" not in datasets.image_set("test28")
    assert len(datasets.image_set("all")) == 295
    with pytest.raises(ValueError, match="name='seven' is not an image set"):
        datasets.image_set("seven")


def test_c_nine_are_seven_training_images_and_two_of_the_six():
    roles = datasets.loop_images().loc[datasets.image_set("c-nine"), "role"]
    assert roles.value_counts().to_dict() == {"size-test": 7, "six": 2}


def test_no_group_is_split_between_training_validation_and_size_test():
    images = datasets.loop_images()
    roles = images[images["role"].isin(TRAINING_ROLES)].groupby("group")["role"].nunique()
    assert (roles == 1).all()
    validation = images[images["role"] == "validation"]
    assert set(validation["series"]) == {"5401", "2501"}
    rest = images[images["series"].isin(["5401", "2501"]) & ~images["role"].isin(["validation", "size-test"])]
    assert set(rest["role"]) <= {"six", "test", "excluded"}


def test_groups_and_exclusions_follow_from_the_measured_overlaps(real_data):
    if not (real_data / "fecral-loops" / "overlaps.csv").is_file():
        pytest.skip("needs the overlaps.csv that the development data come with")
    images = datasets.loop_images()
    overlaps = pd.read_csv(real_data / "fecral-loops" / "overlaps.csv")
    pairs = list(zip(overlaps["image"], overlaps["other"], strict=True))
    sizes = pd.read_csv(real_data / "fecral-loops" / "pixel_sizes.csv", keep_default_na=False)
    pairs += [
        pair
        for pair in zip(sizes["image"], sizes["duplicate_of"], strict=True)
        if set(pair) <= set(images.index)
    ]
    # Label propagation is another way to connected components than the one the table was made with.
    label = {name: i for i, name in enumerate(images.index)}
    for _ in range(len(images)):
        before = dict(label)
        for one, other in pairs:
            label[one] = label[other] = min(label[one], label[other])
        if label == before:
            break
    expected = pd.Series(label)
    assert (images.groupby("group").apply(lambda g: expected[g.index].nunique()) == 1).all()
    assert images["group"].nunique() == expected.nunique()
    test = set(images.index[images["role"].isin(["six", "test"])])
    beside_test = {a for pair in pairs for a in pair if set(pair) & test} - test
    wide = images["excluded_because"] == "shares 12 % or more of its area with a test image"
    assert beside_test == set(images.index[wide])


def test_every_exclusion_has_its_reason():
    images = datasets.loop_images()
    assert ((images["role"] == "excluded") == (images["excluded_because"] != "")).all()
    narrow = images["excluded_because"].str.startswith("shares 1.5 to 10 % of its area")
    assert narrow.sum() == 25
    # The six and the size-test images are at hand, and so are their neighbours.
    assert narrow["5401_300kx_1nm_clhaadf3_0016.jpg"]


def test_pixel_sizes_that_are_not_sure_show_as_such():
    images = datasets.loop_images()
    seventy = images[images.index.str.contains("70kx")]
    assert not seventy["pixel_size_sure"].any()
    assert seventy["pixel_size_nm"].isna().all()
    assert (images[images["series"] == "BF X500K"]["pixel_size_certainty"] == "ambiguous").all()
    assert images.loc["dislocationmapsurvey_20kx.jpg", "pixel_size_certainty"] == "unknown"
    grain2 = images.loc["200kV_500kx_p2nm_8cmCL_grain2_0036.jpg"]
    assert grain2["pixel_size_sure"]
    assert grain2["pixel_size_nm"] * grain2["width_px"] == pytest.approx(490, abs=0.5)
    assert images["pixel_size_nm"][images["pixel_size_sure"]].notna().all()


def test_changing_the_table_changes_nobody_elses():
    images = datasets.loop_images()
    images["role"] = "training"
    assert len(datasets.image_set("six")) == 6
