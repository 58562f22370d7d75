"""The command ``stemlib``: every finder from a shell, for one image or many."""

import argparse
import ast
import glob
import inspect
import logging
import re
import sys
import textwrap
import warnings
from pathlib import Path

import pandas as pd

import stemlib
from stemlib.many.examine import Task, examine, frames_of, one_line
from stemlib.many.find import check_settings
from stemlib.many.reports import VERBS
from stemlib.many.sources import expand
from stemlib.many.store import described, publish_findings

_EXAMPLES = {
    "loops": "stemlib loops image.dm4 -o results --pixel-size 0.48",
    "columns": "stemlib columns haadf.dm4 -o results",
    "lattice": "stemlib lattice haadf.dm4 -o results --select HAADF",
    "defects": "stemlib defects haadf.dm4 -o results --false-alarms 0.1",
    "domains": "stemlib domains haadf.dm4 -o results --mask where.png",
    "batch": 'stemlib batch loops "day1/*.dm4" -o results --workers 4',
    "tune": "stemlib tune images/*.tif --labels labels/*.csv -o mine.safetensors",
}
# What the command calls otherwise than Python does, or takes care of itself.
_OWN = ("image", "mask", "pixel_size_nm")


def main(arguments=None):
    """Run the command.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the shell.

    Returns
    -------
    int
        0; 1 where an image failed; 2, by SystemExit, where the command is not understood.

    Examples
    --------
    >>> main(["lattice", "no-such-image.tif", "-o", "results"])
    1
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    options = vars(_parser(arguments).parse_args(arguments))
    # What a reader has to say of a damaged file is in the error's one line.
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    run = options.pop("run")
    try:
        return run(**options)
    except KeyboardInterrupt:
        return _failed("ended")
    except Exception as error:
        return _failed(one_line(error))


def _find(what, files, output, select=None, mask=None, **settings):
    """One image after the other; those that fail are named, the others written."""
    if mask is not None:
        settings["mask"] = _mask(mask)
    check_settings(what, settings)
    failures = 0
    for source in expand(_globbed(files)):
        frames = frames_of(source.path, select)
        if not isinstance(frames, str) and len(frames) > 1:
            frames = (
                f"{str(source.path)!r} holds {len(frames)} images; choose one with --select NUMBER, or take all with: "
                f"stemlib batch {what}"
            )
        if isinstance(frames, str):
            failures += _failed(frames)
            continue
        facts = {"n_images": 1, "identity": source.identity(), **described(what, settings)}
        findings = examine(Task(what, settings, True, source.name, frames[0], facts, source.path))
        if findings.error:
            failures += _failed(f"{source.name}: {findings.error}")
            continue
        folder = Path(output) / source.name
        record = publish_findings(folder, Path(source.name).stem, findings)
        for text in record["warnings"]:
            print(f"stemlib: warning: {source.name}: {text}", file=sys.stderr)
        first = [f"{key} {value:.6g}" for key, value in record["numbers"].items() if value is not None][:2]
        print(f"{source.name}: {', '.join(first)}; picture, table and numbers in {folder}")
    return min(failures, 1)


def _batch(what, files, output, mask=None, **settings):
    if mask is not None:
        settings["mask"] = _mask(mask)
    source = files[0] if len(files) == 1 else _globbed(files)
    with warnings.catch_warnings():
        # Of images that fail: they are listed below.
        warnings.simplefilter("ignore", UserWarning)
        found = stemlib.batch(source, what, output=output, **settings)
    for row in found.errors.itertuples():
        alone = found.summary["frame"].nunique() < 2 or pd.isna(row.frame)
        place = row.image if alone else f"{row.image}, image {row.frame}"
        _failed(f"{place}: {row.error}")
    done = len(found.summary) - len(found.errors)
    print(f"{done} images, {len(found.table)} rows in {Path(output) / f'{what}.csv'}")
    return min(len(found.errors), 1)


def _tune(files, labels, output, **settings):
    if "regions" in settings:
        settings["regions"] = [_mask(path) for path in settings["regions"]]
    written = stemlib.tune_loops(_globbed(files), _globbed(labels), output=output, **settings)
    weights = {"fcn": str(written)}
    print(f'weights in {written}; use them with: stemlib loops IMAGE -o OUT --weights "{weights}"')
    return 0


def _globbed(files):
    """Paths, with patterns resolved where the shell did not; those that are not there stay, to be named."""
    return [
        path
        for file in files
        for path in (sorted(glob.glob(file)) if not Path(file).exists() and glob.has_magic(file) else [file])
    ]


def _mask(path):
    return stemlib.read(path).image > 0


def _failed(text):
    print(f"stemlib: error: {text}", file=sys.stderr)
    return 1


def _parser(arguments):
    parser = argparse.ArgumentParser(prog="stemlib", description=stemlib.__doc__)
    parser.add_argument("--version", action="version", version=f"stemlib {stemlib.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for what in VERBS:
        one = _command(commands, what, f"find {what} in one image, or in several one by one")
        _take_images(one, what, chosen=what in arguments)
        one.set_defaults(run=_find, what=what)
    many = _command(commands, "batch", "find in folders, patterns and movies, by several processes")
    sought = many.add_subparsers(required=True, metavar="WHAT", dest="what")
    for what in VERBS:
        one = sought.add_parser(what, argument_default=argparse.SUPPRESS, help=f"find {what}")
        _take_images(one, what, chosen=what in arguments)
        one.add_argument("--workers", type=int, help="processes; by default one for each processor")
        one.add_argument("--no-pictures", dest="pictures", action="store_false", help="tables alone")
        one.add_argument("--reading-limit-s", type=float, help="longest time for opening one file, 60")
        one.set_defaults(run=_batch)
    tune = _command(commands, "tune", "teach find_loops by your own labels")
    tune.add_argument("files", nargs="+", metavar="IMAGE")
    tune.add_argument("--labels", nargs="+", required=True, metavar="FILE", help="one for each image")
    tune.add_argument("-o", "--output", required=True, help="file to write the weights to")
    tune.add_argument(
        "--regions",
        nargs="+",
        metavar="FILE",
        help="masks of what is labelled, one for each",
    )
    tune.add_argument("--kinds", nargs="+", metavar="KIND")
    tune.add_argument("--seed", type=int)
    tune.set_defaults(run=_tune)
    return parser


def _command(commands, name, text):
    return commands.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog=f"example:\n  {_EXAMPLES[name]}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        # What is not given is left to the finder's own default.
        argument_default=argparse.SUPPRESS,
    )


def _take_images(parser, what, *, chosen):
    """Options of a finder; its settings only where it is the one chosen, for they load what it is made of."""
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="folder to write to")
    parser.add_argument("--select", type=_literal, metavar="NUMBER|NAME", help="which image of a file")
    parser.add_argument("--mask", metavar="FILE", help="an image that is not zero where to look")
    parser.add_argument(
        "--pixel-size", dest="pixel_size_nm", type=float, metavar="NM", help="wins over the file's own"
    )
    if not chosen:
        return
    finder = getattr(stemlib, VERBS[what])
    texts = _parameter_texts(finder)
    for name, parameter in inspect.signature(finder).parameters.items():
        if name in _OWN:
            continue
        look = {"help": texts.get(name), "dest": name}
        if isinstance(parameter.default, bool):
            look["action"] = argparse.BooleanOptionalAction
        else:
            look |= {"type": _literal, "metavar": "VALUE"}
            look |= {"nargs": "+"} if isinstance(parameter.default, tuple) else {}
        parser.add_argument(f"--{name.replace('_', '-')}", **look)


def _literal(text):
    """A number, None or a dict where it is one, otherwise the text itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _parameter_texts(function):
    """What a numpydoc docstring says of each parameter: its type, and the first sentence."""
    doc = inspect.getdoc(function).partition("Parameters\n----------\n")[2].partition("\n\n")[0]
    found = re.findall(r"^(\w+) : (.+)\n((?: {4}.*\n?)*)", f"{doc}\n", flags=re.MULTILINE)
    return {
        name: _help(f"{kind}. {re.split(r'(?<=[.;:]) ', ' '.join(textwrap.dedent(text).split()))[0]}")
        for name, kind, text in found
    }


def _help(text):
    # argparse takes the sign for a placeholder.
    return text.replace("%", "%%").replace("``", "").removesuffix(" ").rstrip(";:")
