import numpy as np
import pytest

from stemlib.loops.scale import USUAL, choose_pixel, octave_and_share, pixel_of


class Detector:
    """Finds, of loops of given diameters, those that are between a third and three times as large as usual."""

    def __init__(self, diameters):
        self.diameters, self.asked = np.asarray(diameters, float), []

    def __call__(self, pixel):
        self.asked.append(pixel)
        seen = self.diameters[(self.diameters / pixel > USUAL / 3) & (self.diameters / pixel < USUAL * 3)]
        boxes = np.stack([np.zeros(len(seen)), np.zeros(len(seen)), seen, seen], axis=1)
        return boxes, np.ones(len(seen))


@pytest.mark.parametrize("diameter, pixel", [(32, 1), (48, 1.5), (100, 3.125), (200, 6.25), (20, 1), (14, 1)])
def test_the_usual_loop_becomes_as_large_as_the_detector_knows(diameter, pixel):
    rng = np.random.default_rng(0)
    detector = Detector(diameter * rng.uniform(0.8, 1.25, 200))
    assert choose_pixel(detector, (4096, 4096)) == pytest.approx(pixel, rel=0.06)


def test_a_few_large_or_small_ones_decide_nothing():
    detector = Detector([*[40.0] * 20, 300, 300, 12])
    assert choose_pixel(detector, (4096, 4096)) == pytest.approx(1.25)


def test_no_image_is_magnified_unasked():
    small = Detector([13.0] * 5)
    assert choose_pixel(small, (1024, 1024)) == 1.0
    assert min(small.asked) == 1


def test_where_nothing_is_found_the_image_is_looked_at_as_it_is():
    assert choose_pixel(Detector([]), (1024, 1024)) == 1.0


def test_no_image_is_reduced_to_nothing():
    assert choose_pixel(lambda pixel: (np.array([[0.0, 0, 900, 900]]), np.ones(1)), (1000, 1000)) == 4.0


def test_diameters_are_magnified_by_whole_octaves():
    assert [pixel_of(d) for d in (64, 33, 31, 17, 16, 9, 5)] == [2, 33 / 32, 1, 1, 0.5, 0.5, 0.25]


def test_octaves_share_the_answer_evenly():
    assert octave_and_share(1.0) == (1.0, 0.0)
    assert octave_and_share(2**1.25) == (2.0, pytest.approx(0.25))
