"""How often intervals of `stemlib.agreement.corrected_density` hold what people counted, on images not trained on.

    STEMLIB_DATA=FOLDER python benchmarks/loop_density.py [--output FILE]

The six images of the comparison with annotators and those kept for sizes are taken for one series: a person has checked
a few of them, drawn at random many times, and the interval should hold the mean count of all. People's counts are those
of label set A.
"""

from __future__ import annotations

import harness
import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from stemlib import datasets, find_loops
from stemlib.agreement import corrected_density

ROLES = ("six", "size-test")
N_CHECKED = (10, 16, 25)
N_DRAWS = 2000


def main() -> None:
    """Measure, write and print what was found."""
    options = harness.parser(__file__, __doc__).parse_args()
    harness.set_threads(1)
    images = datasets.loop_images()
    images = images[images["role"].isin(ROLES) & images["available"]]
    truth = pd.Series({name: len(datasets.read_loop_labels(name, "A")) for name in images.index})
    result = {"images": len(images), "confidence": 0.95, "draws": N_DRAWS}
    for method in ("cascade", "fcn"):
        found = pd.Series(
            {
                name: len(find_loops(datasets.fetch(path), method=method, device="cpu").table)
                for name, path in tqdm(images["path"].items(), total=len(images), desc=method)
            }
        )
        result[method] = {"correlation": float(np.corrcoef(found, truth)[0, 1])}
        for n in N_CHECKED:
            rng = np.random.default_rng(n)
            held, width, alone = [], [], []
            for _ in range(N_DRAWS):
                checked = truth.iloc[rng.choice(len(truth), n, replace=False)]
                one = corrected_density(found, checked)
                held.append(one.low <= truth.mean() <= one.high)
                width.append(one.high - one.low)
                alone.append(one.from_checked[1] - one.from_checked[0])
            result[method][f"{n} checked"] = {
                "held": float(np.mean(held)),
                "width_over_checked_alone": float(np.mean(width) / np.mean(alone)),
            }
    harness.write(options.output, result)
    print(result)


if __name__ == "__main__":
    main()
