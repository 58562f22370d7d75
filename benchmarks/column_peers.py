"""Other finders of columns, each given its best parameters by the labels it is then scored on."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from scipy import ndimage
from skimage.feature import peak_local_max

from stemlib.agreement import column_spacing, match_columns, score_columns

# In units of the labels' spacing.
SIGMAS = (0.12, 0.15, 0.18, 0.21, 0.24, 0.27, 0.30, 0.34, 0.38, 0.43)
DISTANCES = (0.3, 0.4, 0.5, 0.6, 0.7)
ATOMAP_SEPARATIONS = (0.4, 0.5, 0.6, 0.7, 0.8)

ATOMAP_SMOOTHING = (0.0, 0.12, 0.2)

# Runs where Atomap is installed; it needs no more of stemlib than a folder.
ATOMAP = """
import json, sys
from importlib.metadata import version
import numpy as np
import hyperspy.api as hs
from scipy.ndimage import gaussian_filter
from atomap.api import Sublattice
from atomap.atom_finding_refining import get_atom_positions
folder, runs, refine = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3] == "refine"
image = np.load(folder + "/image.npy")
for number, options in enumerate(runs):
    smoothed = gaussian_filter(image, options.pop("smoothed_by_px"))
    signal = hs.signals.Signal2D(smoothed)
    found = np.asarray(get_atom_positions(signal, **options), float).reshape(-1, 2)
    if refine and len(found):
        sublattice = Sublattice(found, smoothed)
        sublattice.find_nearest_neighbors()
        sublattice.refine_atom_positions_using_center_of_mass(show_progressbar=False)
        sublattice.refine_atom_positions_using_2d_gaussian(show_progressbar=False)
        found = np.column_stack([sublattice.x_position, sublattice.y_position])
    np.save(f"{folder}/{number}.npy", found[:, ::-1])
print("version", version("atomap"))
"""


def log_peaks(image: np.ndarray, sigma: float, min_distance: float) -> tuple[np.ndarray, np.ndarray]:
    """Return positions (y, x) and responses of the peaks of minus the Laplacian of Gaussian, strongest first."""
    response = -ndimage.gaussian_laplace(image.astype(np.float64), sigma) * sigma**2
    peaks = peak_local_max(response, min_distance=max(1, round(min_distance)), exclude_border=1)
    y, x = peaks.T
    centre = response[y, x]
    refined = peaks.astype(np.float64)
    for axis, (low, high) in enumerate(
        ((response[y - 1, x], response[y + 1, x]), (response[y, x - 1], response[y, x + 1]))
    ):
        curvature = 2 * centre - low - high
        refined[:, axis] += np.where(
            curvature > 0, (high - low) / np.where(curvature > 0, 2 * curvature, 1), 0
        )
    order = np.argsort(-centre, kind="stable")
    return refined[order], centre[order]


def best_log(image: np.ndarray, labels: np.ndarray, region: np.ndarray) -> tuple[np.ndarray, dict]:
    """Return the peaks and the parameters (width, distance, threshold) that agree best with the labels."""
    spacing = column_spacing(labels)
    best, best_f1 = None, -1.0
    for sigma in SIGMAS:
        for distance in DISTANCES:
            peaks, response = log_peaks(image, sigma * spacing, distance * spacing)
            match = match_columns(labels, peaks, region=region)
            # Every threshold at once: the peaks are in order, so each keeps a beginning of the list.
            kept = np.cumsum(match.in_found)
            true = np.cumsum(match.is_true & match.in_found)
            f1 = 2 * true / (kept + match.in_truth.sum())
            number = int(np.argmax(f1))
            if f1[number] > best_f1:
                best_f1 = f1[number]
                parameters = {
                    "sigma_px": sigma * spacing,
                    "min_distance_px": max(1, round(distance * spacing)),
                    "threshold": float(response[number]),
                }
                best = peaks[: number + 1], parameters
    return best


def best_atomap(
    image: np.ndarray, labels: np.ndarray, region: np.ndarray, python: str
) -> tuple[np.ndarray, dict] | None:
    """Return the positions and options of Atomap that agree best with the labels, None where it does not run.

    Its peaks are chosen by agreement within half a spacing, because they are whole pixels; those of the best options
    are then refined as its manual does it, by centres of mass and by Gaussians.
    """
    spacing = column_spacing(labels)
    runs = [
        {
            "separation": separation,
            "threshold_rel": threshold,
            "subtract_background": background,
            "smoothed_by_px": smoothing * spacing,
        }
        for separation in sorted({max(2, round(s * spacing)) for s in ATOMAP_SEPARATIONS})
        for threshold in (0.01, 0.02, 0.1)
        for background in (False, True)
        for smoothing in ATOMAP_SMOOTHING
    ]
    coarse = _run_atomap(image, runs, python, refine=False)
    if coarse is None:
        return None
    matches = (match_columns(labels, found, reach_px=spacing / 2, region=region) for found in coarse[0])
    best = runs[int(np.argmax([score_columns(match)["f1"] for match in matches]))]
    (found,), version = _run_atomap(image, [best], python, refine=True)
    return found, {**best, "version": version}


def _run_atomap(
    image: np.ndarray, runs: list[dict], python: str, *, refine: bool
) -> tuple[list[np.ndarray], str] | None:
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder, "image.npy"), image)
        command = [python, "-c", ATOMAP, folder, json.dumps(runs), "refine" if refine else "coarse"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            print(f"Atomap left out: {(done.stderr.strip() or 'no message').splitlines()[-1]}")
            return None
        found = [np.load(Path(folder, f"{number}.npy")) for number in range(len(runs))]
        return found, done.stdout.split()[-1]
