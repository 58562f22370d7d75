"""Defects of images that other groups labelled, or drew: recall, precision and F1 of `stemlib.find_defects`.

    STEMLIB_DATA=FOLDER python benchmarks/labelled_defects.py

Found and labelled defects match one to one within half the distance of neighbouring columns, whatever their kind. Of
graphene, silicon atoms count; their labelled carbon neighbours count neither way, and frames without a lattice miss all
that is labelled in them. Contamination and other defects of those frames are not labelled: precision is a lower bound.
"""

import os
import time
import warnings
from pathlib import Path

import h5py
import harness
import numpy as np
from scipy.spatial import cKDTree

import stemlib
from stemlib.agreement.matching import match_columns

EDGE = 13  # px of the Cr field in which its authors labelled nothing
MARK = "labelled defects"  # of the table in docs/validation.md
ASKED = (1.0, 0.01)  # false alarms in a frame
TOYS = ("graphene_d150", "hbn_d150", "mos2_d200", "oxide_d250")


def counted(truth, found, reach, neither=None):
    """Count labelled, found and right ones; found ones near `neither` do not count."""
    truth, found = np.reshape(truth, (-1, 2)), np.reshape(found, (-1, 2))
    matched = match_columns(truth, found, reach_px=reach).pairs
    extra = np.delete(found, matched[:, 1], axis=0)
    if neither is not None and len(neither) and len(extra):
        extra = extra[cKDTree(neither).query(extra)[0] > reach]
    return np.array([len(truth), len(matched) + len(extra), len(matched)])


def rates(counts):
    """Recall, precision and F1 of such counts."""
    labelled, found, right = map(int, counts)
    return {
        "labelled": labelled,
        "found": found,
        "right": right,
        "recall": right / max(labelled, 1),
        "precision": right / max(found, 1),
        "f1": 2 * right / max(labelled + found, 1),
    }


def chromium(folder, data):
    """Raw and denoised field of WSe2 with Cr, against both label sets."""
    labels = np.load(folder / "cr9_lbs.npy")
    first = np.load(folder / "cr9_pts.npy")[np.isin(labels, (2, 3))][:, ::-1]
    second = np.vstack([np.load(folder / f"cr9_pts{k}.npy") for k in (1, 2)])[:, ::-1]
    images = {
        "raw": np.load(data / "wse2-cr" / "Cr_Cr_ADF2_9.npy"),
        "denoised": np.load(folder / "cr9_imgf.npy"),
    }
    for name, image in images.items():
        defects = stemlib.find_defects(image)
        found, spacing = defects.table[["y", "x"]].to_numpy(), spacing_of(defects)
        for which, truth in (("first", first), ("second", second)):
            inner = [p[((p >= EDGE) & (p <= 512 - EDGE)).all(axis=1)] for p in (truth, found)]
            yield f"{name}, {which} labels", rates(counted(*inner, spacing / 2))


def spacing_of(defects):
    """Median distance of nearest columns, px."""
    at = defects.columns[["y", "x"]].to_numpy()
    return float(np.median(cKDTree(at).query(at, k=2)[0][:, 1]))


def toys(folder):
    """Four scenes of Gaussians with dopants and vacancies."""
    for name in TOYS:
        scene = np.load(folder / f"am_{name}.npz")
        truth = np.vstack([scene["columns"][scene["column_class"] == 3], scene["vacancy_sites"]])
        defects = stemlib.find_defects(scene["image"])
        at = defects.table[["y", "x"]].to_numpy()
        judged = ~scene["disorder_mask"]
        truth, at = truth[inside(truth, judged)], at[inside(at, judged)]
        yield name, rates(counted(truth, at, spacing_of(defects) / 2))


def inside(positions, mask):
    """Which positions lie on the image, where the mask is True."""
    nearest = np.rint(positions).astype(int)
    on_image = ((nearest >= 0) & (nearest < mask.shape)).all(axis=1)
    row, column = np.where(on_image[:, None], nearest, 0).T
    return on_image & mask[row, column]


def graphene(folder, false_alarms):
    """Silicon in graphene at low dose, frames merged."""
    total, refused = np.zeros(3, int), 0
    for path in sorted(folder.glob("*.hdf5")):
        with h5py.File(path) as file:
            image = np.squeeze(file["nn_input"][()])
            rows = np.vstack([file[name][()] for name in file if name.startswith("defect_coord")])
        silicon = np.array([row[2] == b"Si" for row in rows])
        at = np.array([[float(row[1]), float(row[0])] for row in rows])
        try:
            defects = stemlib.find_defects(image, false_alarms=false_alarms)
            found, reach = defects.table[["y", "x"]].to_numpy(), spacing_of(defects) / 2
        except ValueError:
            refused, found, reach = refused + 1, np.zeros((0, 2)), 1.0
        total += counted(at[silicon], found, reach, at[~silicon])
    return {**rates(total), "frames refused": refused}


def markdown(result):
    """Return the table of docs/validation.md, from `labelled_defects.json`."""
    lines = [
        "| image | labelled | found | recall | precision | F1 |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    groups = {f"WSe2 with Cr, {name}": row for name, row in result["WSe2 with Cr"].items()}
    groups |= {f"Gaussians, {name}": row for name, row in result["scenes of Gaussians"].items()}
    frames = result["silicon in graphene"]
    groups |= {f"silicon in graphene, false_alarms={asked}": row for asked, row in frames.items()}
    for name, row in groups.items():
        rates = " | ".join(f"{row[key]:.2f}" for key in ("recall", "precision", "f1"))
        lines.append(f"| {name} | {row['labelled']} | {row['found']} | {rates} |")
    refused = frames[str(ASKED[0])]["frames refused"]
    return "\n".join([*lines, "", f"Of the frames of graphene, {refused} are refused."])


def main():
    """Measure, print, and write `labelled_defects.json`."""
    chosen = harness.parser(__file__, __doc__).parse_args()
    warnings.simplefilter("ignore")
    data = Path(os.environ["STEMLIB_DATA"])
    folder = data / "labelled-atomic"
    start = time.perf_counter()
    result = {"environment": harness.environment(), "WSe2 with Cr": dict(chromium(folder, data))}
    result["scenes of Gaussians"] = dict(toys(folder))
    result["silicon in graphene"] = {str(asked): graphene(folder / "graphene-si", asked) for asked in ASKED}
    result["seconds"] = time.perf_counter() - start
    print(markdown(result))
    harness.write(chosen.output, result)
    harness.fill_page(MARK, markdown(result))


if __name__ == "__main__":
    main()
