"""Where the repository lies: the one place that knows how the notebooks find it."""

from pathlib import Path


def repository_root():
    """Return the folder that holds pyproject.toml, wherever Jupyter or papermill was started."""
    return Path(__file__).resolve().parents[2]
