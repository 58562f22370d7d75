"""Pixel size and origin in nm, from the scales, offsets and units of an image's axes."""

import math
import re
import unicodedata
import warnings

import numpy as np

# Lengths in nm. Reciprocal and angular units, and the centimetres and inches of printing, are left out on
# purpose: a scale in them says nothing about the size of a pixel on the specimen.
_UNITS_NM = {
    **dict.fromkeys(("nm", "nanometer", "nanometers", "nanometre", "nanometres"), 1.0),
    **dict.fromkeys(("å", "a", "ang", "angstrom", "angstroms", "ångström"), 0.1),
    **dict.fromkeys(("pm", "picometer", "picometers", "picometre", "picometres"), 1e-3),
    **dict.fromkeys(("\u03bcm", "um", "micron", "microns"), 1e3),
    **dict.fromkeys(("micrometer", "micrometers", "micrometre", "micrometres"), 1e3),
    **dict.fromkeys(("mm", "millimeter", "millimetre"), 1e6),
    **dict.fromkeys(("m", "meter", "metre"), 1e9),
}
# nm per px: no microscope sees atoms or defects at other scales, so such a number is hardly that of a pixel.
_PLAUSIBLE_NM = (1e-3, 1e3)


def pixel_size_nm(scales, units, where):
    """Pixel size in nm from the scale and the unit of the two image axes, or None where they do not tell."""
    sizes = []
    for scale, unit in zip(scales, units, strict=True):
        factor = in_nm(unit)
        size = abs(float(scale)) * factor if factor and scale is not None else math.nan
        if not (math.isfinite(size) and size > 0):
            return None
        sizes.append(size)
    if max(sizes) > 1.01 * min(sizes):
        warnings.warn(
            f"{where}: pixels are not square ({sizes[0]:g} by {sizes[1]:g} nm); the pixel size is taken as "
            "unknown. Resample the image, or pass pixel_size_nm",
            stacklevel=4,
        )
        return None
    size = float(np.mean(sizes))
    if not _PLAUSIBLE_NM[0] <= size <= _PLAUSIBLE_NM[1]:
        warnings.warn(
            f"{where}: says {size:g} nm per pixel, which is hardly the size of a pixel on the specimen; "
            "pass pixel_size_nm",
            stacklevel=4,
        )
    return size


def origin_nm(offsets, scales, units):
    """Coordinates (y, x) in nm of the first pixel's centre; zero where the axes do not tell them, or run backwards."""
    lengths = [
        float(offset or 0) * (in_nm(unit) or math.nan) if scale and scale > 0 else math.nan
        for offset, scale, unit in zip(offsets, scales, units, strict=True)
    ]
    return tuple(lengths) if all(map(math.isfinite, lengths)) else (0.0, 0.0)


def in_nm(unit):
    """Length in nm of a unit, however it is written; None where it is none."""
    # ImageJ escapes what is not ASCII, Berkeley's EMD writes [n_m], and micro and Ångström have two signs each.
    name = re.sub(r"\\u([0-9a-fA-F]{4})", lambda code: chr(int(code[1], 16)), str(unit))
    name = unicodedata.normalize("NFKC", name.strip(" []").replace("_", ""))
    # Units are written in any case, but these would be taken for milli and metre.
    return None if name in ("Mm", "M") else _UNITS_NM.get(name.lower())
