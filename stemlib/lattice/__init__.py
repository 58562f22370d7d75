"""The crystal's unit cell: `find_lattice` and what it is made of."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"find": ["find_lattice"], "result": ["Lattice"]}
)
