"""The loop images: roles, overlap groups and named sets; every label file, and the coordinates that they show."""

import numpy as np
import pandas as pd
import pytest

from stemlib import datasets

EDGES = ["top", "left", "bottom", "right"]
TRAINING_ROLES = ["training", "validation", "size-test"]


def centres(table):
    return np.column_stack([table["top"] + table["bottom"], table["left"] + table["right"]]) / 2


def test_label_files_with_other_copy_endings_are_found():
    files = datasets.label_files("7ROI_100kx_4100CL_foil1.jpg")
    assert files["boxes-b"].endswith("7ROI_100kx_4100CL_foil1 copy.txt")
    assert files["ellipses-b"].endswith("7ROI_100kx_4100CL_foil1 copy_results.csv")
    assert files["boxes-a"].endswith("boxes_a/7ROI_100kx_4100CL_foil1.txt")
    files = datasets.label_files("200kV_500kx_p2nm_8cmCL_grain1_0109 - Copy.jpg")
    assert files["log-b"].endswith("grain1_0109_log.txt")


def test_every_image_has_set_a_and_the_six_have_what_was_published():
    images = datasets.loop_images()
    assert images["label_sets"].str.startswith("A").all()
    six = images[images["role"] == "six"]
    assert six["label_sets"].str.contains("B").sum() == 3
    assert six["ellipse_sets"].str.contains("B").sum() == 2
    assert six["ellipse_sets"].str.contains("C").sum() == 2


def test_files_of_another_image_are_not_offered_and_warn(real_data):
    name = "grid1_roi1_500kx_0p5nm_haadf1_0003.jpg"
    assert datasets.label_sets(name) == ("A", "")
    with pytest.warns(UserWarning, match="describe another image"):
        datasets.read_loop_labels(name, "B")


def test_unknown_names_and_sets_are_errors():
    with pytest.raises(ValueError, match=r"image_name='dalong1\.jpg' is not an image"):
        datasets.read_loop_labels("dalong1.jpg", "B")
    with pytest.raises(ValueError, match="label_set='D' must be"):
        datasets.read_loop_labels("2ROI_100kx_4100CL_foil1.jpg", "D")
    with pytest.raises(ValueError, match=r"2ROI_100kx_4100CL_foil1\.jpg has no labels of set C"):
        datasets.read_loop_labels("2ROI_100kx_4100CL_foil1.jpg", "C")


def test_every_label_file_is_readable_and_inside_its_image(real_data):
    images = datasets.loop_images()
    count = 0
    for name, row in images[images["available"]].iterrows():
        for label_set in row["label_sets"]:
            table = datasets.read_loop_labels(name, label_set)
            box = table[EDGES].to_numpy()
            assert box.min(initial=0) >= -0.5
            assert (box <= np.array([row["height_px"], row["width_px"]] * 2) - 0.5).all()
            assert (box[:, 2:] > box[:, :2]).all()
            assert set(table["class"]) <= {-1, 0, 1, 2, 3, 4, 5, 6}
            assert list(table.index) == list(range(len(table)))
            if label_set in row["ellipse_sets"]:
                drawn = table.dropna(subset="major")
                assert (drawn["major"] >= drawn["minor"]).all()
                assert drawn["angle_deg"].between(0, 180, inclusive="left").all()
                assert len(drawn) >= len(table) - 2
            count += 1
    assert count > 300


def test_published_sides_have_an_exact_inverse_except_where_cut_at_the_edge(real_data):
    images = datasets.loop_images()
    for name in images.index[images["available"]]:
        table = datasets.read_loop_labels(name, "A")
        for low, high in (("top", "bottom"), ("left", "right")):
            drawn = (table[high] - table[low]).to_numpy().astype(int)
            again = drawn + np.clip((3 * drawn + 5) // 10, 5, 15)
            exact = again == table[f"stored_{high}"] - table[f"stored_{low}"]
            assert exact[~table["clipped"]].all()


def test_classes_come_from_the_boxes_where_they_list_the_object(real_data):
    # Its log swaps classes 1 and 2; its boxes do not.
    table = datasets.read_loop_labels("2501_300kx_1nm_clhaadf3_0054.jpg", "B")
    boxes = pd.read_csv(
        datasets.fetch("fecral-loops/labels_b/bounding_boxes/2501_300kx_1nm_clhaadf3_0054.txt"),
        sep=" ",
        header=None,
    )
    assert table["class"].tolist()[: len(boxes)] == boxes[0].tolist()
    # Two of its boxes are of no ellipse, three of its ellipses of no box.
    assert np.flatnonzero(table["major"].isna()).tolist() == [3, 4]
    assert len(table) == len(boxes) + 3
    box = table.loc[0]
    assert (box["top"] + box["bottom"]) / 2 == pytest.approx(box["y"], abs=0.01)


def test_c_classes_come_from_the_log(real_data):
    table = datasets.read_loop_labels("1ROI_100kx_4100CL_foil1.jpg", "C")
    assert table["class"].value_counts().to_dict() == {1: 58, 0: 37, 2: 26}


def test_box_centres_of_the_sets_agree_to_a_fraction_of_a_pixel(real_data):
    images = datasets.loop_images()
    images = images[images["available"] & (images["height_px"] == 1024)]
    shifts = {"B": [], "C": []}
    for name, row in images.iterrows():
        ours = datasets.read_loop_labels(name, "A")
        for label_set in row["label_sets"][1:]:
            other = datasets.read_loop_labels(name, label_set)
            other = centres(other[(other["class"] == 0) & ~other["clipped"]])
            if len(ours) and len(other):
                off = other[None] - centres(ours)[:, None]
                nearest = np.hypot(*off.transpose(2, 0, 1)).argmin(axis=1)
                off = off[np.arange(len(ours)), nearest]
                shifts[label_set].extend(off[np.hypot(*off.T) < 12])
    # Half a pixel in both axes, or swapped axes, would show in the means; 0.1 px is their standard error.
    assert len(shifts["B"]) > 1000
    assert np.abs(np.mean(shifts["B"], axis=0)).max() < 0.4
    assert np.abs(np.mean(shifts["C"], axis=0)).max() < 1.0


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
