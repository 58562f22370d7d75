"""Find where the crystal is broken in electron micrographs, how, and how sure we are."""

import importlib
from importlib.metadata import version

# Public name -> the module that holds it. Imported on first use, so that reading a file does not load torch.
_HOMES = {
    "Micrograph": "stemlib.micrograph",
    "find_defects": "stemlib.defects",
    "find_domains": "stemlib.domains",
    "find_lattice": "stemlib.lattice",
    "read": "stemlib.micrograph",
    "find_columns": "stemlib.columns",
    "find_loops": "stemlib.loops",
}

__all__ = ["Micrograph", "find_columns", "find_defects", "find_domains", "find_lattice", "find_loops", "read"]
__version__ = version("stemlib")


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module 'stemlib' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted(set(globals()) | set(_HOMES))
