"""What the benchmarks share: options, versions, threads, time, peak memory, and results as JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType

import stemlib
from stemlib.io.files import write_atomically

PAGE = Path(__file__).resolve().parent.parent / "docs" / "validation.md"


def parser(script: str, description: str) -> argparse.ArgumentParser:
    """Return a parser that knows ``--output``: by default the JSON file beside the script."""
    options = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--output", type=Path, default=Path(script).with_suffix(".json"))
    return options


def environment(**libraries: ModuleType) -> dict:
    """Return the machine, the version of stemlib, and those of some libraries, by the names given to them."""
    return {
        "machine": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "stemlib": stemlib.__version__,
        **{name: library.__version__.split("+")[0] for name, library in libraries.items()},
    }


def read(path: Path) -> dict:
    """Return the result of an earlier run; empty where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def write(path: Path, result: dict) -> None:
    """Write a result as a whole, or not at all."""
    write_atomically(path, json.dumps(result, indent=1) + "\n")


def page_part(mark: str) -> str:
    """Return what stands between ``<!-- mark -->`` and ``<!-- end of mark -->`` in docs/validation.md."""
    return (
        PAGE.read_text(encoding="utf-8")
        .split(f"<!-- {mark} -->")[1]
        .split(f"<!-- end of {mark} -->")[0]
        .strip()
    )


def fill_page(mark: str, text: str) -> None:
    """Replace what stands there."""
    start, end = f"<!-- {mark} -->", f"<!-- end of {mark} -->"
    before, rest = PAGE.read_text(encoding="utf-8").split(start)
    write_atomically(PAGE, f"{before}{start}\n\n{text}\n\n{end}{rest.split(end)[1]}")


def set_threads(number: int) -> None:
    """Let every library use so many threads."""
    # Here alone, so that they are not in the memory of benchmarks that do not need them.
    import cv2
    import numba
    import torch

    cv2.setNumThreads(number)
    torch.set_num_threads(number)
    numba.set_num_threads(number)


def timed(function: Callable, *arguments, **options) -> tuple[object, float]:
    """Return what a function returns, and the seconds it took."""
    start = time.perf_counter()
    result = function(*arguments, **options)
    return result, time.perf_counter() - start


def in_fresh_process(function: Callable, *arguments) -> tuple[object, int]:
    """Return what a function returns in a process that does nothing else, and the peak memory of that, bytes.

    The function is one of the script's own, defined at its top level. Peak memory is read on Linux.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_with_peak, function, arguments).result()


def _with_peak(function, arguments):
    result = function(*arguments)
    # Unlike getrusage's, this peak does not count what the parent held before it started this process.
    status = Path("/proc/self/status").read_text()
    return result, 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])
