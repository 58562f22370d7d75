"""Images with known truth: what the finders are tested on, and stand-ins where no real data are at hand."""

from stemlib.synthetic.crystal_images import CrystalImage, crystal_image, material_image
from stemlib.synthetic.crystals import Crystal, named_crystal, random_crystal
from stemlib.synthetic.domain_images import DomainImage, domain_image
from stemlib.synthetic.imaging import Imaging, record, render_columns
from stemlib.synthetic.loops import LoopScene, OtherDefects, loop_micrograph
from stemlib.synthetic.projection import Projection, project
from stemlib.synthetic.recording import DarkField, PointDefects, Recording

__all__ = [
    "Crystal",
    "CrystalImage",
    "DarkField",
    "DomainImage",
    "Imaging",
    "LoopScene",
    "OtherDefects",
    "PointDefects",
    "Projection",
    "Recording",
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
