"""What explore.ipynb is made of: one finder on one image, drawn, with its numbers, and the forms that run it again."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import ipywidgets
import pandas as pd
from IPython.display import Image, display
from matplotlib.figure import Figure

import stemlib
from stemlib import plot
from stemlib.agreement import size_statistics
from stemlib.io.files import write_atomically
from stemlib.plot import ColumnPanel, DefectPanel, DomainPanel, panels_figure
from stemlib.synthetic import PointDefects, Recording, crystal_image, domain_image, loop_micrograph


@dataclass(frozen=True, eq=False)
class Findings:
    """What one finder says of one image: its picture, its numbers, its table, and what writes that as CSV."""

    figure: Figure
    results: list
    table: pd.DataFrame
    to_csv: Callable[[Path], object]

    def write(self, folder, name, **facts):
        """Write NAME.png, the table as NAME.csv and the numbers, with facts about them, as NAME-numbers.csv."""
        write_atomically(folder / f"{name}.png", lambda path: self.figure.savefig(path, dpi=150))
        self.to_csv(folder / f"{name}.csv")
        known = {"stemlib": version("stemlib")} | facts
        facts = [{"name": key, "value": value, "unit": ""} for key, value in known.items()]
        numbers = pd.DataFrame(self.results + facts)
        write_atomically(folder / f"{name}-numbers.csv", numbers.to_csv(index=False))


def find(analysis, micrograph, name="", **settings):
    """Run a finder on a micrograph.

    Parameters
    ----------
    analysis : {"columns", "lattice", "defects", "domains", "loops"}
    micrograph : stemlib.Micrograph
    name : str
        Title of the picture.
    **settings
        What the finder takes; one that it does not take is left out.

    Returns
    -------
    Findings
    """
    if analysis not in ANALYSES:
        raise ValueError(f"analysis={analysis!r} must be one of {list(ANALYSES)}")
    run, forms = ANALYSES[analysis]
    return run(micrograph, name, {key: value for key, value in settings.items() if key in forms})


def simulated(analysis, seed):
    """Return a simulated image that shows what the analysis looks for."""
    if analysis == "loops":
        return loop_micrograph((512, 512), n_loops=8, seed=seed).image
    if analysis == "domains":
        return domain_image("two-phases", (256, 256), seed=seed).image
    defects, recording = PointDefects(vacancies=0.01), Recording(snr=25)
    return crystal_image(
        "perovskite", (256, 256), rotation_deg=12, defects=defects, recording=recording, seed=seed
    ).image


def explorer(micrograph, analysis, name=""):
    """Return a form per finder, the chosen one in front; its button runs it and shows picture and table."""
    pages = [_form(micrograph, one, name) for one in ANALYSES]
    tabs = ipywidgets.Tab(children=pages, titles=list(ANALYSES))
    tabs.selected_index = list(ANALYSES).index(analysis)
    return tabs


def _form(micrograph, analysis, name):
    def show(**settings):
        findings = find(analysis, micrograph, name, **settings)
        display(picture(findings.figure), findings.table)

    forms = ANALYSES[analysis][1]
    page = ipywidgets.interactive(show, {"manual": True, "manual_name": f"find {analysis}"}, **forms)
    for field in page.children:
        if isinstance(field, ipywidgets.ValueWidget):
            field.style.description_width = "9em"
            field.layout.width = "26em"
    return page


def picture(figure):
    """Return a figure as an image that Jupyter shows, whatever matplotlib's backend is."""
    with io.BytesIO() as stream:
        figure.savefig(stream, format="png", dpi=110)
        return Image(stream.getvalue())


def _columns(micrograph, name, settings):
    found = stemlib.find_columns(micrograph, **settings)
    positions = found.table[["y", "x"]].to_numpy()
    panels = [
        ColumnPanel(
            name,
            micrograph.image,
            positions,
            pixel_size_nm=found.pixel_size_nm,
            spacing=found.spacing,
            ignored=found.ignored,
        ),
        ColumnPanel(
            "semantic image", found.semantic_image, positions, is_semantic=True, spacing=found.spacing
        ),
    ]
    results = [
        {"name": "columns", "value": len(found.table), "unit": ""},
        _length("nearest-neighbour distance", found.spacing, found.pixel_size_nm),
    ]
    return Findings(panels_figure(panels, columns=2, panel_width=5.4), results, found.table, found.to_csv)


def _lattice(micrograph, name, settings):
    found = stemlib.find_lattice(micrograph, **settings)
    results = [
        _length("cell edge a", found.lengths[0], found.pixel_size_nm),
        _length("cell edge b", found.lengths[1], found.pixel_size_nm),
        {"name": "angle", "value": found.angle_deg, "unit": "°"},
        {"name": "share of the image that is this crystal", "value": found.coverage, "unit": ""},
    ]
    table = pd.DataFrame(results)
    return Findings(
        plot.lattice_figure(micrograph.image, found, name=name),
        results,
        table,
        lambda path: write_atomically(path, table.to_csv(index=False)),
    )


def _defects(micrograph, name, settings):
    found = stemlib.find_defects(micrograph, **settings)
    panel = DefectPanel(
        name, micrograph.image, found.table, pixel_size_nm=found.pixel_size_nm, ignored=found.ignored
    )
    results = [{"name": "defects", "value": len(found.table), "unit": ""}] + [
        {"name": f"defects, {kind}", "value": int(count), "unit": ""}
        for kind, count in found.table["kind"].value_counts().items()
    ]
    return Findings(panels_figure([panel], columns=1, panel_width=8), results, found.table, found.to_csv)


def _domains(micrograph, name, settings):
    # In a form no choice can be None, so 0 stands for it.
    found = stemlib.find_domains(micrograph, **settings | {"n_domains": settings.get("n_domains") or None})
    panel = DomainPanel(
        name,
        micrograph.image,
        found.labels,
        tuple(found.boundaries),
        pixel_size_nm=found.pixel_size_nm,
        ignored=found.ignored,
    )
    results = [
        {"name": "domains", "value": found.n_domains, "unit": ""},
        {"name": "undecided share of the image", "value": float((found.labels < 0).mean()), "unit": ""},
    ]
    figure = panels_figure([panel], columns=1, panel_width=8)
    return Findings(figure, results, found.table, found.to_csv)


def _loops(micrograph, name, settings):
    found = stemlib.find_loops(micrograph, **settings)
    scale = found.pixel_size_nm or 1.0
    sizes = size_statistics(found.table.assign(diameter=found.table["major"] * scale), seed=0)
    results = [
        {"name": "loops", "value": sizes["count"], "unit": ""},
        {"name": "mean diameter", "value": sizes["mean"], "unit": "nm" if found.pixel_size_nm else "px"},
    ]
    figure = plot.loops_figure(
        micrograph.image, found.table, name=name, pixel_size_nm=found.pixel_size_nm, ignored=found.ignored
    )
    return Findings(figure, results, found.table, found.to_csv)


def _length(name, length, pixel_size_nm):
    known = length is not None and pixel_size_nm is not None
    return {
        "name": name,
        "value": length * pixel_size_nm if known else length,
        "unit": "nm" if known else "px",
    }


# Finder -> what runs it, and the settings that its form offers, as ipywidgets abbreviates forms.
_DARK = {"dark_columns": False}
ANALYSES = {
    "columns": (_columns, _DARK),
    "lattice": (_lattice, _DARK),
    "defects": (
        _defects,
        {
            "scheme": ["unit-cell", "columns"],
            "descriptor": ["both", "patterson", "contrast"],
            "false_alarms": ipywidgets.FloatLogSlider(value=1.0, base=10, min=-2, max=2, step=0.5),
            **_DARK,
        },
    ),
    "domains": (
        _domains,
        {
            "n_domains": [("as many as there are", 0)] + [(str(number), number) for number in range(1, 6)],
            "descriptor": ["patterson", "triplet"],
            "method": ["mixture", "one-class"],
            "merge_orientations": False,
        },
    ),
    "loops": (_loops, {"method": ["fcn", "cascade", "log"]}),
}
