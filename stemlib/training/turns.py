"""The folder in which a training keeps the models of its single turns, to go on there after a cut."""

from __future__ import annotations

import hashlib
import json
import time

from stemlib.io.files import write_atomically


def claim(folder, images, settings, seed):
    """Refuse a folder with models of another training: theirs must not be taken for this one's.

    Parameters
    ----------
    folder : pathlib.Path
        Where the turns of one module lie.
    images : sequence of stemlib.training.images.LabelledImage
    settings : dict
        What that module's training depends on.
    seed : int

    Raises
    ------
    ValueError
        If the folder belongs to other images, settings or another seed.
    """
    digest = hashlib.sha256(json.dumps([settings, seed]).encode())
    for image in images:
        digest.update(image.name.encode() + image.series.encode())
        for array in (image.image, image.loops, image.disputed):
            digest.update(array.tobytes())
    path = folder / "training.txt"
    if path.is_file() and path.read_text(encoding="utf-8") != digest.hexdigest():
        raise ValueError(
            f"{str(folder)!r} holds a training with other images, settings or seed; remove it or name another"
        )
    write_atomically(path, digest.hexdigest())


def minutes(folder):
    """What each turn took, in minutes, earlier calls into the same folder included."""
    path = folder / "minutes.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def note_minutes(folder, name, started):
    """Note what a turn took that started at a time of `time.monotonic`."""
    noted = {**minutes(folder), name: round((time.monotonic() - started) / 60, 2)}
    write_atomically(folder / "minutes.json", json.dumps(noted, indent=1) + "\n")


def named(left_out):
    """Return how a turn is called in file names."""
    return ", ".join(left_out) or "nothing"


def parts_of(images, *, n_parts=3):
    """Divide every series into parts, images of one group together.

    Parameters
    ----------
    images : sequence of stemlib.training.images.LabelledImage
    n_parts : int

    Returns
    -------
    dict of str to set of str
        The names of the images of each part.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> images = [SimpleNamespace(name=n, series="A", group=g) for n, g in ("ax", "bx", "cy", "dz")]
    >>> [sorted(part) for part in parts_of(images, n_parts=2).values()]
    [['a', 'b', 'd'], ['c']]
    """
    part_of = {}
    for series in sorted({image.series for image in images}):
        groups = sorted({image.group for image in images if image.series == series})
        part_of |= {group: number % n_parts for number, group in enumerate(groups)}
    return {
        f"part {part + 1} of {n_parts}": {image.name for image in images if part_of[image.group] == part}
        for part in range(n_parts)
    }
