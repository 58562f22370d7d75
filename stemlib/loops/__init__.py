"""Dislocation loops: `find_loops` and what it is made of."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "coco": ["read_coco"],
        "find": ["find_loops"],
        "imagej": ["read_imagej_csv"],
        "result": ["Loops"],
        "rois": ["read_imagej_rois"],
    },
)
