"""Cases with what was found in them as the panels of figures; what may not be shown is left out, and said so."""

import numpy as np

from stemlib.plot import ColumnPanel, DefectPanel, DomainPanel, LoopPanel


def loop_panel(case, loops=None, match=None, *, truth="A"):
    """Return the panel of a `LoopCase`, its `Loops` and their `Match`; `loops` None: the image is not at hand."""
    if loops is None:
        return LoopPanel(case.name)
    note = (
        f"{match.is_found.sum()} of {len(match.is_found)} loops found, "
        f"{match.is_true.sum()} of {len(match.is_true)} found are true"
    )
    return LoopPanel(
        case.name,
        case.image(),
        case.loops(truth),
        loops.table,
        match.is_found,
        match.is_true,
        match.on_class,
        pixel_size_nm=case.pixel_size_nm if case.pixel_size_sure else None,
        note=note,
    )


def column_panel(case, columns=None, match=None, *, semantic=False, show_image=True):
    """Return the panel of a `ColumnCase`, its `Columns` and their `ColumnMatch`.

    `semantic` shows the semantic image in place of the micrograph; `show_image` False draws the columns on black,
    where the licence does not allow a picture, and says so; `columns` None: the image is not at hand.
    """
    if columns is None:
        return ColumnPanel(case.name)
    image = columns.semantic_image if semantic else case.source.image
    note = f"{len(columns.table)} columns, {columns.spacing:.1f} px apart" if len(columns.table) else ""
    known = ()
    if match is not None:
        truth, true = match.is_found[match.in_truth], match.is_true[match.in_found]
        note = f"{truth.sum()} of {len(truth)} labelled found, {true.sum()} of {len(true)} found labelled"
        labels = case.labels[["y", "x"]].to_numpy()
        known = labels, match.is_found | ~match.in_truth, match.is_true | ~match.in_found
    if not show_image:
        image, note = np.zeros_like(image), f"{note}; no licence stated".removeprefix("; ")
    return ColumnPanel(
        case.name,
        image,
        columns.table[["y", "x"]].to_numpy(),
        *known,
        spacing=columns.spacing,
        is_semantic=semantic or not show_image,
        pixel_size_nm=_sure_scale(case),
        note=note,
    )


def defect_panel(case, defects=None, match=None, *, show_image=True):
    """Return the panel of a `DefectCase`, its `Defects` and what `match_known` says of them.

    `show_image` False draws the defects on an even grey, where the licence does not allow a picture, and says so;
    `defects` None: the image is not at hand.
    """
    if defects is None:
        return DefectPanel(case.name)
    image, truth, note = case.source.image, None, f"{len(defects.table)} found"
    if match is not None:
        truth, is_known, counts = match
        others = (counts & ~is_known).sum()
        note = f"{truth['is_found'].sum()} of {len(truth)} known found, {others} others"
    if not show_image:
        image, note = np.full(image.shape, 0.5, np.float32), f"{note}\nno licence stated, defects alone"
    return DefectPanel(
        case.name,
        image,
        defects.table,
        truth,
        region=case.region if case.sites else None,
        is_semantic=not show_image,
        pixel_size_nm=_sure_scale(case),
        note=note,
    )


def domain_panel(case, domains=None, *, name=None, note="", show_image=True, show_faults=False):
    """Return the panel of a `DomainCase` and its `Domains`; `domains` None: the image is not at hand.

    `show_image` False leaves the micrograph out, where its licence does not allow a picture, and says so;
    `show_faults` draws the faults found too.
    """
    if case.source is None or domains is None:
        return DomainPanel(name or case.name)
    if not show_image:
        note = f"{note}\nno licence stated, labels alone".removeprefix("\n")
    return DomainPanel(
        name or case.name,
        case.source.image if show_image else None,
        domains.labels,
        tuple(domains.boundaries),
        tuple(case.boundaries),
        tuple(case.faults),
        tuple(domains.faults) if show_faults else (),
        pixel_size_nm=_sure_scale(case),
        note=note,
    )


def _sure_scale(case):
    return case.source.pixel_size_nm if case.pixel_size_sure else None
