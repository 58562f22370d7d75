"""A figure and the numbers behind it, as two files that belong together: NAME.png and NAME.json."""

import json
import platform
import re
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from stemlib.io.files import write_atomically
from stemlib.plot import mark_simulated

from .results import checked

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


@dataclass(frozen=True)
class FigureWriter:
    """Writes the figures of one notebook, with all that is needed to get their numbers again.

    Attributes
    ----------
    folder : pathlib.Path
        Made where it is missing.
    parameters : dict
        The parameters the notebook ran with.
    seed : int
        Of everything that was drawn at random.
    synthetic : bool
        Whether any of it was measured on simulated images: then the figure is marked as such.
    weights : dict
        Name of each weight file -> sha256.
    """

    folder: Path
    parameters: dict
    seed: int
    synthetic: bool
    weights: dict = field(default_factory=dict)

    def write(self, figure, name, results, *, tables=None, data=None, parameters=None, dpi=150):
        """Write one figure as NAME.png and its numbers as NAME.json, and return the path of the picture.

        `name`: letters, digits, dots and hyphens, with the image set at its end, such as "loop-detection-six".
        `results` come from `results.result`; `tables` maps a name to a DataFrame or a list of dicts, such as one row
        per image; `data` the path of each data file in its data set to its sha256; `parameters` are those that concern
        this figure alone. A ValueError says what is wrong with a result or the name, and that numbers of simulated
        images would replace those of micrographs.
        """
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*", name):
            raise ValueError(f"name is {name!r}; use letters, digits, dots and hyphens only")
        content = {
            "name": name,
            "synthetic": self.synthetic,
            "seed": self.seed,
            "parameters": self.parameters | (parameters or {}),
            "results": checked(results),
            "tables": {key: _records(table) for key, table in (tables or {}).items()},
            "data": data or {},
            "weights": self.weights,
            "versions": {"python": platform.python_version()}
            | {package: version(package) for package in _PACKAGES},
        }
        picture, numbers = self.folder / f"{name}.png", self.folder / f"{name}.json"
        if self.synthetic:
            if numbers.exists() and not load_figure_json(numbers)["synthetic"]:
                raise ValueError(
                    f"name is {name!r}, but {numbers} holds numbers of real micrographs: "
                    "write those of simulated images to another folder or under another name"
                )
            mark_simulated(figure)
        text = json.dumps(_plain(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        write_atomically(picture, lambda path: figure.savefig(path, dpi=dpi))
        write_atomically(numbers, text)
        return picture


def load_figure_json(path):
    """Read the numbers of a figure as `FigureWriter.write` wrote them; a ValueError says that a file is not such."""
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
