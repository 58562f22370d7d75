"""Cells, and missing columns, that are found in images as other groups have them, and what each tuned number does.

Simulated crystals are treated as such images are, too: enlarged, binned, coded, cropped, with pickup, drift, a bar.
Real images are those of STEMLIB_DATA; without them, only simulated ones are measured. Outcomes are "right" (the lattice
of the crystal, or with its superstructure), "wrong", or "refused". Every tuned number is set to 0.7 and to 1.4 times
what it is (`benchmarks/sensitivity.json`) and the images measured again.

    python benchmarks/cells.py [--sensitivity]
"""

import ast
import importlib
import os
import warnings
from pathlib import Path
from unittest import mock

import cv2
import h5py
import harness
import numpy as np

import stemlib
from stemlib.agreement.matching import match_columns
from stemlib.synthetic import PointDefects, Recording, crystal_image

CRYSTALS = ("square", "hexagonal", "honeycomb", "graphene", "kagome", "perovskite", "1T'")
MODULES = (
    "stemlib.fourier.patterson",
    "stemlib.fourier.geometric_phase",
    "stemlib.fourier.filters",
    "stemlib.fourier.unit_cell",
    "stemlib.lattice.cell_samples",
    "stemlib.lattice.find",
    "stemlib.lattice.refinement",
    "stemlib.lattice.slips",
    "stemlib.lattice.superstructure",
    "stemlib.io.grey",
    "stemlib.io.masking",
    "stemlib.io.scale",
    "stemlib.io.unrecorded",
)
FACTORS = (0.7, 1.4)
OPENED = {"velox4.emd": {"select": 0}, "soot.tif": {"channel": "red"}}
MARK = "cells"  # of the tables in docs/validation.md
TOLERANCE = 0.06  # of the true cell; those of real images were read off by eye


def scene(crystal, seed, **recording):
    """Simulate a crystal of one of a few spacings, noise levels and orientations."""
    vacancies = recording.pop("vacancies", 0.0)
    return crystal_image(
        crystal,
        (256, 256),
        spacing=(8, 9.5, 11, 12.5)[seed % 4],
        rotation_deg=7 + 26 * (seed % 2) + seed,
        defects=PointDefects(vacancies=vacancies),
        recording=Recording(snr=(15, 25, 40)[seed % 3], **recording),
        seed=seed,
    )


def treated(crystal, seed, vacancies=0.0):
    """Yield a simulated crystal as other people's images come: treatment, image, true cell, missing columns in it."""
    plain = scene(crystal, seed, vacancies=vacancies)
    image, cell, missing = plain.image, plain.translations, plain.missing[["y", "x"]].to_numpy()
    yield "native", image, cell, missing
    for name, factor, how in (
        ("half as large, area", 0.5, cv2.INTER_AREA),
        ("1.6 times, cubic", 1.6, cv2.INTER_CUBIC),
        ("2 times, cubic", 2, cv2.INTER_CUBIC),
        ("3 times, cubic", 3, cv2.INTER_CUBIC),
        ("2 times, linear", 2, cv2.INTER_LINEAR),
        ("3 times, nearest", 3, cv2.INTER_NEAREST),
    ):
        other = cv2.resize(image, None, fx=factor, fy=factor, interpolation=how)
        factor = len(other) / len(image)
        yield name, other, cell * factor, (missing + 0.5) * factor - 0.5
    levels = np.clip((image - image.min()) / np.ptp(image) * 255, 0, 255).astype(np.uint8)
    coded = cv2.imencode(".jpg", levels, [cv2.IMWRITE_JPEG_QUALITY, 50])[1]
    yield "JPEG of quality 50", cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), cell, missing
    y, x = np.mgrid[:256, :256]
    for share, wave in ((0.5, (0.23, 0.02)), (0.7, (0.41, 0.13))):
        stripes = share * image.std() * np.sin(2 * np.pi * (wave[0] * y + wave[1] * x))
        yield f"pickup, {share} of the contrast", image + stripes, cell, missing
    drifted = scene(crystal, seed, vacancies=vacancies, drift=3.0, jitter=0.3)
    yield "3 px drift", drifted.image, cell, drifted.missing[["y", "x"]].to_numpy()
    after = missing[:, 0] >= 140
    yield (
        "a slip of 5 px",
        np.vstack([image[:140, :-5], image[140:, 5:]]),
        cell,
        within(missing - np.outer(after, (0, 5)), 0, 0, 255, 250),
    )
    few = scene(crystal, seed, vacancies=0.25)
    yield "25 % vacancies", few.image, cell, few.missing[["y", "x"]].to_numpy()
    rim = image.copy()
    rim[:24] = rim[:, -30:] = 0
    yield "empty rim", rim, cell, within(missing, 24, 0, 255, 225)
    bar = image.copy()
    bar[220:232, 30:130] = 3 * bar.max()
    hidden = ((missing >= (219, 29)) & (missing <= (232, 130))).all(axis=1)
    yield "scale bar", bar, cell, missing[~hidden]
    longest = np.linalg.norm(cell, axis=1).max()
    for high, wide in ((5, 6), (4, 9), (3.3, 3.3)):
        part = image[: int(high * longest), : int(wide * longest)]
        yield f"{high} x {wide} cells", part, cell, within(missing, 0, 0, *part.shape)


def within(positions, top, left, bottom, right):
    """Keep positions (N, 2) within a rectangle, px."""
    return positions[((positions >= (top, left)) & (positions <= (bottom, right))).all(axis=1)]


def defect_counts(image, missing, spacing):
    """Count missing columns, defects found, and those right; beside what is left out, nothing counts."""
    try:
        defects = stemlib.find_defects(image)
    except ValueError:
        return np.array([len(missing), 0, 0])
    judged = cv2.erode((~defects.ignored).astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1) > 0
    found, missing = (
        p[judged[tuple(np.clip(np.rint(p).astype(int), 0, np.array(judged.shape) - 1).T)]]
        for p in (defects.table[["y", "x"]].to_numpy(), missing)
    )
    matched = match_columns(missing, found, reach_px=spacing / 2).pairs
    return np.array([len(missing), len(found), len(matched)])


def defect_table(seeds):
    """Measure F1 of the missing columns of each treatment over all crystals; of few cells, they are no crystal."""
    table = {}
    for number, crystal in enumerate(CRYSTALS):
        for seed in (seeds * number + k + 1 for k in range(seeds)):
            for name, image, cell, missing in treated(crystal, seed, vacancies=0.02):
                if name != "25 % vacancies" and not name.endswith("cells"):
                    native = scene(crystal, seed)
                    spacing = native.spacing * np.linalg.norm(cell) / np.linalg.norm(native.translations)
                    table[name] = table.get(name, 0) + defect_counts(image, missing, spacing)
    return {
        name: {"missing": int(m), "found": int(f), "f1": 2 * int(r) / int(m + f)}
        for name, (m, f, r) in table.items()
    }


def outcome(image, truth):
    """Return "right", "wrong" or "refused", and the lattice; "given" where no truth is known."""
    try:
        lattice = stemlib.find_lattice(image)
    except ValueError as error:
        return "refused", str(error)
    if truth is None:
        return "given", lattice
    for cell in (lattice.cell, lattice.with_superstructure().cell):
        steps = cell @ np.linalg.inv(truth)
        whole = np.rint(steps)
        if abs(round(np.linalg.det(whole))) == 1 and np.abs(steps - whole).max() < TOLERANCE:
            return "right", lattice
    return "wrong", lattice


def field_images(folder):
    """Yield the images of other groups: name, image, cell or None. Of several images and colours, the first."""
    rows = (folder / "cells.csv").read_text(encoding="utf-8").splitlines()[1:]
    cells = {row.split(",")[0]: np.array(row.split(",")[1:5], float).reshape(2, 2) for row in rows}
    for path in sorted(folder.iterdir()):
        if path.suffix != ".csv":
            yield path.name, stemlib.read(path, **OPENED.get(path.name, {})), cells.get(path.name)


def field_table(folder):
    """Measure every image of other groups."""
    table = []
    for name, image, cell in field_images(folder):
        kind, found = outcome(image, cell)
        row = {"image": name, "outcome": kind}
        if kind == "refused":
            row["words"] = found
        else:
            row |= {
                "lengths_px": found.lengths.round(2).tolist(),
                "length_errors_px": found.length_errors.round(3).tolist(),
                "angle_deg": round(found.angle_deg, 2),
                "coverage": round(found.coverage, 3),
            }
        table.append(row)
    return table


def graphene_frames(folder):
    """Count outcomes of graphene at low dose: hexagonal within what its drift allows, or not, or refused."""
    counts = {"right": 0, "wrong": 0, "refused": 0}
    for path in sorted(folder.glob("*.hdf5")):
        with h5py.File(path) as file:
            kind, lattice = outcome(np.squeeze(file["nn_input"][()]), None)
        if kind == "given":
            hexagonal = lattice.lengths[1] / lattice.lengths[0] < 1.12 and 108 < lattice.angle_deg < 130
            kind = "right" if hexagonal else "wrong"
        counts[kind] += 1
    return counts


def simulated_table(seeds):
    """Count outcomes of each treatment over all crystals."""
    table = {}
    for number, crystal in enumerate(CRYSTALS):
        for seed in (seeds * number + k + 1 for k in range(seeds)):
            for name, image, cell, _ in treated(crystal, seed):
                counts = table.setdefault(name, {"right": 0, "wrong": 0, "refused": 0})
                counts[outcome(image, cell)[0]] += 1
    return table


def tuned_numbers(module):
    """Yield the names of the numbers at the top of a module: those that a comment or a name calls a choice."""
    tree = ast.parse(Path(importlib.import_module(module).__file__).read_text(encoding="utf-8"))
    for node in tree.body:
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and node.targets[0].id.isupper()
        ):
            value = getattr(importlib.import_module(module), node.targets[0].id)
            if isinstance(value, int | float) or (isinstance(value, tuple) and isinstance(value[0], float)):
                yield node.targets[0].id, value


def scaled(value, factor):
    """Return a number or pair times a factor, whole where it was whole."""
    if isinstance(value, tuple):
        return tuple(v * factor for v in value)
    return max(1, round(value * factor)) if isinstance(value, int) else value * factor


def sensitivity(cases):
    """Count what changes when each number is 0.7 and 1.4 times what it is."""

    def outcomes():
        kinds = []
        for image, cell in cases:
            try:
                kinds.append(outcome(image, cell)[0])
            except Exception as error:  # what a number out of range breaks is an outcome, too
                kinds.append(type(error).__name__)
        return kinds

    usual = outcomes()
    table = []
    for module in MODULES:
        for name, value in tuned_numbers(module):
            row = {"module": module.removeprefix("stemlib."), "name": name, "value": value}
            for factor in FACTORS:
                with mock.patch(f"{module}.{name}", scaled(value, factor)):
                    kinds = outcomes()
                row[f"right at x {factor}"] = sum(kind in ("right", "given") for kind in kinds)
                row[f"changed at x {factor}"] = sum(a != b for a, b in zip(kinds, usual, strict=True))
            table.append(row)
    return {"cases": len(cases), "right": sum(k in ("right", "given") for k in usual), "numbers": table}


def markdown(result):
    """Return the tables of docs/validation.md, from `cells.json`."""
    lines = [
        "| simulated crystals | cell right | refused | wrong | F1 of missing columns |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, counts in result["simulated"].items():
        defects = result["missing columns"].get(name)
        f1 = "" if defects is None else f"{defects['f1']:.3f}"
        lines.append(f"| {name} | {counts['right']} | {counts['refused']} | {counts['wrong']} | {f1} |")
    if "field images" in result:
        lines += ["", "| image | outcome | a, b (px) | angle (°) |", "| --- | --- | --- | --- |"]
        for row in result["field images"]:
            if row["outcome"] == "refused":
                lines.append(f"| {row['image']} | refused: {row['words'].replace('|', '/')} | | |")
            else:
                words = {"given": "a cell; the true one is not known"}.get(row["outcome"], row["outcome"])
                a, b = (
                    f"{v:.2f} ± {e:.2f}"
                    for v, e in zip(row["lengths_px"], row["length_errors_px"], strict=True)
                )
                lines.append(f"| {row['image']} | {words} | {a}, {b} | {row['angle_deg']} |")
        counts = result["graphene at low dose"]
        lines += [
            "",
            f"Of {sum(counts.values())} frames of silicon in graphene at low dose, {counts['right']} have a hexagonal "
            f"cell, {counts['wrong']} another one, and {counts['refused']} are refused.",
        ]
    return "\n".join(lines)


def main():
    """Measure, and write `cells.json` and `sensitivity.json`."""
    options = harness.parser(__file__, __doc__)
    options.add_argument("--seeds", type=int, default=1, help="simulated scenes of each crystal")
    options.add_argument(
        "--sensitivity", action="store_true", help="of every tuned number as well: many minutes"
    )
    chosen = options.parse_args()
    warnings.simplefilter("ignore")
    data = os.environ.get("STEMLIB_DATA")
    result = {"environment": harness.environment(), "simulated": simulated_table(chosen.seeds)}
    result["missing columns"] = defect_table(chosen.seeds)
    # Half a dozen simulated scenes, of hard treatments as well.
    hard = (
        "native",
        "3 times, cubic",
        "a slip of 5 px",
        "25 % vacancies",
        "4 x 9 cells",
        "pickup, 0.7 of the contrast",
    )
    cases = []
    for number, (crystal, name) in enumerate(zip(CRYSTALS, hard, strict=False)):
        cases += [(image, cell) for kind, image, cell, _ in treated(crystal, number + 1) if kind == name]
    if data:
        folder = Path(data)
        result["field images"] = field_table(folder / "field-atomic")
        result["graphene at low dose"] = graphene_frames(folder / "labelled-atomic" / "graphene-si")
        cases += [(image, cell) for _, image, cell in field_images(folder / "field-atomic")]
    harness.write(chosen.output, result)
    if data:
        harness.fill_page(MARK, markdown(result))
    if not chosen.sensitivity:
        return
    numbers = {"environment": harness.environment(), **sensitivity(cases)}
    harness.write(chosen.output.with_name("sensitivity.json"), numbers)


if __name__ == "__main__":
    main()
