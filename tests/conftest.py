import os
from pathlib import Path

import pytest

# Tests never download, and run side by side: one thread each. Set before NumPy, torch or numba are loaded.
os.environ["STEMLIB_OFFLINE"] = "1"
for variable in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
    os.environ.setdefault(f"{variable}_NUM_THREADS", "1")
os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")
os.environ["MPLBACKEND"] = "Agg"


@pytest.fixture(scope="session")
def real_data():
    """Folder of the real micrographs; without it the test is skipped and says so."""
    folder = os.environ.get("STEMLIB_DATA")
    if not folder:
        pytest.skip("needs the real micrographs: STEMLIB_DATA is not set")
    if not (Path(folder) / "fecral-loops" / "images").is_dir():
        pytest.skip(f"needs the real micrographs: STEMLIB_DATA={folder} has no fecral-loops/images")
    return Path(folder)
