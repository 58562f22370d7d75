"""The folder in which a training keeps the models of its single turns, to go on there after a cut."""

from __future__ import annotations

import hashlib
import json
import time

from stemlib._files import write_atomically


def claim(folder, images, settings, seed):
    """Refuse a folder with turns of another training: theirs must not be taken for this one's."""
    digest = hashlib.sha256(json.dumps([vars(settings), seed]).encode())
    for image in images:
        digest.update(
            image.name.encode() + image.series.encode() + image.image.tobytes() + image.loops.tobytes()
        )
    path = folder / "turns" / "training.txt"
    if path.is_file() and path.read_text(encoding="utf-8") != digest.hexdigest():
        raise ValueError(
            f"{str(folder / 'turns')!r} holds a training with other images, settings or seed; remove it or name another"
        )
    write_atomically(path, digest.hexdigest())


def minutes(folder):
    """What each turn took, in minutes, earlier calls into the same folder included."""
    path = folder / "turns" / "minutes.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def note_minutes(folder, name, started):
    """Note what a turn took that started at a time of `time.monotonic`."""
    noted = {**minutes(folder), name: round((time.monotonic() - started) / 60, 2)}
    write_atomically(folder / "turns" / "minutes.json", json.dumps(noted, indent=1) + "\n")


def named(left_out):
    """Return how a turn is called in file names."""
    return ", ".join(left_out) or "nothing"
