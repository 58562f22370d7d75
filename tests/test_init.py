import subprocess
import sys

import pytest

import stemlib
from stemlib.io import micrograph
from stemlib.many import find


def test_public_names_are_those_of_their_modules():
    assert stemlib.read is micrograph.read
    assert stemlib.Micrograph is micrograph.Micrograph
    assert stemlib.batch is find.batch
    assert set(stemlib.__all__) == {"Micrograph", "batch", "read", "tune_loops"} | {
        f"find_{what}" for what in ("columns", "defects", "domains", "lattice", "loops")
    }
    assert set(stemlib.__all__) <= set(dir(stemlib))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="find_lops"):
        _ = stemlib.find_lops


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, stemlib; print(sorted({'torch', 'matplotlib', 'hyperspy', 'pandas'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
