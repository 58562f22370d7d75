"""Defects of a crystal without labels: what does not look like the rest of it, nothing found where nothing is."""

import warnings
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from stemlib.columns.find import Columns, find_columns
from stemlib.defects.average_cell import AverageCell
from stemlib.defects.column_statistics import EMPTY, compare_sites
from stemlib.defects.merging import join_parts, number_chains, score_of
from stemlib.defects.one_class import score_segments
from stemlib.defects.result import Defects
from stemlib.defects.sites import assign_sites
from stemlib.fourier.filters import natural_factor, reduced
from stemlib.io.masking import masked_micrograph
from stemlib.io.micrograph import Micrograph, as_micrograph, check_positive
from stemlib.io.result import View
from stemlib.io.tables import with_nanometres
from stemlib.lattice.find import find_lattice
from stemlib.lattice.result import Lattice

SCHEMES = ("unit-cell", "columns")
DESCRIPTORS = ("patterson", "contrast", "both")
SOURCES = ("image", "semantic")
# Of the false alarms allowed: p-values learnt from the image that they judge are known to a factor of two.
_USED = 0.4
_RIM = 1.0  # spacings from the image's edge in which the semantic image is not like elsewhere: columns are cut off
_LEAST_COVERED = 0.5  # of the image, before it is said that only a part was judged


def find_defects(
    image,
    *,
    scheme="unit-cell",
    descriptor="both",
    false_alarms=1.0,
    source="image",
    pixel_size_nm=None,
    mask=None,
    dark_columns=False,
    weights=None,
    seed=0,
    device="auto",
):
    """Find what does not belong in a crystal that was never seen before.

    Two parts look for it. The Patterson part compares segments by translation-invariant descriptors with a one-class
    support vector machine, as in the publication; it sees structure of any kind. Column statistics, "contrast" in the
    arguments and tables, compare intensity and position of every column, and the intensity at every empty site, with
    the other sites of the same sublattice; they see chemistry as well. Each score becomes a p-value by a null
    distribution learnt from most scores, and only what is too unlikely for all places tried is a defect.

    Parameters
    ----------
    image : path, (H, W) array of any real dtype, Micrograph or HyperSpy Signal2D
    scheme : {"unit-cell", "columns"}
        "unit-cell": segments span whole unit cells along the lattice. "columns": tapered windows centred on columns,
        for crystals that no single cell covers.
    descriptor : {"patterson", "contrast", "both"}
        "patterson", "contrast" or "both".
    false_alarms : float
        Greatest expected number of false defects in an image of a perfect crystal; with both parts, each has half of
        it. P-values are learnt from the image itself: were they exact, four tenths of that would be found.
    source : {"image", "semantic"}
        What Patterson functions are of: the "image", or the "semantic" one, which shows positions only, so that mixed
        chemistry flags nothing.
    pixel_size_nm : float, optional
        Wins over the image's own.
    mask : array_like of bool, shape (H, W), optional
        True where to look.
    dark_columns : bool
        Whether columns are darker than what surrounds them, as in annular bright field.
    weights : str or pathlib.Path, optional
        Other weights of the network that finds columns, as `stemlib.find_columns` takes them.
    seed : int
        Of the approximate support vector machine, used with more than 5000 segments, and of the choice among very many
        places between columns and cells of the lattice.
    device : str
        For the network that finds columns: "auto" (a GPU where there is one), "cpu", "cuda", ...

    Returns
    -------
    Defects

    Raises
    ------
    TypeError, ValueError, FileNotFoundError
        If an argument is no good, no columns are found, or, unless ``scheme="columns"`` with a Patterson descriptor,
        the image has no lattice.

    Warns
    -----
    UserWarning
        If the lattice covers less than half of the image, or of the mask, so that the rest is not judged; if the scan
        slipped, or a part of the image is left out.

    References
    ----------
    Y. Guo et al., npj Comput. Mater. 7, 180 (2021), https://doi.org/10.1038/s41524-021-00642-1, for one-class support
    vector machines on Patterson functions of segments. Parameters, column statistics and false-alarm control are ours.

    Examples
    --------
    >>> from stemlib.synthetic import PointDefects, crystal_image
    >>> scene = crystal_image(
    ...     "perovskite", (192, 192), spacing=10, defects=PointDefects(vacancies=0.01), seed=3
    ... )
    >>> defects = find_defects(scene.image)
    >>> len(defects.table) == len(scene.missing), set(defects.table.kind)
    (True, {'missing'})
    """
    _check_choice(scheme, "scheme", SCHEMES)
    _check_choice(descriptor, "descriptor", DESCRIPTORS)
    _check_choice(source, "source", SOURCES)
    false_alarms = check_positive(false_alarms, "false_alarms", remedy=": false defects expected per image")
    seen = as_micrograph(image, pixel_size_nm=pixel_size_nm)
    micrograph, mask, ignored = masked_micrograph(seen, mask)
    shape = micrograph.image.shape
    bright = Micrograph(-micrograph.image if dark_columns else micrograph.image, micrograph.pixel_size_nm)
    columns = find_columns(bright, mask=mask, weights=weights, device=device)
    if len(columns.table) < 4:
        raise ValueError(
            f"image shows {len(columns.table)} atomic column(s); defects show against a crystal of many"
        )
    settings = {"spacing": columns.spacing, "seed": seed}
    lattice = _lattice_of(bright, scheme, descriptor, mask=mask, **settings)
    if lattice is not None and lattice.slips:
        slipped = _beside_slips(lattice, shape) & mask
        ignored, mask = ignored | slipped, mask & ~slipped
        row, column = (
            np.clip(np.rint(columns.table[["y", "x"]]).astype(int), 0, np.array(shape) - 1).to_numpy().T
        )
        columns = replace(columns, table=columns.table[mask[row, column]].reset_index(drop=True))
        slips, lattice = lattice.slips, _lattice_of(bright, scheme, descriptor, mask=mask, **settings)
        lattice = None if lattice is None else replace(lattice, slips=slips)
    allowed = _USED * false_alarms / (2 if descriptor == "both" and lattice is not None else 1)
    # As many pixels as columns need: more would bring nothing but time.
    factor = natural_factor(columns.spacing)
    scene = _Scene.at_natural_scale(bright.image, mask, columns, lattice, factor)
    table = scene.columns.table[["y", "x", "probability", "intensity"]].assign(site=-1)
    spacing = scene.columns.spacing
    places, n_places, flagged = None, 0, None
    if descriptor != "patterson" and lattice is not None:
        positions = table[["y", "x"]].to_numpy()
        sites = assign_sites(scene.image, positions, scene.lattice, spacing)
        taken = sites.columns >= 0
        table.loc[sites.columns[taken], "site"] = sites.kind[taken]
        places, n_places = compare_sites(
            scene.image,
            positions,
            sites,
            sigma=scene.columns.sigma,
            spacing=spacing,
            mask=scene.mask,
            seed=seed,
        )
        flagged = places[places["log_p"] <= np.log(allowed / max(n_places, 1))]
    segments, unusual = None, np.zeros(0, bool)
    if descriptor != "contrast":
        segments = score_segments(
            scene.columns.semantic_image if source == "semantic" else scene.image,
            scene.lattice if scheme == "unit-cell" else None,
            # Around columns that only some cells show, windows would be a small group of their own.
            table.loc[(table["site"] >= 0) | (places is None), ["y", "x"]].to_numpy(),
            spacing=spacing,
            mask=_inner(scene.mask, _RIM * spacing) if source == "semantic" else scene.mask,
            doubtful=None if flagged is None else flagged[["y", "x"]].to_numpy(),
            seed=seed,
        )
        unusual = segments.log_p <= np.log(allowed / max(len(segments.log_p), 1))
    found = number_chains(join_parts(flagged, segments, unusual, spacing), spacing)
    found, scored, segments = (
        _enlarged(one, factor) for one in (found, _scored(table, places, segments), _segment_table(segments))
    )
    return Defects(
        with_nanometres(found, micrograph.pixel_size_nm, micrograph.origin_nm),
        with_nanometres(scored, micrograph.pixel_size_nm, micrograph.origin_nm),
        segments,
        None if lattice is None else replace(lattice, view=View(seen, mask)),
        n_places + len(unusual),
        shape,
        micrograph.pixel_size_nm,
        ignored,
        View(seen, mask),
    )


@dataclass(frozen=True, eq=False)
class _Scene:
    """What is judged: an image of bright columns at their natural scale, continued where it is hidden."""

    image: np.ndarray
    mask: np.ndarray
    columns: Columns
    lattice: Lattice | None

    @classmethod
    def at_natural_scale(cls, image, mask, columns, lattice, factor):
        """The scene in an image whose pixels are blocks of so many pixels a side."""
        if factor > 1:
            semantic, _ = reduced(columns.semantic_image, np.ones_like(mask), factor)
            _, visible = reduced(image, mask, factor)
            image, _ = reduced(image, np.ones_like(mask), factor)
            mask = visible > 0
            columns = replace(
                columns,
                table=_enlarged(columns.table, 1 / factor),
                semantic_image=semantic,
                spacing=columns.spacing / factor,
                # A mean over a pixel is a blur.
                sigma=float(np.sqrt((columns.sigma / factor) ** 2 + (1 - factor**-2) / 12)),
            )
            lattice = None if lattice is None else lattice.rescaled(1 / factor, image.shape)
        if lattice is not None and not mask.all():
            image = AverageCell.of(image, mask, lattice, columns.spacing).continued(image, mask)
        return cls(image, mask, columns, lattice)


def _enlarged(table, factor):
    """A table of positions in an image in px of the same image enlarged."""
    moved = {name: (table[name] + 0.5) * factor - 0.5 for name in ("y", "x")}
    return table.assign(**moved, **({"offset": table["offset"] * factor} if "offset" in table else {}))


def _check_choice(value, name, choices):
    if value not in choices:
        raise ValueError(f"{name}={value!r} is not known; one of {', '.join(map(repr, choices))} would do")


def _lattice_of(bright, scheme, descriptor, *, mask, **settings):
    """The lattice, or None where it is not needed and none is found."""
    try:
        with warnings.catch_warnings():
            # It is said what becomes of the rows beside it.
            warnings.filterwarnings("ignore", "the scan slipped")
            lattice = find_lattice(bright, mask=mask, **settings)
        # The sites of a superstructure are not each other's kin, however little they differ.
        lattice = lattice.with_superstructure()
    except ValueError as error:
        if scheme == "unit-cell" or descriptor == "contrast":
            remedy = 'scheme="columns" with descriptor="patterson" needs no lattice'
            raise ValueError(f"{error}; {remedy}") from error
        if descriptor == "both":
            warnings.warn(f"{error}: only Patterson functions are compared", stacklevel=3)
        return None
    covered = lattice.coverage / max(float(mask.mean()), 1e-9)
    if scheme == "unit-cell" and covered < _LEAST_COVERED:
        warnings.warn(
            f"the lattice covers {covered:.0%} of the image; defects are only found there", stacklevel=3
        )
    return lattice


def _beside_slips(lattice, shape):
    """Rows in which columns are torn, or too near to those that are to be told from them; and say so."""
    away = lattice.lengths.max()
    rows = np.abs(np.arange(shape[0])[:, None] - np.array(lattice.slips) + 0.5).min(axis=1) < away
    warnings.warn(
        f"the scan slipped at row {', '.join(map(str, lattice.slips))}: the rows within {away:.0f} px are left out",
        stacklevel=3,
    )
    return np.broadcast_to(rows[:, None], shape)


def _inner(mask, rim):
    """The mask without a rim along the image's edge."""
    inner, width = np.zeros(mask.shape, bool), int(np.ceil(rim))
    middle = (slice(width, -width),) * 2
    inner[middle] = mask[middle]
    return inner


def _scored(table, places, segments):
    """The columns and empty sites with their scores, from top to bottom."""
    table = table.assign(score=0.0, is_empty=False)
    if places is not None:
        own = places[places["column"] >= 0]
        rows = own["column"].to_numpy(int)
        table.loc[rows, "score"] = score_of(own["log_p"])
        table.loc[rows, ["y", "x"]] = own[["y", "x"]].to_numpy()
        empty = places[places["column"] < 0]
        rows = empty[["y", "x", "site"]].assign(probability=0.0, intensity=empty["intensity"])
        # What stands high enough is a column that the network overlooked.
        rows = rows.assign(score=score_of(empty["log_p"]), is_empty=~(empty["intensity_ratio"] >= EMPTY))
        table = pd.concat([table, rows[table.columns]], ignore_index=True) if len(rows) else table
    elif segments is not None and len(segments.positions):
        values = score_of(segments.log_p)
        shown = segments.showing(table[["y", "x"]].to_numpy())
        table["score"] = [values[s].mean() if s else 0.0 for s in shown]
    return table.sort_values(["y", "x"], ignore_index=True)


def _segment_table(segments):
    if segments is None:
        return pd.DataFrame({"y": [], "x": [], "score": []}, dtype=float)
    y, x = segments.positions.T
    return pd.DataFrame({"y": y, "x": x, "score": score_of(segments.log_p)})
