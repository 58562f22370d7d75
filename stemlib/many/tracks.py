"""Objects of a movie followed from frame to frame: which appear, vanish, move and grow."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from stemlib.io.tables import write_csv

# Of the distance of neighbours: nearer to where an object was than half of it, none but itself is to be expected.
_REACH = 0.5
_LOST = 0.05  # share of links, beyond which it is said that some are wrong


@dataclass(frozen=True, eq=False)
class Tracks:
    """The objects of one movie or several, each followed as long as it is seen.

    Parameters
    ----------
    table : pandas.DataFrame
        The objects as before, with ``track``, a number for all that are one.
    summary : pandas.DataFrame
        One row per track: ``image``; ``track``; ``first_frame, last_frame``; ``n_frames`` in which it is seen;
        ``appears`` and ``vanishes``, whether it was not there in the movie's first frame or is not in its last;
        ``y, x`` px at first; ``moved`` px, from there to where it is last; ``step`` px, root mean square from frame to
        frame; of loops also ``growth`` and ``growth_error``, change of the major axis in px per frame and its standard
        error. With a known pixel size the lengths in nm as well.
    search_range : dict
        How far each movie's objects were searched, px.
    """

    table: pd.DataFrame
    summary: pd.DataFrame
    search_range: dict

    def to_csv(self, path: str | Path) -> None:
        """Write one row per track as CSV with the unit of each column in the header."""
        write_csv(self.summary, path)


def link_frames(table, n_frames, *, search_range=None, memory=0):
    """Follow objects from frame to frame, by trackpy.

    Parameters
    ----------
    table : pandas.DataFrame
        ``image``, ``frame`` and ``y, x`` px, as `stemlib.many.Batch.table`; in nm too where that is known.
    n_frames : dict of int
        How many frames each image has, those without any object too.
    search_range : float, optional
        How far an object may move from one frame to the next, px; by default half of the median distance of
        neighbours in the same frame, within which it cannot be taken for another. Drift that is larger has to be
        taken out before.
    memory : int
        For how many frames an object may be overlooked and still be the same.

    Returns
    -------
    Tracks

    Raises
    ------
    ImportError
        If trackpy is not installed.
    ValueError
        If there is no movie in the table, or `search_range` or `memory` is no good.

    Warns
    -----
    UserWarning
        If many objects move nearly as far as they are searched: some will have been linked to others.

    References
    ----------
    D. Allan et al., trackpy, https://doi.org/10.5281/zenodo.34028, after J. C. Crocker and D. G. Grier, J. Colloid
    Interface Sci. 179, 298 (1996), https://doi.org/10.1006/jcis.1996.0217.

    Examples
    --------
    >>> rows = [("movie", frame, 10.0 + frame, x) for frame in range(3) for x in (10.0, 50.0)]
    >>> tracks = link_frames(pd.DataFrame(rows, columns=["image", "frame", "y", "x"]), {"movie": 3})
    >>> tracks.summary[["track", "n_frames", "appears", "vanishes"]].to_numpy().tolist()
    [[0, 3, False, False], [1, 3, False, False]]
    >>> tracks.summary["moved"].tolist()
    [2.0, 2.0]
    """
    _check(table, n_frames, search_range, memory)
    linked, ranges, rows = [], {}, []
    for image, objects in table.groupby("image", sort=False):
        if n_frames[image] < 2:
            continue
        objects = objects.reset_index(drop=True)
        ranges[image] = _reach(objects) if search_range is None else float(search_range)
        track = _linked(objects, ranges[image], memory)
        objects = objects.assign(track=track + sum(len(one) for one in rows))
        linked.append(objects)
        rows.append([_row(image, one, n_frames[image]) for _, one in objects.groupby("track")])
        _warn_of_far(image, objects, ranges[image])
    return Tracks(
        pd.concat(linked, ignore_index=True), pd.DataFrame([row for one in rows for row in one]), ranges
    )


def _check(table, n_frames, search_range, memory):
    if not {"y", "x"} <= set(table):
        raise ValueError("these objects have no places, so that they cannot be followed")
    if not any(n_frames[image] > 1 for image in table["image"].unique()):
        raise ValueError("there is no movie with objects: every image has one frame, or nothing was found")
    if search_range is not None and not search_range > 0:
        raise ValueError(f"search_range={search_range!r} must be a positive number of px")
    if isinstance(memory, bool) or not isinstance(memory, int | np.integer) or memory < 0:
        raise ValueError(f"memory={memory!r} must be a whole number of frames, 0 for none")


def _reach(objects):
    """Half of the median distance of neighbours in one frame; of a single object per frame, any distance will do."""
    nearest = [
        cKDTree(at).query(at, k=2)[0][:, 1]
        for at in (one[["y", "x"]].to_numpy() for _, one in objects.groupby("frame"))
        if len(at) > 1
    ]
    if not nearest:
        return float(np.hypot(*(np.ptp(objects[["y", "x"]].to_numpy(), axis=0) + 1)))
    return _REACH * float(np.median(np.concatenate(nearest)))


def _linked(objects, reach, memory):
    """Number of each object's track, the tracks numbered in the order in which they begin."""
    import trackpy

    trackpy.quiet()
    places = objects[["y", "x", "frame"]].assign(row=np.arange(len(objects)))
    try:
        found = trackpy.link(places, reach, pos_columns=["y", "x"], t_column="frame", memory=int(memory))
    except trackpy.SubnetOversizeException:
        raise ValueError(
            f"search_range={reach:g} px is too far: too many objects are within reach of each other; give a smaller one"
        ) from None
    number = found.sort_values("row")["particle"].to_numpy()
    return pd.factorize(number)[0]


def _row(image, track, n_frames):
    """What there is to say of one track; its objects in the order of frames."""
    track = track.sort_values("frame")
    first, last = track.iloc[0], track.iloc[-1]
    row = {"image": image, "track": int(first["track"])}
    row |= {"first_frame": int(first["frame"]), "last_frame": int(last["frame"]), "n_frames": len(track)}
    row |= {"appears": bool(first["frame"] > 0), "vanishes": bool(last["frame"] < n_frames - 1)}
    for unit in ("", "_nm"):
        if f"y{unit}" not in track or np.isnan(first[f"y{unit}"]):
            continue
        at = track[[f"y{unit}", f"x{unit}"]].to_numpy(float)
        steps = (np.diff(at, axis=0) ** 2).sum(axis=1) / np.diff(track["frame"])
        row |= {
            f"y{unit}": at[0, 0],
            f"x{unit}": at[0, 1],
            f"moved{unit}": float(np.hypot(*(at[-1] - at[0]))),
        }
        row[f"step{unit}"] = float(np.sqrt(steps.mean())) if len(steps) else np.nan
        if f"major{unit}" in track:
            row[f"growth{unit}"], row[f"growth_error{unit}"] = _slope(track["frame"], track[f"major{unit}"])
    return row


def _slope(frames, lengths):
    """Change per frame of a straight line and its standard error; NaN of fewer than three points."""
    from scipy.stats import linregress

    if len(frames) < 3:
        return np.nan, np.nan
    line = linregress(frames.to_numpy(float), lengths.to_numpy(float))
    return float(line.slope), float(line.stderr)


def _warn_of_far(image, objects, reach):
    ordered = objects.sort_values(["track", "frame"])
    same = (ordered["track"].diff() == 0) & (ordered["frame"].diff() == 1)
    squares = (ordered["y"].diff() ** 2 + ordered["x"].diff() ** 2)[same]
    # Of objects that wander at random, this share goes beyond the reach.
    lost = np.exp(-(reach**2) / squares.mean()) if squares.sum() > 0 else 0.0
    if lost > _LOST:
        warnings.warn(
            f"{image}: objects move {np.sqrt(squares.mean()):.3g} px from frame to frame, of {reach:.3g} px within "
            f"which they are sought: about {lost:.0%} are taken for others; take out the drift, or record faster",
            stacklevel=3,
        )
