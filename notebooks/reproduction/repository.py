"""Where the repository lies: the one place that knows how the notebooks find it."""

from pathlib import Path

# The folder that holds pyproject.toml, wherever Jupyter or papermill was started.
ROOT = Path(__file__).resolve().parents[2]
