"""Find where the crystal is broken in electron micrographs, how, and how sure we are."""

from importlib.metadata import version

import lazy_loader

from stemlib.io.forking import make_forks_safe

__version__ = version("stemlib")

make_forks_safe()

# Imported on first use, so that reading a file does not load torch.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "columns": ["find_columns"],
        "defects": ["find_defects"],
        "domains": ["find_domains"],
        "io": ["Micrograph", "read"],
        "lattice": ["find_lattice"],
        "loops": ["find_loops"],
        "many": ["batch"],
        "training": ["tune_loops"],
    },
)
