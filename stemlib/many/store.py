"""The folder of a batch: what is finished in it, one image at a time, and the tables of all."""

import hashlib
import json
import os
import shutil
import uuid
from pathlib import Path

import numpy as np
import pandas as pd
from packaging.version import Version

import stemlib
from stemlib.io.files import write_atomically
from stemlib.io.tables import csv_text, write_csv

_HEADER, _LOCK, _IMAGES = "batch.json", ".lock", "images"
_UNFINISHED = ".unfinished-"


class Store:
    """The folder that a batch writes to; as a context manager it keeps all other batches out.

    Every image has a folder of its own, ``images/NAME`` or, of a movie, ``images/NAME/NUMBER``, with its table, its
    picture and its record. It appears at once, with all of them.

    Parameters
    ----------
    path : path-like
    header : dict
        What was sought and with which settings, as `described` returns it.

    Raises
    ------
    ValueError
        If another batch is writing to the folder, or the folder holds anything but results of the same header.
    """

    def __init__(self, path, header):
        self.path, self._header = Path(path), header

    def __enter__(self):
        from filelock import FileLock, Timeout

        if self.path.exists() and not self.path.is_dir():
            raise ValueError(f"output={str(self.path)!r} is a file; give a folder")
        self._check()
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self.path / _LOCK, timeout=0)
        try:
            self._lock.acquire()
        except Timeout:
            raise ValueError(
                f"output={str(self.path)!r} is being written by another batch; wait for it or give another folder"
            ) from None
        write_atomically(self.path / _HEADER, json.dumps(self._header, indent=1) + "\n")
        for left in self.path.rglob(f"{_UNFINISHED}*"):
            shutil.rmtree(left, ignore_errors=True)
        return self

    def __exit__(self, *_):
        self._lock.release()

    def _check(self):
        header = self.path / _HEADER
        if not header.is_file():
            # The lock alone is what a batch leaves that was ended before it began.
            if self.path.is_dir() and {one.name for one in self.path.iterdir()} - {_LOCK}:
                raise ValueError(
                    f"output={str(self.path)!r} holds other things; give a folder that is empty or new"
                )
            return
        before = json.loads(header.read_text(encoding="utf-8"))
        if before != self._header:
            differ = sorted(
                key for key in before.keys() | self._header.keys() if before.get(key) != self._header.get(key)
            )
            said = "; ".join(
                f"{key} {before.get(key)!r}, not {self._header.get(key)!r}"
                for key in differ
                if key != "settings"
            )
            if "settings" in differ:
                said = "; ".join(
                    filter(None, [said, _differences(before["settings"], self._header["settings"])])
                )
            raise ValueError(
                f"output={str(self.path)!r} holds results of other settings ({said}); give another folder"
            )

    def place(self, name, frame=None):
        """Folder of an image; of one in a movie with its number."""
        folder = self.path / _IMAGES / Path(name)
        return folder if frame is None else folder / f"{frame:04d}"

    def record(self, name, frame, identity):
        """Record of an image that is finished; None where it is not, or its file has changed since."""
        record = _record(self.place(name, frame))
        return record if record is not None and record["identity"] == identity else None

    def any_record(self, name, identity):
        """Record of one image of a file, whichever is finished."""
        place = self.place(name)
        numbered = sorted(one for one in place.glob("[0-9]*") if one.is_dir()) if place.is_dir() else []
        found = (
            self.record(name, frame, identity) for frame in (None, *(int(one.name) for one in numbered[:1]))
        )
        return next(filter(None, found), None)

    def publish(self, name, frame, findings):
        """Write what was found in an image, all of it at once; its record is returned."""
        stem = Path(name).stem if frame is None else f"{Path(name).stem}-{frame:04d}"
        return publish_findings(self.place(name, frame), stem, findings)

    def write_tables(self, what, rows):
        """Write the table of all objects and that of all images, whole.

        Parameters
        ----------
        what : str
        rows : list of dict
            One per image in order: its record, or `image`, `frame` and `error`.

        Returns
        -------
        summary : pandas.DataFrame
            One row per image.
        columns : list of str
            Of the table of all objects.
        """
        summary = _summary(rows)
        write_csv(summary, self.path / "images.csv")
        done = [row for row in rows if "columns" in row]
        columns = ["image", "frame", *dict.fromkeys(name for row in done for name in row["columns"])]

        def write(path):
            with open(path, "w", encoding="utf-8", newline="") as file:
                file.write(csv_text(pd.DataFrame(columns=columns)))
                for row in done:
                    table = read_table(self._table_of(row), row["columns"])
                    table = table.assign(image=row["image"], frame=row["frame"]).reindex(columns=columns)
                    file.write(csv_text(table, header=False))

        write_atomically(self.path / f"{what}.csv", write)
        return summary, columns

    def _table_of(self, row):
        place = self.place(row["image"], row["frame"] if row["n_images"] > 1 else None)
        return next(place.glob("*.csv"))


def publish_findings(place, stem, findings):
    """Write table, record and picture of an image to a folder, with names that start alike; its record is returned."""
    files = {f"{stem}.csv": findings.table, f"{stem}.json": findings.record}
    if findings.picture is not None:
        files[f"{stem}.png"] = findings.picture
    publish(place, files)
    return json.loads(findings.record)


def publish(place, files):
    """Write the files of a folder, texts or bytes by name, so that all of them are there or none.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp()) / "image"
    >>> publish(folder, {"image.csv": b"y,x", "image.json": b"{}"})
    >>> sorted(one.name for one in folder.iterdir())
    ['image.csv', 'image.json']
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    unfinished = place.parent / f"{_UNFINISHED}{uuid.uuid4().hex}"
    try:
        unfinished.mkdir()
        for name, content in files.items():
            (unfinished / name).write_bytes(content)
        if place.exists():
            # Folders cannot be exchanged in one step: for a moment there is none.
            old = place.parent / f"{_UNFINISHED}{uuid.uuid4().hex}"
            os.rename(place, old)
            os.rename(unfinished, place)
            shutil.rmtree(old, ignore_errors=True)
        else:
            os.rename(unfinished, place)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


# Before pandas 3.1, what it reads by default may differ from what was written in the last digit.
_EXACT = {} if Version(pd.__version__) >= Version("3.1") else {"float_precision": "round_trip"}


def read_table(path, columns):
    """Read a table with units in its header, under the names that its columns have in Python."""
    kinds = {"dtype": {"image": str}, "keep_default_na": False, "na_values": [""]}
    return pd.read_csv(path, header=0, names=columns, **kinds, **_EXACT)


def described(what, settings, **facts):
    """What was sought and how, as JSON can hold it: arrays and files by their checksums.

    Examples
    --------
    >>> described("loops", {"threshold": 0.5})["settings"]
    {'threshold': 0.5}
    """
    return {
        "what": what,
        "stemlib": stemlib.__version__,
        "settings": {key: _plain(key, value) for key, value in sorted(settings.items())},
        **{key: _plain(key, value) for key, value in facts.items()},
    }


def _plain(key, value):
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {str(name): _plain(key, one) for name, one in sorted(value.items())}
    if isinstance(value, list | tuple):
        return [_plain(key, one) for one in value]
    if isinstance(value, np.ndarray):
        return f"array {value.shape} {value.dtype} {hashlib.sha256(np.ascontiguousarray(value)).hexdigest()}"
    if isinstance(value, str | os.PathLike):
        path = Path(value)
        if key == "weights" and path.is_file():
            return f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        return str(value)
    raise TypeError(
        f"{key}={value!r} cannot be kept with the results; give a number, a text, an array or a file"
    )


def _differences(before, after):
    keys = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
    return "; ".join(f"{key}={before.get(key)!r}, not {after.get(key)!r}" for key in keys)


def _record(place):
    """The record in the folder of an image; None where it is not finished."""
    found = list(place.glob("*.json")) if place.is_dir() else []
    return json.loads(found[0].read_text(encoding="utf-8")) if len(found) == 1 else None


def _summary(rows):
    facts = ("image", "frame", "data_set", "height", "width", "pixel_size_nm")
    listed = []
    for row in rows:
        listed.append({key: row.get(key) for key in facts} | row.get("numbers", {}))
        listed[-1]["warnings"] = " | ".join(row.get("warnings", []))
        listed[-1]["error"] = row.get("error", "")
    summary = pd.DataFrame(listed)
    # Numbers that an image lacks may make others' columns come after them.
    numbers = [name for name in summary if name not in (*facts, "warnings", "error")]
    summary = summary[[*facts, *numbers, "warnings", "error"]]
    # Counts stay whole numbers, whether or not an image has none.
    counts = [name for name in numbers if all(isinstance(row.get(name), int | None) for row in listed)]
    return summary.astype(dict.fromkeys(("frame", "height", "width", *counts), "Int64"))
