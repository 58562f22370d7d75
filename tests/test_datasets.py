"""The registry, the splits and the real label files."""

from stemlib.datasets import image_set, loop_images


def test_sets_have_their_published_sizes():
    images = loop_images()
    assert len(images) == 295
    assert len(image_set("six")) == 6
    assert len(image_set("test28")) == 28
    assert set(image_set("six")) <= set(image_set("test28"))
    assert len(image_set("c-nine")) == 9
