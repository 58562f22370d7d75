"""The results table of README.md, written anew from the figures' numbers: `python -m notebooks.reproduction.tables`."""

import json

from stemlib.io.files import write_atomically

from .repository import repository_root

START, END = "<!-- results -->", "<!-- end of results -->"
SIX, SIX_1, PEOPLE = "loop-detection-six", "loop-scores-six", "loop-people-all"
CANDIDATES, SIZES, AXES = "loop-candidates-six", "loop-sizes-c-nine", "loop-axes-c-nine"
STEEL, RATIOS = "loop-steel-316l", ("recall", "precision")
MODULES, FCN = "Modules I to III", "one network (fcn)"
BOTH = ", images with ellipses of B"
COLUMNS, POSITIONS = "columns-found-atomic", "columns-error-drawn"
LABELLED = {
    "wse2-ti/adf1": "WSe2 doped with Ti, first detector",
    "wse2-ti/adf2": "WSe2 doped with Ti, second detector",
    "wse2-cr": "WSe2 doped with Cr (used in development)",
    "mose2-40kv": "MoSe2 with vacancies, 40 kV",
    "ws2te2-edge": "edge between two phases of WS2(Te) (used in development)",
}
TWIN, PHASES, INVERTED = "zro2-twin-drawn", "phases-atomic", "inversion-twins-drawn"
FOUND, DEFECTS_FOUND = "domains found", "defects found"
KNOWN, RANKING, CONTROLS = "tmd-defects-atomic", "tmd-ranking-atomic", "tmd-controls-atomic"
MOWTE2, PERFECT = "mowte2-scores-drawn", "mowte2-defects-drawn"
RANKED = {
    "Ti in WSe2, first detector": ("W sites", "wse2-ti/adf1"),
    "Ti in WSe2, second detector": ("W sites", "wse2-ti/adf2"),
    "Cr in WSe2, sites of class 1 (used in development)": ("sites of class 1", "wse2-cr"),
    "Cr in WSe2, sites of class 0 (used in development)": ("sites of class 0", "wse2-cr"),
}
DOMAINS = {
    "fe-boundary": "grain boundary in Fe (used in development)",
    "ws2te2-edge": "edge between two phases of WS2(Te) (used in development)",
    "llto-domains": "90° domains in (Li,La)TiO3",
    "cdte-faults": "twin in CdTe, beside stacking faults",
}


def _scores(figure, system, rule):
    return [(figure, f"{key}, {system}, {rule} rule") for key in RATIOS]


def _differences(source, images=""):
    names = ("number", "mean diameter", "standard deviation of diameter")
    return [(SIZES, f"{name}, {source} less C, relative{images}") for name in names]


def _people(found, truth, images):
    name = f"{found} against {truth}, {images} images, published rule"
    return [(PEOPLE, f"{key}, {name}") for key in RATIOS]


def _domains(figure, image):
    names = (FOUND, "label accuracy", "distance of found and drawn boundaries")
    return [(figure, f"{name}, {image}") for name in names]


def _ranked(sites, image):
    return [(RANKING, f"average precision, {kind}, {image}") for kind in (sites, "all columns")]


def _drawn_defects(method):
    """At the dose of the images shown; false ones in images that have no defects."""
    rates = ("recall, missing", "recall, 1 Å off", "precision")
    return [
        *((MOWTE2, f"{rate} at 3e+06 per nm², {method}") for rate in rates),
        (PERFECT, f"defects found per image without any, {method}"),
    ]


# Heading, or (what is measured, the results that say it: figure and name).
ROWS = (
    "**Six images of the human comparison** against set A: recall / precision",
    ("Modules I to III, published match", _scores(SIX, "Modules I-III", "published")),
    ("one network (`fcn`), published match", _scores(SIX, "fcn", "published")),
    ("Modules I to III, one-to-one", _scores(SIX_1, "Modules I-III", "one-to-one")),
    ("one network (`fcn`), one-to-one", _scores(SIX_1, "fcn", "one-to-one")),
    "**28 test images** against set A: recall / precision",
    ("Modules I to III, published match", _scores("loop-detection-test28", "Modules I-III", "published")),
    ("one network (`fcn`), published match", _scores("loop-detection-test28", "fcn", "published")),
    "**Image series left out of training**, each once, published match: recall / precision / F1",
    (
        "Modules I to III, mean over the series",
        [
            ("loop-training-training", f"{key}, mean over series left out, Modules I to III, published rule")
            for key in (*RATIOS, "f1")
        ],
    ),
    "**Module I alone**, six images, published match: recall",
    ("authors' cascade, run as they did", [(CANDIDATES, "recall, authors' Module I")]),
    (
        "ours, at as many candidates",
        [(CANDIDATES, "recall, Module I, at as many candidates as the authors'")],
    ),
    ("ours, as used", [(CANDIDATES, "recall, Module I")]),
    (
        "authors', at as many candidates as ours",
        [(CANDIDATES, "recall, authors' Module I, at as many candidates as ours")],
    ),
    "**People against people**, published match, all images both labelled: recall / precision",
    ("set B against set A", _people("B", "A", "all")),
    ("set C against set A", _people("C", "A", "all")),
    ("set B against set C", _people("B", "C", "all")),
    "**Nine images with ellipses of set C**: number of loops / mean diameter / its standard deviation, less C's",
    ("Modules I to III", _differences(MODULES)),
    ("one network (`fcn`)", _differences(FCN)),
    "**Where set B has ellipses too**, on the same images: number / mean diameter / its standard deviation, less C's",
    ("Modules I to III", _differences(MODULES, BOTH)),
    ("one network (`fcn`)", _differences(FCN, BOTH)),
    ("people, set B", _differences("people, set B", BOTH)),
    "**Major axis of matched loops**, median absolute error against set C",
    ("Modules I to III", [(AXES, f"median absolute error of the major axis, {MODULES} against C, relative")]),
    ("one network (`fcn`)", [(AXES, f"median absolute error of the major axis, {FCN} against C, relative")]),
    (
        "people, set B, where it has ellipses",
        [(AXES, "median absolute error of the major axis, people, set B against C, relative")],
    ),
    "**316L steel, never trained on**, one-to-one: recall / precision",
    *(
        (f"{title}, {text}", [(STEEL, f"{key}, {system}, one-to-one rule, {kind} images") for key in RATIOS])
        for kind, text in (("sparse", "16 images"), ("dense", "the densely labelled image"))
        for title, system in (("Modules I to III", "Modules I-III"), ("one network (`fcn`)", "fcn"))
    ),
    "**Columns of atoms**, found without a parameter, against labels inside drawn polygons: recall / precision",
    *((title, [(COLUMNS, f"{key}, {image}") for key in RATIOS]) for image, title in LABELLED.items()),
    "**Position error** on drawn crystals at 20 counts per pixel, px: square / graphene / perovskite",
    *(
        (
            title,
            [
                (POSITIONS, f"position error at 20 counts per px, {crystal}, {method}")
                for crystal in ("square", "graphene", "perovskite")
            ],
        )
        for title, method in (
            ("`find_columns`", "find_columns"),
            ("Gaussians fitted from the true positions", "Gaussian fits"),
        )
    ),
    "**Defects** in drawn bilayer 2H-MoWTe2: recall of missing columns / of those 1 Å off / precision / false ones "
    "per image without defects, 1 asked for",
    *(
        (title, _drawn_defects(method))
        for title, method in (
            ("`find_defects`, unit cells", "default, unit cell"),
            ("`find_defects`, windows on columns", "default, columns"),
            ("Patterson functions of the semantic image, unit cells", "Patterson, unit cell"),
            ("Patterson functions of the semantic image, windows on columns", "Patterson, columns"),
        )
    ),
    "**Dopants** ranked by their score, average precision against labels: among columns of their sites / among all",
    *((title, _ranked(*what)) for title, what in RANKED.items()),
    "**Vacancies** of MoSe2 marked by eye, found: both Se atoms missing / one, as it seems: sure / likely / doubtful",
    (
        "`find_defects`",
        [
            (KNOWN, f"found of {kind}, mose2-40kv")
            for kind in ("missing", "half, sure", "half, likely", "half, doubtful")
        ],
    ),
    "**Nearly perfect crystals**: defects found, 1 false one expected in each",
    (
        "NSMO / BaTiO3 / BaTiO3",
        [
            (CONTROLS, f"{DEFECTS_FOUND} in a nearly perfect crystal, {image}")
            for image in ("nsmo-perfect", "bto-perfect/1", "bto-perfect/2")
        ],
    ),
    "**Domains**, without being told how many (two each): domains found / label accuracy / distance of boundaries, px",
    *((title, _domains(PHASES, image)) for image, title in DOMAINS.items()),
    *(
        (
            f"drawn ZrO2 particle with a twin boundary, {method}",
            [
                (TWIN, f"{name}, {method}")
                for name in (FOUND, "label accuracy", "distance of found and drawn boundary")
            ],
        )
        for method in ("classification of all segments", "one-class SVM, as published")
    ),
    "**Domains** in nearly perfect crystals: domains found",
    (
        "NSMO / BaTiO3 / BaTiO3",
        [(PHASES, f"{FOUND}, {image}") for image in ("nsmo-perfect", "bto-perfect/1", "bto-perfect/2")],
    ),
    "**Inversion twins**, drawn, two domains asked for: label accuracy",
    (
        "Patterson functions / with triplet phases",
        [(INVERTED, f"label accuracy, {descriptor}") for descriptor in ("patterson", "triplet")],
    ),
)


def table(figures):
    """Return the table as Markdown; what no figure states is "not available"."""
    lines = ["| | measured (95 % interval) | published |", "| --- | --- | --- |"]
    for row in ROWS:
        if isinstance(row, str):
            lines.append(f"| {row} | | |")
            continue
        label, wanted = row
        found = [_result(figures, figure, name) for figure, name in wanted]
        signed = any("less C" in name for _, name in wanted)
        percent = signed or any("relative" in name for _, name in wanted)
        counts = [name.startswith((FOUND, f"{DEFECTS_FOUND} in")) for _, name in wanted]
        measured = " / ".join(
            _measured(result, percent, signed, count) for result, count in zip(found, counts, strict=True)
        )
        published = [result.get("published") for result in found]
        said = " / ".join(f"{value:.3f}" for value in published) if None not in published else ""
        lines.append(f"| {label} | {measured} | {said} |")
    return "\n".join(lines)


def _result(figures, figure, name):
    path = figures / f"{figure}.json"
    if not path.is_file():
        return {"value": None}
    named = {result["name"]: result for result in json.loads(path.read_text(encoding="utf-8"))["results"]}
    if name not in named:
        raise KeyError(f"{path.name} has no result {name!r}; README.md's table needs it")
    return named[name]


def _measured(result, percent, signed, count):
    if result["value"] is None:
        return "not available"

    def text(value):
        if count:
            return f"{value:.0f}"
        return f"{100 * value:{'+' if signed else ''}.1f} %" if percent else f"{value:.3f}"

    interval = f" ({text(result['low'])} to {text(result['high'])})" if "low" in result else ""
    return text(result["value"]) + interval


def update(readme, figures):
    """Write the table between the README's two marks."""
    before, start, rest = readme.read_text(encoding="utf-8").partition(START)
    _, end, after = rest.partition(END)
    if not (start and end):
        raise ValueError(f"{readme.name} must hold the marks {START} and {END}")
    write_atomically(readme, f"{before}{START}\n{table(figures)}\n{END}{after}")


if __name__ == "__main__":
    update(repository_root() / "README.md", repository_root() / "figures")
