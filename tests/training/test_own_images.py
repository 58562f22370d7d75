import numpy as np
import pandas as pd

from stemlib.training.own_images import divided, example_of, read_images, without_part

EDGES = ["top", "left", "bottom", "right"]


def squares(seed, n=16, side=320):
    """An image and boxes on a grid in it."""
    rng = np.random.default_rng(seed)
    cells = rng.permutation(25)[:n]
    corners = np.stack(np.divmod(cells, 5), axis=1) * 64.0 + 20
    return rng.integers(0, 256, (side, side), np.uint8), pd.DataFrame(
        np.hstack([corners, corners + 24]), columns=EDGES
    )


def test_only_what_was_looked_at_is_held_against_the_network():
    image, boxes = squares(1)
    read, _ = read_images(image, boxes.iloc[:4], None, "dark")
    looked = read[0].looked
    centres = ((boxes[["top", "left"]].to_numpy() + boxes[["bottom", "right"]].to_numpy()) / 2).astype(int)
    assert looked[tuple(centres[:4].T)].all()
    assert 0.02 < looked.mean() < 0.9


def test_every_label_is_left_out_once():
    images = [squares(n)[0] for n in range(2)]
    labels = [squares(n)[1] for n in range(2)]
    for count in (1, 2):
        read, _ = read_images(images[:count], labels[:count], [np.ones((320, 320), bool)] * count, "dark")
        read = divided(read)
        parts = np.concatenate([one.part for one in read])
        assert set(parts) == {0, 1, 2}


def test_what_is_left_out_is_neither_shown_nor_held_against_the_network():
    image, boxes = squares(3)
    read, _ = read_images(image, boxes, np.ones(image.shape, bool), "dark")
    (one,) = divided(read)
    example = example_of(one, ["loop"], 1.0)
    seen = [without_part(example, one, part, 1.0) for part in range(3)]
    assert sum(len(part.boxes) for part in seen) == 2 * len(boxes)
    for part, shown in enumerate(seen):
        centre = boxes[["top", "left"]].to_numpy().astype(int) + 12
        assert (shown.looked[tuple(centre.T)] == (one.part != part)).all()
    # Every place is left out once.
    assert (sum(part.looked.astype(int) for part in seen) == 2).all()
