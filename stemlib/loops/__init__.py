"""Dislocation loops: `find_loops` and what it is made of."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={"find": ["Loops", "find_loops"]})
