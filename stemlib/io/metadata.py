"""What a microscope's file says about instrument, voltage and detector, whatever its format."""

import math

# Dotted paths, the first that holds something wins: in the tree that HyperSpy's readers agreed on, then in the raw
# trees of Gatan's dm3 and dm4, of Velox's emd and of FEI's tif.
_TEM, _SEM = "Acquisition_instrument.TEM.", "Acquisition_instrument.SEM."
_DM = "ImageList.TagGroup0.ImageTags."
_INSTRUMENT = [_TEM + "microscope", _SEM + "microscope", _DM + "Microscope Info.Name"]
_INSTRUMENT += ["Instrument.InstrumentModel", "fei_metadata.System.SystemType"]
_DETECTOR = [_TEM + "Detector.name", _TEM + "detector", _SEM + "Detector.name", _DM + "DataBar.Signal Name"]
_DETECTOR += ["BinaryResult.Detector", "fei_metadata.Detectors.Name"]
_KILOVOLTS = [_TEM + "beam_energy", _SEM + "beam_energy"]
_VOLTS = [_DM + "Microscope Info.Voltage", "Optics.AccelerationVoltage", "fei_metadata.Beam.HV"]


def described(name, tree, original):
    """Return what a file says about an image, in the layout of `stemlib.Micrograph.metadata`.

    Parameters
    ----------
    name : str
        Of the data set.
    tree : dict
        Metadata in the layout that RosettaSciIO's readers share.
    original : dict
        The raw tree of the format.

    Returns
    -------
    dict
        `name`, `instrument` (str), `voltage_kv` (float), `detector` (str), None where the file says nothing, and both
        trees as `file` and `original`.

    Examples
    --------
    >>> described("HAADF", {"Acquisition_instrument": {"TEM": {"beam_energy": 80.0}}}, {})["voltage_kv"]
    80.0
    """
    whole = {**original, **tree}
    voltage = _first(_number, whole, _KILOVOLTS)
    if voltage is None:
        volts = _first(_number, whole, _VOLTS)
        voltage = None if volts is None else volts / 1e3
    return {
        "name": name,
        "instrument": _first(_text, whole, _INSTRUMENT),
        "voltage_kv": voltage,
        "detector": _first(_text, whole, _DETECTOR),
        "file": tree,
        "original": original,
    }


def completed(entry):
    """Return the metadata of one data set of RosettaSciIO with what its `mapping` adds from the raw tree.

    HyperSpy does the same when it loads a file; here it is not loaded.
    """
    tree = _copied(entry.get("metadata") or {})
    original = entry.get("original_metadata") or {}
    for source, (target, convert) in (entry.get("mapping") or {}).items():
        value = _lookup(original, source)
        if value is None:
            continue
        try:
            value = value if convert is None else convert(value)
        except Exception:  # one odd tag must not cost the image
            continue
        if value is not None:
            *groups, name = target.split(".")
            branch = tree
            for group in groups:
                branch = branch.setdefault(group, {})
            branch[name] = value
    return tree


def _first(convert, tree, paths):
    values = (convert(_lookup(tree, path)) for path in paths)
    return next((value for value in values if value is not None), None)


def _text(value):
    return value.strip() or None if isinstance(value, str) else None


def _number(value):
    try:
        value = float(value)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) and value > 0 else None


def _lookup(tree, path):
    for name in path.split("."):
        if not isinstance(tree, dict):
            return None
        # HyperSpy puts underscores for the spaces of names when it saves them anew.
        tree = tree.get(name, tree.get(name.replace(" ", "_")))
    return tree


def _copied(tree):
    return {key: _copied(value) if isinstance(value, dict) else value for key, value in tree.items()}
