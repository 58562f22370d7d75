"""How far the fast image model is from a multislice calculation, on bilayer MoWTe2.

    pip install -e .[multislice]
    python benchmarks/image_model.py [--phonons 8] [--output benchmarks/image_model.json]

abTEM (Madsen & Susi, Open Res. Europe 1, 24 (2021), https://doi.org/10.12688/openreseurope.13015.2) scans a supercell
with random Mo and W at the conditions that `stemlib.synthetic.material_image` has by default, and single atoms for the
cross-sections. The fast model simulates the same columns; both images are periodic and without noise.
"""

import time

import harness
import numpy as np
from ase import Atoms
from scipy.ndimage import gaussian_filter
from scipy.optimize import minimize

from stemlib.synthetic.imaging import render_columns
from stemlib.synthetic.materials import mowte2_bilayer
from stemlib.synthetic.projection import EXPONENT
from stemlib.synthetic.recording import SCATTERED_NM2, DarkField

VOLTAGE_KV, CONVERGENCE_MRAD, DETECTOR_MRAD = 100.0, 31.0, (86, 200)
SOURCE_FWHM_NM, THERMAL_NM, TAIL = 0.07, 0.0075, 0.2
SAMPLING, SLICE, STEP, PIXEL = 0.05, 2.0, 0.28, 0.2  # angstrom: potential, slices, scan, compared images
SINGLE = ("C", "O", "S", "Ti", "Zr", "Mo", "Te", "W")


def supercell(rng):
    """A rectangular piece of the bilayer whose metal sites hold Mo and W by turns at random."""
    atoms = mowte2_bilayer(0.5)
    a, b, c = atoms.cell.array
    wide = atoms.repeat((1, 2, 1))
    # The hexagonal cell's second vector leans over; two of them and one of the first make it upright.
    upright = np.array([a, a + 2 * b if abs((a + 2 * b) @ a) < 1e-3 else 2 * b - a, c])
    wide = Atoms(wide.numbers, wide.positions, cell=upright, pbc=True)
    wide.wrap()
    big = wide.repeat((4, 2, 1))
    metal = np.flatnonzero(big.numbers == 42)
    big.numbers[rng.permutation(metal)[: len(metal) // 2]] = 74
    return big


def scanned(atoms, n_phonons, step):
    """Fraction of the beam that reaches the detector, over one period of the structure."""
    import abtem

    abtem.config.set({"local_diagnostics.progress_bar": False, "device": "cpu"})
    phonons = abtem.FrozenPhonons(atoms, num_configs=n_phonons, sigmas=10 * THERMAL_NM, seed=1)
    potential = abtem.Potential(phonons, sampling=SAMPLING, slice_thickness=SLICE)
    probe = abtem.Probe(sampling=SAMPLING, energy=1e3 * VOLTAGE_KV, semiangle_cutoff=CONVERGENCE_MRAD)
    gpts = tuple(int(np.ceil(length / step)) for length in atoms.cell.lengths()[:2])
    scan = abtem.GridScan(gpts=gpts, endpoint=False, potential=potential)
    detector = abtem.AnnularDetector(*DETECTOR_MRAD)
    measured = probe.scan(potential, scan=scan, detectors=detector).compute(progress_bar=False)
    return measured


def single_atoms(n_phonons):
    """Cross-sections of single atoms, square angstrom, and the power of Z that fits them."""
    found = {}
    for symbol in SINGLE:
        atom = Atoms(symbol, positions=[(4, 4, 1)], cell=[8, 8, 2], pbc=True)
        measured = scanned(atom, n_phonons, 0.25)
        step = np.prod([8 / side for side in measured.array.shape])
        found[symbol] = (int(atom.numbers[0]), float(measured.array.sum() * step))
    numbers, sections = np.array(list(found.values())).T
    return {
        "cross_section_angstrom2": {symbol: section for symbol, (_, section) in found.items()},
        "exponent": float(np.polyfit(np.log(numbers), np.log(sections), 1)[0]),
        "over_model": {
            symbol: section / (100 * SCATTERED_NM2 * number**EXPONENT)
            for symbol, (number, section) in found.items()
        },
    }


def columns_of(atoms):
    """Positions (y, x) px of the columns on the compared image, their strength and whether they hold W."""
    at, strength, tungsten = [], [], []
    left = np.ones(len(atoms), bool)
    flat = atoms.copy()
    flat.positions[:, 2] = 0
    for k in np.flatnonzero(np.isin(atoms.numbers, (42, 74))):
        group = np.flatnonzero((flat.get_distances(k, range(len(atoms)), mic=True) < 0.3) & left)
        left[group] = False
        at.append(atoms.positions[k, 1::-1] / PIXEL)
        strength.append((atoms.numbers[group].astype(float) ** EXPONENT).sum())
        tungsten.append(74 in atoms.numbers[group])
    return np.array(at), np.array(strength), np.array(tungsten)


def profiles(at, shape, sigma, tail):
    """Images of each column alone, periodic, of height 1 but for the tail: (N, H, W)."""
    copies = np.mgrid[-1:2, -1:2].reshape(2, -1).T * shape
    peaks = np.array([render_columns(p + copies, np.ones(9), shape, sigma) for p in at])
    return (1 - tail) * peaks + tail * gaussian_filter(peaks, (0, 2.5 * sigma, 2.5 * sigma), mode="wrap")


def compare(image, at, strength, tungsten):
    """The fast model as it is, and with width and tail fitted, against a multislice image."""
    recording = DarkField(
        voltage_kv=VOLTAGE_KV,
        convergence_mrad=CONVERGENCE_MRAD,
        source_fwhm_nm=SOURCE_FWHM_NM,
        thermal_nm=THERMAL_NM,
    )
    sigma = 10 * recording.sigma_nm / PIXEL

    def amplitudes(shapes):
        design = shapes.reshape(len(shapes), -1).T
        return np.linalg.lstsq(design, image.ravel(), rcond=None)[0]

    def misfit(p):
        shapes = profiles(at, image.shape, *p)
        return float(((np.tensordot(amplitudes(shapes), shapes, 1) - image) ** 2).sum())

    fit = minimize(misfit, (sigma, TAIL), method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-12})
    shapes = profiles(at, image.shape, sigma, TAIL)
    peak = 100 * SCATTERED_NM2 * strength / (2 * np.pi * (sigma * PIXEL) ** 2)
    model = np.tensordot(peak, shapes, 1)
    scale = float((model * image).sum() / (model**2).sum())
    height = amplitudes(profiles(at, image.shape, *fit.x))
    spread = [float(height[kind].std() / height[kind].mean()) for kind in (tungsten, ~tungsten)]
    return {
        "mo_over_w_column": {
            "multislice": float(height[~tungsten].mean() / height[tungsten].mean()),
            "model": float(strength[~tungsten].mean() / strength[tungsten].mean()),
        },
        "scatter_of_like_columns": {"W": spread[0], "Mo": spread[1]},
        "peak_sigma_angstrom": {"multislice": float(fit.x[0] * PIXEL), "model": sigma * PIXEL},
        "tail": {"multislice": float(fit.x[1]), "model": TAIL},
        "intensity_multislice_over_model": scale,
        "residual_rms_over_contrast": {
            "model": float(np.sqrt(((scale * model - image) ** 2).mean()) / image.std()),
            "width and tail fitted": float(np.sqrt(fit.fun / image.size) / image.std()),
        },
        "correlation": float(np.corrcoef(model.ravel(), image.ravel())[0, 1]),
    }


def main():
    """Calculate, compare and write."""
    parser = harness.parser(__file__, __doc__)
    parser.add_argument("--phonons", type=int, default=8, help="frozen-phonon configurations")
    options = parser.parse_args()
    import abtem

    start = time.perf_counter()
    atoms = supercell(np.random.default_rng(0))
    measured = scanned(atoms, options.phonons, STEP).interpolate(PIXEL)
    blurred = measured.gaussian_filter(10 * SOURCE_FWHM_NM / 2.3548)
    # abTEM's first axis is x.
    image = np.asarray(blurred.array, np.float64).T
    at, strength, tungsten = columns_of(atoms)
    # Interpolation rounds the number of pixels.
    at *= np.array(image.shape) / (atoms.cell.lengths()[1::-1] / PIXEL)
    result = {
        **harness.environment(abtem=abtem),
        "conditions": {
            "voltage_kv": VOLTAGE_KV,
            "convergence_mrad": CONVERGENCE_MRAD,
            "detector_mrad": DETECTOR_MRAD,
            "source_fwhm_nm": SOURCE_FWHM_NM,
            "thermal_nm": THERMAL_NM,
            "frozen_phonons": options.phonons,
            "columns": len(at),
            "image_px": image.shape,
            "pixel_angstrom": PIXEL,
        },
        "bilayer": compare(image, at, strength, tungsten),
        "single_atoms": single_atoms(options.phonons),
        "seconds": time.perf_counter() - start,
    }
    harness.write(options.output, result)


if __name__ == "__main__":
    main()
