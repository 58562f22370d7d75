"""The workbench: results that show themselves, and are corrected by hand, in a notebook or without one."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "editor": ["Editor", "edit"],
        "explorer": ["Explorer", "explore"],
        "finders": ["ANALYSES", "find", "simulated"],
        "showing": ["as_html", "draw", "in_words"],
        "measured": ["numbers"],
        "written": ["write_result"],
    },
)
