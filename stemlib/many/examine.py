"""One image of many: read, looked at and written down, in whatever process."""

import functools
import io
import itertools
import json
import math
import threading
import traceback
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import stemlib
from stemlib.io.forking import one_thread
from stemlib.io.micrograph import Micrograph, chosen, existing_file
from stemlib.io.tables import csv_text
from stemlib.many.reports import VERBS, report

DPI = 150
_ALONE = threading.Lock()


@dataclass(frozen=True, eq=False)
class Task:
    """What to look for, and in which image.

    Parameters
    ----------
    what : str
    settings : dict
        Of the finder.
    pictures : bool
    name : str
        Of the image, in tables.
    frame : int
        Its number among those of its file or stack.
    facts : dict
        What else its record holds.
    path : pathlib.Path or None
        Of its file.
    micrograph : Micrograph or None
        Where there is no file.
    """

    what: str
    settings: dict
    pictures: bool
    name: str
    frame: int
    facts: dict = field(default_factory=dict)
    path: Path | None = None
    micrograph: Micrograph | None = None


@dataclass(frozen=True)
class Findings:
    """What is to be written about one image, ready as files; or why there is nothing to write."""

    table: bytes = b""
    record: bytes = b""
    picture: bytes | None = None
    error: str = ""


def frames_of(path, select=None):
    """Open a file: the numbers of the images in it that are asked for, or the text of the error."""
    from stemlib.io import readers

    try:
        found, _ = _data_sets(existing_file(path), path.stat().st_mtime_ns)
        count = sum(data_set.n_images for data_set in found)
        if select is None and count:
            return list(range(count))
        # Either the one that is meant, or the error that says what there is.
        data_set, index = readers.choose(found, select, path)
        before = itertools.takewhile(lambda one: one is not data_set, found)
        return [sum(one.n_images for one in before) + index]
    except Exception as error:
        return one_line(error)


def examine(task):
    """Find in one image what is sought: `Findings`, errors among them."""
    try:
        return _findings(task)
    except Exception as error:
        return Findings(error=one_line(error))


def examine_on_cluster(task):
    """As `examine`, with one thread and one image at a time, so that results do not depend on how many a worker has."""
    # Warnings are caught for the whole process.
    with _ALONE:
        one_thread()
        return examine(task)


def _findings(task):
    micrograph, said_by_reader = task.micrograph, []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        if micrograph is None:
            found, said_by_reader = _data_sets(task.path, task.path.stat().st_mtime_ns)
            micrograph = chosen(found, task.path, select=task.frame)
        found = getattr(stemlib, VERBS[task.what])(micrograph, **task.settings)
    said = report(task.what, found)
    height, width = micrograph.image.shape
    record = {"image": task.name, "frame": task.frame, **task.facts}
    record |= {"data_set": micrograph.metadata.get("name") or "", "height": height, "width": width}
    record |= {"pixel_size_nm": found.pixel_size_nm, "numbers": said.numbers}
    record["columns"] = list(said.table.columns)
    record["warnings"] = list(dict.fromkeys([*said_by_reader, *_texts(caught)]))
    picture = None
    if task.pictures:
        stream = io.BytesIO()
        said.draw().savefig(stream, format="png", dpi=DPI)
        picture = stream.getvalue()
    text = json.dumps(_finite(record), indent=1, ensure_ascii=False) + "\n"
    return Findings(csv_text(said.table).encode(), text.encode(), picture)


@functools.lru_cache(maxsize=1)
def _data_sets(path, stamp):
    """Data sets of a file of a certain age, and what its reader warns of.

    Those of the last file are kept, so that a movie is not read anew for each image of it.
    """
    from stemlib.io import readers

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        return readers.data_sets(path), _texts(caught)


def _texts(caught):
    """The warnings of what a user can do something about, each on one line."""
    return [" ".join(str(one.message).split()) for one in caught if issubclass(one.category, UserWarning)]


def one_line(error):
    """The text of an error, on one line; of one that no finder raises on purpose, also what and where it is."""
    text = " ".join(str(error).split())
    if isinstance(error, ValueError | TypeError | FileNotFoundError):
        return text
    where = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(where[-1].filename).name}, line {where[-1].lineno})" if where else ""
    return f"{type(error).__name__}: {text}{place}"


def _finite(value):
    """The same for JSON, which has no NaN."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
