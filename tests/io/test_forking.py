import multiprocessing
import subprocess
import sys

import pytest

# Run in an interpreter of its own, where torch and OpenMP use two threads before anything is forked.
FINDERS = """
import concurrent.futures, multiprocessing, sys
import cv2, torch
from sklearn.cluster import KMeans
import numpy as np
import stemlib
from stemlib.synthetic import crystal_image, loop_micrograph

torch.set_num_threads(2)
crystal = crystal_image("square", (128, 128), spacing=10, seed=0).image
micrograph = loop_micrograph((128, 128), n_loops=2, seed=0).image
CALLS = {
    "columns": lambda: len(stemlib.find_columns(crystal).table),
    "defects": lambda: len(stemlib.find_defects(crystal).table),
    "loops": lambda: len(stemlib.find_loops(micrograph).table),
    "clusters": lambda: KMeans(4, n_init=1).fit(np.arange(40000.0).reshape(-1, 2)).n_clusters,
}

def call(name):
    return CALLS[name]()

if __name__ == "__main__":
    known = [call(name) for name in CALLS]
    context = multiprocessing.get_context("fork")
    if sys.argv[1] == "pool":
        with context.Pool(1) as pool:
            found = pool.map(call, CALLS)
    else:
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
            found = list(pool.map(call, CALLS))
    print(found == known)
"""


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="no processes are forked here"
)
@pytest.mark.parametrize("executor", ["pool", "futures"])
def test_finders_answer_in_a_process_forked_after_threads_were_used(executor, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    script = tmp_path / "forks.py"
    script.write_text(FINDERS)
    shown = subprocess.run(
        [sys.executable, script, executor], capture_output=True, text=True, timeout=300, check=True
    )
    assert shown.stdout.strip() == "True"
