"""How `find_loops` does off its training set: kinds, other sizes of image, another material, and labels of one's own.

    STEMLIB_DATA=FOLDER python benchmarks/loops_elsewhere.py [--part kinds scale steel tuned foreign] [--output FILE]

Parts that are not asked for keep what the file says of them. 316L steel is never trained on but by `tune_loops`, of
whose scores the images it was shown are no part; its 16 sparse images probably show one film.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from pathlib import Path

import harness
import numpy as np
from tqdm.auto import tqdm

from stemlib import datasets, find_loops, read, tune_loops
from stemlib.agreement import match, pool
from stemlib.loops.boxes import COLUMNS
from stemlib.training.fcn_examples import KINDS, UNSURE, YES, kinds_example

MARK = "loops elsewhere"
PARTS = ("kinds", "scale", "steel", "tuned", "foreign")
DENSE = "test/3.png"
N_LABELS = (6, 12, 25, 50)
N_CHOICES = 3
FOREIGN = ("anl_void_2116.tif", "cav_00003.png", "cav_15.jpg", "he_1-0054.jpg", "disl_2.jpg", "dlite_040.png")


def f1(matches) -> dict[str, float]:
    """Return recall, precision and F1 of pooled matches."""
    pooled = pool(matches)
    hits, n_truth, n_found = int(pooled.is_true.sum()), len(pooled.is_found), len(pooled.is_true)
    return {
        "n_marked": n_truth,
        "n_found": n_found,
        "recall": float(pooled.is_found.mean()) if n_truth else None,
        "precision": float(pooled.is_true.mean()) if n_found else None,
        "f1": 2 * hits / max(n_truth + n_found, 1),
    }


def image_of(name: str) -> np.ndarray:
    """Return a FeCrAl micrograph."""
    return read(datasets.fetch(datasets.loop_images().loc[name, "path"])).image


def kinds() -> dict:
    """Score every kind on validation images that set B labels, and count what is called what."""
    names = [name for name in datasets.image_set("validation") if "B" in datasets.label_sets(name)[0]]
    matches = {kind: [] for kind in KINDS}
    confusion = {truth: dict.fromkeys([*KINDS, "nothing"], 0) for truth in KINDS[:3]}
    for name in tqdm(names, desc="kinds"):
        example = kinds_example(name)
        table = find_loops(example.image, kinds="all", device="cpu").table
        for number, kind in enumerate(KINDS):
            said = example.kinds[:, number]
            # The kind "other" is whatever was marked, by whatever is found.
            found = table if kind == "other" else table[table.kind == kind]
            unsure = example.boxes[said == UNSURE]
            matched = match(example.boxes[said == YES], found[COLUMNS], other=unsure)
            keep = matched.is_true | (matched.on_class < 0)
            matches[kind].append(match(example.boxes[said == YES], found[COLUMNS].to_numpy()[keep]))
        anything = match(example.boxes, table[COLUMNS])
        called = {truth: table.kind.to_numpy()[found] for truth, found in anything.pairs}
        for number, truth in enumerate(KINDS[:3]):
            for row in np.flatnonzero(example.kinds[:, number] == YES):
                confusion[truth][called.get(row, "nothing")] += 1
    return {
        "images": len(names),
        "scores": {kind: f1(its) for kind, its in matches.items()},
        "confusion": confusion,
    }


def scale() -> dict:
    """Compare montages and turned images with the image they are made of."""
    names = [
        name for name in datasets.image_set("six") if datasets.loop_images().loc[name, "height_px"] == 1024
    ]
    turns = {"upside down": np.flipud, "mirrored": np.fliplr, "transposed": np.transpose, "turned": np.rot90}
    result = {}
    for method in ("fcn", "cascade"):
        number, diameter, turned = {2: [], 4: []}, {2: [], 4: []}, {turn: [] for turn in turns}
        for name in tqdm(names, desc=f"scale, {method}"):
            image = image_of(name)
            one = find_loops(image, method=method, device="cpu").table
            for k in number if method == "cascade" or name in names[:3] else (2,):
                many = find_loops(np.tile(image, (k, k)), method=method, device="cpu").table
                number[k].append(len(many) / k**2 / len(one))
                mean = [table[~table.touches_edge].major.mean() for table in (one, many)]
                diameter[k].append(mean[1] / mean[0])
            for turn, make in turns.items():
                table = find_loops(np.ascontiguousarray(make(image)), method=method, device="cpu").table
                turned[turn].append(abs(len(table) - len(one)) / len(one))
        result[method] = {
            "montage": {
                f"{k} x {k}": {
                    "images": len(number[k]),
                    "number": float(np.mean(number[k])),
                    "number_worst": float(max(number[k], key=lambda ratio: abs(ratio - 1))),
                    "diameter": float(np.mean(diameter[k])),
                    "diameter_worst": float(max(diameter[k], key=lambda ratio: abs(ratio - 1))),
                }
                for k in number
            },
            "turned": {turn: {"number_differs_by": float(np.mean(its))} for turn, its in turned.items()},
        }
    return result


def _steel():
    images = datasets.steel_316l_images()
    sparse = [name for name in images.index if name != DENSE]
    paths = {name: str(datasets.fetch(images.loc[name, "path"])) for name in images.index}
    return sparse, paths, {name: datasets.read_316l_labels(name) for name in images.index}


def _steel_score(names, paths, labels, **options):
    found = {name: find_loops(paths[name], device="cpu", **options).table for name in names}
    return f1([match(labels[name][COLUMNS], found[name][COLUMNS]) for name in names])


def steel() -> dict:
    """Score 316L steel with nothing learnt from it."""
    sparse, paths, labels = _steel()
    ways = {
        "open loops": {},
        "all kinds": {"kinds": "all"},
        "modules": {"method": "cascade"},
        "Laplacian of Gaussian": {"method": "log"},
    }
    return {
        way: {
            "sparse": _steel_score(sparse, paths, labels, **options),
            "dense": _steel_score([DENSE], paths, labels, **options),
        }
        for way, options in tqdm(ways.items(), desc="steel")
    }


def tuned(choices: int) -> dict:
    """Score 316L steel after `tune_loops` on some of its labels, on the images that were not shown."""
    sparse, paths, labels = _steel()
    options = [name for name in sparse if len(labels[name]) >= 4][::-1][:choices]
    one_image, seconds = [], []
    everywhere = np.ones((512, 512), bool)
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "tuned.safetensors"

        def scores(shown, its):
            regions = [everywhere] * len(shown)
            _, took = harness.timed(
                lambda: tune_loops([paths[n] for n in shown], its, regions=regions, output=output)
            )
            seconds.append(took)
            others = [name for name in sparse if name not in shown]
            return _steel_score(others, paths, labels, weights={"fcn": output})["f1"]

        for name in tqdm(options, desc="tuned on one image"):
            table = labels[name].drop(columns="class")
            one_image.append({"image": name, "labels": len(table), "f1": scores([name], [table])})
        curve = []
        for number in N_LABELS:
            f1s = []
            for choice in range(N_CHOICES if choices > 4 else 1):
                rng = np.random.default_rng([number, choice])
                shown, its, left = [], [], number
                for name in rng.permutation(sparse):
                    table = labels[name].drop(columns="class").head(left)
                    shown, its, left = [*shown, name], [*its, table], left - len(table)
                    if left == 0:
                        break
                f1s.append(scores(shown, its))
            curve.append(
                {"labels": number, "choices": len(f1s), "f1": float(np.mean(f1s)), "worst": min(f1s)}
            )
    return {
        "one image": {"mean_f1": float(np.mean([row["f1"] for row in one_image])), "choices": one_image},
        "learning curve": curve,
        "seconds": {"median": float(np.median(seconds)), "longest": max(seconds)},
    }


def foreign() -> dict:
    """Count what is found in images without loops, and say whether there was a warning."""
    result = {}
    for name in FOREIGN:
        path = Path(os.environ["STEMLIB_DATA"]) / "field-defects" / name
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = {kind: len(find_loops(path, kinds=kind, device="cpu").table) for kind in ("loop", "all")}
        result[name] = found | {"warned": any("unlike" in str(one.message) for one in caught)}
    return result


def markdown(result: dict) -> str:
    """Return the tables of docs/validation.md."""

    def row(*cells):
        return (
            "| "
            + " | ".join(f"{c:.2f}" if isinstance(c, float) else "–" if c is None else str(c) for c in cells)
            + " |"
        )

    lines = [
        "| kind, FeCrAl validation images, one to one | marked | found | recall | precision | F1 |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for kind, its in result["kinds"]["scores"].items():
        title = "anything" if kind == "other" else kind
        lines.append(row(title, its["n_marked"], its["n_found"], its["recall"], its["precision"], its["f1"]))
    called = list(next(iter(result["kinds"]["confusion"].values())))
    lines += ["", "| marked as | called " + " | ".join(called) + " |", "| --- " * (len(called) + 1) + "|"]
    lines += [row(truth, *its.values()) for truth, its in result["kinds"]["confusion"].items()]
    lines += [
        "",
        "| montage, beside its one image | images | number per area | worst | mean diameter | worst |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for method, its in result["scale"].items():
        for size, one in its["montage"].items():
            lines.append(row(f"`{method}`, {size}", *one.values()))
    lines += [
        "",
        "| 316L steel, one to one | F1, 16 sparse images | F1, dense image |",
        "| --- | --- | --- |",
    ]
    lines += [row(way, its["sparse"]["f1"], its["dense"]["f1"]) for way, its in result["steel"].items()]
    one = result["tuned"]["one image"]
    lines.append(row(f"tuned on one image, mean of {len(one['choices'])} choices", one["mean_f1"], None))
    lines += [
        row(f"tuned on {its['labels']} labels, mean of {its['choices']} choices", its["f1"], None)
        for its in result["tuned"]["learning curve"]
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, write what was found, and put its tables into docs/validation.md."""
    parser = harness.parser(__file__, __doc__)
    parser.add_argument("--part", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--choices", type=int, default=16, help="images to tune on, one after the other")
    options = parser.parse_args()
    harness.set_threads(1)
    result = harness.read(options.output)
    for part in options.part:
        result[part] = tuned(options.choices) if part == "tuned" else globals()[part]()
        harness.write(options.output, result)
    if set(PARTS) <= set(result):
        harness.fill_page(MARK, markdown(result))


if __name__ == "__main__":
    main()
