"""Named parts of the registry: which files they are, which are at hand, and one attempt to fetch the rest."""

import concurrent.futures
import logging
import time

from stemlib.datasets import atomic, fecral, registry

_log = logging.getLogger(__name__)
_THREADS = 8


def available(subset):
    """Return the registered paths of a subset that are on this machine, without downloading.

    Parameters
    ----------
    subset : str
        The name of an image set ("six", "test28", "c-nine", "training", "validation", "size-test"), "loops"
        for the whole FeCrAl set, "316l", "atomic" for all atomic-resolution images with their labels, or a
        folder of the registry such as "wse2-cr".

    Returns
    -------
    list of str
        Paths whose file is there; `fetch` verifies the checksum.

    Raises
    ------
    ValueError
        If `subset` is unknown.

    Examples
    --------
    >>> from stemlib.datasets import available
    >>> len(available("six")) >= 0
    True
    """
    return [path for path in paths_of(subset) if registry.at_hand([path])]


def fetch_all(subset, timeout_s=5.0, *, budget_s=300.0, progress=None):
    """Try once to bring every file of a subset to this machine, and return how many are at hand.

    The first missing file is tried alone: if no server answers, nothing else is tried. A server that stops
    answering later, or the end of the budget, ends the attempt too. Files that the server does not have are
    logged.

    Parameters
    ----------
    subset : str
        As in `available`.
    timeout_s : float
        Seconds without an answer after which the attempt is given up.
    budget_s : float
        Seconds after which no new download starts.
    progress : callable, optional
        Called with (files done, files to download) after each download.

    Returns
    -------
    int
        Files of the subset at hand afterwards.

    Raises
    ------
    ValueError
        If `subset` is unknown or a downloaded file does not match its checksum.

    Examples
    --------
    >>> from stemlib.datasets import fetch_all
    >>> at_hand = fetch_all("six", timeout_s=2.0)  # doctest: +SKIP
    """
    missing = [
        path
        for path in paths_of(subset)
        if not registry.at_hand([path]) and not registry.registered(path)["converted"]
    ]
    if missing and not registry.is_offline():
        _download_many(missing, timeout_s, time.monotonic() + budget_s, progress)
    return len(available(subset))


def paths_of(subset):
    """Return the registered paths of a subset; of an image set, the images and every label file of theirs.

    Examples
    --------
    >>> sum(path.endswith(".jpg") for path in paths_of("six"))
    6
    """
    if subset in fecral.IMAGE_SETS:
        names = fecral.image_set(subset)
        files = [path for name in names for path in fecral.label_files(name).values()]
        return [f"{fecral.IMAGE_FOLDER}/{name}" for name in names] + files
    if subset == "atomic":
        return atomic.atomic_paths()
    folder = {"loops": "fecral-loops", "316l": "316l-loops"}.get(subset, subset)
    paths = [path for path in registry.table()["path"] if path.startswith(f"{folder}/")]
    if not paths:
        folders = sorted({path.split("/")[0] for path in registry.table()["path"]})
        known = [*fecral.IMAGE_SETS, "loops", "316l", "atomic", *folders]
        raise ValueError(f"subset={subset!r} is unknown; use one of {known}")
    return paths


def _download_many(paths, timeout_s, deadline, progress):
    progress = progress or (lambda done, total: None)

    def goes_on(path):
        """Download a file, and return whether another attempt may succeed."""
        if time.monotonic() > deadline:
            return False
        try:
            registry.download(registry.registered(path), timeout_s)
        except FileNotFoundError as error:
            _log.warning("%s", error)
            return not isinstance(error, registry.NoServerError)
        return True

    first = goes_on(paths[0])
    progress(1, len(paths))
    if not first:
        return
    pool = concurrent.futures.ThreadPoolExecutor(_THREADS)
    try:
        futures = [pool.submit(goes_on, path) for path in paths[1:]]
        for done, future in enumerate(concurrent.futures.as_completed(futures), start=2):
            progress(done, len(paths))
            if not future.result():
                return
    finally:
        pool.shutdown(cancel_futures=True)
