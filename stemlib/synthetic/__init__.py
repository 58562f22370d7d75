"""Images with known truth: what the finders are tested on, and stand-ins where no real data are at hand."""

from stemlib.synthetic.loops import LoopScene, loop_micrograph

__all__ = ["LoopScene", "loop_micrograph"]
