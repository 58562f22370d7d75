"""Any finder on many images, in folders, stacks and movies, by several processes or a cluster: `batch`."""

import difflib
import inspect
import os
import warnings
from collections import deque
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import stemlib
from stemlib.io.micrograph import check_positive
from stemlib.many.examine import Task, examine, examine_on_cluster, frames_of, one_line
from stemlib.many.reports import VERBS
from stemlib.many.result import Batch
from stemlib.many.sources import File, Stack, expand, identity_of
from stemlib.many.store import Store, described
from stemlib.many.workers import TookTooLongError, WorkerError, Workers


def batch(
    source,
    what,
    *,
    output,
    workers=None,
    client=None,
    select=None,
    pictures=True,
    reading_limit_s=60.0,
    **settings,
):
    """Find loops, defects, columns, lattices or domains in many images, and write them to a folder.

    Called again with the same arguments, it goes on where it ended, however it ended: what is finished stays, what is
    new, has changed or failed is done. Tables do not depend on the number of processes, nor on which image is done
    first.

    Parameters
    ----------
    source : path-like, array_like, HyperSpy signal, or list of these
        A folder (of images; what lies in folders below needs a pattern), a pattern such as ``"day1/**/*.dm4"``, a file
        with one image or many, an array (..., height, width), dask's too, or a signal, lazy or not.
    what : {"loops", "defects", "columns", "lattice", "domains"}
        For which of `stemlib.find_loops`, ... is called.
    output : path-like
        Folder to write to, new or of an earlier call with the same settings.
    workers : int, optional
        Processes on this machine, each with one thread; by default one for each processor.
    client : distributed.Client, optional
        Of a Dask cluster, which does the work instead, one image per worker at a time. Its workers read the files by
        the same paths.
    select : int or str, optional
        Which image of each file, as for `stemlib.read`; by default all.
    pictures : bool
        Whether to draw every image with what was found.
    reading_limit_s : float
        Longest time for opening one file; one that takes longer counts as damaged.
    **settings
        Of the finder, the same for all images: ``pixel_size_nm=0.02``, ``false_alarms=0.1``, ...

    Returns
    -------
    Batch

    Raises
    ------
    FileNotFoundError
        If there are no such images. Of those in a list, the missing ones are listed in `Batch.errors`.
    TypeError, ValueError
        If an argument or the name of a setting is no good, or `output` holds other things, results of other settings
        among them.

    Warns
    -----
    UserWarning
        If there are images in which nothing could be sought; `Batch.errors` says why.

    Examples
    --------
    >>> import tempfile
    >>> from stemlib.synthetic import crystal_image
    >>> movie = [crystal_image("square", (96, 96), spacing=9, seed=seed).image for seed in range(3)]
    >>> found = batch(np.stack(movie), "lattice", output=tempfile.mkdtemp(), workers=1)
    >>> found.summary[["image", "frame"]].to_numpy().tolist(), found.summary["a"].round().tolist()
    ([['image', 0], ['image', 1], ['image', 2]], [9.0, 9.0, 9.0])
    """
    check_settings(what, settings)
    reading_limit_s = check_positive(reading_limit_s, "reading_limit_s")
    number = _number_of(workers, client)
    header = described(what, settings, select=select, pictures=bool(pictures))
    sources = expand(source)
    with Store(output, header) as store, Workers(number) as processes:
        run = _Run(store, processes, client, (what, settings, bool(pictures)))
        rows = run.through(sources, select, reading_limit_s)
        summary, columns = store.write_tables(what, rows)
    found = Batch(what, Path(output), summary, columns)
    if len(found.errors):
        warnings.warn(
            f"{len(found.errors)} of {len(summary)} images failed, the first, {found.errors.image[0]!r}, because: "
            f"{found.errors.error[0]}; the result's .errors lists them all",
            stacklevel=2,
        )
    return found


def check_settings(what, settings):
    """Raise an error where a finder is not known, or does not take a setting."""
    if what not in VERBS:
        raise ValueError(f"what={what!r} is not known; one of {', '.join(map(repr, VERBS))} would do")
    allowed = list(inspect.signature(getattr(stemlib, VERBS[what])).parameters)[1:]
    for name in settings:
        if name not in allowed:
            near = difflib.get_close_matches(name, allowed, 1) or allowed
            raise TypeError(f"{name} is no setting of find_{what}; {', '.join(near)} would do")
    if isinstance(settings.get("seed"), np.random.Generator):
        raise TypeError("seed must be a whole number: results must not depend on which image is done first")


def _number_of(workers, client):
    if client is not None:
        if workers is not None:
            raise ValueError(f"workers={workers!r} is of no use with a client, whose workers do the work")
        return 1
    if workers is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if isinstance(workers, bool) or not isinstance(workers, int | np.integer) or workers < 1:
        raise ValueError(f"workers={workers!r} must be a whole number of processes, at least 1")
    return int(workers)


@dataclass(frozen=True, eq=False)
class _Image:
    """One image of a source: its number, that of the source, and how many images that has."""

    number: int
    source: File | Stack
    frame: int
    count: int

    @property
    def place(self):
        """What tells it from others of its source: nothing where it is alone."""
        return self.frame if self.count > 1 else None


class _Run:
    """One pass over all images: opened, looked at and written, a few at a time."""

    def __init__(self, store, processes, client, sought):
        self._store, self._processes, self._sought = store, processes, sought
        # Files are opened on this machine, where one that takes for ever can be given up.
        self._executor = None if client is None else client.get_executor(pure=False)
        self._client, self._rows = client, {}

    @property
    def _window(self):
        """How many images are handed out at a time: two for each process, on a cluster for each worker by now."""
        return 2 * (self._processes.number if self._client is None else max(1, len(self._client.nthreads())))

    def through(self, sources, select, limit_s):
        """Records of all images in order, or why there is none."""
        from tqdm.auto import tqdm

        unopened, ready, pending = deque(enumerate(sources)), deque(), {}
        try:
            with tqdm(total=len(sources), desc=self._sought[0], unit="image") as self._bar:
                while unopened or ready or pending:
                    self._hand_out(unopened, ready, pending, select, limit_s)
                    done, _ = wait(pending, return_when=FIRST_COMPLETED) if pending else ((), ())
                    for future in done:
                        of = pending.pop(future)
                        if isinstance(of, _Image):
                            self._looked(of, future)
                        else:
                            ready.extend(self._opened(*of, future, limit_s))
        finally:
            # Where it is ended before all is done, a cluster need not go on.
            for future in pending:
                future.cancel()
        return [self._rows[key] for key in sorted(self._rows)]

    def _hand_out(self, unopened, ready, pending, select, limit_s):
        """Have files opened and images looked at, as many as there are hands for."""
        window = self._window
        while len(pending) < window and (unopened or ready):
            if ready:
                self._look(ready.popleft(), pending)
                continue
            number, source = unopened.popleft()
            frames = self._known_frames(source, select)
            if frames is None:
                future = self._processes.submit(frames_of, source.path, select, limit_s=limit_s)
                pending[future] = (number, source)
            else:
                ready.extend(self._images(number, source, frames))

    def _known_frames(self, source, select):
        """Numbers of the images of a stack, or of a file that an earlier batch opened; None where it has to be."""
        if isinstance(source, Stack):
            return range(source.n_images)
        try:
            record = self._store.any_record(source.name, source.identity())
        except OSError:  # there is no such file, as opening it will tell
            return None
        if record is None:
            return None
        return [record["frame"]] if record["n_images"] == 1 else range(record["n_images"])

    def _images(self, number, source, frames):
        self._bar.total += len(frames) - 1
        self._bar.refresh()
        return [_Image(number, source, frame, len(frames)) for frame in frames]

    def _opened(self, number, source, future, limit_s):
        """Images of a file that was opened."""
        try:
            frames = future.result()
        except TookTooLongError:
            frames = f"cannot be opened within reading_limit_s={limit_s:g}: it is damaged, or slow to reach"
        except WorkerError as error:
            frames = f"cannot be opened: {one_line(error)}"
        if isinstance(frames, str):
            self._done((number, 0), {"image": source.name, "frame": None, "error": frames})
            return []
        return self._images(number, source, frames)

    def _look(self, image, pending):
        """Have an image looked at, unless it is finished."""
        source, path, micrograph = image.source, None, None
        try:
            if isinstance(source, File):
                path, identity = source.path, source.identity()
            else:
                micrograph = source.micrograph(image.frame)
                identity = identity_of(micrograph)
        except Exception as error:  # of whatever computes a lazy signal, too
            self._failed(image, one_line(error))
            return
        record = self._store.record(source.name, image.place, identity)
        if record is not None:
            self._done((image.number, image.frame), record)
            return
        facts = {"n_images": image.count, "identity": identity}
        task = Task(*self._sought, source.name, image.frame, facts, path, micrograph)
        if self._executor is None:
            pending[self._processes.submit(examine, task)] = image
        else:
            pending[self._executor.submit(examine_on_cluster, task)] = image

    def _looked(self, image, future):
        try:
            findings = future.result()
        except Exception as error:  # its process ended, or the cluster lost too many workers over it
            self._failed(image, one_line(error))
            return
        if findings.error:
            self._failed(image, findings.error)
        else:
            record = self._store.publish(image.source.name, image.place, findings)
            self._done((image.number, image.frame), record)

    def _failed(self, image, error):
        row = {"image": image.source.name, "frame": image.frame, "error": error}
        self._done((image.number, image.frame), row)

    def _done(self, key, row):
        self._rows[key] = row
        self._bar.update()
