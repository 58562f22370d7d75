"""Images with known truth: what the finders are tested on, and stand-ins where no real data are at hand."""

from stemlib.synthetic.crystal_images import CrystalImage, crystal_image
from stemlib.synthetic.crystals import Crystal, named_crystal, random_crystal
from stemlib.synthetic.domain_images import DomainImage, domain_image
from stemlib.synthetic.imaging import Imaging, record, render_columns
from stemlib.synthetic.loops import LoopScene, loop_micrograph
from stemlib.synthetic.material_images import material_image
from stemlib.synthetic.projection import Projection, project

__all__ = [
    "Crystal",
    "CrystalImage",
    "DomainImage",
    "Imaging",
    "LoopScene",
    "Projection",
    "crystal_image",
    "domain_image",
    "loop_micrograph",
    "material_image",
    "named_crystal",
    "project",
    "random_crystal",
    "record",
    "render_columns",
]
