import cv2
import numpy as np
import pytest

from stemlib.io.unrecorded import unrecorded
from stemlib.synthetic import Recording, crystal_image, loop_micrograph

SIDE = 256


def crystal(seed=0, **options):
    image = crystal_image("perovskite", (SIDE, SIDE), spacing=11, rotation_deg=8, seed=seed, **options).image
    return np.clip((image - image.min()) / np.ptp(image) * 255, 0, 255).astype(np.uint8)


def found(image):
    image = np.asarray(image, np.float32)
    return unrecorded(image, np.ones(image.shape, bool))


def with_bar(image, bar, box=None):
    """Burn a scale bar and its length into an image, on a box or on the crystal; and where they are."""
    marked = image.copy()
    if box is not None:
        cv2.rectangle(marked, (8, 196), (112, 246), box, -1)
    marked[230:238, 20:100] = bar
    cv2.putText(marked, "5 nm", (28, 222), cv2.FONT_HERSHEY_SIMPLEX, 0.7, bar, 2, cv2.LINE_AA)
    return marked, marked != image


def coded(image):
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])[1], cv2.IMREAD_GRAYSCALE)


@pytest.mark.parametrize(("bar", "box"), [(255, None), (0, None), (255, 0), (0, 255)])
@pytest.mark.parametrize("file", [np.array, coded], ids=["as drawn", "JPEG"])
def test_a_bar_and_its_label_are_annotation_and_nothing_else_is(bar, box, file):
    marked, truth = with_bar(np.clip(crystal(), 40, 240), bar, box)
    result = found(file(marked))
    assert set(result) == {"annotation"}
    assert result["annotation"][truth].mean() > 0.97
    assert not (result["annotation"] & ~(cv2.dilate(truth.astype(np.uint8), np.ones((11, 11))) > 0)).any()


@pytest.mark.parametrize("value", [0, 128, 255])
def test_an_info_strip_is_left_out_with_its_text(value):
    image = crystal()
    image[224:] = value
    cv2.putText(image, "HV 200 kV  HAADF", (4, 246), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 255 - value // 2, 1)
    result = np.logical_or.reduce(list(found(image).values()))
    assert result[224:].all()
    assert not result[:221].any()


def test_the_rim_of_a_shifted_image_is_left_out():
    image = crystal()
    image[:20], image[:, -31:] = 0, 0
    rim = found(image)["empty rim"]
    assert rim[:20].all() and rim[:, -31:].all()
    assert not rim[23:, :-34].any()


@pytest.mark.parametrize("angle", [3, 12, 30])
def test_the_rim_of_a_turned_image_is_left_out(angle):
    turn = cv2.getRotationMatrix2D((127.5, 127.5), angle, 1)
    recorded = cv2.warpAffine(np.ones((SIDE, SIDE), np.float32), turn, (SIDE, SIDE)) > 0.999
    rim = found(cv2.warpAffine(crystal(), turn, (SIDE, SIDE)))["empty rim"]
    # Not where the rim ends in wedges of a pixel or two.
    assert rim[cv2.erode((~recorded).astype(np.uint8), np.ones((5, 5)), borderValue=1) > 0].mean() > 0.99
    assert not rim[cv2.erode(recorded.astype(np.uint8), np.ones((9, 9)), borderValue=1) > 0].any()


def test_dead_lines_are_left_out():
    image = crystal().astype(np.float32)
    image[100], image[180:182] = 0, 300
    dead = found(image)["dead lines"]
    assert np.flatnonzero(dead.all(axis=1)).tolist() == [100, 180, 181]
    assert dead.sum() == 3 * SIDE


@pytest.mark.parametrize(
    "image",
    [
        crystal(),
        crystal(recording=Recording(snr=200)),
        np.clip(crystal(), 100, 255),  # black between the columns
        np.clip(crystal(), 0, 120),  # columns burnt out
        np.random.default_rng(0).poisson(0.3, (SIDE, SIDE)),
        loop_micrograph((SIDE, SIDE), n_loops=5, seed=0).image,
        np.full((SIDE, SIDE), 7.0),
        np.fromfunction(lambda y, x: x, (SIDE, SIDE)),
        np.eye(SIDE),
        cv2.GaussianBlur(np.random.default_rng(0).normal(size=(SIDE, SIDE)), (0, 0), 6),
    ],
    ids=[
        "crystal",
        "hardly noisy",
        "dark",
        "burnt out",
        "counts",
        "loops",
        "constant",
        "ramp",
        "diagonal",
        "blurred",
    ],
)
def test_what_was_recorded_stays(image):
    assert not found(image)


def test_real_micrographs_are_whole_but_for_a_bar(real_data):
    from stemlib.io.micrograph import read

    paths = [
        *("field-atomic/acq18.emd", "field-atomic/sto.ser", "field-atomic/ben01.tif", "field-atomic/zj1.jpg"),
        *("wse2-cr/Cr_Cr_ADF2_9.npy", "llto-domains/LLTO.jpg", "cdte-faults/CdTe_Training_Image.tif"),
        *("field-defects/disl_2.jpg", "field-defects/cav_15.jpg"),
        *("fecral-loops/images/200kV_500kx_p2nm_8cmCL_grain1_0012_n.jpg",),
    ]
    for path in paths:
        assert not found(read(real_data / path).image), path
    bar = found(read(real_data / "field-atomic/soot.tif", channel="red").image)
    assert set(bar) == {"annotation"} and 0.004 < bar["annotation"].mean() < 0.01
