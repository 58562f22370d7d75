import numpy as np
import pytest

from stemlib.agreement import boundary_distance, label_accuracy
from stemlib.agreement.domains import near_boundary, resampled

TRUTH = np.repeat(np.repeat([0, 1, 2], 10)[None], 20, axis=0)


def test_labels_may_have_any_names():
    assert label_accuracy(TRUTH, np.choose(TRUTH, [7, 0, 3])) == 1


def test_undecided_pixels_of_a_crystal_are_wrong_and_vacuum_does_not_count():
    found = TRUTH.copy()
    found[:5] = -1
    assert label_accuracy(TRUTH, found) == 0.75
    truth = TRUTH.copy()
    truth[:10] = -1
    assert label_accuracy(truth, found) == 1
    assert label_accuracy(truth, np.full_like(found, -1)) == 0


def test_a_domain_found_in_two_pieces_counts_with_the_larger():
    found = TRUTH.copy()
    found[:5, :10] = 5
    assert label_accuracy(TRUTH, found) == pytest.approx(1 - 50 / 600)


def test_two_domains_found_as_one_count_with_the_larger():
    assert label_accuracy(TRUTH, np.minimum(TRUTH, 1)) == pytest.approx(2 / 3)


def test_pixels_near_boundaries_do_not_count():
    found = np.repeat(np.repeat([0, 1, 2], (12, 8, 10))[None], 20, axis=0)
    assert label_accuracy(TRUTH, found) == pytest.approx(1 - 2 / 30)
    assert label_accuracy(TRUTH, found, band=1.4) < 1
    assert label_accuracy(TRUTH, found, band=1.5) == 1
    assert label_accuracy(TRUTH, found, boundaries=[[(0, 10.5), (19, 10.5)]], band=1.0) == 1
    nobody = np.zeros(TRUTH.shape, bool)
    nobody[:, 10:12] = True
    assert label_accuracy(TRUTH, found, undecided=nobody) == 1
    assert np.isnan(label_accuracy(TRUTH, found, undecided=~np.zeros_like(nobody)))


def test_a_band_is_as_wide_as_stated_on_both_sides():
    near = near_boundary(TRUTH, 3.0)
    assert near[7].tolist() == [7 <= x <= 12 or 17 <= x <= 22 for x in range(30)]
    corner = np.zeros((21, 21), int)
    corner[:10, :10] = 1
    assert not near_boundary(corner, 3.0)[12, 12]
    assert near_boundary(corner, 3.0)[11, 11]


def test_distance_of_lines_counts_what_is_missing_and_what_is_too_much():
    straight = [(0, 0), (0, 100)]
    assert boundary_distance([straight], [[(2, 0), (2, 60), (2, 100)]]) == pytest.approx(2)
    # Half of it is found: from there to the truth nothing, back up to 50 px.
    half = boundary_distance([straight], [[(0, 0), (0, 50)]])
    assert half == pytest.approx(50 / 8, rel=0.02)
    more = boundary_distance([straight], [straight, [(40, 0), (40, 100)]])
    assert more == pytest.approx(10, rel=0.02)
    assert np.isnan(boundary_distance([straight], []))
    assert np.isnan(boundary_distance([], [straight]))


def test_points_along_a_line_are_equally_spaced():
    points = resampled([(0, 0), (0, 3), (4, 3)], step=0.25)
    assert len(points) == 29
    np.testing.assert_allclose(np.linalg.norm(np.diff(points, axis=0), axis=1), 0.25)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"found: its shape \(20, 29\)"):
        label_accuracy(TRUTH, TRUTH[:, 1:])
