"""What `stemlib.batch` returns."""

import functools
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from stemlib.io.signals import OnSignals, marked_stack
from stemlib.many.store import read_table


@dataclass(frozen=True, eq=False)
class Batch(OnSignals):
    """What was found in many images.

    Parameters
    ----------
    what : str
        "loops", "defects", "columns", "lattice" or "domains".
    folder : pathlib.Path
        Where it lies: ``WHAT.csv``, the table of all objects; ``images.csv``, that of all images; and for each image a
        folder below ``images`` with its picture, its table and, as JSON, its numbers.
    summary : pandas.DataFrame
        One row per image: ``image``, its path below the folder that all share; ``frame``, its number in its file;
        ``data_set``, what the file calls it; ``height, width`` px and ``pixel_size_nm``; numbers and the ends of their
        95 % intervals, such as ``loops``, ``mean_diameter``, ``mean_diameter_low``, ...; ``warnings`` and ``error``,
        empty where there is none.
    columns : list of str
        Of `table`.
    """

    what: str
    folder: Path
    summary: pd.DataFrame
    columns: list

    @functools.cached_property
    def table(self):
        """One row per object of all images: ``image`` and ``frame``, and what the table of one image holds."""
        return read_table(self.folder / f"{self.what}.csv", self.columns)

    @property
    def errors(self):
        """Images in which nothing could be sought: ``image``, ``frame`` (of a file that cannot be read: none), why."""
        failed = self.summary["error"] != ""
        return self.summary.loc[failed, ["image", "frame", "error"]].reset_index(drop=True)

    @functools.cached_property
    def pooled(self):
        """What all images together say, with intervals over images: see `stemlib.many.pooling.pooled`."""
        from stemlib.many.pooling import pooled

        return pooled(self)

    def tracks(self, *, search_range=None, memory=0):
        """Follow the objects of movies from frame to frame: see `stemlib.many.tracks.link_frames`.

        Parameters
        ----------
        search_range : float, optional
            How far an object may move from one frame to the next, px; by default half of the median distance of
            neighbours.
        memory : int
            For how many frames an object may be overlooked and still be the same.

        Returns
        -------
        stemlib.many.tracks.Tracks
        """
        from stemlib.many.tracks import link_frames

        n_frames = self.summary.groupby("image")["frame"].max().fillna(0) + 1
        return link_frames(self.table, n_frames.to_dict(), search_range=search_range, memory=memory)

    @property
    def _name(self):
        return self.what

    def _on_signal(self, signal):
        return marked_stack(self.table, signal, self.what)

    def __repr__(self):
        done, failed = len(self.summary) - len(self.errors), len(self.errors)
        return (
            f"Batch({self.what} of {done} images{f', {failed} failed' if failed else ''}, in {str(self.folder)!r}; "
            ".table, .summary, .errors)"
        )
