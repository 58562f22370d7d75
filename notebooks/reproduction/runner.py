"""Run the result notebooks through papermill and hold their numbers against the published and committed ones.

`make reproduce` calls this; `python -m notebooks.reproduction --help` shows what else it can do. It writes below build/
alone: what is committed changes by `make accept` only.
"""

import argparse
import ast
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import papermill
from filelock import FileLock, Timeout
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from . import accept
from .comparison import Comparison, format_table
from .figures import load_figure_json
from .promote import TOGETHER
from .repository import ROOT
from .runs import ALSO, RUNS, download, images_at_hand, plan

NOTEBOOKS = ROOT / "notebooks"
BUILD = ROOT / "build"


class ReproductionError(Exception):
    """What stops the reproduction and needs no traceback of its own."""


def prepare_environment():
    """Set what the kernels need: drawing without a window, a thread per core, this Python as kernel."""
    cores = str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    os.environ["MPLBACKEND"] = "Agg"
    for variable in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMBA_NUM_THREADS",
        "OPENCV_FOR_THREADS_NUM",
    ):
        os.environ.setdefault(variable, cores)
    # Else a kernel called python3 in the user's own folders would come first.
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    os.environ.pop("JUPYTER_PATH", None)
    if os.environ.get("STEMLIB_DATA"):
        # Kernels start in the folder of the notebooks.
        os.environ["STEMLIB_DATA"] = os.path.abspath(os.environ["STEMLIB_DATA"])


def check_parameters(notebook, parameters):
    """Raise if a notebook has no parameter of a given name: papermill itself would go on."""
    known = papermill.inspect_notebook(str(notebook))
    unknown = sorted(set(parameters) - set(known))
    if unknown:
        raise ReproductionError(
            f"{notebook.name} has no parameter {', '.join(map(repr, unknown))}; "
            f"it has {', '.join(sorted(known))}"
        )


def run_notebook(notebook, parameters, output_folder, log_folder):
    """Run one result notebook; its figures go into `output_folder`, its copy with outputs into `log_folder`."""
    execute(notebook, parameters | {"output_folder": str(output_folder)}, log_folder)
    simulated = parameters.get("image_set") in ("synthetic", "simulated")
    # A file of one's own comes before the image set.
    return read_figures(output_folder, synthetic=simulated and not parameters.get("image"))


def execute(notebook, parameters, log_folder):
    """Execute any notebook with parameters that it knows, its copy with outputs into `log_folder`."""
    check_parameters(notebook, parameters)
    for folder in (Path(parameters["output_folder"]), log_folder):
        folder.mkdir(parents=True, exist_ok=True)
    papermill.execute_notebook(
        str(notebook),
        str(log_folder / notebook.name),
        parameters=parameters,
        cwd=str(notebook.parent),
        kernel_name="python3",
        progress_bar=sys.stderr.isatty(),
        # Without it each kernel warns that others on this machine could listen.
        config=Config({"KernelManager": {"transport_encryption": "auto"}}),
    )


def read_figures(folder, synthetic):
    """Return the JSON content of each figure in a folder, once it is seen to be complete and true."""
    contents = []
    for path in sorted(folder.glob("*.json")):
        content, text = load_figure_json(path), path.read_text(encoding="utf-8")
        if content["name"] != path.stem or not path.with_suffix(".png").is_file():
            raise ReproductionError(f"{path.name} needs its picture, and its own name in it")
        if content["synthetic"] is not synthetic:
            raise ReproductionError(
                f"{path.name} says synthetic: {content['synthetic']}, but its images were "
                f"{'synthetic' if synthetic else 'real'}"
            )
        for local in {str(ROOT), os.environ.get("STEMLIB_DATA") or str(ROOT)}:
            if local in text:
                raise ReproductionError(f"{path.name} holds a path of this machine: {local}")
        contents.append(content)
    if not contents:
        raise ReproductionError(f"the notebook wrote no figure into {folder}")
    return contents


def publish(folders, target):
    """Make the figures in some folders the only ones in another, all at once: a reader never sees half of them."""
    complete = BUILD / "reproduce" / "complete"
    complete.mkdir(parents=True)
    for folder in folders:
        for path in [*folder.glob("*.png"), *folder.glob("*.json")]:
            os.replace(path, complete / path.name)
    if target.exists():
        os.replace(target, BUILD / "reproduce" / "before")
    os.replace(complete, target)


def train():
    """Train all weights anew into build/weights/."""
    missing = {
        name: wanted - found for name, (found, wanted) in images_at_hand(("training", "validation")).items()
    }
    if any(missing.values()):
        raise ReproductionError(
            f"training needs the real micrographs: {sum(missing.values())} training and validation images "
            "are not at hand; set STEMLIB_DATA to a folder that holds them, or go online"
        )
    print(
        f"Training anew into build/weights/: about {training_minutes():.0f} minutes on 2 cores that know bfloat16 "
        "(AVX512-BF16 or AMX), a few times as long on others",
        flush=True,
    )
    # The precision of the shipped weights: scores and times compare.
    command = ["-m", "stemlib.training", "--precision", "bfloat16", "--output", str(BUILD / "weights")]
    subprocess.run([sys.executable, *command], check=True)


def training_minutes():
    """Return how long the shipped weights took to train, from their cards."""
    minutes = 0.0
    for names in TOGETHER:
        cards = [ROOT / "stemlib" / "weights" / f"{name}.json" for name in names]
        # What is trained together states the time of all of it, on each card.
        minutes += max(json.loads(card.read_text(encoding="utf-8"))["minutes"] for card in cards)
    return minutes


def parse_assignment(text):
    """Return name and value of NAME=VALUE; what is no Python literal is a string."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ReproductionError(f"parameter {text!r} must be NAME=VALUE")
    try:
        return name, ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return name, value


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(description="Run the result notebooks and compare their numbers.")
    names = list(dict.fromkeys(run.notebook for run in RUNS))
    parser.add_argument("notebooks", nargs="*", metavar="NOTEBOOK", help=f"only these of {', '.join(names)}")
    parser.add_argument("--offline", action="store_true", help="do not try to download the public data")
    parser.add_argument(
        "--train", action="store_true", help="train all weights anew first, into build/weights/"
    )
    parser.add_argument(
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="another value for a notebook's parameter; the figures then go to build/trials/",
    )
    parser.add_argument(
        "--accept",
        action="store_true",
        help="then replace committed figures, README and docs values that lie outside their tolerance",
    )
    options = parser.parse_args(arguments)
    if options.accept and (options.parameter or options.train):
        parser.error("--accept takes what the notebooks' own parameters and the shipped weights give")
    unknown = sorted(set(options.notebooks) - set(names))
    if unknown:
        parser.error(f"no result notebook {', '.join(unknown)}; there are {', '.join(names)}")
    return options


def run_all(runs, extra, scratch):
    """Run notebooks one after the other, with extra parameters, into folders of their own; return all contents."""
    made = []
    for number, run in enumerate(runs, start=1):
        start, label = time.monotonic(), f"[{number}/{len(runs)}] {run.name}"
        print(f"{label} ...", flush=True)
        contents = run_notebook(
            NOTEBOOKS / f"{run.notebook}.ipynb",
            {"image_set": run.image_set} | run.parameters | extra,
            scratch / run.name,
            BUILD / "notebooks" / run.name,
        )
        names = ", ".join(content["name"] for content in contents)
        print(f"{label} done in {time.monotonic() - start:.0f} s: {names}", flush=True)
        made += contents
    return made


def reproduce(options):
    """Do all that `make reproduce` promises."""
    runs = [run for run in RUNS if not options.notebooks or run.notebook in options.notebooks]
    extra = dict(map(parse_assignment, options.parameter))
    for notebook in dict.fromkeys(run.notebook for run in runs):
        check_parameters(NOTEBOOKS / f"{notebook}.ipynb", extra)
    image_sets = list(dict.fromkeys(run.image_set for run in runs if run.images))
    if not options.offline:
        subsets = [*image_sets, *ALSO] + (["training", "validation"] if options.train else [])
        try:
            if not download(subsets):
                print("public data: no answer, going on with what is at hand")
        except ValueError as error:
            raise ReproductionError(error) from error
    # Tried once: from here on nobody tries again.
    os.environ["STEMLIB_OFFLINE"] = "1"
    if options.train:
        train()
        extra["weights"] = "build/weights"
    chosen, lines = plan(runs, images_at_hand(image_sets))
    print("\n".join(lines), end="\n" if lines else "")
    scratch = BUILD / "reproduce"
    shutil.rmtree(scratch, ignore_errors=True)
    made = run_all(chosen, extra, scratch)
    # What other parameters or weights than the shipped ones give is not to be held for the reproduction.
    target = BUILD / ("trials" if options.parameter or options.train else "figures")
    publish([scratch / run.name for run in chosen], target)
    comparisons = [Comparison.with_folder(content, ROOT / "figures") for content in made]
    print(f"\nFigures are in {target.relative_to(ROOT)}/\n")
    print(format_table(comparisons))
    print(summary(comparisons))
    if options.accept:
        accept.main([])


def summary(comparisons):
    """Return what sets the figures apart from the committed ones, in a line for each that is not the same."""
    apart = [one for one in comparisons if one.verdict != "within"]
    lines = [f"{one.content['name']}: {one.verdict}" for one in apart]
    same = f"{len(comparisons) - len(apart)} of {len(comparisons)} figures within the tolerances of their results"
    advice = (
        "; make accept replaces the committed ones where they are new, changed or outside" if apart else ""
    )
    return "\n".join([same + advice, *lines])


def main(arguments=None):
    options = parse_arguments(arguments)
    prepare_environment()
    BUILD.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(BUILD / ".lock", timeout=0):
            reproduce(options)
    except Timeout:
        sys.exit("error: another make reproduce is running here; wait for it, or make another clone")
    except PapermillExecutionError as error:
        print(error, file=sys.stderr)
        sys.exit(
            "error: a notebook failed; build/figures/ is as it was, the copy with outputs in build/notebooks/"
        )
    except (ReproductionError, FileNotFoundError, subprocess.CalledProcessError) as error:
        sys.exit(f"error: {error}")
