"""The registry of public files, and how they come to this machine: a local folder, or a download."""

import difflib
import functools
import hashlib
import os
import urllib.parse
from pathlib import Path

import pandas as pd
import pooch

# Any server with the layout BASE/repository/commit/path will do (STEMLIB_BASE_URL overrides it).
BASE_URL = "https://raw.githubusercontent.com"

_TIMEOUT_S = 30.0


@functools.cache
def packaged(name):
    """Return a table that comes with stemlib, which no caller may change."""
    rows = pd.read_csv(Path(__file__).with_name(name), keep_default_na=False)
    if "pixel_size_nm" in rows:
        rows["pixel_size_nm"] = pd.to_numeric(rows["pixel_size_nm"])
    return rows


@functools.cache
def table():
    """Return the registry itself, which no caller may change."""
    rows = packaged("registry.csv")
    rows = rows.assign(converted=rows["note"].str.startswith("converted"))
    return rows.set_index("path", drop=False).rename_axis(None)


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
    return table().copy()


def fetch(path, *, timeout_s=_TIMEOUT_S):
    """Return the local file of a registered path, downloaded once where it is not at hand.

    The folder that the environment variable ``STEMLIB_DATA`` names comes first, then the cache folder of
    earlier downloads (``STEMLIB_CACHE``, or the user's own cache folder), then the public address, on the server
    that ``STEMLIB_BASE_URL`` names where it is set. With ``STEMLIB_OFFLINE=1`` nothing is downloaded. The checksum
    is verified wherever the file comes from.

    Parameters
    ----------
    path : str
        A `path` of the registry.
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
    row = registered(path)
    found = local_file(path)
    if found is not None:
        return _verified(found, row)
    return download(row, timeout_s)


def public_address(path):
    """Return the public address of a registered file, percent-encoded: ``BASE/repository/commit/source_path``.

    Examples
    --------
    >>> public_address("fecral-loops/images/BF X500K, 05.jpg")[-22:]
    'BF%20X500K%2C%2005.jpg'
    """
    row = registered(path)
    base_url = os.environ.get("STEMLIB_BASE_URL") or BASE_URL
    parts = f"{row['repository']}/{row['commit']}/{row['source_path']}"
    return f"{base_url.rstrip('/')}/{urllib.parse.quote(parts, safe='/')}"


class NoServerError(FileNotFoundError):
    """No answer at all, as against an answer that the file is not there."""


def registered(path):
    """Return the row of a registered path, or say which path is nearest."""
    registry = table()
    if path not in registry.index:
        near = difflib.get_close_matches(str(path), registry["path"], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "; load_registry() lists every path"
        raise ValueError(f"path={path!r} is not in the registry{hint}")
    return registry.loc[path]


def is_offline():
    """Return whether downloads are forbidden."""
    return os.environ.get("STEMLIB_OFFLINE", "") not in ("", "0")


def _cache_folder():
    return Path(os.environ.get("STEMLIB_CACHE") or pooch.os_cache("stemlib"))


def local_file(path):
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


def at_hand(paths):
    """Return whether every one of some registered paths is on this machine."""
    return all(local_file(path) is not None for path in paths)


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


def download(row, timeout_s):
    """Bring one file into the cache folder, whole and checked, or not at all."""
    path = row["path"]
    remedy = "set STEMLIB_DATA to a folder that holds it at this path"
    if row["converted"]:
        raise FileNotFoundError(f"{path} was converted from its source and cannot be downloaded; {remedy}")
    if is_offline():
        raise FileNotFoundError(
            f"{path} is not on this machine and STEMLIB_OFFLINE is set; {remedy}, or unset it"
        )
    # Loaded late: requests takes longer to import than most local reads.
    import requests

    url = public_address(path)
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
        raise NoServerError(
            f"{path} is not on this machine and no server answered at {url} "
            f"({type(error).__name__}); {remedy}"
        ) from error
    except ValueError as error:
        raise ValueError(
            f"{path}: what {url} sent does not match the registered checksum sha256 {row['sha256']} and was "
            f"thrown away; try again, or {remedy}"
        ) from error
    return target
