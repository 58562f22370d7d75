"""One loader for the images of every subject, and one way to run a finder on them."""

import numpy as np
from skimage.draw import polygon2mask
from tqdm.auto import tqdm

from stemlib.datasets import (
    atomic_images,
    atomic_labels,
    fetch,
    fetch_all,
    image_set,
    label_files,
    loop_images,
    read_316l_labels,
    read_atomic_image,
    read_loop_labels,
    steel_316l_images,
)
from stemlib.datasets.registry import local_file

from .cases import ColumnCase, DefectCase, DomainCase, LoopCase
from .domain_maps import sides
from .drawings import drawn_boundaries, drawn_polygon, drawn_vacancies
from .stand_ins import simulated_cases

# Atomic images -> kind of site -> classes of the labelled columns on it, the minority among them.
_SITES = {
    "wse2-ti/adf1": {"W sites": (0, 1), "Se2 sites": (2, 3)},
    "wse2-ti/adf2": {"W sites": (0, 1), "Se2 sites": (2, 3)},
    "wse2-cr": {"sites of class 1": (1, 2), "sites of class 0": (0, 3)},
}
_MARKED = "mose2-40kv"
# Longest edge of the cells, px, as `stemlib.find_lattice` measured it in the largest grain; it sets the bands' widths.
_CELL_EDGES = {"fe-boundary": 16.6, "llto-domains": 19.9, "cdte-faults": 14.7, "ws2te2-edge": 16.4}
# Of one image each of the folders with perfect crystals.
_CONTROLS = ("nsmo-perfect", "bto-perfect/1", "bto-perfect/2")


def load_cases(subject, name, *, pixel_size_nm=None, **stand_ins):
    """Return the images of one subject; those that are not at hand have no `source`.

    Parameters
    ----------
    subject : {"loops", "columns", "defects", "domains"}
    name : str
        "synthetic" or "atomic"; for loops "synthetic", a set of `stemlib.datasets.image_set`, "annotators" (every
        image that carries two or three label sets) or "316l", whose densely labelled image, ``"test/3.png"``, comes
        last.
    pixel_size_nm : float, optional
        Wins over the registry's, for every image of loops.
    **stand_ins
        `n_images`, `side_px` and `seed` of "synthetic", as `simulated_cases` takes them.

    Returns
    -------
    list of Case

    Raises
    ------
    ValueError
        If the set is unknown, or a file at hand does not match its checksum.
    """
    if name == "synthetic":
        scale = {"pixel_size_nm": pixel_size_nm} if subject == "loops" and pixel_size_nm else {}
        return simulated_cases(subject, **scale, **stand_ins)
    if subject == "loops":
        if name == "316l":
            fetch_all("316l")
            return [_steel_case(*row, pixel_size_nm) for row in steel_316l_images().iterrows()]
        facts = loop_images()
        if name == "annotators":
            names = list(facts.index[facts["label_sets"].str.len() > 1])
        else:
            names = image_set(name)
            # Tried once and together: a request per file would wait as often as there are files.
            fetch_all(name)
        return [_loop_case(one, facts.loc[one], pixel_size_nm) for one in names]
    if name != "atomic":
        raise ValueError(f"name={name!r} must be 'atomic' or 'synthetic'")
    fetch_all("atomic")
    images = atomic_images()
    if subject == "columns":
        # One frame of the series is enough.
        wanted = images[images["truth"].str.contains("columns") | images["dark_columns"]]
        wanted = wanted[wanted["select"].fillna(0) == 0]
        return [_column_case(one, row) for one, row in wanted.iterrows()]
    if subject == "defects":
        known = [*_SITES, _MARKED]
        wanted = images[images.index.isin(known) | (images["truth"] == "no defects").to_numpy()]
        return [_defect_case(one, row) for one, row in wanted.iterrows()]
    return [_domain_case(one, images.loc[one]) for one in (*_CELL_EDGES, *_CONTROLS)]


def find_in_cases(cases, find, **options):
    """Run one of stemlib's finders on every image at hand; return the name of each case -> what was found."""
    here = [case for case in cases if case.available]
    return {
        case.name: find(case.source, **case.options, **options)
        for case in tqdm(here, desc=find.__name__, unit="image")
    }


def _loop_case(name, facts, pixel_size_nm):
    paths = [facts["path"]] if local_file(facts["path"]) else []
    labels = {}
    for label_set in facts["label_sets"]:
        files = [path for kind, path in label_files(name).items() if kind.endswith(f"-{label_set.lower()}")]
        if all(local_file(path) for path in files):
            labels[label_set] = read_loop_labels(name, label_set)
            paths += files
    return LoopCase(
        name,
        fetch(facts["path"]) if local_file(facts["path"]) else None,
        facts["role"],
        pixel_size_sure=pixel_size_nm is not None or bool(facts["pixel_size_sure"]),
        paths=tuple(sorted(paths)),
        labels=labels,
        ellipse_sets="".join(one for one in facts["ellipse_sets"] if one in labels),
        **_scale(facts, pixel_size_nm),
    )


def _steel_case(name, facts, pixel_size_nm):
    here = bool(facts["available"])
    return LoopCase(
        name,
        fetch(facts["path"]) if here else None,
        "316l",
        pixel_size_sure=pixel_size_nm is not None,
        paths=(facts["path"], facts["mask_path"]) if here else (),
        labels={"M": read_316l_labels(name)} if here else {},
        ellipse_sets="M" if here else "",
        **_scale(facts, pixel_size_nm),
    )


def _scale(facts, pixel_size_nm):
    registered = None if np.isnan(facts["pixel_size_nm"]) else float(facts["pixel_size_nm"])
    return {
        "shape": (int(facts["height_px"]), int(facts["width_px"])),
        "pixel_size_nm": pixel_size_nm or registered,
    }


def _atomic(name, row, paths):
    """What every case of an atomic image holds, from a row of `atomic_images`."""
    here = bool(row["available"])
    return {
        "name": name,
        "source": read_atomic_image(name) if here else None,
        "role": row["role"],
        "pixel_size_sure": bool(row["pixel_size_sure"]),
        "may_be_shown": row["licence"] != "none",
        "paths": tuple(sorted({row[key] for key in paths if row[key]})) if here else (),
    }


def _column_case(name, row, kind=ColumnCase, **known):
    labelled = bool(row["points"])
    return kind(
        labels=atomic_labels(name) if row["available"] and labelled else None,
        region=drawn_polygon(name) if labelled else None,
        dark_columns=bool(row["dark_columns"]),
        **_atomic(name, row, ("path", "points", "classes")),
        **known,
    )


def _defect_case(name, row):
    known = {"sites": _SITES.get(name, {}), "is_control": row["truth"] == "no defects"}
    if name == _MARKED:
        drawing = drawn_vacancies(name)
        known |= {"marks": drawing["marks"], "undecided": tuple(drawing["undecided"])}
    return _column_case(name, row, DefectCase, **known)


def _domain_case(name, row):
    here, shape = bool(row["available"]), (int(row["height_px"]), int(row["width_px"]))
    facts = _atomic(name, row, ("path",))
    if name in _CONTROLS:
        return DomainCase(n_domains=1, labels=np.zeros(shape, int) if here else None, **facts)
    drawing = drawn_boundaries(name)
    lines = list(drawing["lines"].values())
    between = [line for line in lines if line["kind"] == "boundary"]
    undecided = np.zeros(shape, bool)
    for polygon in drawing["undecided"]:
        undecided |= polygon2mask(shape, polygon)
    return DomainCase(
        n_domains=drawing["n_domains"],
        labels=sides(shape, [line["first"] for line in between]) if here else None,
        boundaries=tuple(line["first"] for line in between),
        second=tuple(line["second"] for line in between),
        faults=tuple(line["first"] for line in lines if line["kind"] == "fault"),
        drawing_error_px=float(np.mean([line["drawing_error_px"] for line in between])),
        cell_edge=_CELL_EDGES[name],
        undecided=undecided,
        **facts,
    )
