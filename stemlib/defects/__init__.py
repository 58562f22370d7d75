"""Point defects of a crystal: `find_defects` and what it is made of."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"find": ["find_defects"], "result": ["Defects"]}
)
