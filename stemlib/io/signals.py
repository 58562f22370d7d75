"""Results on HyperSpy signals: as markers in the signal's own coordinates, and kept in its metadata."""

import numpy as np
import pandas as pd

_NODE = "stemlib"
_LOOK = {"facecolor": "none", "edgecolor": "#56B4E9", "linewidth": 1.5}
_SQUARE = 1.01  # ratio of a pixel's sides up to which an ellipse stays one


class OnSignals:
    """What every result can do with a HyperSpy signal: the image that it was found in, or the stack."""

    def to_markers(self, signal):
        """Return what was found as HyperSpy markers, in the coordinates of a signal's axes.

        Parameters
        ----------
        signal : hyperspy.signals.Signal2D
            The image; of a batch, the stack. Lazy ones are not computed.

        Returns
        -------
        hyperspy.api.plot.markers.Ellipses, Points, Lines or Polygons
            Loops as ellipses, columns and defects as points, boundaries of domains as lines, a lattice as its cell. On
            a stack, they change from image to image.

        Raises
        ------
        TypeError
            If it is no signal.
        ValueError
            If the signal is not of the shape of the image or stack, or its pixels are not square, for ellipses.

        Examples
        --------
        >>> import hyperspy.api as hs
        >>> import stemlib
        >>> from stemlib.synthetic import crystal_image
        >>> signal = hs.signals.Signal2D(crystal_image("square", (96, 96), spacing=9, seed=0).image)
        >>> markers = stemlib.find_columns(signal).to_markers(signal)
        >>> type(markers).__name__
        'Points'
        """
        import hyperspy.api as hs

        _check_signal(signal)
        name, shapes = self._on_signal(signal)
        axes = _Axes(signal)
        if name == "Ellipses" and not 1 / _SQUARE < abs(axes.scale[0] / axes.scale[1]) < _SQUARE:
            raise ValueError(
                f"signal has pixels of {axes.scale[1]:g} by {axes.scale[0]:g}, in which ellipses would be others; "
                "resample it to square pixels"
            )
        calibrated = [_SHAPES[name](axes, shape) for shape in shapes]
        keys = calibrated[0].keys()
        if len(shapes) == 1 and not signal.axes_manager.navigation_dimension:
            given = calibrated[0]
        else:
            given = {key: _by_image(signal, [one[key] for one in calibrated]) for key in keys}
        look = {"color": _LOOK["edgecolor"], "linewidth": _LOOK["linewidth"]} if name == "Lines" else _LOOK
        return getattr(hs.plot.markers, name)(**given, **look)

    def add_to(self, signal):
        """Add what was found to a signal for good: its markers, and its table below ``metadata.stemlib``.

        Both are saved with the signal as .hspy or .zspy; `stemlib.io.from_signal` returns the table. What was added
        before by the same finder is replaced.

        Parameters
        ----------
        signal : hyperspy.signals.Signal2D
            As for `to_markers`.

        Raises
        ------
        TypeError, ValueError
            As `to_markers`.
        """
        markers = self.to_markers(signal)
        what = self._name
        markers.name = f"{_NODE}_{what}"
        if signal.metadata.has_item(f"Markers.{markers.name}"):
            delattr(signal.metadata.Markers, markers.name)
        signal.add_marker(markers, plot_marker=False, permanent=True)
        if signal.metadata.has_item(f"{_NODE}.{what}"):
            delattr(signal.metadata[_NODE], what)
        table = self.table
        signal.metadata.set_item(f"{_NODE}.{what}", {"columns": list(table), "table": _plain(table)})

    @property
    def _name(self):
        """What the finder looks for, as its name says."""
        return type(self).__name__.lower()

    def _on_signal(self, signal):
        """Kind of the markers, and what they show of each image, px."""
        shape = self._image_shape()
        if signal.axes_manager.navigation_size > 1:
            raise ValueError(
                f"signal is the stack {signal!r}; give the image that {self._name} were found in"
            )
        _check_shape(signal, shape)
        return self._marks()

    def _marks(self):
        """Kind of the markers, and in a list what they show of the one image, px."""
        return marked(self.table)

    def _image_shape(self):
        return tuple(self.shape)


def marked(table):
    """Kind of markers for a table of one image, and what they show."""
    if {"major", "minor", "angle_deg"} <= set(table):
        return "Ellipses", [table[["y", "x", "major", "minor", "angle_deg"]].to_numpy(float)]
    return "Points", [table[["y", "x"]].to_numpy(float)]


def marked_stack(table, signal, what):
    """Kind of markers for a table with a column ``frame``, and what they show of each image of a stack."""
    _check_signal(signal)
    frames = max(1, signal.axes_manager.navigation_size)
    if not {"y", "x"} <= set(table):
        raise ValueError(f"{what} of many images have no places that could be marked")
    if table["image"].nunique() > 1 or (len(table) and table["frame"].max() >= frames):
        raise ValueError(
            f"signal is {signal!r}, not the stack of {table['image'].nunique()} source(s) and "
            f"{table['frame'].max() + 1} image(s) that {what} were found in"
        )
    groups = dict(list(table.groupby("frame")))
    found = [marked(groups.get(frame, table.iloc[:0])) for frame in range(frames)]
    return found[0][0], [shape for _, (shape,) in found]


def from_signal(signal, what=None):
    """Return the table that `add_to` has kept in a signal's metadata.

    Parameters
    ----------
    signal : hyperspy.signals.Signal2D
        Also one that was loaded from a .hspy or .zspy file.
    what : str, optional
        "loops", "columns", ...; may be left out where there is but one.

    Returns
    -------
    pandas.DataFrame
        Places are those in the image that the table was made from: of a signal cropped since, those in nm still hold.

    Raises
    ------
    TypeError
        If it is no signal.
    ValueError
        If there is no such table.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> import stemlib
    >>> from stemlib.synthetic import crystal_image
    >>> signal = hs.signals.Signal2D(crystal_image("square", (96, 96), spacing=9, seed=0).image)
    >>> columns = stemlib.find_columns(signal)
    >>> columns.add_to(signal)
    >>> from_signal(signal).equals(columns.table)
    True
    """
    _check_signal(signal)
    held = signal.metadata[_NODE].as_dictionary() if signal.metadata.has_item(_NODE) else {}
    if what is None and len(held) == 1:
        (what,) = held
    if what not in held:
        raise ValueError(
            f"what={what!r}: signal holds {', '.join(map(repr, held)) or 'no table of stemlib; add_to adds one'}"
        )
    kept = held[what]
    return pd.DataFrame({name: kept["table"][name] for name in kept["columns"]})


class _Axes:
    """The two axes of a signal's images: from pixels (y, x) to its own coordinates (x, y)."""

    def __init__(self, signal):
        axes = signal.axes_manager.signal_axes
        self.scale = np.array([axis.scale for axis in axes])
        self.offset = np.array([axis.offset for axis in axes])

    def places(self, positions):
        """Positions (..., 2) of pixels' centres."""
        return self.offset + np.asarray(positions, float)[..., ::-1] * self.scale

    def lengths(self, lengths):
        return np.asarray(lengths, float) * float(np.abs(self.scale).mean())


def _ellipses(axes, table):
    # HyperSpy turns clockwise as a person sees the image, whose y axis points down.
    turn = -np.sign(axes.scale.prod())
    return {
        "offsets": axes.places(table[:, :2]),
        "widths": axes.lengths(table[:, 2]),
        "heights": axes.lengths(table[:, 3]),
        "angles": turn * table[:, 4],
    }


def _points(axes, positions):
    return {"offsets": axes.places(positions)}


def _lines(axes, lines):
    pieces = [np.stack([line[:-1], line[1:]], axis=1) for line in lines]
    return {"segments": axes.places(np.concatenate(pieces) if pieces else np.zeros((0, 2, 2)))}


def _polygons(axes, polygons):
    return {"verts": [axes.places(polygon) for polygon in polygons]}


_SHAPES = {"Ellipses": _ellipses, "Points": _points, "Lines": _lines, "Polygons": _polygons}


def _by_image(signal, values):
    """What each image has, in the order in which HyperSpy asks for it: the last axis of the array first."""
    shape = signal.axes_manager.navigation_shape
    found = np.empty(shape or (1,), object)
    for number, value in enumerate(values):
        found[np.unravel_index(number, shape[::-1])[::-1] if shape else 0] = value
    return found


def _plain(table):
    """Columns as HyperSpy's files can hold them: numbers as arrays, all else as texts."""
    return {
        name: column.to_numpy() if column.dtype.kind in "buif" else column.astype(str).tolist()
        for name, column in table.items()
    }


def _check_signal(signal):
    if not hasattr(signal, "axes_manager") or signal.axes_manager.signal_dimension != 2:
        raise TypeError(f"signal must be a HyperSpy Signal2D, not {signal!r}")


def _check_shape(signal, shape):
    there = signal.axes_manager.signal_shape[::-1]
    if tuple(there) != tuple(shape):
        raise ValueError(
            f"signal has images of {there[0]} x {there[1]} px, not of the {shape[0]} x {shape[1]} px that were looked "
            "at; give the signal that was, or look at this one"
        )
