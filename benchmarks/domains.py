"""Domains found in simulated and real images beside sliding Fourier transforms with NMF; time and memory.

    PYTHONPATH=notebooks python benchmarks/domains.py [--images 3] [--single 50] [--output FILE] [--only PART ...]

Simulated images are of published crystals at stated conditions, each from its seed; real ones those whose boundaries
were drawn by eye. Accuracy is the share of pixels with the right label, best assignment, outside a band of one cell
edge. The other method is that of AtomAI's SlidingFFTNMF (0.8.1), written from its description: windows an eighth of the
image, a power of two from 32 to 128 px, a quarter apart, Hamming, logarithm of the magnitude, and non-negative matrix
factorization with as many components as there are domains, of which it is told; vacuum may be one more where that is
better for it. A pixel gets the strongest component of the nearest window. `find_domains` is told nothing, so its time
stands beside both: of the factorization that knows the number, trivial with one component, and of that with AtomAI's
default of four components, which runs where nobody knows it.
"""

import warnings

import harness
import numpy as np
import pandas as pd
from domain_grains import KINDS
from sklearn.decomposition import NMF
from sklearn.exceptions import ConvergenceWarning

import stemlib
from reproduction.cases import DomainCase
from reproduction.domain_scores import domain_score
from reproduction.loading import load_cases
from stemlib.agreement import boundary_distance, label_accuracy
from stemlib.domains.result import boundary_lines
from stemlib.synthetic import DarkField, domain_image

SCENES = (
    "zirconia-twin",
    "grain-boundary",
    "90-degree",
    "two-phases",
    "inversion-twins",
    "stacking",
    "three-phases",
    "sphalerite-twin",
    "ordered-lamella",
)
FIRST_SEED = 400  # of the simulated scenes; no other use has seen these
# How the image of each scene was recorded: a particle lies on a film.
CONDITIONS = {
    "zirconia-twin": {"support_nm": 3.0},
    "sphalerite-twin": {"pixel_size_nm": 0.027, "dose_per_nm2": 1e5, "source_fwhm_nm": 0.12},
    "ordered-lamella": {"pixel_size_nm": 0.036, "dose_per_nm2": 1e5},
}
UNTOLD = 4  # components of AtomAI's SlidingFFTNMF by default
OURS = {
    "patterson": {},
    "triplet": {"descriptor": "triplet"},
    "one-class": {"method": "one-class"},
}


def sliding_fft_nmf(image, n_domains):
    """Labels (H, W) of the image by AtomAI's way."""
    sides = [2 ** int(np.log2(np.clip(size // 8, 32, 128))) for size in image.shape]
    steps = [side // 4 for side in sides]
    image = (image - image.min()) / np.ptp(image)
    windows = np.lib.stride_tricks.sliding_window_view(image, sides)[:: steps[0], :: steps[1]]
    # AtomAI's window is the root of the product of two Hamming windows.
    taper = np.sqrt(np.outer(*(np.hamming(side) for side in sides)))
    magnitude = np.log1p(np.abs(np.fft.fft2(windows * taper)))
    grid = windows.shape[:2]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        machine = NMF(n_domains, init="random", random_state=42, max_iter=1000, tol=1e-4)
        weights = machine.fit_transform(magnitude.reshape(np.prod(grid), -1))
    strongest = weights.argmax(axis=1).reshape(grid)
    nearest = [
        np.clip(np.rint((np.arange(size) - (side - 1) / 2) / step), 0, count - 1).astype(int)
        for size, side, step, count in zip(image.shape, sides, steps, grid, strict=True)
    ]
    return strongest[np.ix_(*nearest)]


def simulated_cases(n_images):
    """Scenes with slow drift and some contamination."""
    for scene in SCENES:
        for seed in range(n_images):
            conditions = {"drift_nm": 0.03, "contamination": 0.1} | CONDITIONS.get(scene, {})
            image = domain_image(
                scene,
                (512, 512),
                pixel_size_nm=conditions.pop("pixel_size_nm", 0.02),
                recording=DarkField(**conditions),
                seed=FIRST_SEED + seed,
            )
            yield DomainCase.of(f"{scene} {seed}", image)


def scored(case, labels, lines):
    """Accuracy, and mean distance of the boundaries, px."""
    accuracy = label_accuracy(
        case.labels,
        labels,
        band=case.cell_edge or 0.0,
        boundaries=[*case.boundaries, *case.second],
        undecided=case.undecided,
    )
    distance = boundary_distance(case.boundaries, lines) if case.boundaries and lines else None
    return {"accuracy": accuracy, "boundary_px": None if distance is None else float(distance)}


def compared(case):
    """One image with all methods."""
    image = case.source.image
    result = {
        "domains": case.n_domains,
        "cell_edge_px": case.cell_edge,
        "drawing_error_px": case.drawing_error_px,
    }
    for name, options in OURS.items():
        found, seconds = harness.timed(stemlib.find_domains, image, **options)
        score = scored(case, found.labels, found.boundaries)
        result[name] = {"found": found.n_domains, **score, "seconds": seconds}
    vacuum = bool((case.labels < 0).any())
    tries = []
    for count in range(case.n_domains, case.n_domains + 1 + vacuum):
        labels, seconds = harness.timed(sliding_fft_nmf, image, count)
        tries.append(scored(case, labels, boundary_lines(labels, 1.0)[0]) | {"seconds": seconds})
    result["sliding_fft_nmf"] = max(tries, key=lambda score: score["accuracy"])
    result["sliding_fft_nmf"]["seconds_untold"] = harness.timed(sliding_fft_nmf, image, UNTOLD)[1]
    told, untold = (f"{times_faster(result, key):.1f}" for key in ("seconds", "seconds_untold"))
    accuracies = {k: v["accuracy"] for k, v in result.items() if isinstance(v, dict)}
    print(case.name, accuracies, f"{told} times as fast, {untold} where the number is not told")
    return result


def times_faster(result, key):
    """How many times as fast the default of `find_domains` is as the other method."""
    return result["sliding_fft_nmf"][key] / result["patterson"]["seconds"]


def compare(cases):
    """Every image, and how many times as fast the default is as the other method, at least and in the median."""
    results = {case.name: compared(case) for case in cases}
    summary = {"images": results}
    for name, key in (("times_faster", "seconds"), ("times_faster_untold", "seconds_untold")):
        times = [times_faster(result, key) for result in results.values()]
        summary[name] = {"median": float(np.median(times)), "least": min(times)}
    return summary


def real_cases():
    """Real images at hand with drawn boundaries, and the negative controls."""
    return [case for case in load_cases("domains", "atomic") if case.source is not None]


def inversion(n_images):
    """Inversion twins of equal areas, two domains asked for: accuracy of both descriptors."""
    scores = {"patterson": [], "triplet": []}
    for seed in range(n_images):
        case = DomainCase.of("twins", domain_image("inversion-twins", (512, 512), seed=700 + seed))
        for descriptor, values in scores.items():
            found = stemlib.find_domains(case.source.image, n_domains=2, descriptor=descriptor)
            values.append(scored(case, found.labels, found.boundaries)["accuracy"])
    return scores


def singles(n_images):
    """Domains found in single crystals with drift and contamination: how many images of how many domains."""
    counts = {"patterson": {}, "triplet": {}}
    undecided, faulted = 0.0, 0
    for seed in range(n_images):
        rng = np.random.default_rng([8, seed])
        image = domain_image(
            "single",
            (384, 384),
            recording=DarkField(
                drift_nm=rng.uniform(0, 0.06),
                contamination=rng.uniform(0, 0.3),
                dose_per_nm2=10 ** rng.uniform(5.7, 7.5),
            ),
            seed=9000 + seed,
        ).image
        for descriptor, numbers in counts.items():
            found = stemlib.find_domains(image, descriptor=descriptor)
            key = str(found.n_domains)
            numbers[key] = numbers.get(key, 0) + 1
            undecided = max(undecided, float((found.labels < 0).mean()))
            faulted += descriptor == "patterson" and len(found.faults) > 0
    return {
        "images": n_images,
        "images_by_domains_found": counts,
        "largest_share_undecided": undecided,
        "images_with_faults_found": faulted,
    }


def faults(n_images):
    """Stacking faults in a crystal of CdTe, with and without a twin: domains found, and faults found as lines."""
    rows = []
    for scene in ("stacking-faults", "sphalerite-twin"):
        for seed in range(n_images):
            rng = np.random.default_rng([9, seed])
            image = domain_image(
                scene,
                (512, 512),
                pixel_size_nm=rng.uniform(0.02, 0.034),
                recording=DarkField(
                    dose_per_nm2=10 ** rng.uniform(4.3, 5.7),
                    source_fwhm_nm=rng.uniform(0.07, 0.15),
                    drift_nm=rng.uniform(0, 0.1),
                    contamination=rng.uniform(0, 0.1),
                    jitter_nm=rng.uniform(0.002, 0.008),
                ),
                seed=800 + seed,
            )
            case = DomainCase.of(f"{scene} {seed}", image)
            rows.append({"scene": scene} | domain_score(case, stemlib.find_domains(case.source)))
    table = pd.DataFrame(rows)
    right = table["found"] == table["expected"]
    return {
        "images": len(table),
        "right_number_of_domains": int(right.sum()),
        "accuracy": {"mean": float(table["accuracy"].mean()), "least": float(table["accuracy"].min())},
        "images_with_faults": int(table["faults"].notna().sum()),
        "share_of_faults_found": float(table["faults"].mean()),
        "images_with_nearly_all_found": int((table["faults"] > 0.8).sum()),
        "share_of_found_lines_far_from_drawn_ones": float(table["stray_faults"].mean()),
    }


def grains(n_images):
    """Grains of other kinds: right numbers of domains, and accuracy and boundaries where the number is right."""
    summary = {}
    for kind, cases in KINDS.items():
        rows = []
        for case in cases(n_images):
            found = stemlib.find_domains(case.source)
            rows.append(
                {"right": found.n_domains == case.n_domains} | scored(case, found.labels, found.boundaries)
            )
        table = pd.DataFrame(rows)
        right = table[table["right"]]
        summary[kind] = {
            "images": len(table),
            "right_number_of_domains": len(right),
            "least_accuracy_of_these": float(right["accuracy"].min()) if len(right) else None,
            "boundary_px_of_these": None
            if right["boundary_px"].isna().all()
            else float(right["boundary_px"].mean()),
        }
        print(kind, summary[kind])
    return summary


def measure_cost(side):
    """Seconds on one large image, after a first small one."""
    image = domain_image("three-phases", (side, side), seed=0).image
    stemlib.find_domains(image[:256, :256])
    found, seconds = harness.timed(stemlib.find_domains, image)
    return {"side_px": side, "seconds": seconds, "domains": found.n_domains}


def cost(side):
    """Seconds and peak memory, simulation of the image included, of a process of its own."""
    measured, peak = harness.in_fresh_process(measure_cost, side)
    return measured | {"peak_bytes": peak}


PARTS = {
    "drawn": lambda options: compare(simulated_cases(options.images)),
    "real": lambda _: compare(real_cases()),
    "inversion_twins": lambda options: inversion(options.images),
    "faults": lambda options: faults(4 * options.images),
    "single_crystals": lambda options: singles(options.single),
    "grains": lambda options: grains(options.images),
    "cost": lambda _: [cost(1024), cost(3000)],
}


def main():
    """Measure and write."""
    parser = harness.parser(__file__, __doc__)
    parser.add_argument("--images", type=int, default=3, help="per scene")
    parser.add_argument("--single", type=int, default=50, help="single crystals")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="the rest is kept")
    options = parser.parse_args()
    result = harness.read(options.output) | harness.environment()
    for part in options.only:
        result[part] = PARTS[part](options)
    harness.write(options.output, result)


if __name__ == "__main__":
    main()
