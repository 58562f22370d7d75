import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data():
    """Folder of the real micrographs; without it the test is skipped and says so."""
    folder = os.environ.get("STEMLIB_DATA")
    if not folder:
        pytest.skip("needs the real micrographs: STEMLIB_DATA is not set")
    if not (Path(folder) / "fecral-loops" / "images").is_dir():
        pytest.skip(f"needs the real micrographs: STEMLIB_DATA={folder} has no fecral-loops/images")
    return Path(folder)
