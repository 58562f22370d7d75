import numpy as np
import pandas as pd
import pytest

from reproduction.cases import LoopCase
from reproduction.loading import load_cases


def test_simulated_cases_are_the_same_for_the_same_seed_only():
    first, again, other = (
        load_cases("loops", "synthetic", n_images=1, side_px=256, seed=seed)[0] for seed in (3, 3, 4)
    )
    assert np.array_equal(first.source, again.source)
    pd.testing.assert_frame_equal(first.labels["B"], again.labels["B"])
    assert not np.array_equal(first.source, other.source)


def test_the_second_simulated_annotator_misses_some_loops_and_marks_black_dots():
    (case,) = load_cases("loops", "synthetic", n_images=1, side_px=1024, seed=1)
    assert sorted(case.labels) == ["A", "B", "C", "M"] and case.available and case.unseen
    truth, second = case.loops("A"), case.loops("B")
    assert 0.7 * len(truth) < len(second) < len(truth)
    assert set(case.others()["class"]) == {1}
    assert (case.loops("A")["class"] == 0).all()


def test_only_classes_1_and_2_are_told_apart():
    table = pd.DataFrame({"top": 0.0, "left": 0.0, "bottom": 9.0, "right": 9.0, "class": [0, 1, 2, 3, -1]})
    case = LoopCase("a", None, "six", shape=(64, 64), labels={"A": table[:1], "B": table, "C": table})
    assert case.others()["class"].tolist() == [1, 2, 1, 2]
    assert len(case.loops("C")) == 1


def test_an_image_that_is_not_at_hand_is_there_without_its_source(monkeypatch, tmp_path):
    monkeypatch.setenv("STEMLIB_DATA", str(tmp_path))
    monkeypatch.setenv("STEMLIB_CACHE", str(tmp_path))
    cases = load_cases("loops", "six")
    assert len(cases) == 6
    assert not any(case.available or case.labels or case.paths for case in cases)


def test_roles_say_which_images_no_weights_have_seen():
    unseen = {case.role: case.unseen for case in load_cases("loops", "all")}
    assert unseen == {
        "six": True,
        "test": True,
        "size-test": True,
        "training": False,
        "validation": False,
        "excluded": False,
    }


def test_real_cases_carry_labels_scale_and_paths(real_data):
    cases = {case.name: case for case in load_cases("loops", "six")}
    case = cases["1ROI_100kx_4100CL_foil1.jpg"]
    assert sorted(case.labels) == ["A", "B", "C"]
    assert case.ellipse_sets == "BC"
    assert case.image().shape == case.shape == (1024, 1024)
    assert case.pixel_size_sure
    assert "fecral-loops/images/1ROI_100kx_4100CL_foil1.jpg" in case.paths
    assert sum(len(case.loops("A")) for case in cases.values()) == 242
    assert not cases["map8_70kx_onzap_CL4100.jpg"].pixel_size_sure


def test_a_given_pixel_size_wins(real_data):
    assert {case.pixel_size_nm for case in load_cases("loops", "six", pixel_size_nm=0.3)} == {0.3}


def test_annotators_are_compared_on_images_with_two_label_sets_or_more(real_data):
    cases = load_cases("loops", "annotators")
    assert len(cases) > 100
    assert all(len(case.labels) > 1 for case in cases if case.role != "excluded")


def test_steel_cases_hold_masks_and_the_dense_one_comes_last(real_data):
    cases = load_cases("loops", "316l")
    assert len(cases) == 17
    assert cases[-1].name == "test/3.png"
    assert all(len(case.loops("M")) for case in cases)
    assert not any(case.pixel_size_sure for case in cases)


def test_an_unknown_set_is_refused():
    with pytest.raises(ValueError, match="seven"):
        load_cases("loops", "seven")


@pytest.mark.parametrize("subject", ["columns", "defects", "domains"])
def test_an_unknown_set_of_atomic_images_is_refused(subject):
    with pytest.raises(ValueError, match="name='six' must be 'atomic' or 'synthetic'"):
        load_cases(subject, "six")
