"""Any microscope file, HyperSpy signal or array as a `Micrograph`; tables with units, files written whole, weights."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"micrograph": ["Micrograph", "read"], "signals": ["from_signal"]}
)
