"""What a microscope's file says about instrument, voltage and detector, whatever its format."""

import math

# Dotted paths, the first that holds something wins; in the tree that HyperSpy's readers agreed on ...
_TREE = {
    "instrument": ["Acquisition_instrument.TEM.microscope", "Acquisition_instrument.SEM.microscope"],
    "voltage_kv": ["Acquisition_instrument.TEM.beam_energy", "Acquisition_instrument.SEM.beam_energy"],
    "detector": [
        "Acquisition_instrument.TEM.Detector.name",
        "Acquisition_instrument.TEM.detector",
        "Acquisition_instrument.SEM.Detector.name",
    ],
}
# ... and in the raw trees of Gatan's dm3 and dm4, of Velox's emd and of FEI's tif.
_DM = "ImageList.TagGroup0.ImageTags."
_ORIGINAL = {
    "instrument": [
        _DM + "Microscope Info.Name",
        "Instrument.InstrumentModel",
        "fei_metadata.System.SystemType",
    ],
    "voltage_kv": [],
    "detector": [
        _DM + "DataBar.Signal Name",
        "BinaryResult.Detector",
        "fei_metadata.Detectors.Name",
    ],
}
# Raw voltages are in volts.
_VOLTS = [_DM + "Microscope Info.Voltage", "Optics.AccelerationVoltage", "fei_metadata.Beam.HV"]


def described(tree, original):
    """Return instrument, voltage and detector as far as a file says them.

    Parameters
    ----------
    tree : dict
        Metadata in the layout that RosettaSciIO's readers share.
    original : dict
        The raw tree of the format.

    Returns
    -------
    dict
        `instrument` (str), `voltage_kv` (float) and `detector` (str); None where the file says nothing.

    Examples
    --------
    >>> described({"Acquisition_instrument": {"TEM": {"beam_energy": 80.0}}}, {})
    {'instrument': None, 'voltage_kv': 80.0, 'detector': None}
    """
    found = {
        key: _first(_text, [_lookup(tree, path) for path in _TREE[key]], original, _ORIGINAL[key])
        for key in ("instrument", "detector")
    }
    voltage = _first(_number, [_lookup(tree, path) for path in _TREE["voltage_kv"]], original, [])
    if voltage is None:
        volts = _first(_number, [], original, _VOLTS)
        voltage = None if volts is None else volts / 1e3
    return {"instrument": found["instrument"], "voltage_kv": voltage, "detector": found["detector"]}


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


def _first(convert, values, original, paths):
    for value in [*values, *(_lookup(original, path) for path in paths)]:
        value = convert(value)
        if value is not None:
            return value
    return None


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
