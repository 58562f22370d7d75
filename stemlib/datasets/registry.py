"""The registry of public files, and how they come to this machine: a local folder, or a download."""

import concurrent.futures
import difflib
import functools
import hashlib
import logging
import os
import time
import urllib.parse
from pathlib import Path

import pandas as pd
import pooch

# Any server with the layout BASE/repository/commit/path will do (STEMLIB_BASE_URL overrides it).
BASE_URL = "https://raw.githubusercontent.com"

_log = logging.getLogger(__name__)
_TIMEOUT_S = 30.0
_THREADS = 8


@functools.lru_cache(maxsize=1)
def _registry():
    table = pd.read_csv(Path(__file__).with_name("registry.csv"), keep_default_na=False)
    table["converted"] = table["note"].str.startswith("converted")
    return table.set_index("path", drop=False).rename_axis(None)


def load_registry():
    """Return the table of every public file that stemlib knows.

    Returns
    -------
    pandas.DataFrame
        One row per file, indexed by `path` (relative to the data folder): `path`, `bytes`, `sha256`,
        `repository`, `commit`, `source_path` (its path in that repository), `licence` (as stated there),
        `kind` ("image", "boxes-a", "ellipses-b", ...), `note` and `converted` (True where the file was
        converted from its source, so that it cannot be downloaded as it is).

    Examples
    --------
    >>> from stemlib.datasets import load_registry
    >>> registry = load_registry()
    >>> int((registry["kind"] == "cascade").sum())
    3
    """
    return _registry().copy()


def public_address(path, *, base_url=None):
    """Return the public address of a registered file, percent-encoded.

    Parameters
    ----------
    path : str
        A `path` of the registry.
    base_url : str, optional
        The server, without the final slash; the environment variable ``STEMLIB_BASE_URL``, then `BASE_URL`
        otherwise.

    Returns
    -------
    str
        ``BASE/repository/commit/source_path``.

    Raises
    ------
    ValueError
        If `path` is not in the registry.

    Examples
    --------
    >>> from stemlib.datasets import public_address
    >>> public_address("fecral-loops/images/BF X500K, 05.jpg", base_url="http://host")[-22:]
    'BF%20X500K%2C%2005.jpg'
    """
    row = _row(path)
    base_url = base_url or os.environ.get("STEMLIB_BASE_URL") or BASE_URL
    parts = f"{row['repository']}/{row['commit']}/{row['source_path']}"
    return f"{base_url.rstrip('/')}/{urllib.parse.quote(parts, safe='/')}"


def fetch(path, *, base_url=None, timeout_s=_TIMEOUT_S):
    """Return the local file of a registered path, downloaded once where it is not at hand.

    The folder that the environment variable ``STEMLIB_DATA`` names comes first, then the cache folder of
    earlier downloads (``STEMLIB_CACHE``, or the user's own cache folder), then the public address. With
    ``STEMLIB_OFFLINE=1`` nothing is downloaded. The checksum is verified wherever the file comes from.

    Parameters
    ----------
    path : str
        A `path` of the registry.
    base_url : str, optional
        The server to download from, see `public_address`.
    timeout_s : float
        Seconds without an answer after which a download is given up.

    Returns
    -------
    pathlib.Path
        The file, checked.

    Raises
    ------
    ValueError
        If `path` is not in the registry, or the file does not match its checksum.
    FileNotFoundError
        If the file is neither local nor downloadable, or ``STEMLIB_DATA`` names no folder.

    Examples
    --------
    >>> from stemlib.datasets import available, fetch
    >>> name = "fecral-loops/testimages.txt"
    >>> fetch(name).name if name in available("fecral-loops") else "testimages.txt"
    'testimages.txt'
    """
    row = _row(path)
    found = _local(path)
    if found is not None:
        return _verified(found, row)
    return _download(row, base_url, timeout_s)


def available(subset):
    """Return the registered paths of a subset that are on this machine, without downloading.

    Parameters
    ----------
    subset : str
        The name of an image set ("six", "test28", "c-nine", "training", "validation", "size-test"), "loops"
        for the whole FeCrAl set, "316l", or a folder of the registry such as "wse2-cr".

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
    return [path for path in subset_paths(subset) if _local(path) is not None]


def subset_paths(subset):
    """Return the registered paths of a subset, at hand or not.

    Parameters
    ----------
    subset : str
        As in `available`.

    Returns
    -------
    list of str
        For an image set, the images and every label file of theirs.

    Raises
    ------
    ValueError
        If `subset` is unknown.

    Examples
    --------
    >>> from stemlib.datasets import subset_paths
    >>> sum(path.endswith(".jpg") for path in subset_paths("six"))
    6
    """
    # Imported late: the sets of images are built on the registry.
    from stemlib.datasets import labels, splits

    if subset in splits.IMAGE_SETS:
        names = splits.image_set(subset)
        files = [path for name in names for path in labels.label_files(name).values()]
        return [f"{splits.IMAGE_FOLDER}/{name}" for name in names] + files
    folder = {"loops": "fecral-loops", "316l": "316l-loops"}.get(subset, subset)
    paths = [path for path in _registry()["path"] if path.startswith(f"{folder}/")]
    if not paths:
        folders = sorted({path.split("/")[0] for path in _registry()["path"]})
        raise ValueError(
            f"subset={subset!r} is unknown; use one of {[*splits.IMAGE_SETS, 'loops', '316l', *folders]}"
        )
    return paths


def fetch_all(subset, timeout_s=5.0, *, budget_s=300.0, base_url=None, progress=None):
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
    base_url : str, optional
        The server, see `public_address`.
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
    paths = subset_paths(subset)
    missing = [path for path in paths if _local(path) is None and not _row(path)["converted"]]
    if missing and not _offline():
        _download_many(missing, timeout_s, time.monotonic() + budget_s, base_url, progress)
    return sum(_local(path) is not None for path in paths)


def _download_many(paths, timeout_s, deadline, base_url, progress):
    done = 0

    def one(path):
        if time.monotonic() > deadline:
            return "out of time"
        try:
            _download(_row(path), base_url, timeout_s)
        except FileNotFoundError as error:
            _log.warning("%s", error)
            return "unreachable" if isinstance(error, _NoServerError) else "missing"
        return "done"

    def report():
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, len(paths))

    first = one(paths[0])
    report()
    if first in ("unreachable", "out of time"):
        return
    pool = concurrent.futures.ThreadPoolExecutor(_THREADS)
    try:
        for future in concurrent.futures.as_completed([pool.submit(one, path) for path in paths[1:]]):
            report()
            if future.result() in ("unreachable", "out of time"):
                return
    finally:
        pool.shutdown(cancel_futures=True)


class _NoServerError(FileNotFoundError):
    """No answer at all, as against an answer that the file is not there."""


def _row(path):
    registry = _registry()
    if path not in registry.index:
        near = difflib.get_close_matches(str(path), registry["path"], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "; load_registry() lists every path"
        raise ValueError(f"path={path!r} is not in the registry{hint}")
    return registry.loc[path]


def _offline():
    return os.environ.get("STEMLIB_OFFLINE", "") not in ("", "0")


def _cache_folder():
    return Path(os.environ.get("STEMLIB_CACHE") or pooch.os_cache("stemlib"))


def _local(path):
    """Return the file under STEMLIB_DATA, else in the cache, else None."""
    folder = os.environ.get("STEMLIB_DATA")
    if folder:
        if not Path(folder).is_dir():
            raise FileNotFoundError(
                f"STEMLIB_DATA={folder!r} is not a folder; set it to a folder "
                "with the registry's layout, or unset it"
            )
        if (Path(folder) / path).is_file():
            return Path(folder) / path
    cached = _cache_folder() / path
    return cached if cached.is_file() else None


def _verified(file, row):
    status = file.stat()
    digest = _sha256(str(file), status.st_size, status.st_mtime_ns)
    if digest != row["sha256"]:
        raise ValueError(
            f"{file} does not match its checksum: sha256 {digest}, {status.st_size} bytes, registered "
            f"{row['sha256']}, {row['bytes']} bytes; delete it, or put the unchanged file there"
        )
    return file


@functools.cache
def _sha256(file, size, modified):
    # Size and time are in the key, so that a changed file is read again.
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _download(row, base_url, timeout_s):
    path = row["path"]
    remedy = "set STEMLIB_DATA to a folder that holds it at this path"
    if row["converted"]:
        raise FileNotFoundError(f"{path} was converted from its source and cannot be downloaded; {remedy}")
    if _offline():
        raise FileNotFoundError(
            f"{path} is not on this machine and STEMLIB_OFFLINE is set; {remedy}, or unset it"
        )
    # Loaded late: requests takes longer to import than most local reads.
    import requests

    url = public_address(path, base_url=base_url)
    target = _cache_folder() / path
    pooch.get_logger().setLevel("WARNING")
    try:
        pooch.retrieve(
            url,
            known_hash=f"sha256:{row['sha256']}",
            fname=target.name,
            path=target.parent,
            downloader=pooch.HTTPDownloader(timeout=timeout_s),
        )
    except requests.HTTPError as error:
        raise FileNotFoundError(
            f"{path} is not on this machine and cannot be downloaded ({error}); {remedy}"
        ) from error
    except requests.RequestException as error:
        raise _NoServerError(
            f"{path} is not on this machine and no server answered at {url} "
            f"({type(error).__name__}); {remedy}"
        ) from error
    except ValueError as error:
        raise ValueError(
            f"{path}: what {url} sent does not match the registered checksum sha256 {row['sha256']} and was "
            f"thrown away; try again, or {remedy}"
        ) from error
    return target
