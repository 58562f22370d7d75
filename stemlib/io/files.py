"""Files that are either there as a whole or not at all."""

import os
import uuid
from pathlib import Path


def write_atomically(path, writer):
    """Write a file so that a reader, or a crash, never sees half of it.

    Parameters
    ----------
    path : str or pathlib.Path
        The file to write; its folder is made where it is missing.
    writer : str, bytes or callable
        The content (text is written as UTF-8), or a function that is called with the `pathlib.Path` of a
        temporary file in the same folder, with the same suffix, and fills it.

    Returns
    -------
    pathlib.Path
        The file written.

    Raises
    ------
    TypeError
        If `writer` is none of these.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> write_atomically(folder / "note.txt", "one loop").read_text()
    'one loop'
    """
    if not (isinstance(writer, str | bytes) or callable(writer)):
        raise TypeError(f"writer must be text, bytes or a function of a path, not {type(writer).__name__}")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix is kept because writers such as savefig choose the format by it.
    temporary = path.with_name(f".{path.stem}-{uuid.uuid4().hex}{path.suffix}")
    try:
        if isinstance(writer, str):
            temporary.write_text(writer, encoding="utf-8", newline="\n")
        elif isinstance(writer, bytes):
            temporary.write_bytes(writer)
        else:
            writer(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
