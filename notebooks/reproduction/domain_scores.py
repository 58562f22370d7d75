"""How found domains agree with known ones, and over dose and tilt of the boundary in a twinned particle."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

import stemlib
from stemlib.agreement import boundary_distance, label_accuracy
from stemlib.agreement.domains import resampled
from stemlib.synthetic import DarkField, domain_image

from .cases import DomainCase
from .results import part, result

METHODS = ("mixture", "one-class")
# Key of `domain_score` -> end of the result's id, its title and unit.
_RESULTS = {
    "found": ("found", "domains found", ""),
    "expected": ("expected", "domains expected", ""),
    "accuracy": ("accuracy", "label accuracy", ""),
    "distance_px": ("boundary-distance", "distance of found and known boundaries", "px"),
    "allowed_px": ("allowed-distance", "longer cell edge and drawing error", "px"),
    "outside": ("film-undecided", "outside of the crystals left undecided", ""),
    "faults": ("faults-found", "share of the faults' length that is found", ""),
    "stray_faults": ("stray-faults", "share of the found faults' length where none is known", ""),
}
# What is not there in every image; a boundary that is not found stays, without a distance.
_OPTIONAL = ("outside", "faults", "stray_faults", "allowed_px")


def domain_score(case, found):
    """Score one image: a `DomainCase` and the `stemlib.domains.Domains` found in it.

    Returns a dict: `image`, `role`, `expected` and `found` (numbers of domains), `accuracy` (as
    `stemlib.agreement.label_accuracy`, outside a band of one cell edge around the known boundaries and around the
    crystals' edges; -1 inside a crystal is wrong), `outside` (share of the pixels farther than a cell edge outside the
    crystals that are -1), `distance_px` (mean distance of found and known boundaries, undecided areas left out),
    `allowed_px` (cell edge and drawing error), `faults` (share of the known faults' length that lies within a cell edge
    of a found fault or boundary) and `stray_faults` (share of the found faults' length that lies farther than a cell
    edge from every known line). NaN where there is nothing to measure.
    """
    band = case.cell_edge or 0.0
    known = [*case.boundaries, *case.second]
    return {
        "image": case.name,
        "role": case.role,
        "expected": case.n_domains,
        "found": found.n_domains,
        "accuracy": label_accuracy(
            case.labels, found.labels, band=band, boundaries=known, undecided=case.undecided
        ),
        "outside": _outside(case, found, band),
        "distance_px": boundary_distance(
            _decided(case.boundaries, case.undecided), _decided(found.boundaries, case.undecided)
        ),
        "allowed_px": band + case.drawing_error_px if case.boundaries else float("nan"),
    } | _fault_scores(case, found, band)


def domain_score_table(cases, found):
    """Score every image that was searched: one row each, as `domain_score` returns it."""
    return pd.DataFrame([domain_score(case, found[case.name]) for case in cases if case.name in found])


def domain_results(table, names):
    """Return results of images by name, from a table of `domain_score_table`; what is not in it is not available."""
    rows = {row["image"]: row for row in table.to_dict("records")}
    results = []
    for name in names:
        row = rows.get(name, {})
        for key, (end, title, unit) in _RESULTS.items():
            value = row.get(key)
            if pd.isna(value) and (key in _OPTIONAL or row.get("expected") == 1):
                continue
            one = f"domains.{part(name)}.{end}"
            results.append(result(one, f"{title}, {name}", None if pd.isna(value) else float(value), unit))
    return results


def twin_table(doses, tilts, *, usual_dose, n_images=2, side_px=384, methods=METHODS, seed=0):
    """Score the twinned ZrO2 particle over dose, boundary upright, and over tilt of the boundary, at the usual dose.

    Doses are incident electrons per nm², tilts degrees of the boundary against the beam; `n_images` particles are
    simulated at each of them, `side_px` px wide. One row per image and method: `over` ("dose" or "tilt"),
    `dose_per_nm2`, `tilt_deg`, `number` of the image, `method` and what `domain_score` returns; an image that is
    refused, because nothing in it is periodic, holds no domain.
    """
    points = [("dose", float(dose), 0.0) for dose in doses]
    points += [("tilt", float(usual_dose), float(tilt)) for tilt in tilts]
    rows = []
    for over, dose, tilt in points:
        for number in range(n_images):
            scene = zirconia_particle(side_px, dose, tilt, seed=[seed, number])
            case = DomainCase.of("ZrO2", scene)
            for method in methods:
                found = _found_or_nothing(case, method)
                where = {
                    "over": over,
                    "dose_per_nm2": dose,
                    "tilt_deg": tilt,
                    "number": number,
                    "method": method,
                }
                rows.append(where | domain_score(case, found))
    return pd.DataFrame(rows)


def zirconia_particle(side_px, dose_per_nm2, boundary_tilt_deg=0.0, *, seed=0):
    """Simulate the twinned ZrO2 particle as the figures show it: on 3 nm of carbon, slightly drifting."""
    return domain_image(
        "zirconia-twin",
        (side_px, side_px),
        boundary_tilt_deg=boundary_tilt_deg,
        recording=DarkField(dose_per_nm2=dose_per_nm2, support_nm=3.0, drift_nm=0.03, contamination=0.02),
        seed=seed,
    )


def _found_or_nothing(case, method):
    try:
        return stemlib.find_domains(case.source, method=method)
    except ValueError:
        nothing = np.full(case.labels.shape, -1)
        return SimpleNamespace(labels=nothing, n_domains=0, boundaries=[])


def _outside(case, found, band):
    outside = case.labels < 0
    if not outside.any() or not (case.labels >= 0).any():
        return float("nan")
    far = distance_transform_edt(outside) > band
    return float((found.labels[far] < 0).mean()) if far.any() else float("nan")


def _decided(lines, undecided):
    """The parts of lines that lie outside the undecided areas."""
    if undecided is None:
        return list(lines)
    parts = []
    for line in lines:
        points = resampled(line)
        inside = _values(undecided, points)
        runs = np.split(np.arange(len(points)), np.flatnonzero(np.diff(inside.astype(int))) + 1)
        parts += [points[run] for run in runs if not inside[run[0]]]
    return parts


def _fault_scores(case, found, band):
    seen = stray = float("nan")
    if case.faults:
        seen = _near(case.faults, [*found.faults, *found.boundaries], band)
        if found.faults:
            stray = 1 - _near(found.faults, [*case.faults, *case.boundaries], band)
    return {"faults": seen, "stray_faults": stray}


def _near(lines, others, reach):
    """Share of the lines' length that lies within a reach of other lines."""
    if not others:
        return 0.0
    points, targets = (np.vstack([resampled(line) for line in group]) for group in (lines, others))
    return float((cKDTree(targets).query(points)[0] <= reach).mean())


def _values(image, points):
    y, x = np.clip(np.rint(points).astype(int), 0, np.array(image.shape) - 1).T
    return image[y, x]
