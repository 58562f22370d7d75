"""What makes the weights that stemlib ships, and `tune_loops`, which teaches them a user's own defects."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={"tuning": ["tune_loops"]})
