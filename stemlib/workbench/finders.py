"""The finders by name, and their settings as their signatures and docstrings tell them."""

import difflib
import inspect
import re
from dataclasses import dataclass

import stemlib

ANALYSES = ("loops", "columns", "lattice", "defects", "domains")
# What has no field in a form, beside dicts: the image and arrays, and the pixel size, which is asked for beside it.
_APART = ("image", "mask", "pixel_size_nm")


@dataclass(frozen=True)
class Setting:
    """One argument of a finder.

    Parameters
    ----------
    name : str
    default : object
    kind : {"choice", "bool", "int", "float", "text"}
    choices : tuple of str
        Of a choice.
    what : str
        What it means, from the finder's docstring.
    """

    name: str
    default: object
    kind: str
    choices: tuple[str, ...]
    what: str


def finder(analysis):
    """Return ``stemlib.find_*`` of an analysis.

    Raises
    ------
    ValueError
        If there is none of this name.
    """
    if analysis not in ANALYSES:
        raise ValueError(f"analysis={analysis!r} must be one of {', '.join(map(repr, ANALYSES))}")
    return getattr(stemlib, f"find_{analysis}")


def settings_of(analysis):
    """Return the settings of a finder, in the order of its signature.

    Examples
    --------
    >>> [(one.name, one.default, one.kind) for one in settings_of("domains")][:3]
    [('n_domains', None, 'int'), ('descriptor', 'patterson', 'choice'), ('method', 'mixture', 'choice')]
    """
    find = finder(analysis)
    described = _described(inspect.getdoc(find))
    return [
        _setting(name, argument.default, *described.get(name, ("", "")))
        for name, argument in inspect.signature(find).parameters.items()
        if name not in _APART and not described.get(name, ("",))[0].startswith("dict")
    ]


def _described(doc):
    """Name of each argument -> its type and what it means, of a numpydoc docstring."""
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\w+\n-+$|\Z)", doc, re.DOTALL | re.MULTILINE)[1]
    parts = re.findall(r"^(\w+) : (.*)\n((?:^(?: .*)?\n)*)", section, re.MULTILINE)
    return {name: (kind, " ".join(text.split())) for name, kind, text in parts}


def _setting(name, default, kind, what):
    choices = tuple(re.findall(r'"([^"]*)"', kind)) if kind.startswith("{") else ()
    numbers = (("bool", "bool"), ("int", "int"), ("float", "float"))
    simple = next((ours for theirs, ours in numbers if kind.startswith(theirs)), "text")
    return Setting(name, default, "choice" if choices else simple, choices, what)


def find(analysis, image, **settings):
    """Run a finder by name, and refuse a setting that it does not have.

    Parameters
    ----------
    analysis : {"loops", "columns", "lattice", "defects", "domains"}
    image : path, (H, W) array of any real dtype, Micrograph or HyperSpy Signal2D
    **settings
        As ``stemlib.find_*`` takes them.

    Returns
    -------
    Loops, Columns, Lattice, Defects or Domains

    Raises
    ------
    ValueError
        If there is no such analysis or setting; and what the finder raises.

    Examples
    --------
    >>> from stemlib.synthetic import crystal_image
    >>> find("columns", crystal_image("square", (96, 96), seed=0).image, treshold=0.5)
    Traceback (most recent call last):
        ...
    ValueError: settings: 'treshold' is no setting of find_columns; did you mean 'threshold'?
    """
    known = list(inspect.signature(finder(analysis)).parameters)[1:]
    for name in settings:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            remedy = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}"
            raise ValueError(f"settings: {name!r} is no setting of find_{analysis}; {remedy}")
    return finder(analysis)(image, **settings)


def simulated(analysis, seed=0):
    """Return a simulated image that shows what an analysis looks for, to try it: a Micrograph."""
    from stemlib.io.micrograph import Micrograph
    from stemlib.synthetic import PointDefects, Recording, crystal_image, domain_image, loop_micrograph

    finder(analysis)
    if analysis == "loops":
        scene = loop_micrograph((512, 512), n_loops=10, seed=seed)
        return Micrograph(scene.image, scene.pixel_size_nm, {"name": "simulated loops"})
    if analysis == "domains":
        return Micrograph(domain_image("two-phases", (256, 256), seed=seed).image, 0.02)
    defects, recording = PointDefects(vacancies=0.01), Recording(snr=25)
    shape = (256, 256)
    scene = crystal_image(
        "perovskite", shape, rotation_deg=12, defects=defects, recording=recording, seed=seed
    )
    return Micrograph(scene.image, 0.02)
