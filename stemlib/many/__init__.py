"""Many images at once, in folders, stacks and movies: `batch` and its result."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"find": ["batch"], "result": ["Batch"]}
)
