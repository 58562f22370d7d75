"""A figure and the numbers behind it, as two files that belong together: NAME.png and NAME.json."""

import json
import math
import platform
import re
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from stemlib.io.files import write_atomically

_PACKAGES = (
    "stemlib",
    "numpy",
    "scipy",
    "pandas",
    "scikit-image",
    "scikit-learn",
    "numba",
    "opencv-python-headless",
    "torch",
    "matplotlib",
)
_RESULT_KEYS = {"name", "value", "unit", "low", "high", "published"}
_MARK = "SYNTHETIC DATA"


def write_figure(
    figure,
    name,
    output_folder,
    *,
    results,
    parameters,
    data,
    weights,
    seed,
    synthetic,
    tables=None,
    dpi=150,
):
    """Write a figure as NAME.png and its numbers, with all that is needed to get them again, as NAME.json.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Where `synthetic` is true, "SYNTHETIC DATA" is written across it.
    name : str
        Letters, digits, dots and hyphens, with the image set at its end: ``"loop-detection-six"``.
    output_folder : str or pathlib.Path
        Made where it is missing.
    results : list of dict
        The numbers that the figure stands for, each with ``name`` (unique), ``value`` (not rounded; None if
        not available) and ``unit`` (``""`` for a ratio), and where they exist the ends ``low`` and ``high``
        of its interval and the ``published`` value it is to be held against.
    parameters : dict
        The parameters the notebook ran with.
    data : dict
        Path of each data file in its data set -> sha256.
    weights : dict
        Name of each weight file -> sha256.
    seed : int or None
        Of everything that was drawn at random.
    synthetic : bool
        Whether any of it was measured on synthetic images.
    tables : dict, optional
        Name -> pandas.DataFrame or list of dicts, such as one row per image. What is missing becomes null.
    dpi : float
        Resolution of the picture, pixels per inch.

    Returns
    -------
    tuple of pathlib.Path
        The picture and the JSON file.

    Raises
    ------
    ValueError
        If a result lacks a key, has one that is unknown, is named twice or is not finite; if the name would
        not do as a file name; or if synthetic numbers would replace a figure of real micrographs.

    Examples
    --------
    >>> import tempfile
    >>> from matplotlib.figure import Figure
    >>> results = [{"name": "recall", "value": 0.86, "unit": "", "published": 0.851}]
    >>> picture, numbers = write_figure(
    ...     Figure(),
    ...     "loop-detection-synthetic",
    ...     tempfile.mkdtemp(),
    ...     results=results,
    ...     parameters={},
    ...     data={},
    ...     weights={},
    ...     seed=0,
    ...     synthetic=True,
    ... )
    >>> picture.name, load_figure_json(numbers)["results"][0]["value"]
    ('loop-detection-synthetic.png', 0.86)
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*", name):
        raise ValueError(f"name is {name!r}; use letters, digits, dots and hyphens only")
    content = {
        "name": name,
        "synthetic": bool(synthetic),
        "seed": seed,
        "parameters": parameters,
        "results": _checked(results),
        "tables": {key: _records(table) for key, table in (tables or {}).items()},
        "data": data,
        "weights": weights,
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in _PACKAGES},
    }
    folder = Path(output_folder)
    picture, numbers = folder / f"{name}.png", folder / f"{name}.json"
    if synthetic:
        if numbers.exists() and not load_figure_json(numbers)["synthetic"]:
            raise ValueError(
                f"name is {name!r}, but {numbers} holds numbers of real micrographs: "
                "write synthetic ones to another folder or under another name"
            )
        _mark(figure)
    text = json.dumps(_plain(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(picture, lambda path: figure.savefig(path, dpi=dpi))
    write_atomically(numbers, text)
    return picture, numbers


def load_figure_json(path):
    """Read the numbers of a figure as `write_figure` wrote them.

    Parameters
    ----------
    path : str or pathlib.Path
        The JSON file.

    Returns
    -------
    dict
        With ``name``, ``synthetic``, ``seed``, ``parameters``, ``results``, ``tables``, ``data``, ``weights``
        and ``versions``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not JSON or not that of a figure.

    Examples
    --------
    >>> load_figure_json("figures/no-such-figure.json")
    Traceback (most recent call last):
    ...
    FileNotFoundError: path: 'figures/no-such-figure.json' is not there; `make reproduce` writes the figures
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"path: {str(path)!r} is not there; `make reproduce` writes the figures")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"path: {str(path)!r} is not JSON ({error})") from None
    if not isinstance(content, dict) or not {"name", "synthetic", "results"} <= content.keys():
        raise ValueError(
            f"path: {str(path)!r} lacks name, synthetic or results, which a figure's numbers have"
        )
    return content


def _checked(results):
    names = set()
    for row in results:
        if not {"name", "value", "unit"} <= row.keys() <= _RESULT_KEYS:
            raise ValueError(
                f"results: {row} must have name, value and unit and may have low, high and published"
            )
        if row["name"] in names:
            raise ValueError(f"results: {row['name']!r} is there twice")
        names.add(row["name"])
        for key in row.keys() - {"name", "unit"}:
            if row[key] is not None and not math.isfinite(row[key]):
                raise ValueError(
                    f"results: {key} of {row['name']!r} is {row[key]}; give None where it is not available"
                )
    return list(results)


def _records(table):
    return table.to_dict(orient="records") if isinstance(table, pd.DataFrame) else list(table)


def _plain(value):
    """Turn NumPy's and pandas' scalars and containers into JSON's; what is missing becomes None."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return value.as_posix()
    if isinstance(value, np.generic):
        value = value.item()
    return None if value is pd.NA or value is pd.NaT or value != value else value


def _mark(figure):
    # A notebook may write one figure twice; one mark is enough.
    if any(text.get_gid() == _MARK for text in figure.texts):
        return
    figure.text(
        0.5, 0.5, _MARK, gid=_MARK, ha="center", va="center", rotation=30, fontsize=40, color="red", alpha=0.4
    )  # fmt: skip
