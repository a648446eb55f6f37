"""Where truth is known: what the sampler loses with the few steps of distilled bases.

    python -m benchmarks.sgss_few_steps [--seeds 8]

The mixture and figures are those of `sgss_mixture`, its velocity exact. A distilled network is trained for few steps
and may do better; what is measured is the sampler's own error. Writes out/bench/sgss_few_steps.json, flat.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from ani3d_formats.atomic import write_bytes

from .sgss_mixture import MAIN_DISTANCE, MAIN_STRENGTH, METHODS, OUT, Study, interval

STEPS = (2, 3, 4, 7, 14)
KINDS = ("clean", "offset", "contrast")
CHOSEN = ("ode", "sde", "sgss")
FIGURES = ("sw", "spread", "drift", "carry")


def measured(seeds: int, samples: int) -> dict[str, float]:
    """Mean and half the 95 % interval over seeds by method, kind, steps and figure."""
    columns: dict[str, list[float]] = {}
    for seed in range(seeds):
        study = Study(seed, samples)
        columns.setdefault("true_sw", []).append(study.distances(study.other_true)["sw"])
        for name in CHOSEN:
            for kind in KINDS:
                for steps in STEPS:
                    found = study.measured(kind, MAIN_DISTANCE, steps, MAIN_STRENGTH, METHODS[name])
                    for figure in FIGURES:
                        columns.setdefault(f"{name}_{kind}_n{steps}_{figure}", []).append(found[figure])
    rows: dict[str, float] = {"seeds": seeds, "samples": samples}
    for name, column in columns.items():
        if not np.isnan(column).any():
            mean, half = interval(np.array(column))
            rows[name], rows[f"{name}_ci95"] = round(mean, 4), round(half, 4)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--samples", type=int, default=2000)
    options = parser.parse_args()
    rows = measured(options.seeds, options.samples)
    target = Path(OUT) / "sgss_few_steps.json"
    write_bytes(target, json.dumps(rows, indent=1).encode())
    for kind in KINDS:
        for name in CHOSEN:
            print(kind, name, [rows[f"{name}_{kind}_n{steps}_sw"] for steps in STEPS])


if __name__ == "__main__":
    main()
